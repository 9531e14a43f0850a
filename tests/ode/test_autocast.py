import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import odeint, solve
from latentode.ode.problem import ADJOINTS
from tests.ode.conftest import Hidden


def solved(field, z0, args, times, **options):
    solution = solve(field, z0, times, args=args, n_steps=4, **options)
    wanted = [z0, *args, *field.parameters()]
    return solution, torch.autograd.grad(solution.z.float().sum(), wanted)


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("hidden", [True, False], ids=["general", "analytic"])
def test_under_autocast_only_the_field_is_in_lower_precision(adjoint, hidden):
    field, z0 = MLPDynamics(3, (8,), context_dim=2), torch.randn(4, 3, requires_grad=True)
    field, dtypes = Hidden(field) if hidden else field, []
    args, times = (torch.randn(4, 2).bfloat16().float().requires_grad_(),), torch.rand(4, 10)
    full, expected = solved(field, z0, args, times, adjoint=adjoint)
    if hidden:
        field.field.layers[1].register_forward_hook(lambda module, given, out: dtypes.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        ours, got = solved(field, z0, args, times, adjoint=adjoint)
        if adjoint not in ("backsolve", "checkpointed"):
            assert torch.equal(ours.at(torch.tensor([0.0]))[:, 0], z0)
    assert ours.z.dtype == torch.float32
    assert set(dtypes) == ({torch.bfloat16} if hidden else set())
    assert torch.allclose(ours.z, full.z, atol=0.02)
    assert torch.equal(ours.z, full.z) != hidden
    assert all(torch.allclose(a, b, atol=0.05 * float(b.abs().max())) for a, b in zip(got, expected, strict=True))


def test_a_state_that_autocast_has_halved_is_solved_in_float32():
    field, z0, context = MLPDynamics(3, (8,), context_dim=2), torch.randn(4, 3).bfloat16(), torch.ones(4, 2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert solve(field, z0, torch.rand(4, 2), args=(context,)).z.dtype == torch.float32
        parts = solve(lambda t, z: tuple(-part for part in z), (z0, z0.unsqueeze(1)), torch.rand(4, 2)).z
        assert {part.dtype for part in parts} == {torch.float32}
        y = odeint(lambda t, y: -y @ torch.eye(3), z0.float(), torch.tensor([0.0, 1.0]), rtol=1e-3, atol=1e-3)
    assert y.dtype == torch.float32
    assert solve(lambda t, z: -z, z0.float(), torch.rand(4, 2), n_steps=9).z.dtype == torch.float32
