import numpy as np
import pytest

from latentode.evaluation import crps_samples, energy_score, variogram_score

NAN = float("nan")


def paths(n_rows, n_times, n_samples, rho, seed=0):
    """Standard normal values whose correlation at one step is `rho`: (row, time, sample)."""
    rng = np.random.default_rng(seed)
    lag = np.abs(np.subtract.outer(np.arange(n_times), np.arange(n_times)))
    lower = np.linalg.cholesky(rho**lag)
    return np.einsum("ts,nsk->ntk", lower, rng.standard_normal((n_rows, n_times, n_samples)))


def test_of_single_values_the_energy_score_is_the_crps():
    rng = np.random.default_rng(0)
    truth, samples = rng.standard_normal(20), rng.standard_normal((20, 7))
    assert energy_score(truth, samples) == pytest.approx(crps_samples(truth, samples))


def test_the_energy_score_is_what_its_formula_says():
    rng = np.random.default_rng(1)
    truth, drawn = rng.standard_normal((1, 3)), rng.standard_normal((1, 3, 4))
    x = drawn[0].T
    near = np.mean([np.linalg.norm(one - truth[0]) for one in x])
    apart = np.sum([np.linalg.norm(one - two) for one in x for two in x]) / (2 * 4 * 3)
    assert energy_score(truth, drawn) == pytest.approx(near - apart)


def test_the_fair_energy_score_does_not_depend_on_the_number_of_samples():
    truth = paths(4000, 3, 1, 0.5, seed=2)[..., 0]
    few, many = (energy_score(truth, paths(4000, 3, m, 0.5, seed=m)) for m in (2, 30))
    assert few == pytest.approx(many, rel=0.03)


def test_the_variogram_score_is_what_its_formula_says():
    rng = np.random.default_rng(1)
    y, x = rng.standard_normal(4), rng.standard_normal((4, 5))
    pairs = [(i, j) for i in range(4) for j in range(i)]
    each = [(abs(y[i] - y[j]) ** 0.7 - np.mean(np.abs(x[i] - x[j]) ** 0.7)) ** 2 for i, j in pairs]
    assert variogram_score([y], [x], p=0.7) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("score", [energy_score, variogram_score])
def test_the_true_correlation_has_the_lowest_score(score):
    truth = paths(400, 8, 1, 0.9, seed=5)[..., 0]
    found = {rho: score(truth, paths(400, 8, 100, rho, seed=6)) for rho in (0.0, 0.9, 0.999)}
    assert min(found, key=found.get) == 0.9


@pytest.mark.parametrize("score", [energy_score, variogram_score])
def test_unknown_values_leave_the_score_of_the_others(score):
    rng = np.random.default_rng(3)
    truth, samples = rng.standard_normal((2, 5)), rng.standard_normal((2, 5, 6))
    hidden = truth.copy()
    hidden[:, [1, 4]] = NAN
    answered = samples.copy()
    answered[:, 1] = NAN  # where nothing was queried
    kept = [0, 2, 3]
    assert score(hidden, answered) == pytest.approx(score(truth[:, kept], samples[:, kept]))


@pytest.mark.parametrize("score", [energy_score, variogram_score])
def test_rows_of_one_group_are_one_joint_forecast_whatever_their_order(score):
    rng = np.random.default_rng(4)
    truth, samples = rng.standard_normal((2, 3, 2)), rng.standard_normal((2, 3, 2, 5))
    order = rng.permutation(6)
    ids = np.repeat(["a", "b"], 3)[order]
    as_rows = score(truth.reshape(6, 2)[order], samples.reshape(6, 2, 5)[order], groups=ids)
    assert as_rows == pytest.approx(score(truth, samples))


def test_without_a_known_value_or_a_pair_there_is_no_score():
    assert np.isnan(energy_score([[NAN, NAN]], np.zeros((1, 2, 3))))
    assert np.isnan(variogram_score([[1.0, NAN]], np.zeros((1, 2, 3))))
    assert np.isnan(energy_score(np.empty((0, 2)), np.empty((0, 2, 3))))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: energy_score([[1.0, 2.0]], [[[1.0], [2.0]]]), "needs at least 2"),
        (lambda: energy_score([[1.0, 2.0]], [[1.0, 2.0]]), "one axis more"),
        (lambda: energy_score([[1.0, 2.0]], [[[1.0, 2.0], [NAN, 1.0]]]), "NaN for 1 of 2 values"),
        (lambda: energy_score(1.0, [1.0, 2.0]), "a row per joint forecast"),
        (lambda: energy_score([1.0, 2.0], [[1.0, 2.0]] * 2, groups=[0]), "one label per row"),
        (lambda: variogram_score([[1.0, 2.0]], [[[1.0], [2.0]]], p=0), "p=0 must be positive"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_reason(call, match):
    with pytest.raises(ValueError, match=match):
        call()
