import math

import pytest
import torch

from latentode.ode import METHODS, SolveError, solve

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

    order, fine = METHODS[method].order, error(20, True)
    assert math.log2(error(10, True) / fine) > min(order, 4) - 0.4
    if order > 1:
        assert error(20, False) > 5 * fine


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
