"""How much a solve and its gradient hold at a time, counted in bytes of live storages."""

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve
from tests.ode.conftest import Hidden
from tests.ode.held import Held, peak_of, without_collector


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["analytic", "general"])
def field(request):
    torch.manual_seed(0)
    field = MLPDynamics(4, (16,))
    return Hidden(field) if request.param else field


# The factors leave room: constants are kept for the solves to come. The peak is sampled: often, where it is short.


def test_backsolve_holds_as_much_for_many_steps_as_for_few(field):
    few, many = (peak_of("backsolve", n, field, every=every) for n, every in ((20, 1), (60, 7)))
    assert many < 1.25 * few
    assert peak_of("discrete", 60, field, every=150) > 5 * many


@pytest.mark.slow
def test_backsolve_holds_as_much_for_ten_thousand_steps_as_for_a_hundred(field):
    few, many = (peak_of("backsolve", n, field, every=every) for n, every in ((100, 1), (10_000, 199)))
    assert many < 1.25 * few


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve", "autograd"])
def test_nothing_waits_for_the_garbage_collector(field, adjoint):
    with without_collector():
        with Held() as held:
            z0 = torch.randn(16, 4, requires_grad=True)
            z = solve(field, z0, torch.rand(16, 3), n_steps=30, adjoint=adjoint, coarse=None).z
            grads = torch.autograd.grad(z.sum(), [z0, *field.parameters()])
            del z, grads, z0
        assert held.live() < 20_000  # constants that are kept, not the 50 steps
