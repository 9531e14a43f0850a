import math

import pytest
import torch

from latentode.ode import PiecewiseConstant, solve, solve_event

Z0 = torch.tensor([[10.0, 0.0], [20.0, 1.0], [3.0, -1.0], [500.0, 0.0]], dtype=torch.float64)
GRAVITY, FLOOR = torch.tensor(9.81, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)


def fall(t, z, gravity, floor):
    return torch.stack([z[:, 1], -gravity.expand(len(z))], 1)


def height(t, z, gravity, floor):
    return z[:, 0] - floor


def landed(z0=Z0, gravity=GRAVITY, floor=FLOOR, t0=0.0, event=height, **options):
    options = {"t1": 5.0, "n_steps": 4, "coarse": None, **options}
    return solve_event(fall, z0, event, t0, args=(gravity, floor), **options)


def landing_times(z0=Z0):
    return (z0[:, 1] + (z0[:, 1] ** 2 + 2 * GRAVITY * (z0[:, 0] - FLOOR)).sqrt()) / GRAVITY


def test_each_series_stops_at_its_own_event_and_one_without_goes_to_the_end():
    landing = landed()
    assert landing.happened.tolist() == [True, True, True, False]
    assert torch.allclose(landing.times[:3], landing_times()[:3], atol=1e-12)
    assert landing.times[3] == 5.0
    assert torch.allclose(landing.z[:3, 0], FLOOR.expand(3), atol=1e-12)
    assert landing.stats.evaluations > 0


def test_a_series_has_the_event_it_has_alone():
    assert torch.allclose(landed().times[1:2], landed(Z0[1:2]).times, atol=1e-13)


def test_time_and_state_of_the_event_have_the_gradients_of_finite_differences():
    t0 = torch.tensor([0.0, 0.5, 0.2, 0.1], dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for x in (Z0, GRAVITY, FLOOR, t0)]
    assert torch.autograd.gradcheck(lambda *x: (landed(*x).times, landed(*x).z), inputs)


def test_the_direction_of_the_passage_may_matter():
    thrown = torch.tensor([[-1.0, 10.0]], dtype=torch.float64)
    up, down = (float(landed(thrown, direction=d, t1=2.5).times) for d in (1, -1))
    assert up < down
    assert up == pytest.approx((10 - (100 - 2 * 9.81 * 1.3) ** 0.5) / 9.81)
    assert down == pytest.approx((10 + (100 - 2 * 9.81 * 1.3) ** 0.5) / 9.81)
    assert float(landed(thrown, t1=2.5).times) == pytest.approx(up)
    under = landed(thrown, direction=1, t1=2.5, event=lambda t, z, gravity, floor: floor - z[:, 0])
    assert float(under.times) == pytest.approx(down)


def test_an_event_at_the_start_is_none_and_the_next_one_is():
    thrown, t1 = torch.tensor([[0.3, 10.0], [0.3, 5.0]], dtype=torch.float64), torch.tensor([3.0, 2.0]).double()
    assert torch.allclose(landed(thrown, t1=t1).times, 2 * thrown[:, 1] / GRAVITY)


def test_where_no_end_is_given_the_search_ends_at_one():
    found = solve_event(lambda t, z: torch.ones_like(z), torch.zeros(2, 1), lambda t, z: z[:, 0] - 1.5, n_steps=2)
    assert not found.happened.any()
    assert found.times.tolist() == [1.0, 1.0]


def test_events_are_found_backwards_in_time():
    backwards = landed(torch.tensor([[-5.0, -20.0]], dtype=torch.float64), t0=1.0, t1=-1.0)
    assert backwards.happened.all()
    assert float(backwards.times) < 1.0
    assert float(backwards.z[0, 0]) == pytest.approx(0.3)


def test_an_event_may_lie_on_a_check_or_in_time_alone():
    for direction, event in ((0, 1.0), (1, 1.0), (-1, -1.0), (1, -1.0)):
        alarm = landed(event=lambda t, z, *args, way=event: way * (t.squeeze(1) - 2.5), direction=direction)
        happened = direction in (0, event)
        assert alarm.happened.tolist() == [happened] * 4
        assert torch.allclose(alarm.times, torch.full((4,), 2.5 if happened else 5.0, dtype=torch.float64))


def test_an_event_that_reads_the_time_of_a_driven_series_has_the_gradients_of_finite_differences():
    def found(z0, values, speed):
        control = PiecewiseConstant(torch.tensor([0.0, 0.4, 2.0], dtype=torch.float64), values)
        options = {"t1": 5.0, "args": (speed,), "control": control, "n_steps": 4, "n_checks": 10, "coarse": None}

        def field(t, z, u, speed):
            return torch.cat([z[:, 1:], u[:, :1] * u[:, 1:] - 9.81], 1)

        landing = solve_event(field, z0, lambda t, z, speed: z[:, 0] - speed * t[:, 0], **options)
        assert landing.happened.all()
        return torch.cat([landing.times.unsqueeze(1), landing.z], 1)

    values, speed = torch.tensor([[1.0, 1.0], [2.0, 2.0], [-1.0, 2.0]]).double(), torch.tensor(0.7, dtype=torch.float64)
    times, heights, _ = found(Z0[:2], values, speed).unbind(1)
    assert torch.allclose(heights, speed * times, atol=1e-12)
    given = [x.clone().requires_grad_() for x in (Z0[:2], values, speed)]
    ways = [torch.randn_like(x) for x in given]
    grads = torch.autograd.grad(found(*given).sum(), given)
    with torch.no_grad():
        ahead, behind = (found(*(x + h * way for x, way in zip(given, ways, strict=True))).sum() for h in (1e-5, -1e-5))
    along = sum((g * way).sum() for g, way in zip(grads, ways, strict=True))
    assert float(along) == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-6)


