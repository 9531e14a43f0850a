import math

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import METHODS, PiecewiseConstant, PiecewiseLinear, SolveError, solve

JUMP = 0.3137


def answer_after(times, jump, jumps_declared=True, **options):
    """Solve z' = z before a jump and z' = -2 z cos t after it."""

    def field(t, z):
        return torch.where(t < jump, z, -2.0 * z * torch.cos(t))

    z0 = torch.ones(len(jump), 1, dtype=torch.float64)
    options = {"coarse": None, "jump_times": jump if jumps_declared else None, **options}
    return solve(field, z0, times, 0.0, **options).z[..., 0]


def exact(times, jump):
    jump = jump.clamp(min=0.0)
    before = torch.exp(torch.minimum(times, jump))
    return before * torch.where(times > jump, torch.exp(2 * (torch.sin(jump) - torch.sin(times))), 1.0)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("dopri8", "kvaerno5")])
def test_across_a_declared_jump_a_method_keeps_its_order_and_loses_it_otherwise(method):
    times, jump = torch.linspace(0.05, 1.0, 17).double().unsqueeze(0), torch.tensor([[JUMP]], dtype=torch.float64)

    def error(n, declared):
        return (answer_after(times, jump, declared, method=method, n_steps=n) - exact(times, jump)).abs().max().item()

    order = METHODS[method].order
    assert math.log2(error(20, True) / error(40, True)) > min(order, 4) - 0.4
    if order > 1:
        assert error(40, False) > 5 * error(40, True)


def test_jumps_may_differ_from_series_to_series_and_lie_anywhere():
    jump = torch.tensor([[0.2], [0.0], [1.0], [-3.0], [7.0], [0.5]], dtype=torch.float64)
    times = torch.tensor([[0.1, 0.5, 0.2, 1.0]], dtype=torch.float64).repeat(6, 1)
    for options in (
        {"n_steps": 60},
        {"method": "tsit5", "rtol": 1e-8, "atol": 1e-9},
        {"method": "tsit5", "rtol": 1e-8, "atol": 1e-9, "independent": True},
    ):
        assert torch.allclose(answer_after(times, jump, **options), exact(times, jump), rtol=3e-6)


def test_a_jump_is_where_it_was_said_to_be_to_the_last_digit():
    def field(t, z):
        return torch.where(t < 0.1, 1.0, -2.0).expand_as(z)

    z0, times = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[0.05, 1.0]], dtype=torch.float64)
    for options in (
        {"n_steps": 3},
        {"n_steps": 3, "step_times": [[0.3, 0.7]]},
        {"method": "tsit5"},
        {"method": "tsit5", "independent": True},
    ):
        z = solve(field, z0, times, jump_times=[0.1], coarse=None, **options).z
        assert z.flatten().tolist() == pytest.approx([0.05, 0.1 - 2.0 * 0.9], abs=1e-14)


def test_jumps_on_either_side_of_the_start_are_met_on_their_way():
    def field(t, z):
        return torch.where(t < -0.4, 3.0, torch.where(t < JUMP, 1.0, -2.0)) * z

    z0, times = torch.ones(1, 1, dtype=torch.float64), torch.tensor([[-1.0, -0.4, 0.2, 1.0]], dtype=torch.float64)
    z = solve(field, z0, times, jump_times=[JUMP, -0.4], n_steps=40, coarse=None).z[..., 0]
    expected = torch.tensor([[-0.4 - 3.0 * 0.6, -0.4, 0.2, JUMP - 2.0 * (1.0 - JUMP)]], dtype=torch.float64).exp()
    assert torch.allclose(z, expected, rtol=1e-6)


def test_jump_times_may_come_twice_in_any_order_and_padded():
    times, jump = torch.tensor([[0.9]], dtype=torch.float64), torch.tensor([[JUMP]], dtype=torch.float64)
    many = torch.tensor([[0.7, JUMP, float("nan"), JUMP, -1.0]], dtype=torch.float64)
    assert torch.allclose(answer_after(times, jump, n_steps=60, jump_times=many), exact(times, jump), rtol=1e-7)


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
    asked = torch.stack(seen)
    assert (asked <= torch.nextafter(sign * ends, 2 * sign * ends)).all()  # just after a jump that is put at its end
    assert (asked >= 0.0).all()


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


def test_steps_end_at_step_times_and_the_grid_is_shared_out():
    solution = solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), t1=1.0, step_times=[0.25], n_steps=4)
    assert solution.stats.steps == 4
    assert solution.stats.evaluations == 17
    jumping = solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), t1=1.0, jump_times=[0.25], n_steps=4)
    assert jumping.stats.evaluations == 18


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


