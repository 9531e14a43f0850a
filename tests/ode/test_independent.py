import pytest
import torch

from latentode.ode import SolveError, solve


def swing(t, z, speed, begin):
    """Turn with a speed of one's own, except in a burst, which is much faster."""
    burst = torch.exp(-(((t - begin) / 0.05) ** 2))
    return torch.stack([z[:, 1], -z[:, 0]], 1) * (speed + 60.0 * speed.sign() * burst * (begin < 9))


def solved(speed, begin, **options):
    speed, begin = (torch.tensor(x, dtype=torch.float64).unsqueeze(1) for x in (speed, begin))
    z0 = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(len(speed), -1)
    times = torch.linspace(0.05, 1.0, 9, dtype=torch.float64)
    return solve(swing, z0, times, t1=1.0, args=(speed, begin), **{"method": "tsit5", **options})


def exact(speed, begin):
    return solved(speed, begin, method="dopri8", rtol=1e-11, atol=1e-12).z


def test_a_fast_series_among_255_easy_ones_has_the_error_it_has_alone_whoever_chooses_the_steps():
    speed, begin = [60.0] + [0.5] * 255, [9.0] * 256
    truth = exact(speed[:1], begin[:1])
    alone = (solved(speed[:1], begin[:1]).z - truth).abs().max()
    for independent in (False, True):
        among = (solved(speed, begin, independent=independent).z[:1] - truth).abs().max()
        assert among <= 1.01 * alone


def test_series_that_are_hard_at_different_times_take_fewer_evaluations_on_their_own_steps():
    speed, begin = [0.5] * 6, [0.1 + 0.15 * i for i in range(6)]
    fine = {"rtol": 1e-6, "atol": 1e-7}
    together, own = solved(speed, begin, **fine), solved(speed, begin, independent=True, **fine)
    assert own.stats.evaluations < 0.5 * together.stats.evaluations
    assert (own.z - exact(speed, begin)).abs().max() < 1e-4


@pytest.mark.parametrize("method", ["tsit5", "kvaerno3"])
def test_on_its_own_steps_a_series_takes_the_steps_it_takes_alone(method):
    speed, begin = [3.0, 12.0, 0.1], [9.0, 9.0, 0.5]
    call = {"independent": True, "method": method, "rtol": 1e-2, "atol": 1e-3}
    together = solved(speed, begin, **call).z
    for i in range(3):
        alone = solved(speed[i : i + 1], begin[i : i + 1], **call).z
        assert torch.allclose(together[i : i + 1], alone, atol=1e-12)


def sway(t, z):
    return torch.cos(9 * t) * z


def test_a_series_alone_takes_on_its_own_steps_those_it_takes_on_shared_ones_and_counts_them():
    counted = []

    def field(t, z):
        counted.append(1)
        return sway(t, z)

    z0, times = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    shared, own = (
        solve(field, z0, times, method="dopri5", rtol=1e-7, atol=1e-8, independent=independent).stats
        for independent in (False, True)
    )
    assert (own.steps, own.rejected, own.evaluations) == (shared.steps, shared.rejected, shared.evaluations)
    assert own.rejected > 0
    assert own.evaluations == 1 + 6 * (own.steps + own.rejected)
    assert len(counted) == 2 * own.evaluations


@pytest.mark.parametrize("method", ["kvaerno3", "kvaerno5"])
def test_a_stiff_series_alone_has_the_same_answers_and_costs_whoever_chooses_its_steps(method):
    def field(t, z):
        return -1e3 * (z - torch.cos(t)) - torch.sin(t)

    z0, times = torch.tensor([[1.1]], dtype=torch.float64), torch.tensor([0.1, 1.0, 2.0], dtype=torch.float64)
    call = {"method": method, "rtol": 1e-5, "atol": 1e-5}
    shared, own = (solve(field, z0, times, independent=independent, **call) for independent in (False, True))
    assert torch.allclose(own.z, shared.z, rtol=1e-12)
    assert (own.stats.steps, own.stats.rejected) == (shared.stats.steps, shared.stats.rejected)


