import math

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics

ADJOINTS = ("discrete", "backsolve", "autograd")


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def swing(t, z):
    """A non-autonomous field whose rows solve z' = z cos t: z = z0 exp(sin t - sin t0)."""
    return z * torch.cos(t)


def swing_solution(z0, t, t0=0.0):
    return z0.unsqueeze(1) * torch.exp(torch.sin(t) - math.sin(t0)).unsqueeze(-1)


class Hidden(torch.nn.Module):
    """An MLPDynamics the solver cannot recognise, so that it takes the general path."""

    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, t, z, *args):
        return self.field(t, z, *args)


@pytest.fixture
def case():
    """Four series with two-sided, unordered, duplicated and missing query times; every input asks for gradients."""
    field = MLPDynamics(3, (7, 6), context_dim=2, time_dependent=True).double()
    times = torch.rand(4, 6, dtype=torch.float64) * 3 - 1.5
    times[1, 2] = times[1, 4]
    times[2, 3:] = float("nan")
    inputs = {
        "z0": torch.randn(4, 3, dtype=torch.float64),
        "context": torch.randn(4, 2, dtype=torch.float64),
        "t0": torch.rand(4, dtype=torch.float64) - 0.5,
        "t1": torch.full((4,), 1.6, dtype=torch.float64),
        "t_back": torch.full((4,), -1.7, dtype=torch.float64),
        "times": times,
    }
    for x in inputs.values():
        x.requires_grad_()
    return field, inputs


@pytest.fixture
def gradients(case):
    """Return the value and the gradients of one fixed loss of the case, by field and options of ``solve``."""
    from latentode.ode import solve

    field, inputs = case
    received = torch.randn(4, 6, 3, dtype=torch.float64)

    def run(the_field=None, **options):
        z = solve(
            the_field or field, inputs["z0"], inputs["times"], inputs["t0"], inputs["t1"], t_back=inputs["t_back"],
            args=(inputs["context"],), coarse=None, **options,
        ).z  # fmt: skip
        loss = (torch.nan_to_num(z) * received).sum()
        wanted = {**inputs, **dict(field.named_parameters())}
        each = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
        return loss.detach(), {
            n: torch.zeros_like(x) if g is None else g for (n, x), g in zip(wanted.items(), each, strict=True)
        }

    return run
