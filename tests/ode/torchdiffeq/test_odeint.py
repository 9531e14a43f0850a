import itertools
import math

import pytest
import torch

from latentode.ode import METHODS, SolveError, odeint, odeint_adjoint

FACES = [odeint, odeint_adjoint]


def decay(t, y):
    return -0.5 * y


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 2)])
def test_any_state_shape_comes_back_with_times_first(face, shape):
    y0 = torch.rand(shape, dtype=torch.float64) + 1
    t = torch.linspace(0, 2, 6, dtype=torch.float64)
    y = face(decay, y0, t)
    assert y.shape == (6, *shape)
    assert torch.equal(y[0], y0)
    assert torch.allclose(y, y0 * torch.exp(-0.5 * t).view(-1, *[1] * len(shape)), rtol=1e-6)


@pytest.mark.parametrize("face", FACES)
def test_a_tuple_state_comes_back_as_a_tuple(face):
    def spring(t, state):
        position, speed = state
        return speed, -position.unsqueeze(0).sum(0) + 0 * t

    y0 = (torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    t = torch.linspace(0, 3, 4, dtype=torch.float64)
    position, speed = face(spring, y0, t, rtol=1e-8, atol=1e-10)
    assert torch.allclose(position, torch.cos(t).unsqueeze(1).expand(4, 3), atol=1e-6)
    assert torch.allclose(speed, -torch.sin(t).unsqueeze(1).expand(4, 3), atol=1e-6)


@pytest.mark.parametrize("face", FACES)
def test_the_function_sees_a_time_of_no_dimension_and_a_state_of_its_own_shape(face):
    seen = set()

    def field(t, y):
        seen.add((t.shape, y.shape, t.dtype))
        return y * torch.cos(t)

    y = face(field, torch.ones(2, 3), torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)
    assert seen == {(torch.Size([]), torch.Size([2, 3]), torch.float32)}
    assert torch.allclose(y[-1], torch.full((2, 3), math.exp(math.sin(1.0))), rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_time_may_run_backwards(method):
    t = torch.linspace(1.0, -1.0, 51, dtype=torch.float64)
    y = odeint(decay, torch.ones(2, dtype=torch.float64), t, method=method, rtol=1e-6, atol=1e-8)
    assert torch.allclose(y[:, 0], torch.exp(-0.5 * (t - 1)), rtol=2e-2 if "euler" in method else 1e-4)


def test_a_fixed_grid_steps_from_time_to_time_as_euler_did():
    t = torch.tensor([0.0, 0.1, 0.5, 0.6], dtype=torch.float64)
    y = odeint(decay, torch.ones(1, dtype=torch.float64), t, method="euler")
    expected = [1.0]
    for h in t.diff().tolist():
        expected.append(expected[-1] * (1 - 0.5 * h))
    assert y.flatten().tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("face", FACES)
def test_a_step_size_makes_the_grid_finer(face):
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y = face(decay, torch.ones(1, dtype=torch.float64), t, method="euler", options={"step_size": 0.25})
    assert y[-1].item() == pytest.approx((1 - 0.125) ** 4, rel=1e-14)
    y = face(decay, torch.ones(1, dtype=torch.float64), t, method="euler", options={"step_size": 9.0})
    assert y[-1].item() == 0.5


def test_rk4_agrees_with_the_three_eighths_rule_within_tolerance():
    def rule(f, t, y, h):
        k1 = f(t, y)
        k2 = f(t + h / 3, y + h * k1 / 3)
        k3 = f(t + h * 2 / 3, y + h * (k2 - k1 / 3))
        k4 = f(t + h, y + h * (k1 - k2 + k3))
        return y + h * (k1 + 3 * (k2 + k3) + k4) / 8

    def field(t, y):
        return y * torch.cos(t)

    t = torch.linspace(0, 2, 21, dtype=torch.float64)
    y = torch.ones(1, dtype=torch.float64)
    ours = odeint(field, y, t, method="rk4")
    for a, b in itertools.pairwise(t):
        y = rule(field, a, y, b - a)
    assert torch.allclose(ours[-1], y, rtol=1e-6)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.tensor([[-0.1, 1.0], [-1.0, -0.2]], dtype=torch.float64))

    def forward(self, t, y):
        return y @ self.matrix.T + torch.sin(t)


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve"])
def test_both_faces_give_the_same_gradients_to_parameters_state_and_every_time(adjoint):
    func = Linear()
    received = torch.randn(5, 3, 2, dtype=torch.float64)
    results = []
    for face, options in ((odeint, {}), (odeint_adjoint, {"adjoint": adjoint})):
        y0 = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
        t = torch.tensor([0.0, 0.3, 1.0, 1.5, 2.0], dtype=torch.float64, requires_grad=True)
        y = face(func, y0, t, rtol=1e-9, atol=1e-11, **options)
        results.append(torch.autograd.grad((y * received).sum(), [y0, t, func.matrix]))
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-7) for a, b in zip(*results, strict=True))


