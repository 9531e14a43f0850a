import warnings

import numpy as np
import pytest

from latentode.data import DataWarning, TimeAxis, infer_schema, panel_from_frame
from latentode.data.doubtful import constant_channels, dates_as_numbers, left_out
from latentode.datasets import load_airports, load_pbc, load_storms, make_periodic, make_spirals
from tests.estimators.tiny import quick, waves


@pytest.mark.parametrize(
    ("weight", "match"),
    [([1.0], "one weight per row"), (np.nan, "finite"), (-1.0, "not negative"), (0.0, "0 for every row")],
)
def test_weights_that_cannot_be_are_refused(df, weight, match):
    given = weight if isinstance(weight, list) else np.full(len(df), weight)
    with pytest.raises(ValueError, match=match):
        quick().fit(df, sample_weight=given)


# ------------------------------------------------------------------------------------- roles that may be others


DOUBTFUL = waves(4, 6, missing=0.0).assign(
    time=lambda df: np.tile([20240101 + k for k in range(6)], 4),
    age=lambda df: df.groupby("id").ngroup() + 60.0,
    sex="f",
)


def sentences_of(df, *arguments, **params):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick(max_steps=1, **params).fit(df, *arguments)
    of_data = [str(w.message) for w in caught if issubclass(w.category, DataWarning)]
    return " ".join(of_data), len(of_data)


def test_roles_that_may_be_others_are_said_in_one_warning():
    text, n = sentences_of(DOUBTFUL)
    assert n == 1
    for words in ("format='%Y%m%d'", "static_cols=['age']", "static_cols=['sex']"):
        assert words in text


def test_named_targets_are_no_doubt():
    text, n = sentences_of(DOUBTFUL.assign(time=np.tile(np.arange(6), 4)), target_cols=["x", "age"])
    assert (text, n) == ("", 0)
    text, n = sentences_of(
        DOUBTFUL.assign(time=np.tile(np.arange(6), 4))[["id", "time", "sex"]], DOUBTFUL[["x", "age"]]
    )
    assert (text, n) == ("", 0)


@pytest.mark.parametrize("make", [make_spirals, make_periodic, load_airports, load_pbc, load_storms])
def test_the_bundled_data_give_no_warning(make):
    df = make(n_series=20) if make in (make_spirals, make_periodic) else make()
    schema = infer_schema(df)
    axis = TimeAxis.from_times(schema.times_of(df))
    panel, _ = panel_from_frame(df, schema, axis)
    assert dates_as_numbers(schema.times_of(df)) + left_out(df, schema) + constant_channels(panel, schema) == []


# ------------------------------------------------------------------------------------------------ logarithms


def test_channels_that_doses_drive_are_not_read_in_logarithms():
    df = waves(8, 12, missing=0.0).assign(x=lambda d: np.exp(3 * d["x"]), dose=1.0)
    in_logs = {}
    for roles in ({}, {"impulse_cols": ["dose"]}):
        fitted = quick(max_steps=1, target_cols=["x"], **roles).fit(df)
        in_logs[len(roles)] = ~np.isnan(fitted.scaler_.log_floor)
    assert in_logs[0].all()
    assert not in_logs[1].any()
