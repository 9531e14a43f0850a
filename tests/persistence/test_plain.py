import numpy as np
import pandas as pd
import pytest

from latentode.persistence.plain import ids_from_plain, plain, plain_ids


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("kl_weight", np.float64(0.5), 0.5),
        ("horizon", pd.Timedelta("36h"), "1 days 12:00:00"),
        ("horizon", np.timedelta64(36, "h"), "1 days 12:00:00"),
        ("horizon", np.timedelta64(36 * 3600 * 10**9, "ns"), "1 days 12:00:00"),
        ("target_cols", ("a", np.int64(1)), ["a", 1]),
        ("checkpoint_dir", "/somewhere", None),
        ("random_state", np.random.default_rng(0), None),
        ("random_state", 3, 3),
    ],
)
def test_a_parameter_is_stored_as_json_holds_it(name, value, stored):
    assert plain(value, name) == stored


def test_what_json_cannot_hold_is_refused_by_name():
    with pytest.raises(ValueError, match=r"column=\('a', 'b'\) is neither text nor a number"):
        plain(("a", "b"), "column")


@pytest.mark.parametrize("ids", [["a", "b"], [1, 2], [1.5, 2.5], [True, False]])
def test_ids_come_back_with_their_dtype(ids):
    index = pd.Index(ids)
    assert ids_from_plain(plain_ids(index)).equals(index)
    assert ids_from_plain(plain_ids(index)).dtype == index.dtype