def test_gradients_agree_with_finite_differences():
    func = Linear()
    y0 = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.3, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y0, t: odeint(func, y0, t, rtol=1e-9, atol=1e-11), (y0, t), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"t": torch.tensor([[0.0, 1.0]])}, ValueError, r"\(time,\)"),
        ({"t": torch.tensor([0.0, 1.0, 0.5])}, ValueError, "strictly"),
        ({"options": {"second_step": 0.1}}, ValueError, "second_step"),
        ({"y0": [1.0]}, TypeError, "y0 must be a tensor"),
        ({"method": "rk45"}, ValueError, "no method"),
        ({"func": lambda t, y: y * float("nan")}, SolveError, "not finite"),
        ({"options": {"max_num_steps": 1}, "t": torch.tensor([0.0, 900.0])}, SolveError, "limit of 1"),
    ],
)
def test_what_cannot_be_solved_is_refused_in_words(change, error, message):
    call = {"func": decay, "y0": torch.ones(1), "t": torch.tensor([0.0, 1.0]), "rtol": 1e-4, "atol": 1e-5, **change}
    with pytest.raises(error, match=message):
        odeint(call.pop("func"), call.pop("y0"), call.pop("t"), **call)


def start():
    return torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)


def test_an_adjoint_solved_as_the_equation_is_may_be_said_to_be():
    y0, t = start()
    same = {"adjoint_rtol": 1e-5, "adjoint_atol": 1e-6, "adjoint_method": "dopri5"}
    same["adjoint_options"] = {"norm": "seminorm", "max_step": 0.5}
    options = {"rtol": 1e-5, "atol": 1e-6, "options": {"max_step": 0.5}}
    plain = odeint_adjoint(decay, y0, t, adjoint="backsolve", **options)
    assert torch.equal(odeint_adjoint(decay, y0, t, adjoint="backsolve", **options, **same), plain)
    with pytest.raises(ValueError, match=r"^adjoint must be one of backsolve, .*, not 'magic'"):
        odeint_adjoint(decay, y0, t, adjoint="magic")


def test_a_parameter_given_twice_gets_its_gradient_once():
    func, gradients = Linear(), []
    for extra in ((), (func.matrix,)):
        y = odeint_adjoint(func, torch.ones(1, 2, dtype=torch.float64), start()[1], adjoint_params=extra)
        gradients += torch.autograd.grad(y.sum(), func.matrix)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve"])
def test_times_on_a_grid_get_the_gradient_of_what_was_solved(adjoint):
    """Of the steps, which move with the times, or of the equation."""
    y0 = torch.ones(1, dtype=torch.float64)
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    y = odeint_adjoint(lambda t, y: -y, y0, t, method="euler", adjoint=adjoint)
    (g,) = torch.autograd.grad(y[-1], t)
    a, b = 0.3, 0.7  # y = (1 - a) (1 - b)
    expected = [1 - b, -(1 - b) + (1 - a), -(1 - a)] if adjoint == "discrete" else [None, 0.0, -(1 - a) * (1 - b)]
    for ours, theirs in zip(g.tolist(), expected, strict=True):
        assert theirs is None or ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_is_evaluated_but_the_steps_from_the_first_time_to_the_last(sign):
    queried = []

    def field(t, y):
        queried.append(t.item())
        return -y

    times = sign * torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    for face in FACES:
        queried.clear()
        face(field, torch.ones(1, dtype=torch.float64), times, method="euler")
        assert queried == [0.0, sign * 0.25]


@pytest.mark.parametrize("method", ["euler", "dopri5", "kvaerno3"])
def test_the_gradient_reaches_whatever_the_function_reads_though_nothing_else_wants_one(method):
    rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0.0, 1.0, 81, dtype=torch.float64)
    options = {"method": method, "rtol": 1e-4, "atol": 1e-6}
    y = odeint(lambda t, y: -rate * y if t > 0.5 else 0.0 * y, torch.ones(1).double(), t, **options)
    (gradient,) = torch.autograd.grad(y[-1], rate)  # y = exp(-rate / 2)
    assert float(gradient) == pytest.approx(-0.5 * math.exp(-1.0), rel=0.02)
