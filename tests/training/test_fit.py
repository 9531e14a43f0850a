import copy

import numpy as np
import pytest
import torch

from latentode.nn import LatentODE, LatentODEConfig
from latentode.training import RaggedSeries, TaskSampler, TrainingConfig, train, validation_batches
from latentode.training.crps import gaussian_crps
from latentode.training.module import LatentODEModule


def waves(n_series=8, n_rows=12, seed=0):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 1, (n_series, n_rows)), axis=1)
    values = np.sin(6 * times + rng.uniform(0, 6, (n_series, 1)))
    offsets = np.arange(0, n_series * n_rows + 1, n_rows)
    return RaggedSeries(offsets, times.ravel(), values.reshape(-1, 1).astype(np.float32))


def small_model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LatentODE(LatentODEConfig(n_channels=1, usual_gap=0.1, latent_dim=3, context_dim=2, hidden_dim=8))


def score_of(model, batches):
    total = count = 0.0
    with torch.no_grad():
        for batch in batches:
            prediction = model.predict(batch)
            crps = gaussian_crps(prediction.mean, prediction.scale, batch.targets) * batch.target_mask
            total, count = total + float(crps.sum()), count + float(batch.target_mask.sum())
    return total / count


@pytest.fixture
def setting():
    maker = TaskSampler(waves(), span=1.0)
    held_out = TaskSampler(waves(seed=1), span=1.0)
    return maker, validation_batches(held_out, np.arange(8), 2, np.random.default_rng(0))


def trained(setting, seed=0, **options):
    model = small_model()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = TrainingConfig(**{"n_steps": 25, "batch_size": 4, **options})
        history, *_ = train(model, *setting, options, np.random.default_rng(seed))
    return model, history


def test_the_model_is_left_with_the_best_weights_seen(setting, monkeypatch):
    ask, checks = LatentODEModule.validation_step, []

    def worse_from_the_fourth_check_on(self, batch, index):
        ask(self, batch, index)
        crps, queried = self.scores.pop()
        self.scores.append((crps + 1e3 * queried * (self.step > 15), queried))

    monkeypatch.setattr(LatentODEModule, "validation_step", worse_from_the_fourth_check_on)
    model, history = trained(
        setting, n_steps=30, steps_per_check=5, on_check=lambda seen, _: checks.append(copy.deepcopy(seen))
    )
    scores = [row["validation_crps"] for row in history]
    best, last = checks[int(np.argmin(scores))], checks[-1]
    assert len(checks) == 6
    assert min(scores[3:]) > 1e3 > max(scores[:3])  # so training does not end at its best
    assert score_of(model, setting[1]) == pytest.approx(min(scores), rel=1e-4)
    assert all(torch.equal(left, kept) for left, kept in zip(model.parameters(), best.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(best.parameters(), last.parameters(), strict=True))


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


def test_training_stops_when_nothing_gets_better(setting):
    _, history = trained(setting, learning_rate=1e-12, averaging=0.0, n_steps=5000, patience=3, steps_per_check=5)
    assert len(history) <= 3 * 3


def test_where_nothing_gets_better_the_rate_falls_to_almost_nothing_and_training_stops(setting):
    _, history = trained(setting, learning_rate=1e-12, averaging=0.0, n_steps=5000, patience=2, steps_per_check=5)
    rates = [row["learning_rate"] for row in history]
    highest = rates.index(max(rates))
    assert sorted(rates[highest:], reverse=True) == rates[highest:]
    assert rates[-1] < 0.1 * max(rates)
    assert len(rates) <= 8


def test_training_goes_back_to_the_best_weights_before_it_anneals(setting, monkeypatch):
    ask, seen = LatentODEModule.validation_step, []

    def worse_from_the_third_check_on(self, batch, index):
        ask(self, batch, index)
        crps, queried = self.scores.pop()
        self.scores.append((crps + 1e3 * queried * (self.step > 10), queried))
        if index == 0:
            seen.append((self.step, torch.cat([p.detach().flatten() for p in self.model.parameters()])))

    monkeypatch.setattr(LatentODEModule, "validation_step", worse_from_the_third_check_on)
    _, history = trained(setting, n_steps=2000, patience=2, learning_rate=1e-2, steps_per_check=5)
    steps = [row["step"] for row in history]
    assert steps == [5.0 * k for k in range(1, 9)]  # best at 10, waited until 20, annealed over four checks
    at = dict(seen)
    assert (at[25] - at[10]).norm() < (at[20] - at[10]).norm()  # from the best again, at a falling rate


def test_a_loss_that_is_not_finite_is_recovered_from_and_said_once(setting, monkeypatch):
    loss, calls = LatentODE.loss, []

    def broken(self, *args):
        calls.append(1)
        found = loss(self, *args)
        return type(found)(found.total * float("nan"), found.kl) if len(calls) == 12 else found

    monkeypatch.setattr(LatentODE, "loss", broken)
    with pytest.warns(UserWarning, match="the loss was not finite 1 time") as said:
        model, history = trained(setting, n_steps=30, steps_per_check=5)
    assert len(said) == 1
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert np.isfinite(history[-1]["loss"])
    assert score_of(model, setting[1]) == pytest.approx(
        np.nanmin([row["validation_crps"] for row in history]), rel=1e-4
    )


@pytest.mark.parametrize("n_steps", [1, 6, 10])
def test_no_more_steps_are_taken_than_allowed(setting, n_steps, monkeypatch):
    taken = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *a, **k: taken.append(1) or step(*a, **k))
    trained(setting, n_steps=n_steps, steps_per_check=5)
    assert len(taken) == n_steps


def test_the_history_says_step_loss_and_score(setting):
    _, history = trained(setting, n_steps=15, steps_per_check=5)
    assert [row["step"] for row in history] == [5, 10, 15]
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["validation_crps"]) for row in history)


# --------------------------------------------------------------------------------------------- validation


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
