import math
import warnings

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import METHODS, CoarseGridWarning, SolveError, solve
from latentode.ode.implicit import jacobian_of

from .conftest import Hidden, swing, swing_solution

NAN = float("nan")


def field_and_start(n_series=5, dtype=torch.float64):
    return MLPDynamics(3, (8, 8), time_dependent=True).to(dtype), torch.randn(n_series, 3, dtype=dtype)


@pytest.mark.parametrize("method", METHODS)
def test_both_sides_of_the_start_are_answered_in_one_call(method):
    z0 = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64)
    t0 = torch.tensor([0.5, -0.3], dtype=torch.float64)
    times = torch.tensor([[1.5, -0.5, 0.5, 0.0], [-0.3, 0.9, -1.3, 0.2]], dtype=torch.float64)
    z = solve(swing, z0, times, t0, method=method, n_steps=400, coarse=None).z
    exact = z0.unsqueeze(1) * torch.exp(torch.sin(times) - torch.sin(t0).unsqueeze(1)).unsqueeze(-1)
    assert torch.allclose(z, exact, atol=6e-3 if method == "euler" else 1e-4)
    assert torch.equal(z[0, 2], z0[0])
    assert torch.equal(z[1, 0], z0[1])


@pytest.mark.parametrize("hidden", [False, True])
def test_a_series_alone_equals_the_same_series_in_any_company(hidden):
    field, z0 = field_and_start()
    field = Hidden(field) if hidden else field
    times = torch.rand(5, 7, dtype=torch.float64) * 2 - 1
    together = solve(field, z0, times, 0.0, 1.0, t_back=-1.0, coarse=None).z
    for i in range(5):
        alone = solve(field, z0[i : i + 1], times[i : i + 1], 0.0, 1.0, t_back=-1.0, coarse=None).z
        assert torch.allclose(together[i], alone[0], atol=1e-14)


def test_the_grid_of_a_series_depends_on_its_span_only_and_not_on_its_queries():
    field, z0 = field_and_start()
    times = torch.rand(5, 7, dtype=torch.float64)
    few = solve(field, z0, times[:, :2], 0.0, 1.0).z
    assert torch.equal(few, solve(field, z0, times, 0.0, 1.0).z[:, :2])


def test_order_and_duplicates_of_queries_do_not_matter():
    field, z0 = field_and_start()
    times = torch.rand(5, 7, dtype=torch.float64) * 2 - 1
    shuffle = torch.tensor([3, 0, 6, 6, 2, 1, 5, 4, 3])
    z = solve(field, z0, times, coarse=None).z
    assert torch.equal(solve(field, z0, times[:, shuffle], coarse=None).z, z[:, shuffle])


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve", "autograd"])
def test_a_missing_query_gives_nan_out_and_no_nan_in_any_gradient(adjoint):
    field, z0 = field_and_start()
    times = torch.rand(5, 4, dtype=torch.float64) * 2 - 1
    times[0, 1:] = NAN
    times[3] = NAN
    z0.requires_grad_()
    times.requires_grad_()
    z = solve(field, z0, times, adjoint=adjoint, coarse=None).z
    assert torch.equal(z.isnan().all(-1), times.isnan())
    assert torch.equal(z.isnan().any(-1), times.isnan())
    upstream = torch.where(z.isnan(), NAN, 1.0)
    gradients = torch.autograd.grad(z, [z0, times, *field.parameters()], upstream)
    assert all(torch.isfinite(g).all() for g in gradients)
    assert torch.equal(gradients[1][times.isnan()], torch.zeros(7, dtype=torch.float64))
    assert torch.equal(gradients[0][3], torch.zeros(3, dtype=torch.float64))


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


def test_no_query_and_no_series_are_answered_with_nothing():
    field, z0 = field_and_start()
    assert solve(field, z0, torch.empty(5, 0, dtype=torch.float64)).z.shape == (5, 0, 3)
    assert solve(field, z0[:0], torch.empty(0, 4, dtype=torch.float64), watch=False).z.shape == (0, 4, 3)


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


