import itertools
import math

import pytest
import torch

from latentode.ode import SolveError
from latentode.ode.torchdiffeq.stepping import Step, SteppedState, answers, first_change


def number(x):
    return torch.tensor(x, dtype=torch.float64)


def state_of(func=lambda t, y: -y, sign=1.0, **callbacks):
    return SteppedState(func, number([1.0, 2.0]), number(0.0), sign, lambda y: y.view(2, 1), callbacks)


def steps_of(solution, *nodes):
    """The steps of a known solution."""
    return (Step(number(a), number(b), solution) for a, b in itertools.pairwise(nodes))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_slope_is_evaluated_at_a_time_or_just_before_or_after_it_along_the_solve(sign):
    seen = []
    state = state_of(lambda t, y: seen.append(float(t)) or y, sign)
    for side in (0, 1, -1):
        state.slope(number(0.5), state.y0, side)
    assert seen == [0.5, math.nextafter(0.5, math.inf * sign), math.nextafter(0.5, -math.inf * sign)]


def test_the_time_has_the_dtype_of_the_state_and_keeps_its_gradient_beside_a_jump():
    dtypes, t = [], number(0.5).requires_grad_()
    state = SteppedState(lambda t, y: dtypes.append(t.dtype) or t * y, torch.ones(2), t, 1.0, lambda y: y)
    (gradient,) = torch.autograd.grad(state.slope(t, state.y0, 1).sum(), t)
    assert dtypes == [torch.float32]
    assert float(gradient) == 2.0


def test_a_callback_is_given_the_state_in_its_shape_and_a_positive_step():
    seen = []
    state = state_of(sign=-1.0, callback_accept_step=lambda t, y, step: seen.append((float(t), y.shape, float(step))))
    state.call("callback_accept_step", number(0.5), state.y0, number(-0.25))
    state.call("callback_reject_step", number(0.5), state.y0, number(-0.25))  # there is none
    assert seen == [(0.5, (2, 1), 0.25)]


def test_a_callback_before_a_step_changes_the_state_of_the_step_and_no_earlier_one():
    state = state_of(callback_step=lambda t, y, step: y.add_(1.0))
    assert state.before_step(number(0.0), state.y0, number(1.0)).tolist() == [2.0, 3.0]
    assert state.y0.tolist() == [1.0, 2.0]
    plain = state_of()
    assert plain.before_step(number(0.0), plain.y0, number(1.0)) is plain.y0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_answers_are_found_in_the_step_in_which_they_lie(sign):
    state, t = state_of(sign=sign), sign * number([0.0, 0.1, 0.4, 1.0, 2.5])
    steps = list(steps_of(lambda t: t * torch.ones(2).double(), *(sign * x for x in (0.0, 0.5, 1.0, 3.0))))
    taken = []

    def noted():
        for step in steps:
            taken.append(step)
            yield step

    y = answers(noted(), state, t)
    assert torch.equal(y[0], state.y0)
    assert torch.equal(y[1:, 0], t[1:])
    assert len(taken) == 3  # none after the last time


def test_no_step_is_taken_beyond_the_last_time():
    steps = steps_of(lambda t: t * torch.ones(2).double(), 0.0, 1.0, 2.0)
    answers(steps, state_of(), number([0.0, 1.0]))
    assert float(next(steps).begin) == 1.0


def test_the_first_state_that_is_not_finite_is_named_by_its_time():
    steps = steps_of(lambda t: torch.where(t < 0.5, 1.0, math.inf) * torch.ones(2).double(), 0.0, 1.0)
    with pytest.raises(SolveError, match="the state is not finite") as raised:
        answers(steps, state_of(), number([0.0, 0.4, 0.7, 1.0]))
    assert list(raised.value.times) == [0.7]


@pytest.mark.parametrize("when", [0.3, 1.0, 1.999])
def test_an_event_is_found_to_rounding_in_the_step_in_which_it_happens(when):
    found = first_change(steps_of(lambda t: t, 0.0, 1.0, 2.0, 3.0), lambda t, y: when - y, 9)
    assert float(found) == pytest.approx(when, abs=1e-15)
    assert float(found) >= when


def test_an_event_that_does_not_happen_in_the_limit_is_an_error_with_the_last_time():
    with pytest.raises(SolveError, match="no event was found in 2 steps") as raised:
        first_change(steps_of(lambda t: t, 0.0, 1.0, 2.0, 3.0), lambda t, y: 9.0 - y, 2)
    assert list(raised.value.times) == [2.0]
