from dataclasses import replace

import numpy as np
import torch
from scipy.special import ndtri

from latentode.nn import mixture_spread
from latentode.persistence.calibration import LEADS, LENGTHS, LEVELS, REACHED, Calibration, share_reaching


def skewed():
    """Wider with the lead time, and with a longer upper tail; a second channel without observations."""
    shape = ndtri(LEVELS) * np.where(LEVELS > 0.5, 2.0, 1.0)
    factor = np.array([1.0, 1.0, 2.0, 3.0])
    return Calibration(
        factor=np.stack([factor, np.full(4, np.nan)], 1),
        shape=np.stack([shape, ndtri(LEVELS)], 1),
        variance_share=np.zeros(2),
        correlation=np.eye(2),
        by_length=np.ones((len(LENGTHS), 2)),
    )


def test_no_calibration_is_the_identity():
    none = Calibration.none(2)
    np.testing.assert_array_equal(none.factors(np.linspace(-1, 2, 7), np.full(7, 5)), np.ones((7, 2)))
    standard = np.linspace(-6, 6, 50)[:, None]
    np.testing.assert_allclose(none.deviations(standard), np.repeat(standard, 2, 1))


def test_factors_are_interpolated_between_lead_times_and_constant_outside():
    found = skewed().factors(np.array([-1.0, 0.0, LEADS[1], (LEADS[1] + LEADS[2]) / 2, LEADS[3], 5.0]), np.full(6, 5))
    np.testing.assert_allclose(found[:, 0], [1.0, 1.0, 1.0, 1.5, 3.0, 3.0])
    np.testing.assert_array_equal(found[:, 1], 1.0)


def test_forecasts_from_short_histories_have_a_factor_of_their_own_and_what_lies_inside_has_not():
    by_length = np.array([2.0, 2.0, 1.0, 0.5, 0.5, 0.5])[:, None]
    wider = replace(skewed(), by_length=np.repeat(by_length, 2, axis=1))
    leads, n_rows = np.array([LEADS[3]] * 4 + [-1.0]), np.array([0, 3, 30, 999, 3])
    np.testing.assert_allclose(wider.factors(leads, n_rows)[:, 0], [6.0, 6.0, 1.5, 1.5, 1.0])
    between = wider.widening(np.array([5]))[0, 0]
    assert 1.0 < between.item() < 2.0


def test_the_levels_of_a_skewed_channel_are_those_of_its_deviations():
    wanted = np.array([0.1, 0.5, 0.9])
    levels, beyond = skewed().levels(wanted)
    np.testing.assert_allclose(ndtri(levels[:, 0, 0]), ndtri(wanted) * [1, 1, 2], atol=1e-6)
    np.testing.assert_allclose(levels[:, 0, 1], wanted)
    assert not beyond.any()


def test_a_deviation_beyond_what_a_mixture_resolves_is_added():
    levels, beyond = skewed().levels(np.array([0.99]))
    assert levels[0, 0, 0] < 1
    assert beyond[0, 0, 0] > 0
    np.testing.assert_allclose(ndtri(levels[0, 0, 0]) + beyond[0, 0, 0], 2 * ndtri(0.99), rtol=1e-6)


def test_the_spread_of_a_mixture_holds_that_of_its_parts_and_that_between_them():
    mean, scale = torch.tensor([[[0.0]], [[2.0]]]), torch.tensor([[[1.0]], [[1.0]]])
    assert mixture_spread(mean, scale, torch.tensor([[1.0]])).item() == np.float32(np.sqrt(2.0))


def test_the_share_that_reached_a_lead_falls_from_all_to_none():
    reached = np.quantile([0.2, 0.4, 0.6, 0.8], REACHED, method="inverted_cdf")
    shares = [share_reaching(lead, reached) for lead in (0.0, 0.2, 0.5, 0.7, 0.8, 0.9)]
    np.testing.assert_allclose(shares, [1.0, 1.0, 0.5, 0.25, 0.25, 0.0], atol=0.02)


def test_numbers_are_correlated_across_channels_and_stay_standard_normal():
    correlation = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    standard = np.random.default_rng(0).standard_normal((200_000, 3))
    found = replace(Calibration.none(3), correlation=correlation).across_channels(standard)
    np.testing.assert_allclose(np.corrcoef(found.T), correlation, atol=0.01)
    np.testing.assert_allclose(found.std(0), 1.0, atol=0.01)
    np.testing.assert_allclose(Calibration.none(3).across_channels(standard), standard)


def test_what_cannot_be_a_matrix_of_correlations_is_taken_as_the_nearest_one():
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    found = replace(Calibration.none(3), correlation=impossible).across_channels(np.eye(3))
    np.testing.assert_allclose(np.square(found).sum(0), 1.0)  # the rows of the root have length 1


def test_what_lies_beyond_the_series_of_fit_is_never_narrowed():
    narrow = replace(skewed(), factor=np.full_like(skewed().factor, 0.5))
    leads, n_rows = np.array([0.5, 0.5]), np.array([5, 5])
    np.testing.assert_array_equal(narrow.factors(leads, n_rows, np.array([0.0, 1.0]))[:, 0], [0.5, 1.0])
    assert narrow.factors(leads, n_rows, np.array([0.5, 0.5]))[0, 0] == 0.5**0.5
    inside = narrow.factors(-leads, n_rows, np.array([1.0, 1.0]))
    np.testing.assert_array_equal(inside[:, 0], [0.5, 0.5])  # a history goes on there
    wide = replace(skewed(), factor=np.full_like(skewed().factor, 2.0))
    np.testing.assert_array_equal(wide.factors(leads, n_rows, np.array([0.0, 1.0]))[:, 0], [2.0, 2.0])
