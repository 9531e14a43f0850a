import pytest
from sklearn.exceptions import NotFittedError

from tests.estimators.tiny import quick


@pytest.mark.parametrize("name", ["channels_", "horizon_", "model_", "panel_", "schema_", "n_features_in_"])
def test_fitted_attributes_are_there_after_fit_only(fitted, name):
    assert hasattr(fitted, name)
    assert not hasattr(quick(), name)
    with pytest.raises(NotFittedError):
        getattr(quick(), name)
