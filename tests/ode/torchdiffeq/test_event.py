import math

import pytest
import torch

from latentode.ode import SolveError, odeint, odeint_adjoint, odeint_event


def decay(t, y):
    return -0.5 * y


@pytest.mark.parametrize("backwards", [False, True])
def test_an_event_is_found_from_any_time_in_its_precision_and_may_read_the_time(backwards):
    y0, begin = torch.ones(1, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64)
    way = -1.0 if backwards else 1.0
    event_t, y = odeint_event(
        decay, y0, begin, event_fn=lambda t, y: way * (t - 0.1) - 0.35 * y, reverse_time=backwards, rtol=1e-11
    )
    found = float(event_t)
    assert event_t.dtype == torch.float64
    assert way * (found - 0.1) == pytest.approx(0.35 * math.exp(-0.5 * (found - 0.1)), abs=1e-10)
    assert torch.equal(y[0], y0)
    whole, _ = odeint_event(decay, torch.ones(1), torch.tensor(2), event_fn=lambda t, y: y - 0.8)
    assert whole.dtype == torch.float32
    assert float(whole) == pytest.approx(2 - 2 * math.log(0.8), rel=1e-5)


def test_an_event_on_a_fixed_grid_is_where_its_steps_have_it_and_needs_their_size():
    for begin in (7.0, 0.0):
        call = {"t0": torch.tensor(begin, dtype=torch.float64), "event_fn": lambda t, y: y - 0.6, "method": "euler"}
        y0, options = torch.ones(1, dtype=torch.float64), {"step_size": 0.25}
        event_t, _ = odeint_event(lambda t, y: -y, y0, options=options, **call)
        assert float(event_t) - begin == pytest.approx(2 - 2 * 0.6**0.5, abs=1e-4)  # two steps: (1 - t / 2)^2 = 0.6
        call["event_fn"] = lambda t, y, end=begin + 0.5: t - end + 0 * y
        event_t, y = odeint_event(lambda t, y: -y, y0, options=options, **call)
        assert float(event_t) - begin == pytest.approx(0.5)
        assert float(y[1]) == pytest.approx(0.5625)  # two steps lead to an event just two steps away
        call["event_fn"] = lambda t, y: y - 0.9
        event_t, _ = odeint_event(lambda t, y: -y, y0, options=options, **call)
        assert float(event_t) - begin == pytest.approx(0.1)  # one step
    with pytest.raises(ValueError, match=r"step_size'\] is needed to find an event by the fixed grid of euler"):
        odeint_event(lambda t, y: -y, torch.ones(1, dtype=torch.float64), **call)


def test_an_event_is_looked_for_from_a_state_of_nothing_too_and_at_times_as_the_state_is():
    def rise(t, y):
        assert t.dtype == y.dtype == torch.float32
        return 1 + 0 * y + 0 * t

    def event(t, y):
        assert t.dtype == y.dtype == torch.float32
        return y - 2.0

    event_t, _ = odeint_event(rise, torch.zeros(2), torch.tensor(0.5), event_fn=event)
    assert float(event_t) == pytest.approx(2.5, rel=1e-5)


def test_an_event_has_the_gradient_of_what_the_function_reads_whoever_declared_it():
    rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    call = {"y0": torch.ones(1).double(), "t0": torch.tensor(0.0).double(), "event_fn": lambda t, y: y - 0.5}
    event_t, _ = odeint_event(lambda t, y: -rate * y, **call)
    (gradient,) = torch.autograd.grad(event_t, rate)
    assert float(gradient) == pytest.approx(-math.log(2.0) / 4.0, rel=1e-5)
    with pytest.raises(ValueError, match="uses a trainable tensor"):
        odeint_event(lambda t, y: -rate * y, odeint_interface=odeint_adjoint, **call)


