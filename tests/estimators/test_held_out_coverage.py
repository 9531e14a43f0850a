import warnings

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.estimators.held_out_coverage import held_out_coverage
from latentode.estimators.residuals import Residuals
from latentode.persistence.coverage import LEAD_ENDS, NOMINAL
from tests.estimators.tiny import quick, single, waves


def residuals(n_series=20, n=30, spread=1.0, shared=0.0, seed=0, leads=0.2):
    """Residuals of one channel, of which a part is shared by all of a series."""
    rng = np.random.default_rng(seed)
    series = np.repeat(np.arange(n_series), n)
    of_series = np.repeat(rng.standard_normal(n_series), n)
    values = spread * (np.sqrt(shared) * of_series + np.sqrt(1 - shared) * rng.standard_normal(n_series * n))
    n_rows = np.full(len(values), 9)
    return Residuals(values[:, None], np.broadcast_to(leads, values.shape), series, n_rows, np.array([False]))


def test_calibrated_intervals_hold_what_they_promise_on_series_that_did_not_calibrate_them():
    found, sentences = held_out_coverage(residuals(200, 30, spread=2.0))
    assert 100 * found.achieved[:, 2, 0] == pytest.approx(NOMINAL, abs=2)
    assert (found.standard_error[:, 2, 0] < 0.02).all()
    assert not sentences


def test_what_is_measured_is_cross_fitted_and_so_is_not_flattered():
    """Few series, each with an error of its own: on the residuals that calibrated them, intervals would hold."""
    shares = [
        held_out_coverage(residuals(4, 30, spread=8.0, shared=0.9, seed=s))[0].achieved[1, 2, 0] for s in range(30)
    ]
    assert np.mean(shares) < 0.72


def test_values_and_series_are_counted_by_lead_time_and_channel():
    leads = np.tile([-0.5, 0.05, 0.1, 0.3, 0.9, 1.4], 5 * 4)
    one = residuals(4, 30, leads=leads)
    values = np.column_stack([one.values[:, 0], np.where(one.series == 0, np.nan, one.values[:, 0])])
    found, _ = held_out_coverage(Residuals(values, one.leads, one.series, one.n_rows, np.array([False, False])))
    assert found.n_values.tolist() == [[20, 15], [40, 30], [20, 15], [40, 30]]
    assert found.n_series.tolist() == [[4, 3]] * len(LEAD_ENDS)


def test_channels_of_counts_have_no_coverage():
    one = residuals()
    empty = np.full_like(one.values, np.nan)
    found, sentences = held_out_coverage(Residuals(empty, one.leads, one.series, one.n_rows, np.array([True])))
    assert np.isnan(found.achieved).all()
    assert found.n_values.sum() == 0
    assert not sentences


@pytest.mark.parametrize(
    ("n_series", "shared", "warned"),
    [(1, 0.0, True), (3, 0.9, True), (5, 0.0, False), (6, 0.95, True), (60, 0.9, False)],
)
def test_it_warns_where_series_are_too_few_or_too_different_to_promise_a_level(n_series, shared, warned):
    sentences = held_out_coverage(residuals(n_series, 30, shared=shared, seed=1))[1]
    assert bool(sentences) is warned
    if warned:
        assert ("the end of one series" if n_series == 1 else f"{n_series} held-out series") in sentences[0]


def test_a_fit_of_one_series_says_once_that_its_levels_are_no_promise():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        quick().fit(single(waves()))
    (message,) = [str(w.message) for w in said if "prediction intervals are calibrated" in str(w.message)]
    assert "the end of one series" in message


def test_a_fit_of_many_series_is_silent(df):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(max_steps=25).fit(df)


def test_the_table_has_a_row_for_every_channel_lead_time_and_level(fitted):
    table = fitted.calibration_
    assert list(table.columns) == ["channel", "lead", "nominal", "achieved", "standard_error", "n", "n_series"]
    assert len(table) == 2 * len(LEAD_ENDS) * len(NOMINAL)
    assert table["lead"].unique().tolist() == pytest.approx((LEAD_ENDS * fitted.horizon_).tolist())
    assert set(table["channel"]) == {"x", "y"}
    state = fitted.state_.coverage
    row = table.query("channel == 'y' and nominal == 80").iloc[2]
    assert row["achieved"] == pytest.approx(100 * state.achieved[1, 2, 1], abs=0.05)
    assert (row["n"], row["n_series"]) == (state.n_values[2, 1], state.n_series[2, 1])
    assert row["n_series"] == 15  # three models, each with five series of its own


def test_lead_times_of_dates_are_durations(fitted_on_dates):
    leads = fitted_on_dates.calibration_["lead"]
    assert pd.api.types.is_timedelta64_dtype(leads)
    assert leads.max() == pd.Timedelta(fitted_on_dates.horizon_, unit="s").round("s")


def test_the_table_is_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").calibration_, fitted.calibration_)
