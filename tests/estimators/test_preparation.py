import numpy as np
import pytest

from tests.estimators.tiny import quick


@pytest.mark.parametrize(
    ("weight", "match"),
    [([1.0], "one weight per row"), (np.nan, "finite"), (-1.0, "not negative"), (0.0, "0 for every row")],
)
def test_weights_that_cannot_be_are_refused(df, weight, match):
    given = weight if isinstance(weight, list) else np.full(len(df), weight)
    with pytest.raises(ValueError, match=match):
        quick().fit(df, sample_weight=given)
