import torch

from latentode.nn import Batch
from latentode.nn.channel_series import CALLS, ChannelSeries, by_channel, queries_by_channel


def batch() -> Batch:
    mask = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    return Batch(
        times=torch.tensor([[-2.0, -1.0, 0.0], [0.0, 0.0, 0.0]]),
        values=torch.arange(12.0).reshape(2, 3, 2) * mask,
        mask=mask,
        lengths=torch.tensor([3, 1]),
        query_times=torch.tensor([[0.5, 1.0], [0.25, 0.0]]),
        given=torch.arange(6.0).reshape(2, 3, 1),
        query_given=torch.arange(4.0).reshape(2, 2, 1),
        static=torch.tensor([[7.0], [8.0]]),
    )


def test_each_channel_keeps_its_own_observations_in_order():
    found = by_channel(batch())
    assert found.channel.tolist() == [0, 1, 0, 1]
    assert found.counts.tolist() == [2, 2, 1, 0]
    assert found.times[0].tolist() == [-2.0, 0.0]
    assert found.times[1].tolist() == [-1.0, 0.0]
    assert found.values[0].tolist() == [0.0, 4.0]
    assert found.values[1].tolist() == [3.0, 5.0]
    assert found.since[1].tolist() == [1.0, 2.0]
    assert found.given[1].tolist() == [[1.0, 7.0], [2.0, 7.0]]


def test_queries_stand_beside_the_histories_they_belong_to():
    found = queries_by_channel(batch())
    assert found.channel.tolist() == [0, 1, 0, 1]
    assert found.times[1].tolist() == found.times[0].tolist() == [0.5, 1.0]
    assert found.since[0].tolist() == [2.5, 3.0]
    assert found.given[3].tolist() == [[2.0, 8.0], [3.0, 8.0]]


def test_chunks_hold_every_pair_once_and_few_cells():
    whole = by_channel(batch())
    parts = list(whole.chunks(4))
    assert sorted(int(i) for which, _ in parts for i in which) == [0, 1, 2, 3]
    for which, part in parts:
        assert len(which) * part.observed.shape[1] ** 2 <= 4
        for i, row in zip(which, range(len(which)), strict=True):
            seen = part.observed[row]
            assert part.values[row][seen].tolist() == whole.values[i][whole.observed[i]].tolist()


def test_pairs_of_about_one_length_share_a_chunk_so_that_little_is_padding():
    lengths = torch.cat([torch.full((500,), 5), torch.arange(6, 46), torch.full((100,), 3)])
    observed = torch.arange(45) < lengths[:, None]
    zeros = torch.zeros(len(lengths), 45, dtype=torch.float64)
    pairs = ChannelSeries(torch.zeros(len(lengths), dtype=torch.long), zeros, zeros, zeros[..., None], zeros, observed)
    chunks = list(pairs.chunks(10**9))
    assert sorted(int(i) for which, _ in chunks for i in which) == list(range(len(lengths)))
    assert all(int(part.counts.max()) == part.observed.shape[1] for _, part in chunks)
    n_cells = sum(part.observed.shape[1] ** 2 * len(part.observed) for _, part in chunks)
    assert 2 <= len(chunks) <= 5
    assert n_cells < 0.1 * len(lengths) * 45**2
    of_one_length = int(lengths.square().sum()) + CALLS * len(lengths.unique())
    assert n_cells + CALLS * len(chunks) < of_one_length


def test_a_window_is_a_stretch_of_the_observations():
    found = by_channel(batch()).window(torch.tensor([1, 0, 0, 0]), 1)
    assert found.values[0].tolist() == [4.0]
    assert found.values[1].tolist() == [3.0]
    assert found.counts.tolist() == [1, 1, 1, 0]
