import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm

from latentode.evaluation import (
    coverage,
    crps_quantiles,
    crps_samples,
    interval_width,
    log_score_quantiles,
    mae,
    mase,
    naive_error,
    rmse,
)

NAN = float("nan")


def test_errors_are_averaged_over_the_values_scored_only():
    truth, forecast = [[1.0, NAN], [3.0, -1.0]], [[2.0, 50.0], [3.0, 4.0]]
    assert mae(truth, forecast) == pytest.approx((1 + 0 + 5) / 3)
    assert rmse(truth, forecast) == pytest.approx(np.sqrt((1 + 0 + 25) / 3))


def test_a_forecast_may_be_nan_where_nothing_was_queried():
    assert mae([1.0, NAN], [1.5, NAN]) == 0.5


@pytest.mark.parametrize(
    ("metric", "answers"),
    [
        (mae, ([NAN, 2.0],)),
        (rmse, ([NAN, 2.0],)),
        (crps_samples, ([[1.0, NAN], [1.0, 2.0]],)),
        (lambda y, q: crps_quantiles(y, q, [0.1, 0.9]), ([[1.0, NAN], [1.0, 2.0]],)),
        (coverage, ([NAN, 0.0], [1.0, 1.0])),
        (interval_width, ([0.0, 0.0], [1.0, NAN])),
    ],
)
def test_a_nan_where_the_truth_is_known_is_an_error_that_counts_them(metric, answers):
    with pytest.raises(ValueError, match="NaN for 1 of 2 values"):
        metric([1.0, 2.0], *answers)


@pytest.mark.parametrize("metric", [mae, rmse])
@pytest.mark.parametrize("forecast", [[1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0], 1.0])
def test_shapes_that_differ_are_refused_and_never_broadcast(metric, forecast):
    with pytest.raises(ValueError, match="y_pred has shape"):
        metric([1.0, 2.0], forecast)


def test_samples_need_one_axis_more_than_the_truth():
    with pytest.raises(ValueError, match="one axis more"):
        crps_samples([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="one axis more"):
        crps_samples([1.0, 2.0], [[1.0, 2.0]])


def test_frames_whose_labels_disagree_are_refused():
    truth = pd.DataFrame({"a": [1.0], "b": [2.0]})
    with pytest.raises(ValueError, match="different labels"):
        mae(truth, truth[["b", "a"]])
    with pytest.raises(ValueError, match="different labels"):
        mae(truth["a"], truth["a"].set_axis([7]))
    assert mae(truth, truth) == 0


def test_with_nothing_queried_every_score_is_nan_in_silence(recwarn):
    nothing = [NAN, NAN]
    scores = [
        mae(nothing, nothing),
        rmse(nothing, nothing),
        crps_samples(nothing, [[0.0, 1.0]] * 2),
        crps_quantiles(nothing, [[0.0, 1.0]] * 2, [0.1, 0.9]),
        coverage(nothing, [0, 0], [1, 1]),
        interval_width(nothing, [0, 0], [1, 1]),
    ]
    assert np.isnan(scores).all()
    assert not recwarn.list


@pytest.mark.parametrize("m", [2, 3, 50])
def test_crps_of_samples_is_the_fair_one_of_scoringrules(m):
    scoringrules = pytest.importorskip("scoringrules")
    rng = np.random.default_rng(0)
    truth, samples = rng.normal(size=(4, 5)), rng.normal(1, 2, size=(4, 5, m))
    expected = scoringrules.crps_ensemble(truth, samples, estimator="fair", backend="numpy").mean()
    assert crps_samples(truth, samples) == pytest.approx(expected, rel=1e-12)


def test_crps_of_samples_by_hand():
    # |x - y|: (1 + 1 + 4) / 3 = 2. Pairs: |1-3| + |1-6| + |3-6| = 10, over m (m - 1) / 2 = 3 and halved: 5 / 3.
    assert crps_samples([2.0], [[1.0, 6.0, 3.0]]) == pytest.approx(2 - 10 / 6)


def test_crps_of_two_samples_is_on_average_that_of_many():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=20_000)
    exact = 1 / np.sqrt(np.pi)  # of a standard normal forecast for standard normal truth
    assert crps_samples(truth, rng.normal(size=(20_000, 2))) == pytest.approx(exact, abs=0.02)
    assert crps_samples(truth, rng.normal(size=(20_000, 50))) == pytest.approx(exact, abs=0.01)


def test_crps_of_samples_skips_what_was_not_queried():
    samples = [[1.0, 6.0, 3.0], [NAN, NAN, NAN]]
    assert crps_samples([2.0, NAN], samples) == crps_samples([2.0], samples[:1])


def test_one_sample_is_too_few_for_the_fair_score():
    with pytest.raises(ValueError, match="at least 2"):
        crps_samples([1.0], [[1.0]])


def test_crps_of_quantiles_is_that_of_scoringrules_at_even_levels():
    scoringrules = pytest.importorskip("scoringrules")
    rng = np.random.default_rng(0)
    levels = (np.arange(10) + 0.5) / 10
    truth, quantiles = rng.normal(size=30), np.sort(rng.normal(size=(30, 10)), axis=1)
    expected = scoringrules.crps_quantile(truth, quantiles, levels, backend="numpy").mean()
    assert crps_quantiles(truth, quantiles, levels) == pytest.approx(expected, rel=1e-12)


