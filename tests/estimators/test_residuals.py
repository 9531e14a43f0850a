from dataclasses import replace

import numpy as np
import pytest

from latentode.estimators.residuals import Residuals, held_out_residuals, reached_by
from latentode.estimators.trained import Extent, Trained
from tests.estimators.test_calibration import Known, queried, residuals


def of_one(values, mask=None, extent=None, **options):
    return Trained(Known(2.0), [queried(values, mask, **options)], np.arange(1), extent=extent)


def test_a_residual_is_an_error_over_the_predicted_scale_and_nan_without_a_target():
    found = held_out_residuals([of_one([[1.0, 4.0], [6.0, 8.0]], [[1, 0], [1, 1]], leads=0.25)])
    np.testing.assert_array_equal(found.values, [[0.5, np.nan], [3.0, 4.0]])
    np.testing.assert_array_equal(found.known, [[True, False], [True, True]])
    assert found.leads.tolist() == [0.25, 0.25]
    assert found.series.tolist() == [0, 0]
    assert found.n_rows.tolist() == [1, 1]


def test_channels_of_counts_have_no_residuals():
    trained = of_one([[1.0, 4.0]])
    trained.model.likelihood.of_counts = np.array([False, True])
    assert np.isnan(held_out_residuals([trained]).values).tolist() == [[False, True]]


def test_the_last_parts_of_few_series_count_by_their_rows():
    whole, parts = (held_out_residuals([of_one(residuals(60, 1.0), extent=x)]) for x in (None, Extent(50, 3.0)))
    assert (whole.most_at(0.5), parts.most_at(0.0)) == (np.inf, 10.0)
    assert parts.where(np.arange(60) < 30).design_effect >= 6.0  # 30 of them hold no more than 5
    assert parts.design_effect >= 6.0


def test_a_few_series_hold_few_stretches_of_a_long_lead_time():
    parts = held_out_residuals([of_one(residuals(60, 1.0), extent=Extent(50, 3.0))])
    np.testing.assert_allclose(parts.most_at(np.array([0.1, 0.5, 1.5])), [10.0, 6.0, 2.0])


def test_residuals_that_whole_series_share_say_as_much_as_there_are_series():
    rng = np.random.default_rng(0)
    series, n_rows = np.repeat(np.arange(200), 30), np.full(6000, 9)
    apart = Residuals(rng.normal(size=(6000, 1)), np.ones(6000), series, n_rows, np.array([False]))
    shared = replace(apart, values=np.repeat(rng.normal(size=(200, 1)), 30, axis=0))
    assert apart.design_effect < 1.5
    assert shared.design_effect == pytest.approx(30, rel=0.2)
    assert shared.over(np.full((6000, 1), 2.0)).values[0, 0] == shared.values[0, 0] / 2


def test_held_out_forecasts_reach_as_far_as_their_last_targets():
    near, far = (of_one([[1.0], [1.0]], mask, leads=[[0.2, 0.9]]) for mask in ([[1], [0]], [[1], [1]]))
    found = reached_by([near, far])
    assert (found[0], found[50], found[-1]) == pytest.approx((0.2, 0.2, 0.9))
    assert reached_by([replace(near, held_out=[])]) is None
