import math

import pytest
import torch

from latentode.ode import METHODS, odeint
from latentode.ode.torchdiffeq.collocation import COLLOCATION
from latentode.ode.torchdiffeq.grid import grid_steps, runge_kutta_advance
from latentode.ode.torchdiffeq.stepping import SteppedState
from tests.ode.torchdiffeq.turning import times


@pytest.mark.parametrize(("interp", "middle"), [("linear", 0.75), ("cubic", 0.625)])
def test_between_the_nodes_lies_what_is_said(interp, middle):
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    options = {"interp": interp, "step_size": 1.0}
    y = odeint(
        lambda t, y: -0.5 * torch.ones_like(y) * (t < 0.5), torch.ones(1).double(), t, method="euler", options=options
    )
    assert y[-1].item() == 0.5
    assert y[1].item() == pytest.approx(middle + (0.0625 if interp == "cubic" else 0.0))


def state_of(field, y0=1.0, begin=0.0):
    y0, begin = (torch.tensor(x, dtype=torch.float64) for x in ([y0], begin))
    return SteppedState(field, y0, begin, 1.0, lambda y: y)


def cubic(t, y):
    return 3 * t**2 * torch.ones_like(y)


NODES = torch.tensor([0.0, 0.5, 0.6, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("interp", ["linear", "cubic"])
def test_steps_go_from_node_to_node_and_join(interp):
    state = state_of(cubic, y0=0.0)
    advance = runge_kutta_advance(state, METHODS["rk4"], perturb=False, max_iterations=9)
    steps = list(grid_steps(state, NODES.unbind(0), advance, interp))
    assert [(float(s.begin), float(s.end)) for s in steps] == [(0.0, 0.5), (0.5, 0.6), (0.6, 1.0)]
    for step in steps:
        for t in (step.begin, step.end):
            assert float(step.at(t)) == pytest.approx(float(t) ** 3, abs=1e-15)
        middle = 0.5 * (step.begin + step.end)
        line = 0.5 * (float(step.begin) ** 3 + float(step.end) ** 3)
        expected = line if interp == "linear" else float(middle) ** 3  # a cubic with both slopes is that cubic
        assert float(step.at(middle)) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("method", "grown"),
    [
        (METHODS["euler"], lambda x: 1 + x),
        (METHODS["heun"], lambda x: 1 + x + x**2 / 2),
        (METHODS["implicit_euler"], lambda x: 1 / (1 - x)),
        (COLLOCATION["gl4"], lambda x: (1 + x / 2 + x**2 / 12) / (1 - x / 2 + x**2 / 12)),
        (COLLOCATION["radauIIA3"], lambda x: (1 + x / 3) / (1 - 2 * x / 3 + x**2 / 6)),
    ],
    ids=["euler", "heun", "implicit_euler", "gl4", "radauIIA3"],
)
def test_a_step_of_a_linear_field_grows_as_the_stability_function_says(method, grown):
    state = state_of(lambda t, y: -3.0 * y)
    advance = runge_kutta_advance(state, method, perturb=False, max_iterations=20)
    end, slope = advance(NODES[0], NODES[1], state.y0)
    assert float(end) == pytest.approx(grown(-1.5), abs=1e-14)
    assert float(slope) == -3.0


@pytest.mark.parametrize("method", [METHODS["rk4"], METHODS["trapezoid"]], ids=["rk4", "trapezoid"])
def test_a_field_that_jumps_at_a_node_is_evaluated_on_both_sides_of_it(method):
    seen = []

    def field(t, y):
        seen.append(float(t))
        return torch.where(t < 0.5, 1.0, -2.0) * torch.ones_like(y)

    state = state_of(field)
    advance = runge_kutta_advance(state, method, perturb=True, max_iterations=20)
    first, second = grid_steps(state, NODES[[0, 1, 3]].unbind(0), advance, "linear")
    assert float(first.at(first.end)) == pytest.approx(1.5, abs=1e-15)
    assert float(second.at(second.end)) == pytest.approx(0.5, abs=1e-15)
    assert 0.5 not in seen
    assert {math.nextafter(0.5, 0.0), math.nextafter(0.5, 1.0)} <= set(seen)


@pytest.mark.parametrize(("size", "expected"), [(0.25, 8), (0.3, 7), (5.0, 1)])
def test_a_step_size_divides_the_span_into_equal_steps_with_a_shorter_last_one(size, expected):
    seen = []

    def noted(t, y):
        seen.append(float(t))
        return -y

    options = {"step_size": size, "interp": "linear"}
    odeint(noted, torch.ones(1, dtype=torch.float64), times(1), method="rk4", options=options)
    begins = sorted({t for t in seen if seen.count(t) == 1})
    grid = [size * n for n in range(expected)]
    assert all(any(t == pytest.approx(node) for t in seen) for node in grid)
    assert len(seen) == 4 * expected
    assert begins[0] == 0.0


def test_gradients_reach_the_nodes():
    t = NODES.clone().requires_grad_()

    def end(t):
        state = SteppedState(lambda t, y: torch.cos(t) - y**3, t.new_tensor([0.8]), t[0], 1.0, lambda y: y)
        advance = runge_kutta_advance(state, METHODS["rk4"], perturb=False, max_iterations=9)
        return torch.stack(
            [s.at(0.3 * s.begin + 0.7 * s.end) for s in grid_steps(state, t.unbind(0), advance, "cubic")]
        )

    assert torch.autograd.gradcheck(end, (t,))
