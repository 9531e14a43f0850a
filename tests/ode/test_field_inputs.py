import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import PiecewiseConstant, PiecewiseLinear, solve


def exact(times, jump):
    jump = jump.clamp(min=0.0)
    before = torch.exp(torch.minimum(times, jump))
    return before * torch.where(times > jump, torch.exp(2 * (torch.sin(jump) - torch.sin(times))), 1.0)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("independent", [None, False, True])
def test_the_field_is_never_evaluated_on_the_wrong_side(backwards, dtype, independent):
    seen = []

    def field(t, z):
        seen.append(t.flatten().tolist())
        return -z

    start, end = (1.0, 0.0) if backwards else (0.0, 1.0)
    solve(
        field,
        torch.ones(2, 1, dtype=dtype),
        torch.full((2, 1), end, dtype=dtype),
        start,
        end,
        jump_times=[[0.1, 0.4], [0.7, 0.9]],
        **({"n_steps": 4} if independent is None else {"method": "tsit5", "independent": independent}),
    )
    for row, jump in ((0, 0.1), (0, 0.4), (1, 0.7), (1, 0.9)):
        jump = float(torch.tensor(jump, dtype=dtype))
        sides = [times[row] > jump for times in seen]
        assert all(times[row] != jump for times in seen)
        assert sides == sorted(sides, reverse=backwards)


@pytest.mark.parametrize("kind", [PiecewiseConstant, PiecewiseLinear])
def test_a_control_drives_each_series_exactly_through_its_jumps_and_kinks(kind):
    knots = torch.tensor([[0.0, 0.3, 0.7], [0.1, 0.55, float("nan")]], dtype=torch.float64)
    values = torch.tensor([[[1.0], [-2.0], [0.5]], [[3.0], [0.0], [float("nan")]]], dtype=torch.float64)
    times = torch.tensor([[0.2, 0.3, 1.0]], dtype=torch.float64).repeat(2, 1)
    path = kind(knots, values)
    z = solve(lambda t, z, u: u, torch.zeros(2, 1).double(), times, control=path, n_steps=3, coarse=None).z[..., 0]
    fine = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    integral = torch.cumulative_trapezoid(path(fine.expand(2, -1))[..., 0], fine)
    expected = integral.gather(1, (times * 200_000).round().long() - 1)
    assert torch.allclose(z, expected, atol=2e-5)


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "autograd"])
def test_a_single_stage_may_be_driven(adjoint):
    values = torch.tensor([[3.0], [5.0]], dtype=torch.float64, requires_grad=True)
    control = PiecewiseLinear(torch.tensor([0.0, 1.0], dtype=torch.float64), values)
    options = {"control": control, "method": "euler", "n_steps": 1, "adjoint": adjoint, "coarse": None}
    z = solve(lambda t, z, u: z * u, torch.ones(1, 1).double(), torch.ones(1).double(), **options).z
    assert z.item() == 4.0
    assert torch.autograd.grad(z.sum(), values)[0].tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve"])
def test_a_field_that_knows_its_derivatives_may_be_driven_without_reading_the_time(adjoint):
    field, z0 = MLPDynamics(2, (4,), control_dim=1).double(), torch.randn(3, 2, dtype=torch.float64)
    knots, values = torch.tensor([0.0, 0.4, 1.0]).double(), torch.randn(3, 1).double().requires_grad_()
    wanted = [values, *field.parameters()]

    def gradients(which, adjoint):
        control = PiecewiseLinear(knots, values)
        z = solve(which, z0, torch.tensor([0.3, 1.0]).double(), control=control, n_steps=20, adjoint=adjoint).z
        return torch.autograd.grad(z.square().sum(), wanted)

    ours, exact = gradients(field, adjoint), gradients(lambda t, z, u: field(t, z, u), "autograd")
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(ours, exact, strict=True))
