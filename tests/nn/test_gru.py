import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from latentode.nn.gru import Slope, last_states
from latentode.nn.packing import packing

LENGTHS = pytest.mark.parametrize("lengths", [[4, 1, 7, 7, 2], [3, 3], [1], [1, 1, 2]])


def setting(lengths, cell=torch.nn.GRU):
    torch.manual_seed(0)
    cell = cell(3, 5).double()
    rows = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64, requires_grad=True)
    return cell, rows, torch.tensor(lengths)


def same_gradients(ours, theirs, wanted):
    torch.testing.assert_close(ours, theirs)
    received = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(x, wanted, received) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b)


def packed_rows(rows, packed):
    return rows.flatten(0, 1)[packed.rows]


@LENGTHS
def test_states_and_gradients_are_those_of_the_library(lengths):
    gru, rows, lengths = setting(lengths)
    sequence = pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
    packed = packing(lengths, rows.shape[1])
    same_gradients(last_states(gru, packed_rows(rows, packed), packed), gru(sequence)[1][0], [rows, *gru.parameters()])


@LENGTHS
@pytest.mark.parametrize("backward", [False, True])
def test_between_rows_the_state_moves_along_its_slope_and_rows_not_read_leave_it(lengths, backward):
    cell, rows, lengths = setting(lengths, torch.nn.GRUCell)
    network = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 5)).double()
    gaps = torch.rand(rows.shape[:2], dtype=torch.float64) * 0.5
    read = torch.rand(rows.shape[:2]) < 0.7
    read[:, 0] = True
    packed = packing(lengths, rows.shape[1], backward)
    gaps_packed, read_packed = (x.flatten()[packed.rows] for x in (gaps, read))
    ours = last_states(cell, packed_rows(rows, packed), packed, Slope(network, gaps_packed), read_packed)
    theirs = []
    for i, n in enumerate(lengths.tolist()):
        h = torch.zeros(1, 5, dtype=torch.float64)
        for k in reversed(range(n)) if backward else range(n):
            h = h + gaps[i, k] * network(h)
            h = cell(rows[i, k : k + 1], h) if read[i, k] else h
        theirs.append(h)
    same_gradients(ours, torch.cat(theirs), [rows, *cell.parameters(), *network.parameters()])


def test_in_single_precision_long_recurrences_agree_with_the_library():
    torch.manual_seed(0)
    gru, rows = torch.nn.GRU(3, 32, batch_first=True), torch.randn(4, 200, 3)
    packed = packing(torch.full((4,), 200), 200)
    ours, theirs = last_states(gru, packed_rows(rows, packed), packed), gru(rows)[1][0]
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)
    ours, theirs = (torch.autograd.grad(x.square().sum(), gru.parameters()) for x in (ours, theirs))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * float(b.abs().max()), rtol=0)


def test_what_stands_after_the_last_row_is_never_read():
    torch.manual_seed(0)
    gru, rows, packed = torch.nn.GRU(2, 3), torch.randn(2, 4, 2), packing(torch.tensor([4, 2]), 4)
    before = last_states(gru, packed_rows(rows, packed), packed)
    rows[1, 2:] = float("nan")
    torch.testing.assert_close(last_states(gru, packed_rows(rows, packed), packed), before)


@pytest.mark.parametrize(("slope", "most"), [(False, 10), (True, 19)])
def test_a_step_takes_ten_operators_there_and_back(slope, most):
    gru, network = (
        torch.nn.GRU(3, 8),
        torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8)),
    )

    def operators(n_rows):
        packed = packing(torch.full((4,), n_rows), n_rows)
        moved = Slope(network, torch.ones(len(packed.rows))) if slope else None
        rows = torch.randn(len(packed.rows), 3)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
            last_states(gru, rows, packed, moved).sum().backward()
        arithmetic = ("mm", "mul", "sigmoid", "lerp", "add")
        return sum(e.count for e in profiled.key_averages() if any(name in e.key for name in arithmetic))

    assert operators(60) - operators(20) <= 40 * most
