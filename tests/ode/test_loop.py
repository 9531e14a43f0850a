import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve


@pytest.mark.parametrize("stops", ["step_times", "jump_times"])
@pytest.mark.parametrize("backwards", [False, True])
def test_no_series_is_followed_beyond_its_end_to_a_stop_of_another(backwards, stops):
    sign, seen = (-1.0 if backwards else 1.0), []

    def field(t, z):
        seen.append(sign * t.flatten())
        return -z

    ends, times = sign * torch.tensor([1.0, 4.0]).double(), sign * torch.tensor([[0.2, 1.0], [3.0, 4.0]]).double()
    given = {stops: sign * torch.tensor([0.5, 1.5, 3.5]).double()}
    z = solve(field, torch.ones(2, 1).double(), times, 0.0, ends, t_back=0.0, n_steps=40, **given).z
    assert torch.allclose(z[..., 0], torch.exp(-times), rtol=1e-4)
    queried = torch.stack(seen)
    assert (queried <= torch.nextafter(sign * ends, 2 * sign * ends)).all()  # just after a jump that is put at its end
    assert (queried >= 0.0).all()


@pytest.mark.parametrize("independent", [None, False, True])
def test_a_jump_may_come_after_any_number_of_steps(independent):
    z0, times, taken = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), set()
    for i in range(24):
        steps = {"n_steps": 2 * i + 2} if independent is None else {"rtol": 10 ** (-2 - i / 12), "atol": 1e-8}
        options = {"method": "heun", "coarse": None, "independent": bool(independent), **steps}
        solution = solve(lambda t, z: -z, z0, times, jump_times=[0.5], **options)
        assert float(solution.z) == pytest.approx(math.exp(-1), rel=0.2 if i == 0 else 0.02)
        taken.add(solution.stats.steps)
    assert len(taken) > 12


class Operators(TorchDispatchMode):
    """Counts what is dispatched."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_the_operators_of_a_step_stay_within_their_budget():
    """Per rk4 step and its transpose: 4 stages of 5 kernels and their views forward, 4 of 6 backward."""
    field = MLPDynamics(3, (8, 8))
    z0, times = torch.randn(4, 3, requires_grad=True), torch.rand(4, 5)
    counts = []
    for n_steps in (10, 20):
        with Operators() as operators:
            z = solve(field, z0, times, t1=1.0, t_back=0.0, n_steps=n_steps, watch=False).z
            torch.autograd.grad(z.sum(), [z0, *field.parameters()])
        counts.append(operators.count)
    assert (counts[1] - counts[0]) / 10 < 80


@pytest.mark.parametrize("adjoint", ["discrete", "autograd"])
@pytest.mark.parametrize("method", ["rk4", "rk4_38", "tsit5"])
def test_a_step_rounds_the_state_once(method, adjoint):
    slope, n_steps = 505 * 2.0**-15, 256  # every step adds 505 units in the last place of 1; a stage adds no whole unit
    z0 = torch.ones(1, 1, requires_grad=True)
    z = solve(
        lambda t, z: torch.full_like(z, slope), z0, torch.ones(1), n_steps=n_steps, method=method, adjoint=adjoint
    ).z
    assert z.item() == 1.0 + slope
