import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from latentode.nn.recurrence import last_states


@pytest.mark.parametrize("lengths", [[4, 1, 7, 7, 2], [3, 3], [1]])
def test_states_and_gradients_are_those_of_the_library(lengths):
    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 5, batch_first=True).double()
    rows = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor(lengths)
    theirs = gru(pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False))[1][0]
    ours = last_states(gru, rows, lengths)
    torch.testing.assert_close(ours, theirs)
    wanted, received = [rows, *gru.parameters()], torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(x, wanted, received) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b)


def test_what_stands_after_the_last_row_is_never_read():
    torch.manual_seed(0)
    gru, rows, lengths = torch.nn.GRU(2, 3, batch_first=True), torch.randn(2, 4, 2), torch.tensor([4, 2])
    before = last_states(gru, rows, lengths)
    rows[1, 2:] = float("nan")
    torch.testing.assert_close(last_states(gru, rows, lengths), before)
