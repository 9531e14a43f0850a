import itertools
import math

import pytest
import torch

from latentode.ode import METHODS, SolveError, odeint, odeint_adjoint, odeint_event

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
    t = torch.linspace(1.0, -1.0, 101, dtype=torch.float64)
    y = odeint(decay, torch.ones(2, dtype=torch.float64), t, method=method, rtol=1e-6, atol=1e-8)
    assert torch.allclose(y[:, 0], torch.exp(-0.5 * (t - 1)), rtol=2e-2 if method == "euler" else 1e-4)


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
        ({"options": {"first_step": 0.1}}, ValueError, "first_step"),
        ({"y0": torch.ones(1, dtype=torch.complex64)}, TypeError, "complex"),
        ({"method": "rk45"}, ValueError, "no method"),
        ({"func": lambda t, y: y * float("nan")}, SolveError, "not finite"),
        ({"options": {"max_num_steps": 1}, "t": torch.tensor([0.0, 900.0])}, SolveError, "limit of 1"),
    ],
)
def test_what_cannot_be_solved_is_refused_in_words(change, error, message):
    call = {"func": decay, "y0": torch.ones(1), "t": torch.tensor([0.0, 1.0]), "rtol": 1e-4, "atol": 1e-5, **change}
    with pytest.raises(error, match=message):
        odeint(call.pop("func"), call.pop("y0"), call.pop("t"), **call)


def swaying(t, y):
    return torch.cos(3 * t) * y


def start():
    return torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)


def test_a_grid_of_ones_own_is_made_of_what_was_given_and_stepped_through():
    y0, t = start()
    nodes, given = torch.tensor([0.0, 0.1, 0.4, 1.0], dtype=torch.float64), []

    def constructor(*arguments):
        given.append(arguments)
        return nodes

    options = {"method": "rk4", "options": {"grid_constructor": constructor}}
    for sign in (1, -1):
        nodes, t = sign * nodes.abs(), sign * t.abs()
        y = odeint(swaying, y0, t, **options)
        assert torch.allclose(y, odeint(swaying, y0, nodes, method="rk4")[[0, -1]], rtol=1e-14)
        thrice = odeint(swaying, y0, torch.cat([t[:1], 0.4 * t[1:], t[1:]]), **options)
        assert torch.allclose(thrice, odeint(swaying, y0, nodes, method="rk4")[[0, 2, -1]], rtol=1e-14)
        given.pop()
        assert given[-1][0] is swaying
        assert given[-1][1] is y0
        assert torch.equal(given[-1][2], t)