def test_crps_of_quantiles_comes_close_to_the_closed_form():
    norm = pytest.importorskip("scipy.stats").norm
    levels = np.arange(1, 20) / 20
    quantiles = norm.ppf(levels)
    for truth in (-1.0, 0.0, 2.5):
        exact = truth * (2 * norm.cdf(truth) - 1) + 2 * norm.pdf(truth) - 1 / np.sqrt(np.pi)
        assert crps_quantiles([truth], [quantiles], levels) == pytest.approx(exact, rel=0.03)


def test_uneven_levels_weigh_by_the_part_of_the_unit_interval_next_to_them():
    # The levels 0.1 and 0.5 own [0, 0.3] and [0.3, 1]. Losses at truth 0: 0.9 * 2 and 0.5 * 3.
    assert crps_quantiles([0.0], [[2.0, 3.0]], [0.1, 0.5]) == pytest.approx(2 * (0.3 * 1.8 + 0.7 * 1.5))


@pytest.mark.parametrize("levels", [[0.9, 0.1], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0], [5, 95]])
def test_levels_out_of_order_or_range_are_refused(levels):
    with pytest.raises(ValueError, match="levels must increase"):
        crps_quantiles([0.0], [[1.0, 2.0]], levels)


def test_as_many_levels_as_quantiles_are_needed():
    with pytest.raises(ValueError, match="levels have shape"):
        crps_quantiles([0.0], [[1.0, 2.0]], [0.5])


def test_coverage_counts_the_bounds_as_inside_and_skips_what_was_not_queried():
    truth = [0.0, 1.0, 1.5, NAN, -0.1]
    low, high = [0.0] * 5, [1.0] * 5
    assert coverage(truth, low, high) == pytest.approx(2 / 4)


def test_width_is_that_of_the_intervals_scored():
    assert interval_width([5.0, NAN, 5.0], [0, 0, 0], [1, 100, 4]) == pytest.approx(2.5)


@pytest.mark.parametrize("metric", [coverage, interval_width])
def test_bounds_that_cross_are_refused(metric):
    with pytest.raises(ValueError, match="lower is above upper for 1 of 2"):
        metric([0.0, 0.0], [1.0, 0.0], [0.0, 1.0])


# ------------------------------------------------------------------------------------- scaled and log scores


def test_mase_is_the_absolute_error_in_usual_steps():
    history = pd.DataFrame({"id": [1, 1, 1, 2, 2], "time": [2, 0, 1, 0, 9], "x": [5.0, 1.0, np.nan, 10.0, 16.0]})
    scale = naive_error(history)
    assert scale["x"] == 5.0  # steps of 4 and 6
    assert mase([0.0, np.nan, 10.0], [5.0, 1.0, 0.0], scale["x"]) == pytest.approx(1.5)


def test_the_last_value_of_a_random_walk_has_a_mase_of_one():
    walk = np.random.default_rng(0).normal(size=5000).cumsum()
    scale = naive_error(pd.DataFrame({"id": 0, "time": np.arange(5000), "x": walk}))
    assert mase(walk[1:], walk[:-1], scale["x"]) == pytest.approx(1.0)


def test_a_channel_without_steps_is_scaled_by_its_spread_or_by_one():
    history = pd.DataFrame({"id": [1, 2, 3], "time": 0, "x": [1.0, 2.0, 3.0], "c": 4.0, "none": np.nan})
    assert naive_error(history).to_dict() == {"x": 1.0, "c": 1.0, "none": 1.0}
    with pytest.raises(ValueError, match="scale must be positive"):
        mase([1.0], [1.0], 0.0)


def test_the_log_score_of_many_quantiles_is_the_log_density():
    levels = np.arange(1, 400) / 400
    values = np.random.default_rng(0).normal(2.0, 3.0, 4000)
    band = np.broadcast_to(norm.ppf(levels, 2.0, 3.0), (4000, 399))
    assert log_score_quantiles(values, band, levels) == pytest.approx(-norm.logpdf(values, 2.0, 3.0).mean(), abs=0.01)


def test_the_log_scores_density_integrates_to_one():
    band, levels = np.array([0.0, 1.0, 1.5, 4.0]), np.array([0.1, 0.4, 0.5, 0.9])
    grid = np.linspace(-60, 60, 240_001)
    density = [np.exp(-log_score_quantiles([x], [band], levels)) for x in grid[::200]]
    assert trapezoid(density, grid[::200]) == pytest.approx(1.0, abs=0.03)


def test_the_log_score_of_one_level_or_of_counts():
    with pytest.raises(ValueError, match="two levels"):
        log_score_quantiles([1.0], [[1.0]], [0.5])
    assert np.isfinite(log_score_quantiles([1.0, 9.0], [[1.0, 1.0, 2.0]] * 2, [0.1, 0.5, 0.9]))
    assert np.isfinite(log_score_quantiles([1.0], [[1.0, 1.0]], [0.1, 0.5]))
