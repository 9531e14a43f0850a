import math

import numpy as np
import pytest
import torch

from latentode.nn import GaussianProcess
from latentode.nn.channel_series import by_channel
from latentode.nn.process_draws import ProcessDraws
from latentode.training import gaussian_process, process_draws
from latentode.training.gaussian_process import fit_gaussian_process
from latentode.training.process_draws import FEWEST_FOR_ONE, OF_FEW, draw_parameters
from latentode.training.process_prior import parameters_of, place_of_period, prior_around
from latentode.training.tasks import RaggedSeries
from latentode.training.time_limit import TimeLimit
from tests.nn.test_gaussian_process import a_batch
from tests.training.test_gaussian_process import forecasts, rotation, series_of


def walk(rng):
    return lambda t: np.cumsum(np.sqrt(np.diff(t, prepend=0)) * rng.standard_normal(len(t)))


def fitted(n_series, seed=0, n_rows=20, limit=None):
    series = series_of(walk, n_rows, n_series, seed)
    return fit_gaussian_process(series, 1.0, 0.05, np.random.default_rng(seed), limit)


def test_a_few_series_get_draws_and_many_the_most_likely_parameters():
    assert isinstance(fitted(FEWEST_FOR_ONE - 1), ProcessDraws)
    assert not isinstance(fitted(FEWEST_FOR_ONE), ProcessDraws)


def test_draws_of_a_single_walk_cover_more_of_what_follows(monkeypatch):
    """The second half of single walks, with and without draws."""
    covered = {}
    for fewest in (0, FEWEST_FOR_ONE):
        monkeypatch.setattr(gaussian_process, "FEWEST_FOR_ONE", fewest)
        inside = []
        for seed in range(8):
            process = fitted(1, seed, n_rows=15)
            mean, scale, truth = forecasts(process, series_of(walk, 30, 40, seed=100 + seed), 15)
            inside.append(np.abs(truth - mean) < 1.645 * scale)
        covered[fewest] = np.mean(inside)
    assert covered[FEWEST_FOR_ONE] > covered[0] + 0.05


def test_without_observations_draws_follow_the_prior(monkeypatch):
    """The prior is known: so are the mean and the spread of its draws."""
    monkeypatch.setattr(process_draws, "N_DRAWS", 400)
    monkeypatch.setattr(process_draws, "ROUNDS", 60)
    process = GaussianProcess(1, 1, 0.1, 1.0).requires_grad_(requires_grad=False)
    prior = prior_around(process)
    drawn = draw_parameters(process, [], prior, np.random.default_rng(0), TimeLimit())
    found = (parameters_of(drawn).double() - prior.centre) / prior.deviation
    free = torch.arange(len(found)) != place_of_period(process)
    assert found[free].mean(1).abs().max() < 0.35
    assert found[free].std(1).mean().item() == pytest.approx(1.0, abs=0.02)
    assert (found[~free] == 0).all()


def test_the_period_is_not_drawn():
    process = fit_gaussian_process(series_of(rotation(3), 60, 3), 1.0, 0.017, np.random.default_rng(0))
    assert len(process.log_lengths["period"].unique()) == 1
    assert len(process.log_variances["noise"].unique()) > 8


def test_a_time_limit_ends_the_moves():
    ticks = iter(np.arange(1e4))
    process = GaussianProcess(2, 1, 0.1, 1.0).requires_grad_(requires_grad=False)
    for seconds, moves in ((10.0, 9), (-1.0, 0)):
        limit = TimeLimit(seconds, clock=lambda: next(ticks))
        draw_parameters(process, [by_channel(a_batch())], prior_around(process), np.random.default_rng(0), limit)
        assert limit.shortened == [f"the draws of the Gaussian process moved {moves} of 40 times"]


def test_few_series_have_draws_even_without_time():
    limit = TimeLimit(0.0)
    assert isinstance(fitted(1, limit=limit), ProcessDraws)
    assert limit.shortened[-1] == "the draws of the Gaussian process moved 0 of 40 times"


def test_many_values_need_no_draws(monkeypatch):
    """Three series of twenty rows have 1,200 entries in their covariance matrices."""
    for most, drawn in ((1200, True), (1199, False)):
        monkeypatch.setattr(process_draws, "MOST_CELLS", most)
        assert isinstance(fitted(3), ProcessDraws) == drawn


def test_series_of_one_row_do_not_count():
    """As where the held-out data are chosen: nine of them and a long one are one series."""
    one = series_of(walk, 20, 1)
    offsets = np.append(one.offsets, 20 + np.arange(1, 10))
    times, values = np.append(one.times, np.zeros(9)), np.append(one.values, np.ones((9, 1), np.float32), axis=0)
    assert isinstance(
        fit_gaussian_process(RaggedSeries(offsets, times, values), 1.0, 0.05, np.random.default_rng(0)), ProcessDraws
    )


def test_every_draw_knows_its_own_fixed_effects():
    process = fitted(3)
    assert len(process.effects[:, 0].unique()) > 8
    assert (process.effects_covariance.diagonal(dim1=1, dim2=2) > 0).all()


def test_few_series_may_walk_and_slope_more_than_many_are_thought_to(monkeypatch):
    begun = []
    monkeypatch.setattr(
        gaussian_process, "_maximise_evidence", lambda process, *_: begun.append(parameters_of(process))
    )
    process, _ = fitted(FEWEST_FOR_ONE - 1), fitted(FEWEST_FOR_ONE)
    few, many = begun[0].detach(), begun[-1].detach()
    for k, name in enumerate(process.log_variances):
        expected = math.log(OF_FEW[name]) if name in OF_FEW else many[k].item()
        assert few[k, 0].item() == pytest.approx(expected)
        assert (few[k, 0] > many[k, 0]) == (name in OF_FEW)


def test_parameters_without_a_density_are_never_accepted(monkeypatch):
    process = GaussianProcess(1, 1, 0.1, 1.0).requires_grad_(requires_grad=False)
    evidence = ProcessDraws.evidence

    def spoilt(self, population):
        found = evidence(self, population)
        bad = self.log_variances["noise"] > math.log(0.02)
        return type(found)(torch.where(bad, math.nan, found.log_likelihood), *list(vars(found).values())[1:])

    monkeypatch.setattr(ProcessDraws, "evidence", spoilt)
    batch = a_batch(n_channels=1)
    drawn = draw_parameters(process, [by_channel(batch)], prior_around(process), np.random.default_rng(0), TimeLimit())
    assert (drawn.log_variances["noise"] > math.log(0.02)).double().mean() < 0.5
