from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import ndtri, stdtrit

from latentode.estimators.calibration import calibrate as calibrate_residuals
from latentode.estimators.residuals import Residuals, held_out_residuals
from latentode.estimators.trained import Extent, Trained
from latentode.nn import Batch, Prediction, mixture_spread
from latentode.nn.mixture import mixture_quantiles
from latentode.persistence.calibration import LEADS, LEVELS, Calibration

ROWS = np.ones(2, dtype=int)
"""Lengths of histories."""


class Known(torch.nn.Module):
    """A model that says mean 0 and a given scale."""

    def __init__(self, scale):
        super().__init__()
        self.given = scale
        self.config = SimpleNamespace(latent_dim=2, variational=False)
        self.likelihood = SimpleNamespace(of_counts=np.array(False))

    def predict(self, batch):
        mean = torch.zeros_like(batch.targets)
        return Prediction(mean, mean + self.given)


def queried(targets, mask=None, leads=0.5):
    targets = torch.as_tensor(targets, dtype=torch.float32)[None]
    return Batch(
        times=torch.zeros(1, 1),
        values=torch.zeros(1, 1, targets.shape[2]),
        mask=torch.zeros(1, 1, targets.shape[2]),
        lengths=torch.tensor([1]),
        query_times=torch.zeros(1, targets.shape[1]) + torch.as_tensor(leads, dtype=torch.float32),
        targets=targets,
        target_mask=torch.ones_like(targets) if mask is None else torch.as_tensor(mask, dtype=torch.float32)[None],
    )


def calibrate(model, held_out, n_series):
    """Of one model."""
    return calibrate_all([Trained(model, held_out, np.arange(n_series))])


def calibrate_all(trained):
    return calibrate_residuals(held_out_residuals(trained))


def residuals(n, *spreads, seed=0):
    return np.random.default_rng(seed).normal(size=(n, len(spreads))) * spreads


def covered(calibration, scale, values, lead=0.5, level=0.9):
    """Part of fresh values inside the interval a Gaussian of the model's scale becomes."""
    tails = np.array([0.5 - level / 2, 0.5 + level / 2])
    low, high = calibration.deviations(ndtri(tails)[:, None]) * scale * calibration.factors(np.array([lead]), ROWS[:1])
    return ((values >= low) & (values <= high)).mean(0)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_intervals_are_widened_by_as_much_as_they_were_too_narrow(truth):
    factors = calibrate(Known(1.0), [queried(residuals(5000, truth))], 1).factors(np.array([0.5]), ROWS[:1])
    assert factors.item() == pytest.approx(truth, rel=0.08)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_calibrated_intervals_hold_what_they_promise(level):
    calibration = calibrate(Known(0.7), [queried(residuals(3000, 1.0))], 1)
    assert covered(calibration, 0.7, residuals(20_000, 1.0, seed=1), level=level) == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.98])
def test_a_heavy_tailed_channel_gets_intervals_of_its_shape(level):
    rng = np.random.default_rng(0)
    calibration = calibrate(Known(1.0), [queried(rng.standard_t(2, size=(4000, 1)))], 1)
    assert covered(calibration, 1.0, rng.standard_t(2, size=(20_000, 1)), level=level) == pytest.approx(level, abs=0.02)


def test_a_skewed_channel_leans_to_one_side_and_keeps_the_models_mean():
    rng = np.random.default_rng(0)
    calibration = calibrate(Known(1.0), [queried(rng.exponential(size=(4000, 1)) - 1)], 1)
    low, middle, high = calibration.deviations(ndtri([0.05, 0.5, 0.95])[:, None]).ravel()
    assert high - middle > 2 * (middle - low)
    assert middle < 0
    drawn = calibration.deviations(rng.standard_normal((100_000, 1))) * calibration.factors(np.array([0.5]), ROWS[:1])
    assert drawn.mean() == pytest.approx(0.0, abs=0.03)


