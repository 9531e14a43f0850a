import math

import pytest
import torch

from latentode.ode import solve
from latentode.ode.step_size import AdaptiveSteps, FixedSteps, GivenSteps, error_norm
from tests.ode.conftest import swing, swing_solution


@pytest.mark.parametrize("weights", [AdaptiveSteps.I, AdaptiveSteps.PI, AdaptiveSteps.PID])
def test_a_controller_settles_where_the_error_is_just_tolerated(weights):
    control = AdaptiveSteps(error_order=3, weights=weights)
    control.start(1e-3)
    for _ in range(60):
        h = control.next_node(0.0, 0)
        control.judge(h, (h / 0.1) ** 3)
    assert 0.05 < h <= 0.1


def test_the_next_step_follows_from_the_errors_of_the_last_three():
    control, q = AdaptiveSteps(error_order=3, weights=AdaptiveSteps.PID), 3
    control.start(0.1)
    errors, h = [0.9, 0.5, 0.7, 0.4], 0.1
    for n, e in enumerate(errors):
        assert control.judge(h, e)
        last = [*reversed(errors[: n + 1]), 1.0, 1.0]  # as if steps of just what is tolerated had gone before
        weighed = math.prod(x ** (-w / q) for x, w in zip(last, AdaptiveSteps.PID, strict=False))
        assert control.next_node(0.0, 0) == pytest.approx(0.9 * h * weighed)
        h = control.next_node(0.0, 0)


def test_a_step_does_not_grow_right_after_a_rejection():
    control = AdaptiveSteps(error_order=5)
    control.start(0.1)
    assert control.judge(0.1, 1e-12)
    assert control.next_node(0.0, 0) == pytest.approx(1.0)  # after none it does, tenfold at most
    control.start(0.1)
    assert not control.judge(0.1, 10.0)
    h = control.next_node(0.0, 0)
    assert control.judge(h, 1e-6)
    assert control.next_node(0.0, 0) <= h


def test_a_step_whose_error_is_not_a_number_is_rejected_and_shrunk():
    control = AdaptiveSteps(error_order=5)
    control.start(0.1)
    assert not control.judge(0.1, float("nan"))
    assert control.next_node(0.0, 0) == pytest.approx(0.02)
    assert control.judge(0.02, 1e-6)
    assert control.next_node(0.0, 0) <= 0.02


def test_fixed_steps_end_on_one_exactly():
    grid = FixedSteps(49)
    assert [grid.next_node(n / 49, n) for n in (47, 48)] == [48 / 49, 1.0]
    for span in (49.0, 98.0):
        assert torch.equal(grid.scaled(torch.full((1, 1), span), 1 / 49), torch.full((1, 1), span / 49))


@pytest.mark.parametrize("nodes", [(0.0, 0.5), (0.1, 1.0), (0.0, 0.6, 0.5, 1.0), (0.0, 0.5, 0.5, 1.0)])
def test_given_nodes_must_rise_from_0_to_1(nodes):
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        GivenSteps(nodes)


def test_the_norm_is_per_series():
    norms = error_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.ones(2, 2))
    assert norms.tolist() == pytest.approx([12.5**0.5, 0.0])


def test_one_hard_series_is_not_diluted_by_easy_company():
    """A mean over the batch would let this series' error grow with the square root of the batch."""

    def rotate(t, z, speed):
        return torch.stack([z[:, 1], -z[:, 0]], 1) * speed

    hard = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    times = torch.ones(1, 1, dtype=torch.float64)
    errors = []
    for company in (0, 255):
        z0 = torch.cat([hard, hard.expand(company, 2)])
        speed = torch.cat([torch.full((1, 1), 25.0), torch.full((company, 1), 0.1)]).double()
        z = solve(rotate, z0, times.expand(len(z0), 1), args=(speed,), method="dopri5").z[0, 0]
        errors.append(float((z - torch.tensor([math.cos(25.0), -math.sin(25.0)])).abs().max()))
    assert errors[1] == pytest.approx(errors[0], rel=1e-6)
    assert errors[0] < 3e-2


def test_each_controller_takes_steps_of_its_own():
    z0, times = torch.ones(1, 1, dtype=torch.float64), torch.full((1, 1), 9.0, dtype=torch.float64)
    options = {"method": "bosh3", "rtol": 1e-4, "atol": 1e-6}
    taken = [
        solve(lambda t, z: torch.cos(t * t) * z, z0, times, controller=name, **options).stats
        for name in ("I", "PI", "PID")
    ]
    assert len({(stats.steps, stats.rejected) for stats in taken}) == 3


def test_an_adaptive_solve_keeps_its_tolerance_for_every_series():
    z0 = torch.ones(4, 1, dtype=torch.float64)
    times = torch.rand(4, 9, dtype=torch.float64) * 6 - 3
    exact = swing_solution(z0, times)
    for method in ("heun", "bosh3", "dopri5", "tsit5"):
        errors = [
            float((solve(swing, z0, times, method=method, rtol=rtol, atol=rtol / 10).z - exact).abs().max())
            for rtol in (1e-3, 1e-5)
        ]
        assert errors[0] < 3e-2
        assert errors[1] < 3e-4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rtol": -1.0}, r"rtol must be a finite number of at least 0, not -1\.0"),
        ({"atol": math.nan}, "atol must be a finite number of at least 0, not nan"),
        ({"atol": math.inf}, "atol must be a finite number"),
        ({"rtol": 0.0, "atol": 0.0}, "both 0"),
        ({"max_steps": 0}, "limit of steps must be at least 1, not 0"),
    ],
)
def test_tolerances_and_limits_that_no_step_can_meet_are_refused(given, message):
    for options in ({"method": "tsit5"}, {"method": "kvaerno3", "independent": True}):
        with pytest.raises(ValueError, match=message):
            solve(swing, torch.ones(1, 1), torch.ones(1), **options, **given)