def test_an_event_that_is_zero_where_it_starts_has_happened_there():
    y0, begin = torch.ones(2, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    event_t, y = odeint_event(decay, y0, begin, event_fn=lambda t, y: torch.stack([y[0] - 1.0, y[1] - 0.5]))
    assert event_t == begin
    assert torch.equal(y, y0.expand(2, -1))


def test_an_event_is_looked_for_from_a_state_at_rest_too():
    y0, begin = torch.ones(1, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    for speed in (0.0, 1e-310):
        event_t, _ = odeint_event(lambda t, y, v=speed: t + v + 0 * y, y0, begin, event_fn=lambda t, y: y - 3.0)
        assert float(event_t) == pytest.approx(2.0)


def test_an_event_is_looked_for_as_finely_as_the_state_moves():
    y0, t0 = torch.ones(1, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    event_t, _ = odeint_event(lambda t, y: -100 * y, y0, t0, event_fn=lambda t, y: torch.cos(10_000 * t) + 0 * y)
    assert float(event_t) == pytest.approx(math.pi / 20_000, rel=1e-6)


def test_an_event_that_moves_just_behind_the_check_that_found_it_is_found_there():
    seen = []

    def event(t, y):
        if t.item() >= 0.5 and not seen:
            seen.append(t.item())
            return -1.0 + 0 * y
        return (seen[0] + 1e-4 if seen else 1.0) - t + 0 * y

    event_t, _ = odeint_event(decay, torch.ones(1).double(), torch.tensor(0.0).double(), event_fn=event)
    assert float(event_t) == pytest.approx(seen[0] + 1e-4, abs=1e-9)


def test_an_event_that_is_gone_when_it_is_solved_for_is_an_error():
    seen = []

    def event(t, y):
        first = t.item() >= 0.5 and not seen
        seen.extend([t.item()] * first)
        return (-1.0 if first else 1.0) + 0 * t + 0 * y

    with pytest.raises(
        SolveError, match=r"only touches zero: series 0 at t = 0\.5.*Let it pass through zero"
    ) as caught:
        odeint_event(decay, torch.ones(1), torch.tensor(0.0), event_fn=event)
    assert caught.value.series == (0,)
    assert caught.value.times == pytest.approx(seen)


FLAT = {
    "boolean": lambda t, y: y.mean() > 0.5,
    "sign": lambda t, y: torch.sign(y.mean() - 0.5),
    "floor": lambda t, y: torch.floor(2 * y.mean()),
    "where": lambda t, y: torch.where(y > 0.5, 1.0, -1.0),
    "integer": lambda t, y: torch.floor(2 * y).long() - (y < 0.5).long(),
    "steep": lambda t, y: torch.tanh(1e6 * (y - 0.5)),
    "cubic": lambda t, y: (y - 0.5) ** 3,
}


@pytest.mark.parametrize("name", FLAT)
def test_an_event_without_a_slope_is_where_its_sign_changes(name):
    y0, begin = torch.ones(2, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    event_t, y = odeint_event(lambda t, y: -y, y0, begin, event_fn=FLAT[name])
    assert float(event_t) == pytest.approx(math.log(2.0), abs=1e-6)
    assert y[1].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)


@pytest.mark.parametrize("value", [None, 0.5, torch.tensor(1j), torch.ones(0)])
def test_an_event_that_is_no_real_tensor_is_refused(value):
    with pytest.raises(ValueError, match=r"event_fn.* must return a tensor of real numbers or of booleans, not"):
        odeint_event(decay, torch.ones(2), torch.tensor(0.0), event_fn=lambda t, y: value)


@pytest.mark.parametrize("interface", [odeint, odeint_adjoint])
def test_the_event_of_a_field_that_differentiates_a_potential_is_found_and_has_gradients(interface):
    def field(t, y):
        with torch.enable_grad():
            y = y if y.requires_grad else y.detach().requires_grad_()
            return -torch.autograd.grad(0.5 * (y**2).sum(), y, create_graph=True)[0]

    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    call = {"event_fn": lambda t, y: y - 0.5, "odeint_interface": interface}
    event_t, _ = odeint_event(field, y0, torch.tensor(0.0, dtype=torch.float64), **call)
    assert float(event_t.detach()) == pytest.approx(math.log(2.0), rel=1e-6)
    assert float(torch.autograd.grad(event_t, y0)[0]) == pytest.approx(1.0, rel=1e-5)
    with torch.no_grad():
        event_t, _ = odeint_event(field, y0, torch.tensor(0.0, dtype=torch.float64), **call)
    assert float(event_t) == pytest.approx(math.log(2.0), rel=1e-6)