def test_the_shape_does_not_undo_the_caution_of_the_width():
    """Ten residuals of one series, half as wide as the model says: hardly a reason to narrow its intervals."""
    calibration = calibrate(Known(1.0), [queried(residuals(10, 0.5))], 1)
    low, high = calibration.deviations(ndtri([0.05, 0.95])[:, None]).ravel()
    assert high - low == pytest.approx(2 * ndtri(0.95), rel=0.05)


@pytest.mark.parametrize(("n_rows", "least"), [(20, 1.3), (2000, 0.4)])
def test_the_ends_of_a_few_short_series_do_not_narrow_intervals(n_rows, least):
    """Sixty residuals, half as wide as the model says, of the end of one series of some length."""
    extent = Extent(n_rows, n_rows / 20)
    trained = Trained(Known(1.0), [queried(residuals(60, 0.5))], np.arange(1), extent=extent)
    factor = calibrate_all([trained]).factors(np.array([0.5]), ROWS[:1]).item()
    assert least <= factor
    assert (factor < 1) == (n_rows > 100)


def of_few(n_rows, spread):
    """The factor of one series of so many rows and stretches of a tenth, without its margin."""
    extent = Extent(n_rows, 1e9)
    trained = Trained(Known(1.0), [queried(residuals(400, spread))], np.arange(1), extent=extent)
    margin = stdtrit(n_rows / 5, 0.95) / ndtri(0.95)
    return calibrate_all([trained]).factors(np.array([0.5]), ROWS[:1]).item() / margin


def test_the_ends_of_a_few_series_narrow_what_they_contradict_by_four_standard_errors():
    """A standard error is 0.2 of a logarithm for 100 rows, 0.044 for 2,000."""
    assert of_few(100, 0.5) == pytest.approx(1.0)
    assert of_few(2000, 0.95) == pytest.approx(1.0)
    assert 0.5 < of_few(2000, 0.5) < 0.75
    assert of_few(2000, 2.0) == pytest.approx(2.0, rel=0.1)


def test_intervals_behind_the_coverage_of_a_few_series_have_their_margin():
    """Even where a single series is left out, and nothing remains to learn from."""
    extent = Extent(40.0, 2.0)
    whole = held_out_residuals([Trained(Known(1.0), [queried(residuals(60, 1.0))], np.arange(1), extent=extent)])
    left = calibrate_residuals(whole.where(np.zeros(60, dtype=bool)))
    np.testing.assert_allclose(left.factor, calibrate_residuals(whole).factor)
    assert left.factor[-1, 0] > 1.3


def test_of_a_few_series_the_width_grows_where_they_hold_few_stretches_of_a_lead_time():
    """One series, as long as its horizon, or four of them."""

    def factors(n):
        trained = Trained(Known(1.0), [queried(residuals(60, 1.0))], np.arange(n), extent=Extent(40.0 * n, 1.0 * n))
        return calibrate_all([trained]).factors(np.array([0.05, 0.25, 0.7]), np.ones(3, dtype=int)).ravel()

    one, four = factors(1), factors(4)
    assert one[0] < one[1] < one[2]
    assert one[2] > 2
    assert (four < one).all()
    assert four[2] < 1.5


def test_widths_differ_by_lead_where_the_model_does_not_know_it():
    leads = np.repeat([0.05, 0.7], 3000)
    spread = np.where(leads < 0.1, 0.5, 2.0)[:, None]
    values = residuals(6000, 1.0) * spread
    calibration = calibrate(Known(1.0), [queried(values, leads=leads)], 1)
    near, far = calibration.factors(np.array([0.05, 0.7]), ROWS[:2]).ravel()
    assert near == pytest.approx(0.5, rel=0.15)
    assert far == pytest.approx(2.0, rel=0.15)
    between = calibration.factors(np.array([0.3]), ROWS[:1]).item()
    assert near < between < far


