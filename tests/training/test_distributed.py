import numpy as np
import pytest
import torch

from latentode.nn import LatentODE, LatentODEConfig
from latentode.training import RaggedSeries, TaskSampler
from latentode.training.distributed import BatchShard
from tests.nn.batches import random_batch


@pytest.mark.parametrize("n_series", [7, 2, 1])
def test_gradients_of_the_shares_average_to_that_of_the_batch(n_series):
    rng = np.random.default_rng(0)
    series = RaggedSeries(
        np.arange(0, 10 * n_series + 1, 10), rng.uniform(size=10 * n_series), _values(10 * n_series, rng)
    )
    origins = rng.integers(2, 8, n_series)
    batch = TaskSampler(series, 1.0).at(
        np.arange(n_series), origins, np.zeros(n_series), np.ones(n_series, dtype=bool), rng
    )
    torch.manual_seed(0)
    model = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1, variational=False))
    whole = torch.cat([g.flatten() for g in _gradient(model, batch)])
    parts = [torch.cat([g.flatten() for g in _gradient(model, BatchShard(rank, 3).of(batch))]) for rank in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(0), whole, rtol=1e-4, atol=1e-6)


def test_a_single_process_takes_the_batch_itself():
    batch = object()
    assert BatchShard().of(batch) is batch  # type: ignore[arg-type, comparison-overlap]


def _values(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=(n_rows, 2)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    return values


def _gradient(model: LatentODE, batch: object) -> tuple[torch.Tensor, ...]:
    loss = model.loss(batch, 1.0).total * batch.weight  # type: ignore[arg-type, attr-defined]
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("n_series", [5, 2])
def test_every_series_belongs_to_exactly_one_process(n_series):
    batch = random_batch(n_series=n_series)
    parts = [BatchShard(rank, 2).of(batch) for rank in range(2)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.query_times, batch.query_times[rank::2])
        assert torch.equal(part.values, batch.values[rank::2])


def test_a_process_without_a_series_takes_one_that_counts_nothing():
    batch = random_batch(n_series=2)
    parts = [BatchShard(rank, 3).of(batch) for rank in range(3)]
    assert len(parts[2].times) == 1
    assert parts[2].weight == 0.0
    assert sum(part.weight for part in parts) == pytest.approx(3.0)


def test_a_batch_without_a_target_weighs_nothing_and_not_nan():
    batch = random_batch(n_series=4)
    batch.target_mask.zero_()
    assert [BatchShard(rank, 2).of(batch).weight for rank in range(2)] == [0.0, 0.0]
