import json

import numpy as np
import pytest
import torch

from latentode.training.snapshot import (
    Snapshot,
    optimiser_state,
    parse_history,
    part,
    restore_optimiser,
    restore_rng,
    rng_state,
    under,
)


def snapshot():
    tensors = {
        "weights": torch.tensor([0.1, float("nan"), -0.0, 1e-45]),
        "turned": torch.arange(6.0, dtype=torch.float64).view(2, 3).T,
        "bytes": torch.tensor([0, 255], dtype=torch.uint8),
        "none": torch.empty(0, 3),
    }
    return Snapshot(tensors, {"step": 25, "rate": 0.1, "name": "é", "annealed": None})


def test_what_is_read_is_bit_for_bit_what_was_written():
    given = snapshot()
    found = Snapshot.from_bytes(given.to_bytes())
    assert found.facts == given.facts
    assert found.tensors.keys() == given.tensors.keys()
    for name, tensor in given.tensors.items():
        ours = found.tensors[name]
        assert (ours.dtype, ours.shape) == (tensor.dtype, tensor.shape)
        assert ours.numpy().tobytes() == tensor.contiguous().numpy().tobytes()


def test_a_change_of_any_byte_is_noticed():
    content = snapshot().to_bytes()
    for place in range(len(content)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1
        with pytest.raises(ValueError, match=r"^not a training state: "):
            Snapshot.from_bytes(bytes(spoilt))


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1])
def test_a_file_that_was_cut_is_refused(kept):
    with pytest.raises(ValueError, match=r"^not a training state: "):
        Snapshot.from_bytes(snapshot().to_bytes()[:kept])


def test_facts_that_are_no_object_are_refused():
    with pytest.raises(ValueError, match="its facts are not an object"):
        Snapshot.from_bytes(Snapshot({}, ["step", 25]).to_bytes())


def test_tensors_get_a_prefix_and_lose_it_again():
    model = {"weight": torch.ones(2), "bias": torch.zeros(1)}
    both = {**under("model", model), **under("model.average", {"weight": torch.ones(3)})}
    assert set(both) == {"model.weight", "model.bias", "model.average.weight"}
    assert set(part("model.average", both)) == {"weight"}
    assert part("mod", both) == {}
    assert part("model", under("model", model)) == model


@pytest.mark.parametrize(
    "rows", [None, "abc", {"step": 1}, [1], [[1, 2]], [{"step": "x"}], [{"step": 1}, {"step": None}]]
)
def test_a_history_is_rows_of_numbers(rows):
    with pytest.raises(ValueError, match="a history is not a list of rows of numbers"):
        parse_history(rows)
    assert parse_history([{"step": 1, "loss": 0.5}]) == [{"step": 1, "loss": 0.5}]


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_generator_goes_on_from_a_state_that_went_through_json(kind):
    rng = np.random.Generator(kind(3))
    rng.normal(size=5)
    rng.integers(10, dtype=np.int32)  # half of a word is kept for the next such draw
    state = json.loads(json.dumps(rng_state(rng)))
    expected = rng.integers(2**31, size=9, dtype=np.int32), rng.normal(size=5)
    other = np.random.Generator(kind(4))
    restore_rng(other, state)
    found = other.integers(2**31, size=9, dtype=np.int32), other.normal(size=5)
    assert all((ours == theirs).all() for ours, theirs in zip(found, expected, strict=True))


@pytest.mark.parametrize("state", [None, 3, {}, {"bit_generator": "MT19937", "state": {}}, {"bit_generator": "PCG64"}])
def test_what_is_no_state_of_such_a_generator_is_refused(state):
    with pytest.raises((ValueError, TypeError, KeyError)):
        restore_rng(np.random.default_rng(0), state)


def optimised(n_steps=0, sizes=(3, 2)):
    weights = [torch.nn.Parameter(torch.arange(1.0, n + 1)) for n in sizes]
    optimiser = torch.optim.AdamW([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}], lr=0.1)
    for _ in range(n_steps):
        step(optimiser, weights)
    return optimiser, weights


def step(optimiser, weights):
    optimiser.zero_grad()
    sum(w.square().sum() for w in weights).backward()
    optimiser.step()


def test_an_optimiser_goes_on_with_the_same_bits():
    optimiser, weights = optimised(4)
    optimiser.param_groups[0]["lr"] = 0.03
    other, copied = optimised()
    with torch.no_grad():
        for ours, theirs in zip(copied, weights, strict=True):
            ours.copy_(theirs)
    moments, rates = optimiser_state(optimiser)
    assert rates == [0.03, 0.5]
    read = Snapshot.from_bytes(Snapshot(moments, {"rates": rates}).to_bytes())
    restore_optimiser(other, read.tensors, read.facts["rates"])
    for _ in range(3):
        step(optimiser, weights)
        step(other, copied)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(copied, weights, strict=True))


def test_moments_of_other_parameters_are_refused():
    moments, rates = optimiser_state(optimised(1, sizes=(3, 4))[0])
    with pytest.raises(ValueError, match=r"exp_avg of parameter 1 has shape \(4,\), not \(2,\)"):
        restore_optimiser(optimised()[0], moments, rates)
    moments, rates = optimiser_state(optimised(1)[0])
    with pytest.raises(ValueError, match="zip"):
        restore_optimiser(optimised()[0], moments, rates[:1])
