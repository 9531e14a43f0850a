import json
from types import SimpleNamespace

import numpy as np
import pytest

from latentode.training import RaggedSeries, TimeLimit, TrainingConfig
from latentode.training.batches import TrainingBatches, ValidationBatches
from latentode.training.distributed import BatchShard
from latentode.training.tasks import ROWS_PER_DRAW
from tests.nn.batches import random_batch


class Drawn:
    """A sampler whose batches are the numbers of their series."""

    def __init__(self, *lengths):
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.series = RaggedSeries(offsets, np.arange(offsets[-1], dtype=float), np.zeros((offsets[-1], 1), np.float32))

    def draw(self, which, rng):
        rng.random()  # as a real one does
        return which.tolist()


def batches_of(*lengths, seed=0, **options):
    given = {"n_steps": 12, "steps_per_check": 5, "batch_size": 4, **options}
    return TrainingBatches(Drawn(*lengths), TrainingConfig(**given), np.random.default_rng(seed))


def all_of(batches):
    return [which for _ in range(batches.n_left) for which in batches]


def test_every_series_is_visited_once_an_epoch_and_no_batch_is_short():
    found = all_of(batches_of(*[5] * 6))
    assert [len(which) for which in found] == [4] * 12
    epochs = np.concatenate(found).reshape(-1, 6)
    assert (np.sort(epochs, axis=1) == np.arange(6)).all()
    assert len({tuple(epoch) for epoch in epochs}) > 1  # in another order each time


def test_a_long_series_is_visited_as_often_as_it_has_rows_to_draw():
    found = np.concatenate(all_of(batches_of(5, 3 * ROWS_PER_DRAW, 5, n_steps=20, batch_size=5)))
    assert np.bincount(found).tolist() == [20, 60, 20]


def test_there_are_no_more_series_in_a_batch_than_visits_in_an_epoch():
    found = all_of(batches_of(5, 5, 5, batch_size=64))
    assert all(sorted(which) == [0, 1, 2] for which in found)


def test_the_seed_determines_the_order():
    first, same, other = (all_of(batches_of(*[5] * 9, seed=seed)) for seed in (0, 0, 1))
    assert first == same
    assert first != other


@pytest.mark.parametrize(("n_steps", "rounds"), [(12, [5, 5, 2]), (10, [5, 5]), (3, [3])])
def test_a_round_has_the_steps_between_two_checks_and_the_last_what_is_left(n_steps, rounds):
    batches, found = batches_of(*[5] * 6, n_steps=n_steps), []
    assert batches.n_left == len(rounds)
    while batches.n_left:
        found.append(len(list(batches)))
    assert found == rounds


def test_a_round_ends_after_its_first_batch_once_the_time_is_over():
    now = [0.0]
    limit = TimeLimit(10.0, lambda: now[0])
    batches = batches_of(*[5] * 6, time_limit=limit)
    assert len(list(batches)) == 5
    now[0] = 20.0
    assert len(list(batches)) == 1


def test_every_batch_is_divided_among_processes():
    batch = random_batch(n_series=5)
    batches = batches_of(*[5] * 5, n_steps=1, batch_size=5)
    batches.sampler = SimpleNamespace(series=batches.sampler.series, draw=lambda which, rng: batch)
    batches.shard = BatchShard(1, 2)
    (found,) = batches
    assert len(found.times) == 2
    assert 0 < found.weight < 2


def test_batches_that_resume_from_a_state_are_those_that_would_have_come():
    batches = batches_of(*[5] * 7)
    list(batches)
    tensors, facts = batches.state()
    expected = all_of(batches)
    resumed = batches_of(*[5] * 7, seed=99)
    resumed.resume(tensors, json.loads(json.dumps(facts)))
    assert resumed.n_left == 2
    assert all_of(resumed) == expected


def test_the_state_of_other_series_is_refused():
    many, few = batches_of(*[5] * 9), batches_of(5, 5, 5)
    list(many)
    with pytest.raises(ValueError, match="queue belongs to other series"):
        few.resume(*many.state())
    tensors, facts = few.state()
    with pytest.raises(ValueError, match="queue belongs to other series"):
        few.resume({"queue": tensors["queue"].double()}, facts)


def test_validation_batches_are_the_same_in_every_iteration():
    given = [random_batch(seed=seed) for seed in range(3)]
    batches = ValidationBatches(given)
    assert len(batches) == 3
    for _ in range(2):
        assert all(found is expected for found, expected in zip(batches, given, strict=True))
