"""Methods and options that `solve` does not have: values, orders and gradients beside exact solutions."""

import math
import warnings

import pytest
import torch

from latentode.ode import SolveError, odeint, odeint_adjoint, odeint_event

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


def turning(t, y):
    return (1 + 0.5 * t) * torch.stack([y[1], -y[0]])


def start():
    return torch.tensor([1.0, 0.0], dtype=torch.float64)


def times(n, end=2.0):
    return torch.linspace(0.0, end, n + 1, dtype=torch.float64)


def turned(t):
    angle = t + 0.25 * t**2
    return torch.stack([torch.cos(angle), -torch.sin(angle)], -1)


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


@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams"])
def test_adams_methods_keep_their_order_on_a_grid_of_unequal_steps(method):
    errors = []
    for n in (40, 80):
        t = 2.0 * (times(n, 1.0) + 0.1 * torch.sin(2 * math.pi * times(n, 1.0)))
        y = odeint(turning, start(), t, method=method, options={"max_order": 5, "max_iters": 20})
        errors.append(float((y[-1] - turned(t[-1])).abs().max()))
    assert math.log2(errors[0] / errors[1]) > ORDERS[method] - 0.6


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


@pytest.mark.parametrize("method", ["gl4", "radauIIA3"])
def test_coupled_stages_can_be_differentiated_twice(method):
    y0 = torch.tensor([1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda y0: odeint(lambda t, y: -(y**3), y0, torch.tensor([0.0, 0.5, 1.0]).double(), method=method), (y0,)
    )


@pytest.mark.parametrize("method", ["implicit_euler", "radauIIA3", "radauIIA5", "sdirk2", "trbdf2"])
def test_a_stiff_field_is_solved_by_steps_that_an_explicit_method_cannot_take(method):
    def stiff(t, y):
        return -1e6 * (y - torch.cos(t)) - torch.sin(t)

    y = odeint(stiff, torch.tensor([2.0], dtype=torch.float64), times(10), method=method)
    assert y[-1].item() == pytest.approx(math.cos(2.0), abs=1e-4)
    with pytest.raises(SolveError):
        odeint(stiff, torch.tensor([2.0], dtype=torch.float64), times(200), method="rk4")


def test_a_state_too_large_for_one_matrix_is_refused():
    with pytest.raises(ValueError, match="a state of 3000 numbers is too large for an implicit method"):
        odeint(lambda t, y: -y, torch.ones(3000), torch.tensor([0.0, 1.0]), method="gl4")


def test_steps_of_adams_that_did_not_converge_are_counted_in_one_warning():
    with pytest.warns(UserWarning, match=r"^7 steps of implicit_adams did not converge in 1 iterations, the first at"):
        odeint(turning, start(), times(9), method="implicit_adams", options={"max_iters": 1})
    with pytest.raises(ValueError, match="max_order must be from 1 to 12, not 13"):
        odeint(turning, start(), times(9), method="implicit_adams", options={"max_order": 13})


OWN = [{"norm": lambda y: y.abs().max()}, {"first_step": 0.01}, {"safety": 0.7, "ifactor": 4.0}]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        # Of methods that take many steps, or iterations, the default suite has one option each.
        pytest.param(method, options, marks=[pytest.mark.slow] if few is not None and i != few else [])
        for method, few in {"adaptive_heun": 2, "bosh3": None, "dopri5": None, "dopri8": None, "kvaerno3": 0}.items()
        for i, options in enumerate(OWN)
    ],
)
def test_steps_by_an_own_norm_or_control_are_right_to_the_tolerance(method, options):
    t = torch.tensor([0.0, 0.4, 1.3, 2.0], dtype=torch.float64)
    y = odeint(turning, start(), t, method=method, rtol=1e-5, atol=1e-7, options=options)
    assert torch.allclose(y, turned(t), atol=3e-4)


def evaluations(**given):
    count = 0

    def counted(t, y):
        nonlocal count
        count += 1
        return turning(t, y)

    odeint(counted, start(), times(1), rtol=1e-5, atol=1e-7, **given)
    return count


def test_norms_and_limits_of_the_step_change_how_many_steps_are_taken():
    usual = evaluations(options={"norm": lambda y: y.abs().max()})
    assert evaluations(options={"norm": lambda y: 1000 * y.abs().max()}) > 1.5 * usual
    assert evaluations(options={"norm": lambda y: 1e-3 * y.abs().max()}) < usual
    assert evaluations(options={"min_step": 0.5}) < usual
    assert evaluations(options={"min_step": 1e-9, "max_step": 0.01}) > 1000
    assert evaluations(options={"first_step": 1e-7}) > usual
    assert evaluations(options={"safety": 0.3}) > usual


def test_a_norm_is_given_the_state_as_the_caller_shaped_it():
    shapes = set()

    def norm(state):
        shapes.add(tuple(tuple(part.shape) for part in state) if isinstance(state, tuple) else tuple(state.shape))
        return torch.tensor(0.5)

    t = torch.tensor([0.0, 1.0])
    odeint(lambda t, y: -y, torch.ones(2, 3), t, options={"norm": norm})
    odeint(lambda t, y: (-y[0], y[1]), (torch.ones(()), torch.ones(2)), t, options={"norm": norm})
    assert shapes == {(2, 3), ((), (2,))}


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


@pytest.mark.parametrize(("interp", "middle"), [("linear", 0.75), ("cubic", 0.625)])
def test_between_the_nodes_lies_what_is_said(interp, middle):
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    options = {"interp": interp, "step_size": 1.0}
    y = odeint(
        lambda t, y: -0.5 * torch.ones_like(y) * (t < 0.5), torch.ones(1).double(), t, method="euler", options=options
    )
    assert y[-1].item() == 0.5
    assert y[1].item() == pytest.approx(middle + (0.0625 if interp == "cubic" else 0.0))


def test_a_jump_is_met_from_both_sides():
    seen = []

    def field(t, y):
        seen.append(t.item())
        return torch.where(t < 0.3, 1.0, -2.0) * y

    options = {"jump_t": torch.tensor([0.3], dtype=torch.float64), "norm": lambda y: y.abs().max()}
    y = odeint(field, torch.ones(1, dtype=torch.float64), times(1, 1.0), options=options)
    assert y[-1].item() == pytest.approx(math.exp(0.3 - 1.4), rel=1e-6)
    assert 0.3 not in seen


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


@pytest.mark.parametrize("solver", ["RK45", "DOP853", "Radau", "LSODA"])
@pytest.mark.parametrize("backwards", [False, True])
def test_scipy_solves_in_both_directions(solver, backwards):
    t = times(3).flip(0) if backwards else times(3)
    y = odeint(turning, turned(t[0]), t, method="scipy_solver", options={"solver": solver})
    assert torch.allclose(y, turned(t), atol=1e-4)
    assert y.dtype == torch.float64


def test_scipy_tells_why_it_failed_and_follows_its_limits():
    with pytest.raises(SolveError, match="SciPy's RK45 failed"):
        odeint(lambda t, y: y**2, start(), times(1), method="scipy_solver", options={"solver": "RK45"})
    assert evaluations(method="scipy_solver", options={"max_step": 0.01}) > 200
    with pytest.raises(ValueError, match='adjoint="discrete" is not possible'):
        odeint_adjoint(turning, start(), times(1), method="scipy_solver", adjoint="discrete")