@pytest.mark.parametrize(
    "nodes",
    [[0.0, 0.4], [0.1, 1.0], [0.0, 0.6, 0.4, 1.0], [0.0, 0.5, 0.5, 1.0], [1.0], [[0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]],
)
def test_a_grid_of_ones_own_that_is_none_is_refused(nodes):
    options = {"grid_constructor": lambda func, y0, t: torch.tensor(nodes, dtype=torch.float64)}
    with pytest.raises(ValueError, match=r"strictly from t\[0\] to t\[-1\]"):
        odeint(swaying, *start(), method="rk4", options=options)


def test_a_grid_of_ones_own_may_lie_before_zero():
    t = torch.tensor([-3.0, -1.0], dtype=torch.float64)
    options = {"grid_constructor": lambda func, y0, t: torch.tensor([-3.0, -2.0, -1.0])}
    y = odeint(lambda t, y: -0.5 * y, torch.ones(1, dtype=torch.float64), t, method="euler", options=options)
    assert y[-1].item() == 0.25


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("method", ["euler", "heun2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_perturbed_grid_asks_the_function_on_either_side_of_every_node_and_within_the_span(backwards, method, dtype):
    times = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    times = times.flip(0) if backwards else times
    begin, middle, end = sorted(times.to(dtype).tolist())
    asked = []

    def field(t, y):
        asked.append(t.item())
        return torch.where((t > begin) & (t < end), torch.where(t < middle, 1.0, -2.0), 100.0).expand_as(y)

    options = {"perturb": True, "dtype": torch.float64}
    y = odeint(field, torch.zeros(1, dtype=dtype), times, method=method, options=options).flatten()
    assert y.tolist() == pytest.approx([0.0, 0.8, 0.4] if backwards else [0.0, 0.4, -0.4], abs=1e-6)
    assert {begin, middle, end}.isdisjoint(asked)
    assert len(asked) == (3 if method == "euler" else 6)  # the middle by both its steps, the end by Heun alone


def test_a_perturbed_grid_stays_within_a_span_whose_end_is_met_with_rounding():
    t, asked = torch.tensor([5.8, 2.0, 0.1], dtype=torch.float64), []

    def field(t, y):
        asked.append(t.item())
        return 0 * y

    odeint(field, torch.zeros(1, dtype=torch.float64), t, method="heun2", options={"perturb": True})
    assert 0.1 < min(asked) < max(asked) < 5.8


@pytest.mark.parametrize("options", [None, {"perturb": True}])
def test_one_step_leads_from_each_time_to_the_next_however_far_it_is(options):
    for moving in (False, True):
        t = torch.tensor([2.0, 2.7, 3.0], dtype=torch.float64, requires_grad=moving)
        y = odeint(lambda t, y: -y, torch.ones(1, dtype=torch.float64), t, method="euler", options=options)
        assert torch.allclose(y[1:, 0], torch.tensor([0.3, 0.21], dtype=torch.float64), rtol=1e-12)


def test_where_the_function_jumps_and_where_a_step_ends_may_be_told():
    jump, asked = 0.3137, []

    def field(t, y):
        asked.append(t.item())
        return torch.where(t < jump, 1.0, -2.0) * y

    y0, t = start()
    exact = y0 * math.exp(jump - 2 * (1 - jump))
    answers = odeint(field, y0, t, rtol=1e-6, atol=1e-8, options={"jump_t": torch.tensor([jump], dtype=torch.float64)})
    assert torch.allclose(answers[-1], exact, rtol=1e-6)
    assert jump not in asked
    told = len(asked)
    odeint(field, y0, t, rtol=1e-6, atol=1e-8)
    assert told < (len(asked) - told) / 2
    asked.clear()
    odeint(swaying, y0, t, rtol=1e-3, options={"step_t": torch.tensor([0.3], dtype=torch.float64)})
    odeint(field, y0, t, options={"step_t": torch.tensor([0.25])})
    assert 0.25 in asked


def test_as_many_steps_are_taken_as_it_takes():
    y0, t = start()
    y = odeint(lambda t, y: 100 * torch.cos(100 * t) * y, y0, t, method="bosh3", rtol=1e-6, atol=1e-8)
    assert torch.allclose(y[-1], y0 * math.exp(math.sin(100.0)), rtol=1e-3)


def test_no_step_is_longer_than_asked_and_one_shorter_is_an_error():
    asked = []

    def field(t, y):
        asked.append(t.item())
        return -y

    y0, t = start()
    t3 = torch.tensor([0.0, 0.7, 3.0], dtype=torch.float64)
    odeint(field, y0, t3, rtol=1e-1, atol=1e-1, method="bosh3", options={"max_step": 0.4})
    for n in range(8):
        assert any(abs(time - 0.4 * n) < 1e-12 for time in asked)
    jumpy = {"rtol": 1e-9, "atol": 1e-9, "method": "bosh3"}
    with pytest.raises(SolveError, match=r"under its minimum \(0\.005 of the span\)"):
        odeint(lambda t, y: torch.where(t < 0.3137, 1.0, -2.0) * y, y0, 4 * t, options={"min_step": 0.02}, **jumpy)


@pytest.mark.parametrize(
    ("method", "options", "dtype"),
    [
        ("dopri5", {}, torch.float64),
        ("rk4", {}, torch.float32),
        ("rk4", {"dtype": torch.float64}, torch.float64),
        ("rk4", {"dtype": None}, torch.float64),
    ],
)
def test_times_are_in_float64_for_steps_by_error_or_where_asked_for(method, options, dtype):
    seen, grid = set(), []

    def field(t, y):
        seen.add(t.dtype)
        return y

    if method == "rk4":
        options = {**options, "grid_constructor": lambda func, y0, t: grid.append(t.dtype) or t}
    times = torch.tensor([0.0, 1.0], dtype=torch.float64 if "dtype" in options else torch.float32)
    odeint(field, torch.ones(1), times, method=method, options=options, rtol=1e-4, atol=1e-4)
    assert seen == {torch.float32}
    assert grid in ([], [dtype])


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("rk4", {"interp": "quintic"}, "interp must be cubic or linear, not 'quintic'"),
        ("rk4", {"step_size": 0.1, "grid_constructor": print}, "step_size and grid_constructor exclude each other"),
        ("rk4", {"step_size": -0.1}, r"step_size must be positive, not -0\.1"),
        ("dopri5", {"max_step": 0.0}, r"max_step must be positive, not 0\.0"),
        ("rk4", {"step_size": 0.0}, r"step_size must be positive, not 0\.0"),
        ("dopri5", {"max_step": -1.0}, r"max_step must be positive, not -1\.0"),
        ("rk4", {"jump_t": 0.1}, "jump_t means nothing to rk4, which has a fixed grid: use dtype, grid_constructor"),
        ("dopri5", {"step_size": 0.1}, "step_size means nothing to dopri5, which chooses its own steps: use dtype, j"),
        ("dopri5", {"first_step": 0.1}, "first_step=0.1 cannot be honoured: the solver chooses it"),
        ("dopri5", {"safety": 0.5}, "safety=0.5 cannot be honoured: ours is always 0.9"),
        ("dopri5", {"norm": print}, "norm cannot be honoured"),
        ("dopri5", {"stepsize": 0.1}, "unknown option stepsize: dopri5 has dtype, jump_t"),
        ("explicit_adams", {}, "not among ours: use 'dopri8'"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_named_with_what_can(method, options, message):
    with pytest.raises(ValueError, match=message):
        odeint(decay, torch.ones(1), torch.tensor([0.0, 1.0]), method=method, options=options)


def test_options_that_say_what_is_so_anyway_change_nothing():
    y0, t = start()
    same = {"safety": 0.9, "ifactor": 10.0, "dfactor": 0.2, "first_step": None, "max_step": None}
    assert torch.equal(odeint(decay, y0, t, options=same), odeint(decay, y0, t))
    assert torch.equal(
        odeint(decay, y0, t, method="rk4", options={"interp": "cubic"}), odeint(decay, y0, t, method="rk4")
    )
    both = {"rtol": torch.tensor(1e-5), "atol": torch.tensor([1e-6])}
    assert torch.equal(odeint(decay, y0, t, **both), odeint(decay, y0, t, rtol=1e-5, atol=1e-6))


@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_tolerances_of_each_part_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"^{name} must be one number"):
        odeint(decay, torch.ones(2), torch.tensor([0.0, 1.0]), **{name: torch.tensor([1e-3, 1e-4])})


OTHERWISE = [
    ({"adjoint_rtol": 1e-3}, r"adjoint_rtol=0\.001"),
    ({"adjoint_atol": 1e-3}, r"adjoint_atol=0\.001"),
    ({"adjoint_method": "rk4"}, "adjoint_method='rk4'"),
    ({"adjoint_options": {"max_step": 0.1}}, r"adjoint_options\['max_step'\]=0\.1 cannot .* with 0\.5\. Leave it out"),
]


@pytest.mark.parametrize(("given", "message"), OTHERWISE)
def test_an_adjoint_solved_otherwise_is_refused_where_it_is_solved_and_not_read_where_not(given, message):
    y0, t = start()
    options = {"rtol": 1e-5, "atol": 1e-6, "options": {"max_step": 0.5}}
    with pytest.raises(ValueError, match=message):
        odeint_adjoint(decay, y0, t, adjoint="backsolve", **options, **given)
    odeint_adjoint(decay, y0, t, **options, **given)


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
    asked = []

    def field(t, y):
        asked.append(t.item())
        return -y

    times = sign * torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    for face in FACES:
        asked.clear()
        face(field, torch.ones(1, dtype=torch.float64), times, method="euler")
        assert asked == [0.0, sign * 0.25]


@pytest.mark.parametrize("name", ["callback_step", "callback_accept_step", "callback_reject_step_adjoint"])
def test_a_function_whose_callbacks_would_never_be_called_is_refused(name):
    def func(t, y):
        return -y

    setattr(func, name, print)
    with pytest.raises(ValueError, match=rf"^func\.{name} would never be called"):
        odeint(func, torch.ones(1), torch.tensor([0.0, 1.0]))


def test_slopes_are_broadcast_to_the_state_and_must_be_as_many_as_its_parts():
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for shape in ((), (1,), (3,), (1, 3), (2, 1)):
        slope = torch.full(shape, 2.0, dtype=torch.float64)
        y = odeint(lambda t, y, slope=slope: slope, torch.zeros(2, 3, dtype=torch.float64), t)
        assert torch.allclose(y[-1], torch.full((2, 3), 2.0, dtype=torch.float64))
    parts = (torch.zeros(2, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    with pytest.raises(ValueError, match="zip"):
        odeint(lambda t, y: (y[0], y[1], y[1]), parts, t)
    with pytest.raises(ValueError, match="shaped like z"):
        odeint(lambda t, y: torch.ones(3, dtype=torch.float64), parts[0], t)


def test_whole_numbers_become_floats_and_what_is_no_state_or_no_time_is_refused():
    for times in ([0, 1], [0]):
        assert odeint(decay, torch.ones(2, dtype=torch.int64), torch.tensor(times)).dtype == torch.float32
    for y0 in ([1.0], (), (1.0, torch.ones(1))):
        with pytest.raises(TypeError, match=f"y0 must be a tensor or a tuple of tensors, not {type(y0).__name__}"):
            odeint(decay, y0, torch.tensor([0.0, 1.0]))
    for times in ([0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0]):
        with pytest.raises(ValueError, match="strictly"):
            odeint(decay, torch.ones(1), torch.tensor(times))


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
    with pytest.raises(ValueError, match=r"step_size'\] is needed to look for an event by the fixed grid of euler"):
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


@pytest.mark.parametrize("method", ["euler", "dopri5", "kvaerno3"])
def test_the_gradient_reaches_whatever_the_function_reads_though_nothing_else_wants_one(method):
    rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0.0, 1.0, 201, dtype=torch.float64)
    y = odeint(lambda t, y: -rate * y if t > 0.5 else 0.0 * y, torch.ones(1).double(), t, method=method)
    (gradient,) = torch.autograd.grad(y[-1], rate)  # y = exp(-rate / 2)
    assert float(gradient) == pytest.approx(-0.5 * math.exp(-1.0), rel=0.02)


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
