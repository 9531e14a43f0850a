import itertools
import math

import pytest
import torch

from latentode.ode import METHODS, SolveError, odeint
from latentode.ode.torchdiffeq.by_error import ErrorSteps, default_norm
from latentode.ode.torchdiffeq.stepping import SteppedState
from tests.ode.torchdiffeq.turning import evaluations, start, times, turned, turning

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


def test_a_jump_is_met_from_both_sides():
    seen = []

    def field(t, y):
        seen.append(t.item())
        return torch.where(t < 0.3, 1.0, -2.0) * y

    options = {"jump_t": torch.tensor([0.3], dtype=torch.float64), "norm": lambda y: y.abs().max()}
    y = odeint(field, torch.ones(1, dtype=torch.float64), times(1, 1.0), options=options)
    assert y[-1].item() == pytest.approx(math.exp(0.3 - 1.4), rel=1e-6)
    assert 0.3 not in seen


def test_the_norm_of_a_tuple_is_the_largest_of_its_parts():
    three, empty = torch.tensor([3.0, -3.0]), torch.empty(0)
    assert float(default_norm(three)) == 3.0
    assert float(default_norm((torch.ones(100), three, empty))) == 3.0
    assert float(default_norm(torch.tensor([3 + 4j]))) == 5.0


def steps_of(options=None, tolerance=1e-6, method="dopri5", sign=1.0, end=2.0, limit=1000):
    begin = torch.tensor(0.0 if sign > 0 else end, dtype=torch.float64)
    last = torch.tensor(end if sign > 0 else 0.0, dtype=torch.float64)
    state = SteppedState(turning, turned(begin), begin, sign, lambda y: y)
    return list(steps_until(ErrorSteps(state, METHODS[method], tolerance, tolerance, options or {}, last, limit), last))


def steps_until(steps, last):
    for step in steps:
        yield step
        if float(step.end) == float(last):
            return


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "kvaerno3"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_accepted_steps_join_from_the_beginning_to_the_end_and_follow_the_solution(method, sign):
    found = steps_of(method=method, sign=sign, tolerance=1e-4)
    assert all(float(a.end) == float(b.begin) for a, b in itertools.pairwise(found))
    assert float(found[0].begin) == (0.0 if sign > 0 else 2.0)
    for step in found:
        middle = 0.5 * (step.begin + step.end)
        assert torch.allclose(step.at(middle), turned(middle), atol=5e-3)
        assert torch.allclose(step.at(step.end), turned(step.end), atol=5e-3)
    assert all(torch.allclose(a.at(a.end), b.at(b.begin), atol=1e-14) for a, b in itertools.pairwise(found))


def test_a_step_ends_at_every_time_where_one_should_and_none_is_longer_than_the_longest():
    found = steps_of({"step_t": [0.5, 1.3], "jump_t": torch.tensor([0.875]), "max_step": 0.2})
    assert {0.5, 0.875, 1.3, 2.0} <= {float(step.end) for step in found}
    assert max(float(step.end - step.begin) for step in found) <= 0.2 + 1e-15
    assert len(found) > len(steps_of())


def test_a_step_of_the_shortest_length_is_accepted_whatever_its_error():
    found = steps_of({"min_step": 0.5, "first_step": 0.5}, tolerance=1e-12)
    assert [float(step.end - step.begin) for step in found] == [0.5] * 4


def test_a_first_step_that_is_given_is_tried_first():
    assert float(steps_of({"first_step": 0.01})[0].end) == 0.01


def test_the_limit_counts_rejected_steps_too():
    rejected = []

    class State(SteppedState):
        def call(self, name, t, y, step):
            rejected.append(name)

    state = State(turning, start(), torch.tensor(0.0, dtype=torch.float64), 1.0, lambda y: y)
    end = torch.tensor(9.0, dtype=torch.float64)
    steps = ErrorSteps(state, METHODS["dopri5"], 1e-9, 1e-9, {"first_step": 5.0}, end, 6)
    with pytest.raises(SolveError, match="more steps than its limit of 6"):
        list(steps)
    assert len(rejected) == 6
    assert "callback_reject_step" in rejected


def test_the_gradient_of_steps_chosen_by_an_own_norm_is_that_of_the_solution():
    """Of y = R(a(t1) - a(t0)) y0 with the angle a = t + t^2 / 4."""
    y0, t = start().requires_grad_(), times(1).requires_grad_()
    y = odeint(turning, y0, t, rtol=1e-8, atol=1e-10, options={"norm": lambda y: y.abs().max()})
    by_state, by_time = torch.autograd.grad(y[-1, 0], [y0, t])
    cos, minus_sin = turned(t.detach()[-1])
    assert torch.allclose(by_state, torch.stack([cos, -minus_sin]), atol=1e-6)
    assert torch.allclose(by_time, torch.stack([-minus_sin, 2 * minus_sin]), atol=1e-6)


def test_times_given_as_numbers_keep_all_their_digits():
    """In single precision 0.3 is 1e-8 late, and the steps around the jump there are many."""
    counts = []
    for given in ([0.3], torch.tensor([0.3], dtype=torch.float64)):
        seen = []

        def field(t, y, seen=seen):
            seen.append(t.item())
            return torch.where(t < 0.3, 1.0, -2.0) * y

        options = {"jump_t": given, "norm": lambda y: y.abs().max()}
        odeint(field, torch.ones(1, dtype=torch.float64), times(1, 1.0), options=options)
        assert 0.3 not in seen
        counts.append(len(seen))
    assert counts[0] == counts[1]
    ends = [float(step.end) for step in steps_of({"step_t": [0.3, 1.3]})]
    assert {0.3, 1.3} <= set(ends)


def test_a_time_that_wants_a_gradient_gives_no_warning(recwarn):
    torch.set_warn_always(True)
    try:
        odeint(turning, start(), times(2).requires_grad_(), rtol=1e-3, atol=1e-3, options={"first_step": 0.1})
        for method in ("rk4", "implicit_adams", "gl4"):
            options = {"interp": "linear", "step_size": 0.6} if method == "rk4" else {}
            odeint(turning, start(), times(2).requires_grad_(), method=method, rtol=1.0, atol=1.0, options=options)
    finally:
        torch.set_warn_always(False)
    assert [str(warning.message) for warning in recwarn] == []
