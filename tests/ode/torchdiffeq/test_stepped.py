"""Methods and options that `solve` does not have: values, orders and gradients beside exact solutions."""

import math
import warnings

import pytest
import torch

from latentode.ode import SolveError, odeint, odeint_adjoint, odeint_event
from tests.ode.torchdiffeq.turning import start, times, turned, turning

ORDERS = {
    "explicit_adams": 4,
    "implicit_adams": 5,
    "implicit_euler": 1,
    "implicit_midpoint": 2,
    "trapezoid": 2,
    "sdirk2": 2,
    "trbdf2": 2,
    "radauIIA3": 3,
    "gl4": 4,
    "radauIIA5": 5,
    "gl6": 6,
}
COUPLED = ("implicit_midpoint", "radauIIA3", "gl4", "radauIIA5", "gl6")


@pytest.mark.parametrize("method", ORDERS)
@pytest.mark.parametrize("backwards", [False, True])
def test_every_method_converges_with_its_order_in_both_directions(method, backwards):
    errors, options = [], {"max_order": 5, "max_iters": 20} if "adams" in method else {}
    for n in (20, 40) if "adams" in method else (10, 20):
        t = times(n)
        t, y0 = (t.flip(0), turned(t[-1])) if backwards else (t, start())
        y = odeint(turning, y0, t, method=method, options=options)
        errors.append(float((y[-1] - turned(t[-1])).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[method], abs=0.6)


@pytest.mark.parametrize("method", [*COUPLED, "explicit_adams", "implicit_adams"])
def test_gradients_of_the_steps_agree_with_finite_differences(method):
    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0], dtype=torch.float64, requires_grad=True)
    options = {"max_iters": 30} if "adams" in method else {}

    def solved(y0, t, rate):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return odeint(lambda t, y: torch.cos(t) - rate * y**3, y0, t, method=method, options=options)

    assert torch.autograd.gradcheck(solved, (start().requires_grad_(), t, rate))


def test_each_part_or_number_of_the_state_may_have_its_own_tolerance():
    def fall(t, y):
        return (-y[0], 50 * torch.cos(50 * t))

    y0, t = (torch.ones(2, dtype=torch.float64), torch.zeros((), dtype=torch.float64)), times(1, 1.0)
    errors = []
    for rough in (1e-8, 10.0):
        y = odeint(fall, y0, t, rtol=(1e-8, rough), atol=[1e-8, rough])
        errors.append(float((y[1][-1] - math.sin(50.0)).abs()))
        assert torch.allclose(y[0][-1], torch.exp(-t[-1]).expand(2), atol=1e-5)
    assert errors[0] < 1e-6 < errors[1]
    each = torch.tensor([1e-8, 10.0], dtype=torch.float64)
    y = odeint(lambda t, y: torch.stack([-y[0], 50 * torch.cos(50 * t)]), start(), t, rtol=each, atol=each)
    assert abs(float(y[-1, 0]) - math.exp(-1.0)) < 1e-5
    with pytest.raises(ValueError, match="rtol must be one number, or one for each of the 2 parts"):
        odeint(fall, y0, t, rtol=(1e-3, 1e-3, 1e-3))
    with pytest.raises(ValueError, match=r"atol must be shaped like the state, \[\(2,\)\], not \(3,\)"):
        odeint(turning, start(), t, atol=torch.ones(3))


def test_steps_that_cannot_be_taken_end_in_words():
    norm = {"norm": lambda y: y.abs().max()}
    with pytest.raises(SolveError, match="needs more steps than its limit of 3"):
        odeint(turning, start(), times(1), options={"max_num_steps": 3, **norm})
    with pytest.raises(SolveError, match=r"rounding|not finite"):
        odeint(lambda t, y: y**2, start(), times(1), options=norm)
    with pytest.raises(SolveError, match="not finite"):
        odeint(lambda t, y: y * float("nan"), start(), times(4), method="explicit_adams")


EVENTS = [
    ({"options": {"norm": lambda y: y.abs().max()}}, 1e-6),
    ({"method": "gl4", "options": {"step_size": 0.05}}, 1e-6),
    ({"method": "implicit_adams", "options": {"step_size": 0.02, "max_iters": 20}}, 1e-6),
    ({"method": "trbdf2", "options": {"step_size": 0.02}}, 1e-3),
]


@pytest.mark.parametrize(("given", "tolerance"), EVENTS)
@pytest.mark.parametrize("face", [odeint, odeint_adjoint])
def test_events_have_their_time_and_its_gradient(given, tolerance, face):
    rate = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    given = {**given, **({"adjoint_params": (rate,)} if face is odeint_adjoint else {})}
    when, y = odeint_event(
        lambda t, y: torch.stack([y[1], -rate * y[0]]), start(), torch.tensor(0.0, dtype=torch.float64),
        event_fn=lambda t, y: y[0], odeint_interface=face, **given,
    )  # fmt: skip
    assert float(when) == pytest.approx(math.pi / 2 / math.sqrt(2.0), abs=tolerance)
    assert float(y[-1, 1]) == pytest.approx(-math.sqrt(2.0), abs=tolerance)
    (slope,) = torch.autograd.grad(when, rate)
    assert float(slope) == pytest.approx(-math.pi / 4 * 2**-1.5, abs=tolerance)


def test_an_event_that_no_method_finds_is_refused():
    event = {"event_fn": lambda t, y: y[0] + 2.0}
    with pytest.raises(ValueError, match="scipy_solver finds no events"):
        odeint_event(turning, start(), torch.tensor(0.0), method="scipy_solver", **event)
    with pytest.raises(ValueError, match="step_size"):
        odeint_event(turning, start(), torch.tensor(0.0), method="gl4", **event)
    options = {"max_num_steps": 20, "first_step": 0.1}
    with pytest.raises(SolveError, match="more steps than its limit of 20"):
        odeint_event(turning, start(), torch.tensor(0.0), options=options, rtol=1e-3, atol=1e-3, **event)