def test_an_event_is_in_the_precision_of_its_time_and_the_state_in_its_own():
    begin, z0 = torch.tensor(2.0**30, dtype=torch.float64), Z0[:2].float().requires_grad_()

    def field(t, z):
        assert t.dtype == z.dtype == torch.float32
        return torch.stack([z[:, 1], torch.full_like(z[:, 1], -9.81)], 1)

    def event(t, z):
        assert t.dtype == z.dtype == torch.float32
        return z[:, 0] + 0 * t[:, 0]

    landing = solve_event(field, z0, event, begin, begin + 5.0, n_steps=4, coarse=None)
    assert (landing.times.dtype, landing.z.dtype) == (torch.float64, torch.float32)
    falling = (z0[:, 1] + (z0[:, 1] ** 2 + 2 * 9.81 * z0[:, 0]).sqrt()) / 9.81
    assert torch.allclose(landing.times - begin, falling.double(), rtol=1e-5)
    assert torch.allclose(*(torch.autograd.grad(x.sum(), z0)[0] for x in (landing.times, falling)), rtol=1e-4)


def test_an_event_of_the_wrong_shape_and_an_unknown_direction_are_refused():
    with pytest.raises(ValueError, match="one number per series"):
        landed(event=lambda t, z, *args: z)
    with pytest.raises(ValueError, match="direction must be"):
        landed(direction=2)


def test_the_statistics_of_an_event_are_those_of_the_search_and_the_last_solve():
    counted = []

    def field(t, z):
        counted.append(1)
        return torch.stack([z[:, 1], -9.81 * (1 + torch.cos(30 * t[:, 0]))], 1)

    options = {"method": "bosh3", "rtol": 1e-3, "atol": 1e-3}
    found = solve_event(field, Z0[:2], lambda t, z: z[:, 0], t1=5.0, **options)
    assert found.stats.evaluations == len(counted) - 1  # the last one is for the gradient
    search = solve(field, Z0[:2], torch.full((2, 1), 5.0, dtype=torch.float64), t1=5.0, t_back=0.0, **options).stats
    last = solve(field, Z0[:2], found.times.unsqueeze(1), t1=found.times, t_back=0.0, **options).stats
    assert found.stats.rejected == search.rejected + last.rejected > 0
    assert found.stats.steps == search.steps + last.steps
    assert torch.allclose(found.stats.error, last.error, rtol=1e-2)


def decay(t, z):
    return -z


FLAT = {
    "boolean": lambda t, z: z.mean(1) > 0.5,
    "sign": lambda t, z: torch.sign(z.mean(1) - 0.5),
    "floor": lambda t, z: torch.floor(2 * z.mean(1)),
    "steep": lambda t, z: torch.tanh(1e6 * (z.mean(1) - 0.5)),
    "overshooting": lambda t, z: torch.tanh(30 * (z.mean(1) - 0.5 - 1e-3)),
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("direction", [0, -1, 1])
def test_an_event_without_a_slope_is_where_the_last_solve_changes_its_sign(name, direction):
    z0 = torch.ones(2, 3, dtype=torch.float64)
    found = solve_event(decay, z0, FLAT[name], t1=3.0, direction=direction, n_steps=12)
    exact = -math.log(0.501 if name == "overshooting" else 0.5)
    assert found.happened.tolist() == [direction < 1] * 2
    assert found.times.tolist() == pytest.approx([exact if direction < 1 else 3.0] * 2, abs=2e-6)


def test_a_steep_event_has_the_gradient_of_a_gentle_one_and_one_without_a_slope_has_none():
    z0 = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    steep, gentle, flat = (
        torch.autograd.grad(solve_event(decay, z0, event, t1=3.0, n_steps=40).times.sum(), z0)[0]
        for event in (lambda t, z: torch.tanh(1e3 * (z.mean(1) - 0.5)), lambda t, z: z.mean(1) - 0.5, FLAT["sign"])
    )
    assert torch.allclose(steep, gentle)
    assert torch.allclose(gentle, torch.full_like(gentle, 1 / 3), rtol=1e-4)
    assert torch.equal(flat, torch.zeros_like(flat))
    assert not solve_event(decay, z0, FLAT["boolean"], t1=3.0, n_steps=40).times.requires_grad


@pytest.mark.parametrize("value", [None, 1.0, torch.ones(2) * 1j, torch.ones(3)])
def test_an_event_that_is_no_real_number_per_series_is_refused(value):
    with pytest.raises(ValueError, match=r"one number per series, \(2,\), not"):
        solve_event(decay, torch.ones(2, 3), lambda t, z: value, n_steps=12)
