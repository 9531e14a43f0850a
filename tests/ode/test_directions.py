import math

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve
from tests.ode.conftest import swing, swing_solution

NAN = float("nan")


def field_and_start(n_series=5, dtype=torch.float64):
    return MLPDynamics(3, (8, 8), time_dependent=True).to(dtype), torch.randn(n_series, 3, dtype=dtype)


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve", "autograd"])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_span_of_zero_returns_the_start_and_the_slope_as_its_time_gradient(method, adjoint, dtype):
    field, z0 = field_and_start(dtype=dtype)
    z0[0] = 0.0
    t0 = torch.full((5,), 0.7, dtype=dtype, requires_grad=True)
    times = torch.full((5, 1), 0.7, dtype=dtype, requires_grad=True)
    z0.requires_grad_()
    z = solve(field, z0, times, t0, method=method, adjoint=adjoint).z
    assert torch.equal(z[:, 0], z0)
    g_z0, g_t0, g_times = torch.autograd.grad(z.sum(), [z0, t0, times])
    slope = field(t0.unsqueeze(1), z0).sum(1)
    assert torch.allclose(g_z0, torch.ones_like(z0))
    assert torch.allclose(g_times.squeeze(1), slope, rtol=1e-4)
    assert torch.allclose(g_t0, -slope, rtol=1e-4)


@pytest.mark.parametrize("method", ["rk4", "tsit5"])
def test_going_there_and_back_again_returns_the_start(method):
    field, z0 = field_and_start()
    ends = torch.linspace(0.5, 2.0, 5, dtype=torch.float64)
    options = {"method": method, "n_steps": 60}
    there = solve(field, z0, ends.unsqueeze(1), 0.0, ends, **options).z[:, 0]
    back = solve(field, there, torch.zeros(5, 1, dtype=torch.float64), ends, 0.0, **options).z[:, 0]
    assert torch.allclose(back, z0, atol=1e-8)


def test_forward_and_backward_reach_may_be_given_or_found():
    field, z0 = field_and_start()
    times = torch.tensor([[-0.5, 0.8]], dtype=torch.float64).expand(5, 2)
    found = solve(field, z0, times)
    given = solve(field, z0, times, 0.0, torch.full((5,), 0.8), t_back=-0.5)
    assert torch.allclose(found.z, given.z, atol=1e-7)
    assert solve(field, z0, times[:, 1:], 0.0, 0.8, t_back=0.0).stats.steps == 6


def test_only_the_side_that_is_queried_is_solved():
    field, z0 = field_and_start()
    counted = []

    def watched(t, z):
        counted.append(z.shape[0])
        return field(t, z)

    times = torch.rand(5, 3, dtype=torch.float64)
    times[0, 0] = 0.0  # the start itself lies on either side
    for sign in (1, -1):
        counted.clear()
        with torch.no_grad():
            solve(watched, z0, sign * times)
        assert counted == [5] * 25
    given = solve(field, z0, times, t_back=0.0).z  # how far ahead is still to be found
    assert torch.allclose(given, solve(field, z0, times).z)


def test_a_span_that_runs_backwards_is_a_span():
    z0 = torch.ones(1, 1, dtype=torch.float64)
    times = torch.tensor([[-1.0, -0.25, 0.5]], dtype=torch.float64)
    z = solve(swing, z0, times, 0.0, -1.0, t_back=0.5, n_steps=40).z
    assert torch.allclose(z, swing_solution(z0, times), atol=1e-6)

    found = solve(swing, z0, times, 0.0, -1.0, n_steps=40).z  # the furthest query on the other side
    assert torch.allclose(found, z, atol=1e-12)


def test_the_other_side_of_a_span_that_runs_backwards_ends_at_its_furthest_query():
    z = solve(
        lambda t, z: -z, torch.ones(1, 1), torch.tensor([0.5, -1.0]), 0.0, -1.0, method="euler", n_steps=2, coarse=None
    ).z
    assert z.flatten().tolist() == [0.5625, 2.25]


def test_series_that_go_opposite_ways_meet_their_stops_each_on_its_way():
    z0, t1 = torch.ones(2, 1, dtype=torch.float64), torch.tensor([2.0, -1.0], dtype=torch.float64)
    times = torch.tensor([[0.2, 0.7, 1.9], [-0.2, -0.6, -1.0]], dtype=torch.float64)
    for ends in (t1, t1.flip(0)):
        ways = times if ends is t1 else times.flip(0)
        z = solve(swing, z0, ways, 0.0, ends, step_times=[0.3, 1.0, -0.3, -0.5], n_steps=40).z
        assert torch.allclose(z, swing_solution(z0, ways), rtol=1e-6)


def test_a_series_that_ends_where_it_starts_may_have_its_other_side_ahead():
    z0, times = torch.ones(3, 1, dtype=torch.float64), torch.tensor([[0.5, 1.0], [-0.5, 0.9], [-1.0, 0.0]]).double()
    t1, t_back = (torch.tensor(x, dtype=torch.float64) for x in ([0.0, 1.0, 0.0], [1.0, -1.0, -1.0]))
    assert torch.allclose(solve(swing, z0, times, 0.0, t1, t_back=t_back, n_steps=40).z, swing_solution(z0, times))


@pytest.mark.parametrize(("span", "far"), [(1e-3, 2e-3), (1e3, 1.001e3)])
def test_a_query_may_overshoot_the_end_by_the_rounding_of_its_time_and_by_no_more(span, far):
    z0, begin = torch.ones(1, 1, dtype=torch.float64), 1e9
    end, beyond = (torch.tensor([begin + x], dtype=torch.float64) for x in (span, far))
    over = torch.nextafter(end, beyond)
    assert torch.allclose(solve(lambda t, z: -z / span, z0, over, begin, end).z, z0 / math.e, rtol=1e-3)
    with pytest.raises(ValueError, match="series 0 have queries outside the span"):
        solve(lambda t, z: -z / span, z0, beyond, begin, end)


@pytest.mark.parametrize(("t1", "t_back"), [(0.5, None), (1.0, -0.1), (1.0, 0.0)])
def test_a_query_outside_the_span_is_refused_and_unwatched_is_nan(t1, t_back):
    field, z0 = field_and_start()
    times = torch.tensor([[0.1, 0.2], [0.8, -0.4]], dtype=torch.float64)
    with pytest.raises(ValueError, match="series 1 have queries outside the span"):
        solve(field, z0[:2], times, 0.0, t1, t_back=t_back)
    z = solve(field, z0[:2], times, 0.0, t1, t_back=t_back, watch=False).z
    assert torch.isfinite(z[0]).all()
    assert z[1].isnan().all(-1).sum() == (1 if t1 == 0.5 or t_back is not None else 0)


def test_stops_where_no_series_goes_cost_no_step():
    z0, times = torch.ones(2, 1), torch.tensor([[1.0], [0.5]])
    beyond = [-1.0, 0.0, 1.0, 1.5, NAN]
    for name in ("step_times", "jump_times"):
        stats = solve(lambda t, z: -z, z0, times, t0=0.0, n_steps=4, **{name: beyond[:2] + beyond[3:]}).stats
        assert (stats.steps, stats.evaluations) == (4, 17)
    alone = solve(lambda t, z: -z, z0[:1], times[:1], t0=0.0, n_steps=4, step_times=beyond).stats
    assert alone.steps == 4