def of_two_lengths(n_series, spread_of_short, spread_of_long, lengths=(3, 100), leads=0.5):
    """Twenty residuals of each series after a short history, and as many after a long one."""
    rng, shape = np.random.default_rng(0), (n_series, 2, 20)
    values = rng.normal(size=shape) * np.array([spread_of_short, spread_of_long])[:, None]
    series, n_rows = (
        np.broadcast_to(x, shape).ravel() for x in (np.arange(n_series)[:, None, None], np.array(lengths)[:, None])
    )
    return Residuals(values.reshape(-1, 1), np.full(values.size, leads), series, n_rows, np.array([False]))


@pytest.mark.parametrize(("short", "long"), [(2.0, 1.0), (1.0, 1.0), (0.7, 1.4)])
def test_widths_differ_by_the_length_of_the_history_where_held_out_series_show_it(short, long):
    calibration = calibrate_residuals(of_two_lengths(200, short, long))
    found = calibration.factors(np.full(4, 0.5), np.array([1, 3, 100, 256]))[:, 0]
    np.testing.assert_allclose(found, [short, short, long, long], rtol=0.1)
    inside = calibration.factors(np.full(2, -0.5), np.array([3, 100]))[:, 0]
    assert inside[0] == inside[1]


@pytest.mark.parametrize(
    "held_out",
    [
        replace(of_two_lengths(3, 2.0, 1.0), extent=Extent(50.0, 50.0)),
        of_two_lengths(200, 2.0, 1.0, lengths=(9, 9)),
        of_two_lengths(9, 2.0, 1.0, leads=-0.5),
    ],
)
def test_widths_hardly_differ_by_length_where_held_out_series_show_little_or_nothing(held_out):
    by_length = calibrate_residuals(held_out).by_length
    assert by_length.max() < 1.25 * by_length.min()


def test_a_channel_with_wide_residuals_is_not_taken_for_a_length_of_the_history():
    """Two channels, of widths 2 and 1/2 after any history; the second is measured in long histories only."""
    one = of_two_lengths(200, 2.0, 2.0)
    values = np.column_stack([one.values[:, 0], np.where(one.n_rows > 50, one.values[::-1, 0] / 4, np.nan)])
    calibration = calibrate_residuals(replace(one, values=values, counts=np.array([False, False])))
    found = calibration.factors(np.full(2, 0.5), np.array([3, 100]))
    np.testing.assert_allclose(found, [[2.0, 0.5], [2.0, 0.5]], rtol=0.15)


def test_counts_have_no_width_by_length_and_others_a_bounded_one():
    one = of_two_lengths(200, 1000.0, 1.0)
    values = np.column_stack([one.values, np.full_like(one.values, np.nan)])
    by_length = calibrate_residuals(replace(one, values=values, counts=np.array([False, True]))).by_length
    assert (by_length[:, 1] == 1).all()
    assert (by_length[:, 0].min(), by_length[:, 0].max()) == (0.5, 2.0)


def test_channels_are_calibrated_apart_where_they_have_enough():
    factors = calibrate(Known(1.0), [queried(residuals(5000, 0.5, 2.0))], 1).factors(np.array([0.5]), ROWS[:1])
    np.testing.assert_allclose(factors[0], [0.5, 2.0], rtol=0.15)


def test_a_channel_with_few_observations_leans_on_the_others():
    targets = residuals(1000, 1.0, 4.0)
    mask = np.ones_like(targets)
    mask[5:, 1] = 0
    (factors,) = calibrate(Known(1.0), [queried(targets, mask)], 1).factors(np.array([0.5]), ROWS[:1])
    assert factors[0] == pytest.approx(1.0, rel=0.1)
    assert factors[1] < 1.8


