"""Small batches made by hand, shared by the tests of this floor."""

import torch

from latentode.nn import Batch, LatentODE, LatentODEConfig

NAN = float("nan")


def batch_of(*histories, queries=None, pad=0, **more):
    """A batch of histories, each a list of rows ``(time, value of channel 0, value of channel 1, ...)``.

    NaN is a channel not observed; ``pad`` adds empty steps to every history.
    """
    n_channels = max((len(row) - 1 for history in histories for row in history), default=1)
    longest = max(max(len(history) for history in histories), 1) + pad
    times = torch.zeros(len(histories), longest)
    values = torch.full((len(histories), longest, n_channels), NAN)
    for i, history in enumerate(histories):
        for j, (time, *row) in enumerate(history):
            times[i, j], values[i, j] = time, torch.tensor(row)
    queries = [[0.0]] * len(histories) if queries is None else queries
    return Batch(
        times=times,
        values=values.nan_to_num(0.0),
        mask=(~values.isnan()).float(),
        lengths=torch.tensor([len(history) for history in histories]),
        query_times=torch.tensor(queries),
        backward=bool((torch.tensor(queries) < 0).any()),
        **more,
    )


def random_batch(n_series=4, n_rows=7, n_channels=2, n_queries=5, seed=0):
    """Histories of several lengths, with holes, and questions with answers."""
    rng = torch.Generator().manual_seed(seed)
    histories = []
    for i in range(n_series):
        times = -torch.rand(max(n_rows - i, 1), generator=rng).sort(descending=True).values
        times[-1] = 0.0
        rows = torch.randn(len(times), n_channels, generator=rng)
        rows[torch.rand(rows.shape, generator=rng) < 0.3] = NAN
        histories.append([(float(t), *row.tolist()) for t, row in zip(times, rows, strict=True)])
    queries = (2 * torch.rand(n_series, n_queries, generator=rng) - 1).tolist()
    shape = (n_series, n_queries, n_channels)
    return batch_of(
        *histories,
        queries=queries,
        targets=torch.randn(shape, generator=rng),
        target_mask=(torch.rand(shape, generator=rng) < 0.7).float(),
    )


def lively(n_channels=2, seed=0, **options):
    """A model in which nothing is still zero, ready to predict."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = {"latent_dim": 4, "context_dim": 3, "hidden_dim": 8, "usual_gap": 0.2, **options}
        model = LatentODE(LatentODEConfig(n_channels=n_channels, **sizes))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()
