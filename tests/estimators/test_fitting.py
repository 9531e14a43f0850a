import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import Panel
from latentode.estimators import fitting
from latentode.estimators.fitting import FEW_SERIES, calibrate
from latentode.nn import Batch, Prediction
from latentode.training import RaggedSeries


class Known(torch.nn.Module):
    """A model that says mean 0 and a given scale."""

    def __init__(self, scale):
        super().__init__()
        self.given = scale

    def predict(self, batch):
        mean = torch.zeros_like(batch.targets)
        return Prediction(mean, mean + self.given)


def asked(targets, mask=None):
    targets = torch.as_tensor(targets, dtype=torch.float32)[None]
    n = targets.shape[1]
    return Batch(
        times=torch.zeros(1, 1),
        values=torch.zeros(1, 1, targets.shape[2]),
        mask=torch.zeros(1, 1, targets.shape[2]),
        lengths=torch.tensor([1]),
        query_times=torch.zeros(1, n),
        targets=targets,
        target_mask=torch.ones_like(targets) if mask is None else torch.as_tensor(mask, dtype=torch.float32)[None],
    )


def residuals(n, *spreads, seed=0):
    return np.random.default_rng(seed).normal(size=(n, len(spreads))) * spreads


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_intervals_are_widened_by_as_much_as_they_were_too_narrow(truth):
    (factor,) = calibrate(Known(1.0), [asked(residuals(5000, truth))])
    assert factor == pytest.approx(truth, rel=0.08)


def test_calibrated_intervals_hold_what_they_promise():
    factor = calibrate(Known(0.7), [asked(residuals(2000, 1.0))])[0]
    fresh = residuals(4000, 1.0, seed=1)
    assert (np.abs(fresh) < 1.645 * 0.7 * factor).mean() == pytest.approx(0.9, abs=0.03)


def test_channels_are_calibrated_apart_where_they_have_enough():
    factors = calibrate(Known(1.0), [asked(residuals(5000, 0.5, 2.0))])
    np.testing.assert_allclose(factors, [0.5, 2.0], rtol=0.15)


def test_a_channel_with_few_observations_leans_on_the_others():
    targets = residuals(1000, 1.0, 4.0)
    mask = np.ones_like(targets)
    mask[5:, 1] = 0
    factors = calibrate(Known(1.0), [asked(targets, mask)])
    assert factors[0] == pytest.approx(1.0, rel=0.1)
    assert factors[1] < 1.6


def test_nothing_asked_leaves_intervals_as_they_are():
    targets = residuals(20, 1.0, 1.0)
    np.testing.assert_array_equal(calibrate(Known(1.0), [asked(targets, np.zeros_like(targets))]), [1.0, 1.0])


def test_factors_stay_within_reason():
    assert calibrate(Known(1.0), [asked(residuals(50, 1e6))])[0] <= 10
    assert calibrate(Known(1.0), [asked(residuals(50, 1e-6))])[0] >= 0.1


def series_of(lengths):
    """Series of given lengths; each value is the number of its row."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.concatenate([np.arange(n, dtype=float) for n in lengths])
    return RaggedSeries(offsets, times, np.arange(len(times), dtype=np.float32)[:, None])


def values_asked(batches):
    return np.concatenate([b.targets[b.target_mask > 0].numpy() for b in batches])


def values_read(batches):
    return np.concatenate([b.values[b.mask > 0].numpy() for b in batches])


def test_of_many_series_whole_ones_are_held_out(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 1e9)
    series = series_of([6] * 40)
    maker, held_out = fitting._hold_out(series, 10.0, 0.2, np.random.default_rng(0))
    trained = set(maker.series.values.ravel())
    assert len(maker.series.lengths) == 32
    assert not trained & set(values_asked(held_out))
    assert not trained & set(values_read(held_out))


def test_no_more_series_are_held_out_than_make_a_sure_look(monkeypatch):
    monkeypatch.setattr(fitting, "MOST_HELD_OUT", 7)
    offsets = np.arange(0, 3 * 60 + 1, 3)
    series = RaggedSeries(offsets, np.tile(np.arange(3.0), 60), np.zeros((180, 1), dtype=np.float32))
    maker, _ = fitting._hold_out(series, 3.0, 0.5, np.random.default_rng(0))
    assert len(maker.series.lengths) == 60 - 7


def test_of_few_series_the_last_part_of_each_is_held_out(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 1e9)
    series = series_of([20] * (FEW_SERIES - 1))
    maker, held_out = fitting._hold_out(series, 10.0, 0.2, np.random.default_rng(0))
    trained = set(maker.series.values.ravel())
    assert maker.series.lengths.tolist() == [16] * (FEW_SERIES - 1)
    assert set(values_asked(held_out)) & set(series.values.ravel())
    assert not trained & set(values_asked(held_out))


def test_series_of_one_row_are_never_asked():
    series = series_of([1] * 30 + [5] * 25)
    _, held_out = fitting._hold_out(series, 10.0, 0.2, np.random.default_rng(0))
    assert values_asked(held_out).min() >= 20  # TARGET_BOUND draws in what lies beyond


def test_the_span_is_how_long_series_usually_last():
    times = np.concatenate([np.linspace(0, 2, 5)] * 30 + [[0.0]])
    offsets = np.concatenate([np.arange(0, 151, 5), [151]]).astype(np.int64)
    panel = Panel(pd.RangeIndex(31), offsets, times, np.zeros((151, 1)))
    assert fitting._usual_duration(panel) == pytest.approx(2.0)
    assert fitting._usual_gap(panel) == pytest.approx(0.5)
