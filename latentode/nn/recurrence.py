"""A GRU over rows of several lengths, in time that grows with their number and no faster.

``torch.nn.GRU`` cuts a packed sequence step by step, and on a CPU the gradient of every cut is as large as the whole
sequence: the square of the length. Here the inputs of all steps are projected at once and split once.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

__all__ = ["last_states"]


def last_states(gru: nn.GRU, rows: Tensor, lengths: Tensor) -> Tensor:
    """Run a GRU of one layer over each series, and return its state after the last row.

    Parameters
    ----------
    gru : GRU
        Whose weights; one layer, one direction.
    rows : Tensor
        (series, time, feature), padded.
    lengths : Tensor
        (series,), rows of each series, at least 1.

    Returns
    -------
    Tensor
        (series, hidden)

    References
    ----------
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.

    Examples
    --------
    >>> import torch
    >>> gru = torch.nn.GRU(3, 4, batch_first=True)
    >>> last_states(gru, torch.randn(2, 5, 3), torch.tensor([5, 2])).shape
    torch.Size([2, 4])
    """
    order = torch.argsort(lengths, descending=True)
    packed = pack_padded_sequence(rows[order], lengths[order].cpu(), batch_first=True)
    sizes, width = packed.batch_sizes.tolist(), gru.hidden_size
    from_row, from_state, bias, bias_state = gru.all_weights[0]
    inputs = torch.addmm(bias, packed.data, from_row.t())
    h, ended = rows.new_zeros(len(rows), width), []
    for given, n in zip(torch.split(inputs, sizes), sizes, strict=True):
        if n < len(h):
            h, shorter = torch.split(h, [n, len(h) - n])
            ended.append(shorter)
        recurrent = torch.addmm(bias_state, h, from_state.t())
        gates, candidate = torch.split(given, [2 * width, width], 1)
        gates_h, candidate_h = torch.split(recurrent, [2 * width, width], 1)
        reset, update = torch.sigmoid(gates + gates_h).chunk(2, 1)
        h = torch.lerp(torch.tanh(torch.addcmul(candidate, reset, candidate_h)), h, update)
    return torch.cat([h, *reversed(ended)])[torch.argsort(order)]