def test_only_the_side_that_is_asked_is_solved():
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


def test_nothing_is_read_by_the_host_when_the_span_is_given_and_unwatched():
    """On the meta device there is nothing to read: reading would raise."""
    field = MLPDynamics(3, (8,)).to("meta")
    z0, times = torch.empty(4, 3, device="meta"), torch.empty(4, 5, device="meta")
    z = solve(field, z0, times, 0.0, 1.0, t_back=-1.0, watch=False).z
    z.sum().backward()
    assert z.shape == (4, 5, 3)


def test_times_may_be_finer_than_the_state():
    z0 = torch.ones(1, 1)
    t0 = 1.7e9
    times = torch.tensor([[t0 + 0.25, t0 + 0.5]], dtype=torch.float64)
    z = solve(lambda t, z: -z, z0, times, t0).z
    assert z.dtype == torch.float32
    assert torch.allclose(z.squeeze(), torch.tensor([math.exp(-0.25), math.exp(-0.5)]), rtol=1e-4)


def test_integers_become_floats_and_complex_states_are_refused():
    z = solve(lambda t, z: -z, torch.ones(1, 1), torch.tensor([[1, 2]]), t0=0).z
    assert torch.allclose(z.squeeze(), torch.tensor([math.exp(-1), math.exp(-2)]), rtol=1e-3)
    z = solve(lambda t, z: -z, torch.ones(1, 1, dtype=torch.int64), torch.tensor([[1.0]])).z
    assert z.dtype == torch.float32
    assert float(z) == pytest.approx(math.exp(-1), rel=1e-3)
    with pytest.raises(TypeError, match="complex states"):
        solve(lambda t, z: -z, torch.ones(1, 1, dtype=torch.complex64), torch.ones(1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z0": torch.ones(3)}, "at least two dimensions"),
        ({"times": torch.ones(2, 2)}, "3 series"),
        ({"n_steps": 0}, "at least 1"),
        ({"method": "leapfrog"}, "no method"),
        ({"method": "kvaerno5", "jump_times": [0.5]}, "kvaerno5 evaluates the field beyond the end of a step"),
        ({"adjoint": "magic"}, "adjoint must be"),
        ({"t0": torch.zeros(2)}, "one per series"),
        ({"field": lambda t, z: z.sum()}, r"shaped like z, \(3, 2\), but returned shape \(\)"),
        ({"field": lambda t, z: 1.0}, r"shaped like z, \(3, 2\), but returned float"),
        ({"step_times": torch.ones(2, 1)}, r"^step_times must be .* for 3 series, not \(2, 1\)"),
        ({"jump_times": torch.ones(1, 1, 1)}, r"^jump_times must be .* not \(1, 1, 1\)"),
        ({"step_times": [0.5], "n_steps": (0.0, 0.5, 1.0)}, "^n_steps must be a number where there are jump or step"),
        ({"independent": True, "adjoint": "checkpointed"}, "^with independent=True use another adjoint than check"),
        ({"controller": "P"}, "^controller must be one of I, PI, PID, not 'P'"),
        ({"on_failure": "ignore"}, "^on_failure must be one of nan, raise, not 'ignore'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change, message):
    call = {"field": lambda t, z: -z, "z0": torch.ones(3, 2), "times": torch.ones(3, 1), **change}
    with pytest.raises(ValueError, match=message):
        solve(**call)


def blow_up(t, z):
    """z' = z^2 reaches infinity at t = 1 / z0."""
    return z**2


def test_a_solution_that_blows_up_is_an_error_naming_the_series_and_the_time():
    z0 = torch.tensor([[0.1], [2.0], [0.2]], dtype=torch.float64)
    times = torch.ones(3, 1, dtype=torch.float64)
    with pytest.raises(SolveError, match="step fell under its minimum") as caught:
        solve(blow_up, z0, times, method="dopri5")
    assert caught.value.series == (1,)
    assert caught.value.times[0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_the_other_series_are_left_intact_and_the_failed_one_is_nan(method):
    def broken(t, z):
        return torch.where((t > 0.5) & (z > 1.0), NAN, -z)

    z0 = torch.tensor([[0.1], [9.0], [0.2]], dtype=torch.float64, requires_grad=True)
    times = torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(SolveError, match="not finite") as caught:
        solve(broken, z0, times, method=method)
    assert caught.value.series == (1,)
    z = solve(broken, z0, times, method=method, on_failure="nan").z
    good = torch.tensor([0, 2])
    assert z[1].isnan().all()
    assert torch.allclose(z[good], z0[good].unsqueeze(1) * math.exp(-1), rtol=1e-3)
    (g,) = torch.autograd.grad(z[good].sum(), z0)
    assert torch.isfinite(g).all()


def test_a_field_without_a_value_at_the_start_whatever_the_state_is_an_error():
    field = lambda t, z: torch.where(torch.tensor([[False], [True]]), NAN, -z)  # noqa: E731
    with pytest.raises(SolveError, match="not finite: series 1 at t = 0"):
        solve(field, torch.ones(2, 1), torch.ones(2, 1), t0=0.0, method="tsit5", on_failure="nan")


def test_a_start_that_is_not_finite_is_named():
    z0 = torch.tensor([[1.0], [NAN]])
    for method in ("rk4", "dopri5"):
        with pytest.raises(SolveError) as caught:
            solve(lambda t, z: -z, z0, torch.ones(2, 1), method=method)
        assert caught.value.series == (1,)


def test_too_many_steps_are_an_error():
    with pytest.raises(SolveError, match=r"limit of 5 steps .*: series 0 at .* Raise max_steps, or loosen rtol"):
        solve(lambda t, z: torch.cos(50 * t) * z, torch.ones(1, 1), torch.ones(1, 1), method="tsit5", max_steps=5)


def test_a_coarse_grid_warns_once_naming_the_series():
    field = lambda t, z, speed: torch.stack([z[:, 1], -z[:, 0]], 1) * speed  # noqa: E731
    z0, speed = torch.tensor([[1.0, 0.0]]).expand(3, 2), torch.tensor([[0.1], [12.0], [0.1]])
    times = torch.ones(3, 1)
    with pytest.warns(CoarseGridWarning, match="series 1:") as caught:
        solution = solve(field, z0, times, args=(speed,))
    assert len(caught) == 1
    assert solution.stats.error[1] > 0.1 > 1e-4 > solution.stats.error[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(field, z0, times, args=(speed,), coarse=None)
        solve(field, z0, times, args=(speed,), watch=False)
        solve(field, z0, times, args=(speed,), n_steps=200)


@pytest.mark.parametrize("method", METHODS)
def test_the_estimated_error_is_of_the_size_of_the_true_one_and_rather_too_large(method):
    z0 = torch.ones(1, 2, dtype=torch.float64)
    times = torch.tensor([[1.0]], dtype=torch.float64)
    for n_steps in (6, 12):
        solution = solve(swing, z0, times, method=method, n_steps=n_steps, coarse=None)
        exact = swing_solution(z0, times)
        true = max(float(((solution.z - exact) / exact).abs().max()), 1e-14)
        least = 0.25 if method == "fehlberg2" else 0.5  # the published pair is a poor judge of itself
        assert least * true < float(solution.stats.error) < 100 * true


def test_steps_on_the_other_side_are_as_many_as_asked_for_there():
    times = torch.tensor([[-1.0, 1.0]])
    for field in (field_and_start(dtype=torch.float32)[0], swing):
        z0 = torch.ones(1, 3)
        assert solve(field, z0, times, n_steps=3, n_steps_back=5).stats.steps == 8
        assert solve(field, z0, times, n_steps=3, n_steps_back=3).z.equal(solve(field, z0, times, n_steps=3).z)


def test_each_controller_takes_steps_of_its_own():
    z0, times = torch.ones(1, 1, dtype=torch.float64), torch.full((1, 1), 9.0, dtype=torch.float64)
    options = {"method": "bosh3", "rtol": 1e-4, "atol": 1e-6}
    taken = [
        solve(lambda t, z: torch.cos(t * t) * z, z0, times, controller=name, **options).stats
        for name in ("I", "PI", "PID")
    ]
    assert len({(stats.steps, stats.rejected) for stats in taken}) == 3


def test_a_grid_is_coarse_from_a_hundredth_on_and_steps_chosen_by_their_error_never_are():
    z0, times = torch.ones(1, 1), torch.ones(1, 1)
    with pytest.warns(CoarseGridWarning, match=r"relative error up to 0\.\d+, above 0\.01"):
        solve(lambda t, z: -2.5 * z, z0, times, method="heun", n_steps=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for independent in (False, True):
            options = {"method": "heun", "rtol": 0.5, "atol": 0.5, "independent": independent}
            rough = solve(lambda t, z: -9 * z, z0, times, **options)
            assert rough.stats.error.item() > 0.01


def test_statistics_count_what_was_done():
    counted = []

    def watched(t, z):
        counted.append(1)
        return torch.cos(9 * t) * z

    z0, times = torch.ones(2, 1), torch.rand(2, 5)
    for options in ({"n_steps": 3}, {"method": "dopri5"}, {"method": "euler", "n_steps": 4}):
        counted.clear()
        stats = solve(watched, z0, times, t1=1.0, coarse=None, **options).stats
        assert stats.evaluations == len(counted)
    assert stats.steps == 4
    stats = solve(watched, z0, times, t1=1.0, method="dopri5").stats
    assert stats.evaluations == 1 + 6 * (stats.steps + stats.rejected)


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


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve", "autograd"])
@pytest.mark.parametrize("method", ["rk4", "tsit5", "kvaerno3"])
def test_a_state_of_another_precision_than_the_default_keeps_its_own(method, adjoint):
    if method == "kvaerno3" and adjoint in ("continuous", "backsolve"):
        pytest.skip("refused")

    def gradients(stops, independent):
        z0, times = torch.ones(2, 1, requires_grad=True, dtype=torch.float32), torch.tensor([[0.5], [1.0]]).float()
        field = lambda t, z: -z * torch.cos(t)  # noqa: E731
        options = {"method": method, "adjoint": adjoint, "jump_times": stops, "independent": independent}
        z = solve(field, z0, times, 0.0, 1.0, t_back=-1.0, on_failure="nan", **options).z
        return z, *torch.autograd.grad(z.sum(), z0)

    for stops in (None, [0.3]):
        for independent in (False, True) if adjoint != "checkpointed" else (False,):
            usual = gradients(stops, independent)
            torch.set_default_dtype(torch.float64)
            try:
                other = gradients(stops, independent)
            finally:
                torch.set_default_dtype(torch.float32)
            assert [x.dtype for x in other] == [torch.float32] * 2
            assert all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(usual, other, strict=True))


def test_float32_and_float64_come_back_as_they_came():
    for dtype in (torch.float32, torch.float64):
        field, z0 = field_and_start(dtype=dtype)
        assert solve(field, z0, torch.rand(5, 2)).z.dtype == dtype


def test_a_solution_too_large_to_be_squared_is_named_by_series_and_time():
    with pytest.raises(SolveError, match="not finite: series 1 at t = 1"):
        solve(
            lambda t, z: torch.tensor([[1.0], [60.0]]) * z,
            torch.ones(2, 3),
            torch.ones(2, 1),
            t0=0.0,
            t1=1.0,
            method="rk4",
            n_steps=40,
        )


def test_an_error_too_large_to_be_squared_is_no_solution_though_the_state_is_small():
    field = lambda t, z: torch.where(t < 0.5, 1e25, -1e25).expand_as(z)  # noqa: E731
    with pytest.raises(SolveError, match="not finite: series 0 at t = 1"):
        solve(field, torch.ones(1, 2), torch.ones(1, 1), 0.0, 1.0, method="heun", n_steps=1)


def test_the_causes_of_many_series_are_told_in_short():
    few, many = (SolveError("It broke", range(n), [0.5 + i for i in range(n)], "Mend it.") for n in (8, 9))
    shown = ", ".join(f"{i} at t = {i}.5" for i in range(8))
    assert str(few) == f"It broke: series {shown}. Mend it."
    assert str(many) == f"It broke: series {shown} and 1 more. Mend it."
    assert many.reached == many.times == tuple(0.5 + i for i in range(9))


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve", "autograd", None])
@pytest.mark.parametrize("stops", [{}, {"jump_times": [0.3]}, {"step_times": [0.3]}], ids=str)
def test_the_estimated_error_is_the_same_whoever_takes_the_steps(adjoint, stops):
    """It is relative to the greatest state, which is the last one here."""
    z0, times = torch.tensor([[1.0], [-2.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    error = solve(lambda t, z: 5 * z * t, z0, times, n_steps=3, coarse=None, **stops).stats.error
    z0.requires_grad_(adjoint is not None)
    adjoint = adjoint or "discrete"
    taken = solve(lambda t, z: 5 * z * t, z0, times, n_steps=3, coarse=None, adjoint=adjoint, **stops).stats
    assert torch.allclose(taken.error, error, rtol=1e-12)
    assert (error > 0).all()


def test_the_estimated_error_of_a_smooth_field_is_the_same_where_it_might_jump():
    z0, times = torch.tensor([[1.0], [-2.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    for method in ("euler", "rk4", "bosh3", "kvaerno3"):
        smooth, jumping = (
            solve(lambda t, z: 5 * z * t, z0, times, n_steps=3, method=method, coarse=None, **stops).stats.error
            for stops in ({"step_times": [0.3, 0.8]}, {"jump_times": [0.3, 0.8]})
        )
        assert torch.allclose(smooth, jumping, rtol=1e-6)


def test_a_field_that_knows_its_derivatives_is_asked_for_both_sides_at_once_and_each_has_its_steps():
    field, z0 = field_and_start()
    times = torch.tensor([[-0.5, 0.8]], dtype=torch.float64).expand(5, 2)

    def evaluations(field, **options):
        solution = solve(field, z0, times, coarse=None, **options)
        assert torch.allclose(solution.z, solve(Hidden(field), z0, times, coarse=None, **options).z, atol=1e-14)
        return solution.stats.evaluations

    once = 1 + 4 * 6
    assert evaluations(field) == evaluations(field, adjoint="autograd") == once
    assert evaluations(field, n_steps=6, n_steps_back=2) == once + 1 + 4 * 2
    assert evaluations(field, adjoint="checkpointed") == evaluations(Hidden(field)) == 2 * once
    assert evaluations(field, step_times=[0.4]) == 2 * once


def test_stops_where_no_series_goes_cost_no_step():
    z0, times = torch.ones(2, 1), torch.tensor([[1.0], [0.5]])
    beyond = [-1.0, 0.0, 1.0, 1.5, NAN]
    for name in ("step_times", "jump_times"):
        stats = solve(lambda t, z: -z, z0, times, t0=0.0, n_steps=4, **{name: beyond[:2] + beyond[3:]}).stats
        assert (stats.steps, stats.evaluations) == (4, 17)
    alone = solve(lambda t, z: -z, z0[:1], times[:1], t0=0.0, n_steps=4, step_times=beyond).stats
    assert alone.steps == 4


def test_series_that_blow_up_on_either_side_keep_what_they_have_on_both():
    z0 = torch.tensor([[2.0], [0.1], [-2.0]], dtype=torch.float64)  # z = z0 / (1 - z0 t)
    times = torch.tensor([-1.0, -0.45, -0.2, 0.2, 0.45, 1.0], dtype=torch.float64)
    options = {"method": "tsit5", "rtol": 1e-5, "atol": 1e-7, "min_step": 1e-4, "on_failure": "nan"}
    truth = z0 / (1 - z0 * times)
    truth[0, 5] = truth[2, 0] = NAN
    for asked in (slice(0, 6), slice(0, 3), slice(3, 6)):
        z = solve(lambda t, z: z**2, z0, times[asked], **options).z[..., 0]
        assert torch.allclose(z, truth[:, asked], rtol=1e-3, equal_nan=True)
    for t1, t_back in ((4.0, 2.0), (2.0, 4.0)):
        z = solve(lambda t, z: z**2, z0, times + 3, 3.0, t1, t_back=t_back, **options).z[..., 0]
        assert torch.allclose(z, truth, rtol=1e-3, equal_nan=True)


def test_a_series_without_a_start_is_nan_beside_the_others_whatever_they_are_made_of():
    z0 = torch.ones(2, 3)
    z0[1, 2] = NAN
    for method in ("rk4", "tsit5"):
        z = solve(lambda t, z: -z, z0, torch.ones(2, 1), method=method, on_failure="nan").z
        assert z[1].isnan().all()
        assert torch.allclose(z[0], torch.full((1, 3), math.exp(-1)), rtol=1e-3)


def test_a_series_that_was_given_up_is_not_stepped_with_the_others():
    def field(t, z):
        given_up = torch.tensor([[False], [True]])
        return torch.where(given_up & ((z > 0.5) | (t > 0.5)), NAN, -z)

    z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    z = solve(field, z0, torch.ones(2, 1).double(), method="tsit5", on_failure="nan").z[..., 0]
    assert float(z[0]) == pytest.approx(math.exp(-1), rel=1e-3)
    assert z[1].isnan()


def test_a_series_whose_grid_breaks_keeps_its_answers_up_to_the_last_whole_step():
    def broken(t, z):
        return torch.where((t > 2.2) & (z > 1.0), NAN, 0.0 * z)

    z0, times = torch.tensor([[2.0], [0.5]], dtype=torch.float64), torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    ends = torch.tensor([4.0, 3.0], dtype=torch.float64)  # the second has nodes at 0, 0.75, 1.5, 2.25, 3
    for z1, where, whole in ((0.5, (2.0,), (1.0,)), (2.0, (2.0, 1.5), (1.0, 0.75))):
        with pytest.raises(SolveError, match="the solution is not finite: series 0 at t = 2") as caught:
            solve(broken, torch.tensor([[2.0], [z1]]).double(), times[:2], 0.0, ends, n_steps=4)
        assert (caught.value.times, caught.value.reached) == (where, whole)
    asked = z0.clone().requires_grad_()
    for adjoint in ("discrete", "checkpointed", "continuous", "backsolve", "autograd"):
        for stops, where, whole in ((None, 2.0, 1.0), ([1.0], 2.0, 1.0), ([1.5], 1.5, 0.75)):
            with pytest.raises(SolveError, match="not finite: series 0 at t = ") as caught:
                solve(broken, asked, times, n_steps=4, step_times=stops, adjoint=adjoint)
            assert caught.value.times == pytest.approx((where,))
            assert caught.value.reached == pytest.approx((whole,))
    z = solve(broken, z0, times, n_steps=4, on_failure="nan").z[..., 0]
    assert z[0, :2].tolist() == [2.0, 2.0]
    assert z[0, 2].isnan()
    assert z[1].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("method", ["kvaerno3", "kvaerno5"])
def test_an_implicit_method_counts_the_evaluations_of_its_stages(monkeypatch, method, independent):
    counted = []

    def field(t, z):
        counted.append(1)
        return torch.cos(9 * t) * z

    def jacobian(function, z):
        before = len(counted)
        answer = jacobian_of(function, z)
        del counted[before:]  # those for the Jacobian are not counted
        return answer

    monkeypatch.setattr("latentode.ode.problem.jacobian_of", jacobian)
    z0, times = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[1.0], [0.3]], dtype=torch.float64)
    for n_steps in (None, 3):
        counted.clear()
        stats = solve(field, z0, times, method=method, n_steps=n_steps, independent=independent, coarse=None).stats
        assert stats.evaluations == len(counted)