def test_without_residuals_the_calibration_is_the_identity():
    targets = residuals(20, 1.0, 1.0)
    found, none = calibrate(Known(1.0), [queried(targets, np.zeros_like(targets))], 1), Calibration.none(2)
    np.testing.assert_array_equal(found.factor, none.factor)
    levels, beyond = found.levels(np.array([0.1, 0.5, 0.999]))
    np.testing.assert_allclose(levels.ravel(), np.repeat([0.1, 0.5, 0.999], 2))
    assert not beyond.any()


def test_factors_stay_within_reason():
    assert calibrate(Known(1.0), [queried(residuals(50, 1e6))], 1).factor.max() <= 10
    assert calibrate(Known(1.0), [queried(residuals(50, 1e-6))], 1).factor.min() >= 0.1


def test_quantiles_of_the_longest_tails_are_finite_and_where_they_lay():
    """Of rain that falls once in twelve hours, say: its quantiles lie at dozens of the usual deviations."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((4000, 1)) < 0.08, 1000.0 + rng.normal(size=(4000, 1)), rng.normal(size=(4000, 1)))
    calibration = calibrate(Known(1.0), [queried(values)], 1)
    levels, beyond = calibration.levels(np.array([0.5, 0.95, 0.995]))
    mean, scale = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    found = mixture_quantiles(mean, scale, levels).numpy() + beyond * mixture_spread(mean, scale, mean[0]).numpy()
    drawn = calibration.deviations(ndtri(np.array([0.5, 0.95, 0.995]))[:, None])
    np.testing.assert_allclose(found[:, 0], drawn, rtol=1e-3, atol=1e-3)
    assert np.isfinite(found).all()
    assert found[1] > 20


@pytest.mark.parametrize("n", [1, 3, 30, 1000])
def test_deviations_rise_with_the_level(n):
    calibration = calibrate(Known(1.0), [queried(residuals(n, 1.0, 3.0))], 1)
    grid = np.linspace(-6, 6, 200)[:, None]
    assert (np.diff(calibration.deviations(grid), axis=0) > 0).all()
    assert calibration.factor.shape == (len(LEADS), 2)
    assert calibration.shape.shape == (len(LEVELS), 2)


def rounds(n_series, spread_of_series, by=1.0, seed=0):
    """Eight rounds of questions, sixteen rows each, on series of which each has its own spread."""
    rng = np.random.default_rng(seed)
    spreads = by * np.exp(spread_of_series * rng.normal(size=(n_series, 1, 1)))
    drawn = [torch.as_tensor(spreads * rng.normal(size=(n_series, 16, 1)), dtype=torch.float32) for _ in range(8)]
    return [
        replace(
            queried(np.zeros((1, 1))),
            lengths=torch.ones(n_series, dtype=torch.long),
            query_times=torch.full((n_series, 16), 0.5),
            targets=targets,
            target_mask=torch.ones_like(targets),
        )
        for targets in drawn
    ]


def width(questions, n_series):
    return calibrate(Known(1.0), questions, n_series).factors(np.array([0.5]), ROWS[:1]).item()


def test_many_residuals_of_few_differing_series_hardly_narrow_the_width_of_the_model():
    true = width(rounds(2000, 0.4), 2000)
    drawn = [rounds(5, 0.4, by=1 / true, seed=seed) for seed in range(1, 41)]
    as_they_are = [np.log(width(questions, 5)) for questions in drawn]
    were_each_its_own = [np.log(width(questions, 5 * 8)) for questions in drawn]
    short, short_each_its_own = (np.square(np.minimum(of, 0.0)).mean() for of in (as_they_are, were_each_its_own))
    assert short < 0.6 * short_each_its_own


def test_the_fewer_series_are_held_out_the_wider_is_the_margin():
    true = width(rounds(2000, 0.4), 2000)
    few, more = (
        np.mean([np.log(width(rounds(n, 0.4, by=1 / true, seed=seed), n)) for seed in range(1, 21)]) for n in (5, 40)
    )
    assert few > more + 0.03


def test_few_series_that_contradict_the_model_change_its_width():
    assert width(rounds(9, 0.1, by=3.0), 9) == pytest.approx(3.0, rel=0.1)


def test_many_series_change_the_width_however_much_they_differ():
    wide = np.quantile(np.abs(np.concatenate([b.targets.numpy().ravel() for b in rounds(2000, 0.7)])), 0.9) / 1.645
    assert width(rounds(2000, 0.7), 2000) == pytest.approx(wide, rel=0.05)


def test_several_models_are_calibrated_by_what_each_has_not_seen():
    """Of two models one says too much and one too little of itself: together they are given the middle."""
    held_out = [queried(residuals(4000, 1.0, seed=seed)) for seed in (0, 1)]
    models = [Known(0.5), Known(2.0)]
    alone = [calibrate(model, [of_it], 1) for model, of_it in zip(models, held_out, strict=True)]
    parts = zip(models, held_out, strict=True)
    together = calibrate_all([Trained(m, [of_it], np.array([k])) for k, (m, of_it) in enumerate(parts)])
    low, high = (c.factors(np.array([0.5]), ROWS[:1]).item() for c in alone[::-1])
    assert low < together.factors(np.array([0.5]), ROWS[:1]).item() < high


def together(*parts):
    return calibrate_all([Trained(Known(1.0), held_out, queried) for held_out, queried in parts])


def test_series_of_several_models_are_not_taken_for_one():
    """The same residuals, of twice as many series: they say more."""
    true = width(rounds(2000, 0.4), 2000)
    drawn = [[rounds(5, 0.4, by=1 / true, seed=s) for s in (seed, 100 + seed)] for seed in range(1, 41)]
    one = [np.log(width(first, 5)) for first, _ in drawn]
    two = [
        together((a, np.arange(5)), (b, 5 + np.arange(5))).factors(np.array([0.5]), ROWS[:1]).item() for a, b in drawn
    ]
    assert np.square(np.log(two)).mean() < np.square(one).mean()


def test_a_series_held_out_of_two_models_counts_as_one():
    held_out = rounds(5, 0.4, seed=3)
    once, same, others = (
        together(*((held_out, queried) for queried in of_models)).factor
        for of_models in ([np.arange(5)], [np.arange(5)] * 2, [np.arange(5), 5 + np.arange(5)])
    )
    assert np.abs(np.log(same / once)).max() < 0.2 * np.abs(np.log(others / once)).max()


@pytest.mark.parametrize("correlation", [0.8, 0.0, -0.5])
def test_errors_of_two_channels_go_together_as_the_residuals_did(correlation):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(600, 1))
    own = rng.normal(size=(600, 2)) * np.sqrt(1 - abs(correlation))
    values = own + np.sqrt(abs(correlation)) * common * [1, np.sign(correlation)]
    # Series of one row each, so that all residuals are independent.
    batch = queried(values)
    parts = replace(
        batch,
        times=torch.zeros(600, 1),
        values=torch.zeros(600, 1, 2),
        mask=torch.zeros(600, 1, 2),
        lengths=torch.ones(600, dtype=torch.long),
        query_times=batch.query_times.T,
        targets=batch.targets.transpose(0, 1),
        target_mask=batch.target_mask.transpose(0, 1),
    )
    found = calibrate(Known(1.0), [parts], 600).correlation
    assert found[0, 1] == pytest.approx(correlation, abs=0.1)
    assert found[0, 1] == found[1, 0]
    assert (np.diag(found) == 1).all()


def test_hardly_any_pairs_leave_channels_independent():
    values = residuals(4, 1.0, 1.0)
    values[:, 1] = values[:, 0]
    assert 0 < calibrate(Known(1.0), [queried(values)], 1).correlation[0, 1] < 0.5
    never_together = np.array([[1, 0], [0, 1]] * 20)
    assert calibrate(Known(1.0), [queried(residuals(40, 1.0, 1.0), never_together)], 1).correlation[0, 1] == 0