def test_steps_of_their_own_are_taken_on_request_and_counted():
    counted = []

    def field(t, z, speed, begin):
        counted.append(1)
        return swing(t, z, speed, begin)

    inputs = [torch.tensor(x, dtype=torch.float64).unsqueeze(1) for x in ([0.5, 0.5, -0.5], [0.2, 0.5, 0.8])]
    z0, times = torch.eye(2, dtype=torch.float64)[:1].expand(3, 2), torch.ones(1, dtype=torch.float64)
    call = {"field": field, "z0": z0, "times": times, "args": inputs, "method": "tsit5"}
    default, shared, own = (solve(**call, **more).stats for more in ({}, {"independent": False}, {"independent": True}))
    assert default.evaluations == shared.evaluations != own.evaluations
    assert len(counted) == 2 * shared.evaluations + own.evaluations


@pytest.mark.parametrize("independent", [False, True])
def test_as_many_steps_as_the_limit_says_are_allowed_and_not_one_more(independent):
    call = {"field": sway, "z0": torch.ones(2, 1), "times": torch.tensor([[1.0], [0.5]]), "method": "bosh3"}
    stats = solve(**call, independent=independent).stats
    tries = stats.steps + stats.rejected
    assert stats.rejected > 0
    solve(**call, independent=independent, max_steps=tries)
    with pytest.raises(SolveError, match=f"limit of {tries - 1} steps was reached: series "):
        solve(**call, independent=independent, max_steps=tries - 1)


def test_a_series_that_fails_on_its_own_steps_is_named_with_its_own_time_and_leaves_the_others_theirs():
    z0 = torch.tensor([[0.1], [2.0], [0.2]], dtype=torch.float64)  # z = z0 / (1 - z0 t): the second blows up at 0.5
    times = torch.tensor([1.3, 1.9], dtype=torch.float64)
    options = {"t0": 1.0, "method": "dopri5", "rtol": 1e-5, "atol": 1e-7, "independent": True}
    with pytest.raises(SolveError, match=r"fell under its minimum .*: series 1 at t = 1\.5") as caught:
        solve(lambda t, z: z**2, z0, times, **options)
    assert caught.value.series == (1,)
    assert caught.value.times[0] == caught.value.reached[0] == pytest.approx(1.5, abs=1e-3)
    z = solve(lambda t, z: z**2, z0, times, on_failure="nan", **options).z[..., 0]
    truth = z0 / (1 - z0 * (times - 1))
    truth[1, 1] = float("nan")
    assert torch.allclose(z, truth, rtol=1e-3, equal_nan=True)

    def broken(t, z):
        return torch.where((t > 1.7) & (torch.arange(3).unsqueeze(1) == 2), float("nan"), -z)

    with pytest.raises(SolveError, match=r"^the field is not finite: series 2 at t = 1\.") as caught:
        solve(broken, z0, times, **options)
    assert caught.value.series == (2,)
    assert 1.6 < caught.value.reached[0] <= 1.7


def test_times_finer_than_the_state_have_gradients_on_own_steps_too():
    begin = 1.7e9
    times = torch.tensor([[begin + 0.25, begin + 0.5], [begin + 1.0, begin]], dtype=torch.float64, requires_grad=True)
    z0 = torch.ones(2, 1, requires_grad=True)

    def field(t, z):
        assert t.dtype == z.dtype
        return -z

    for adjoint in ("discrete", "autograd"):
        for jumps in (None, [begin + 0.375]):
            options = {"method": "tsit5", "independent": True, "adjoint": adjoint, "jump_times": jumps}
            by_state, by_time = torch.autograd.grad(solve(field, z0, times, begin, **options).z.sum(), [z0, times])
            exact = torch.exp(-(times.detach() - begin))
            assert torch.allclose(by_state, exact.sum(1, keepdim=True).float(), rtol=1e-3)
            assert torch.allclose(by_time, -exact, rtol=1e-2)


def test_queries_at_the_start_and_beyond_the_end_by_rounding_are_read_where_other_series_step_on():
    begin, rate = 1e9, torch.tensor([[1.0], [300.0], [3.0]], dtype=torch.float64)
    end = torch.tensor([begin + 1e-3], dtype=torch.float64)
    times = torch.stack([end[0], torch.nextafter(end[0], end[0] + 1), torch.tensor(begin).double()])
    call = {"method": "tsit5", "rtol": 1e-7, "atol": 1e-9, "independent": True}
    z = solve(lambda t, z: -1e3 * rate * z, torch.ones(3, 1).double(), times, begin, end, **call).z[..., 0]
    passed = (times - begin).clamp(max=float(end[0]) - begin) * 1e3
    assert torch.allclose(z, torch.exp(-rate * passed), rtol=5e-4, atol=1e-8)
    assert torch.equal(z[:, 2], torch.ones(3, dtype=torch.float64))
