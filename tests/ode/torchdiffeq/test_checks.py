import math

import pytest
import torch

from latentode.ode import SolveError, odeint, odeint_event

T = torch.tensor([0.0, 1.0])
Y = torch.ones(2)


def decay(t, y):
    return -y


REFUSED = [
    ({"rtol": 0.0, "atol": 0.0}, ValueError, "rtol and atol are both 0"),
    ({"rtol": math.nan}, ValueError, "rtol must be a finite number of at least 0, not nan"),
    ({"atol": math.nan}, ValueError, "atol must be a finite number"),
    ({"rtol": -1e-3}, ValueError, r"rtol .* not -0\.001"),
    ({"y0": torch.ones(0)}, ValueError, "y0 has no elements"),
    ({"y0": (torch.ones(0), torch.ones(2, 0))}, ValueError, "y0 has no elements"),
    ({"y0": torch.eye(3).to_sparse()}, TypeError, r"sparse .*to_dense"),
    ({"t": torch.tensor([0.0, math.inf])}, ValueError, r"t must be finite, but t\[1\] is inf"),
    ({"t": torch.tensor([math.nan, 1.0])}, ValueError, r"t must be finite, but t\[0\] is nan"),
    ({"t": torch.tensor([0j, 1j])}, TypeError, "t must be real, not torch.complex64"),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_is_no_problem_is_refused_by_its_cause(change, error, message):
    call = {"y0": Y, "t": T, **change}
    with pytest.raises(error, match=message):
        odeint(decay, **call)
    begin = call.pop("t")[0]
    if "inf" not in message:
        with pytest.raises(error, match=message):
            odeint_event(decay, t0=begin, event_fn=lambda t, y: y - 0.5, **call)


@pytest.mark.parametrize("slope", [-1.0, None, [-Y], Y.numpy(), (Y,)])
def test_a_slope_that_is_no_tensor_is_named(slope):
    with pytest.raises(ValueError, match=rf"tensor shaped like y, \(2,\), but returned {type(slope).__name__}\.$"):
        odeint(lambda t, y: slope, Y, T)


def test_arguments_in_the_order_of_scipy_are_found_by_the_shape_of_the_slope():
    for y0 in (Y, torch.ones(1), torch.ones(2, 3)):
        with pytest.raises(ValueError, match=r"shape of t\. The arguments of func are t, then y; scipy has them"):
            odeint(lambda y, t: -y, y0, T)
    with pytest.raises(ValueError, match="scipy"):
        odeint(lambda y, t: (-y, -y), (Y, Y), T)


def test_slopes_are_shaped_as_the_state_is_though_they_could_be_broadcast():
    for shape in ((1,), (3,), (1, 3), (2, 1), (2, 3, 1)):
        with pytest.raises(ValueError, match=r"\(2, 3\), but returned shape .* expand it"):
            odeint(lambda t, y, shape=shape: torch.ones(shape), torch.zeros(2, 3), T)
    for wrong in ((Y, Y, Y), [Y], torch.ones(4), torch.stack([Y, Y])):
        with pytest.raises(ValueError, match="must return a tuple of 2 tensors"):
            odeint(lambda t, y, wrong=wrong: wrong, (Y, Y), T)
    first, second = odeint(lambda t, y: [-part for part in y], (Y, Y), T)
    assert torch.equal(first, second)


def test_a_complex_slope_of_a_real_state_is_refused():
    for method in ("rk4", "dopri5"):
        with pytest.raises(TypeError, match=r"returned torch\.complex64 for a real state"):
            odeint(lambda t, y: -1j * y, Y, T, method=method)
        with pytest.raises(TypeError, match=r"returned torch\.complex64 for a real state"):
            odeint(lambda t, y: (y[0], -1j * y[1]), (Y, Y), T, method=method)


def test_steps_have_a_limit_which_an_option_raises():
    def fast(t, y):
        return 2e3 * torch.cos(2e3 * t) * torch.ones_like(y)

    y0, t = torch.zeros(1, dtype=torch.float64), T.double()
    call = {"method": "fehlberg2", "rtol": 1e-9, "atol": 1e-9}
    with pytest.raises(SolveError, match=r"limit of 200 steps .* options\['max_num_steps'\]"):
        odeint(fast, y0, t, **call, options={"max_num_steps": 200})
    with pytest.raises(SolveError, match=r"rtol=1e-14 is below the rounding of torch\.float32"):
        odeint(decay, Y, T, rtol=1e-14, atol=1e-14, options={"max_num_steps": 20})


def test_without_the_option_the_limit_is_that_of_solve(monkeypatch):
    monkeypatch.setattr("latentode.ode.torchdiffeq.arguments.MOST_STEPS", 30)
    with pytest.raises(SolveError, match="limit of 30 steps"):
        odeint(decay, Y, T, rtol=1e-14, atol=1e-14)
    with pytest.raises(SolveError, match="more steps than its limit of 30:"):
        odeint(decay, Y.double(), T, rtol=1e-13, atol=1e-13, options={"norm": torch.linalg.vector_norm})
