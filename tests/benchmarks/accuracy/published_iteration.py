"""A training iteration of the published Latent ODE, written anew with PyTorch and torchdiffeq.

An ODE-RNN goes back over the union of all times, one step in Python after the other: an Euler step of the state
(several where a gap is long), a gated update of the series observed there. Three draws of z0 are solved with dopri5
(1e-3, 1e-4) over the union, their gradients taken through the solver; a linear layer, a Gaussian of a fixed 0.01,
Adamax. What is kinder to it than the authors' code: the likelihood is one expression, not a loop over series, draws
and channels.

Source: Rubanova, Chen and Duvenaud (2019), Latent ODEs for irregularly-sampled time series, and its code.
"""

import time

import numpy as np
import torch
from torch import Tensor, nn
from torchdiffeq import odeint

SIZES = {
    "toy": {"n_channels": 1, "latent": 10, "state": 20, "units": 100, "n_layers": 1, "seen": 50},
    "hopper": {"n_channels": 14, "latent": 15, "state": 30, "units": 300, "n_layers": 3, "seen": 20},
}
BATCH, TIMES, GATE, DRAWS, NOISE = 50, 100, 100, 3, 0.01
LONGEST_STEP = 1 / 50
"""Of an Euler step of the encoder, as a part of the whole course."""


class PublishedLatentODE(nn.Module):
    """Encoder, field, decoder and loss."""

    def __init__(self, n_channels: int, latent: int, state: int, units: int, n_layers: int) -> None:
        super().__init__()
        read = 2 * state + 2 * n_channels
        self.state = state
        self.back = _net(state, units, n_layers, state)
        self.forth = _net(latent, units, n_layers, latent)
        self.update = nn.Sequential(nn.Linear(read, GATE), nn.Tanh(), nn.Linear(GATE, state), nn.Sigmoid())
        self.reset = nn.Sequential(nn.Linear(read, GATE), nn.Tanh(), nn.Linear(GATE, state), nn.Sigmoid())
        self.new = nn.Sequential(nn.Linear(read, GATE), nn.Tanh(), nn.Linear(GATE, 2 * state))
        self.start = nn.Sequential(nn.Linear(2 * state, GATE), nn.Tanh(), nn.Linear(GATE, 2 * latent))
        self.read = nn.Linear(latent, n_channels)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.1)
                nn.init.zeros_(layer.bias)

    def encode(self, values: Tensor, mask: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of z0, (series, latent)."""
        mean = spread = values.new_zeros(len(values), self.state)
        longest = float(times[-1] - times[0]) * LONGEST_STEP
        later = float(times[-1]) + 0.01
        for k in range(len(times) - 1, -1, -1):
            gap = later - float(times[k])
            if gap < longest:
                mean = mean - self.back(mean) * gap
            else:
                nodes = torch.linspace(0, gap, max(2, int(gap / longest)))
                mean = odeint(lambda _, y: -self.back(y), mean, nodes, method="euler")[-1]
            seen = torch.cat([values[:, k], mask[:, k]], -1)
            both = torch.cat([mean, spread, seen], -1)
            kept, reset = self.update(both), self.reset(both)
            new, new_spread = self.new(torch.cat([mean * reset, spread * reset, seen], -1)).chunk(2, -1)
            observed = (mask[:, k].sum(-1, keepdim=True) > 0).float()
            mean = torch.lerp(mean, torch.lerp(new, mean, kept), observed)
            spread = torch.lerp(spread, torch.lerp(new_spread.abs(), spread, kept), observed).abs()
            later = float(times[k])
        center, width = self.start(torch.cat([mean, spread], -1)).chunk(2, -1)
        return center, width.abs()

    def loss(self, values: Tensor, mask: Tensor, times: Tensor) -> Tensor:
        """The negative bound of all values, given those of the mask."""
        mean, spread = self.encode(values * mask, mask, times)
        z0 = mean + spread * torch.randn(DRAWS, *mean.shape)
        course = odeint(lambda _, z: self.forth(z), z0, times, rtol=1e-3, atol=1e-4, method="dopri5")
        misfit = 0.5 * ((self.read(course) - values.transpose(0, 1)[:, None]) / NOISE).square().mean((0, 3))
        divergence = (0.5 * (mean.square() + spread.square() - 1) - spread.log()).mean()
        return -torch.logsumexp(-misfit - divergence, 0).mean()


def milliseconds(data: str, repeats: int, warm_up: int) -> float:
    """The median over iterations: loss, gradients, optimiser."""
    sizes = dict(SIZES[data])
    n_seen = sizes.pop("seen")
    torch.manual_seed(0)
    times = torch.sort(torch.rand(TIMES)).values
    values = 0.3 * torch.randn(BATCH, TIMES, sizes["n_channels"])
    mask = torch.zeros_like(values)
    for of_series in mask:
        of_series[torch.randperm(TIMES)[:n_seen]] = 1
    model = PublishedLatentODE(**sizes)
    optimiser = torch.optim.Adamax(model.parameters(), lr=0.01)
    taken = []
    for _ in range(warm_up + repeats):
        started = time.perf_counter()
        optimiser.zero_grad()
        model.loss(values, mask, times).backward()
        optimiser.step()
        taken.append(time.perf_counter() - started)
    return 1e3 * float(np.median(taken[warm_up:]))


def _net(n_in: int, units: int, n_layers: int, n_out: int) -> nn.Sequential:
    hidden = [layer for _ in range(n_layers) for layer in (nn.Linear(units, units), nn.Tanh())]
    return nn.Sequential(nn.Linear(n_in, units), nn.Tanh(), *hidden, nn.Linear(units, n_out))
