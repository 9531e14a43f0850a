import numpy as np
import pytest
import torch

from latentode.training import RaggedSeries, TaskSampler, validation_batches
from tests.training.small import score_of, small_model, trained


def test_the_model_is_left_ready_to_predict(setting):
    assert not trained(setting)[0].training


def test_training_lowers_the_score(setting):
    before = score_of(small_model().eval(), setting[1])
    model, _ = trained(setting, n_steps=75, learning_rate=1e-2)
    assert score_of(model, setting[1]) < 0.9 * before


def test_training_is_reproducible_by_its_seeds(setting):
    (first, a), (same, b), (other, _) = trained(setting), trained(setting), trained(setting, seed=1)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert [r["loss"] for r in a] == [r["loss"] for r in b]


@pytest.mark.parametrize("n_steps", [1, 6, 10])
def test_no_more_steps_are_taken_than_allowed(setting, n_steps, monkeypatch):
    taken = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *a, **k: taken.append(1) or step(*a, **k))
    trained(setting, n_steps=n_steps, steps_per_check=5)
    assert len(taken) == n_steps


def numbered(*lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.concatenate([np.arange(n) * 0.01 for n in lengths])
    return RaggedSeries(offsets, times, np.arange(len(times), dtype=np.float32)[:, None])


def test_of_held_out_rows_only_those_after_the_trained_ones_are_queried(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 1e9)
    series = numbered(10, 20)
    batches = validation_batches(
        TaskSampler(series, 1.0), np.array([0, 1]), 6, np.random.default_rng(0), after=np.array([7, 15])
    )
    new = {7.0, 8.0, 9.0, *np.arange(25.0, 30.0)}
    queried = {v for b in batches for v in b.targets[b.target_mask > 0].tolist()}
    assert queried == new
    assert all((b.query_times >= 0).all() for b in batches)


def test_of_held_out_series_origins_are_spread_and_some_points_hidden():
    series = numbered(*[40] * 30)
    batches = validation_batches(TaskSampler(series, 1.0), np.arange(30), 4, np.random.default_rng(0))
    lengths = np.concatenate([b.lengths.numpy() for b in batches]).reshape(4, 30)
    assert ((lengths >= np.array([[1], [10], [20], [29]])) & (lengths <= np.array([[11], [21], [31], [40]]))).all()
    hidden = np.mean(np.concatenate([(b.mask[..., 0].sum(1) < b.lengths).numpy() for b in batches]))
    assert 0.1 < hidden < 0.4
    assert all((b.target_mask.sum((1, 2)) > 0).all() for b in batches)


def test_validation_batches_hold_no_more_series_than_said():
    batches = validation_batches(
        TaskSampler(numbered(*[5] * 30), 1.0), np.arange(30), 2, np.random.default_rng(0), batch_size=8
    )
    assert [len(b.lengths) for b in batches] == [8] * 7 + [4]