def test_a_series_that_fails_keeps_its_answers_up_to_there_and_the_others_keep_theirs():
    def field(t, z):
        return z**2

    z0 = torch.tensor([[2.0], [0.1]], dtype=torch.float64)  # z = z0 / (1 - z0 t): the first blows up at 0.5
    times = torch.tensor([0.1, 0.3, 0.45, 0.6, 1.0], dtype=torch.float64)
    options = {"method": "tsit5", "rtol": 1e-8, "atol": 1e-9}
    solution = solve(field, z0, times, on_failure="nan", **options)
    truth = z0 / (1 - z0 * times)
    assert torch.allclose(solution.z[0, :3, 0], truth[0, :3], rtol=1e-6)
    assert solution.z[0, 3:].isnan().all()
    assert torch.allclose(solution.z[1, :, 0], truth[1], rtol=1e-6)
    with pytest.raises(SolveError, match="series 0") as failure:
        solve(field, z0, times, **options)
    assert failure.value.reached[0] == pytest.approx(0.5, abs=1e-3)


def test_a_solution_is_read_again_at_any_time_it_covers_and_is_nan_beyond():
    z0, times = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[1.0, -1.0], [0.5, -2.0]], dtype=torch.float64)
    for options in ({}, {"jump_times": [0.2, -0.3]}, {"method": "tsit5", "independent": True}):
        solution = solve(lambda t, z: -z, z0, times, n_steps_back=9, coarse=None, **options)
        assert torch.allclose(solution.at(times), solution.z, atol=1e-14)
        assert solution.at(torch.tensor([0.7])).isnan().flatten().tolist() == [False, True]


@pytest.mark.parametrize("adjoint", ["checkpointed", "backsolve"])
def test_a_solution_whose_steps_were_not_kept_says_so(adjoint):
    solution = solve(lambda t, z: -z, torch.ones(1, 1, requires_grad=True), torch.ones(1), adjoint=adjoint)
    with pytest.raises(RuntimeError, match="steps were not kept"):
        solution.at(torch.tensor([0.5]))


def test_a_solution_whose_sides_were_solved_together_is_read_again_on_both():
    field, z0 = MLPDynamics(2, (4,)).double(), torch.randn(3, 2, dtype=torch.float64)
    times = torch.tensor([0.9, -0.2, 0.1, -0.8], dtype=torch.float64)
    for n_steps in (2, 30):
        solution = solve(field, z0, times, n_steps=n_steps)
        assert torch.allclose(solution.at(times), solution.z, atol=1e-14)


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


def test_states_of_any_shape_are_solved_as_flat_ones_are():
    times = torch.rand(3, 4, dtype=torch.float64)
    z0 = (torch.randn(3, 2, 2, dtype=torch.float64), torch.randn(3, dtype=torch.float64))

    def field(t, z):
        matrix, number = z
        assert t.shape == (3, 1)
        return -matrix * number.view(-1, 1, 1), torch.cos(t).squeeze(1) * matrix.sum((1, 2))

    def flat(t, z):
        return torch.cat([-z[:, :4] * z[:, 4:], torch.cos(t) * z[:, :4].sum(1, keepdim=True)], 1)

    matrix, number = solve(field, z0, times, n_steps=5, coarse=None).z
    z = solve(flat, torch.cat([z0[0].flatten(1), z0[1].unsqueeze(1)], 1), times, n_steps=5, coarse=None).z
    assert matrix.shape == (3, 4, 2, 2)
    assert torch.allclose(matrix.flatten(2), z[..., :4])
    assert torch.allclose(number, z[..., 4])
    rate = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    growing = solve(lambda t, z, rate: (rate.unsqueeze(-1) * z[0],), z0[:1], times, args=(rate,), n_steps=20).z[0]
    assert torch.allclose(growing, z0[0].unsqueeze(1) * torch.exp(rate * times).view(3, 4, 1, 1), rtol=1e-4)
    halves = (z0[0].flatten(1)[:, :2], z0[0].flatten(1)[:, 2:], z0[1].unsqueeze(1))

    def of_rows(t, z):
        return -z[0] * z[2], -z[1] * z[2], torch.cos(t) * (z[0] + z[1]).sum(1, keepdim=True)

    assert torch.allclose(torch.cat(solve(of_rows, halves, times, n_steps=5, coarse=None).z, 2), z)
    with pytest.raises(ValueError, match="same series"):
        solve(field, (torch.ones(3, 2), torch.ones(2)), times)
