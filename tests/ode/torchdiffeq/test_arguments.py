import math

import pytest
import torch

from latentode.ode import odeint


def decay(t, y):
    return -0.5 * y


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
    evaluated = []

    def field(t, y):
        evaluated.append(t.item())
        return torch.where((t > begin) & (t < end), torch.where(t < middle, 1.0, -2.0), 100.0).expand_as(y)

    options = {"perturb": True, "dtype": torch.float64}
    y = odeint(field, torch.zeros(1, dtype=dtype), times, method=method, options=options).flatten()
    assert y.tolist() == pytest.approx([0.0, 0.8, 0.4] if backwards else [0.0, 0.4, -0.4], abs=1e-6)
    assert {begin, middle, end}.isdisjoint(evaluated)
    assert len(evaluated) == (3 if method == "euler" else 6)  # the middle by both its steps, the end by Heun alone


def test_a_perturbed_grid_stays_within_a_span_whose_end_is_met_with_rounding():
    t, evaluated = torch.tensor([5.8, 2.0, 0.1], dtype=torch.float64), []

    def field(t, y):
        evaluated.append(t.item())
        return 0 * y

    odeint(field, torch.zeros(1, dtype=torch.float64), t, method="heun2", options={"perturb": True})
    assert 0.1 < min(evaluated) < max(evaluated) < 5.8


@pytest.mark.parametrize("options", [None, {"perturb": True}])
def test_one_step_leads_from_each_time_to_the_next_however_far_it_is(options):
    for moving in (False, True):
        t = torch.tensor([2.0, 2.7, 3.0], dtype=torch.float64, requires_grad=moving)
        y = odeint(lambda t, y: -y, torch.ones(1, dtype=torch.float64), t, method="euler", options=options)
        assert torch.allclose(y[1:, 0], torch.tensor([0.3, 0.21], dtype=torch.float64), rtol=1e-12)


def test_where_the_function_jumps_and_where_a_step_ends_may_be_given():
    jump, evaluated = 0.3137, []

    def field(t, y):
        evaluated.append(t.item())
        return torch.where(t < jump, 1.0, -2.0) * y

    y0, t = start()
    exact = y0 * math.exp(jump - 2 * (1 - jump))
    answers = odeint(field, y0, t, rtol=1e-6, atol=1e-8, options={"jump_t": torch.tensor([jump], dtype=torch.float64)})
    assert torch.allclose(answers[-1], exact, rtol=1e-6)
    assert jump not in evaluated
    reported = len(evaluated)
    odeint(field, y0, t, rtol=1e-6, atol=1e-8)
    assert reported < (len(evaluated) - reported) / 2
    evaluated.clear()
    odeint(swaying, y0, t, rtol=1e-3, options={"step_t": torch.tensor([0.3], dtype=torch.float64)})
    odeint(field, y0, t, options={"step_t": torch.tensor([0.25])})
    assert 0.25 in evaluated


def test_as_many_steps_are_taken_as_it_takes():
    y0, t = start()
    y = odeint(lambda t, y: 100 * torch.cos(100 * t) * y, y0, t, method="bosh3", rtol=1e-6, atol=1e-8)
    assert torch.allclose(y[-1], y0 * math.exp(math.sin(100.0)), rtol=1e-3)


def test_no_step_is_longer_than_allowed():
    evaluated = []

    def field(t, y):
        evaluated.append(t.item())
        return -y

    y0, _ = start()
    t3 = torch.tensor([0.0, 0.7, 3.0], dtype=torch.float64)
    odeint(field, y0, t3, rtol=1e-1, atol=1e-1, method="bosh3", options={"max_step": 0.4})
    for n in range(8):
        assert any(abs(time - 0.4 * n) < 1e-12 for time in evaluated)


@pytest.mark.parametrize(
    ("method", "options", "dtype"),
    [
        ("dopri5", {}, torch.float64),
        ("rk4", {}, torch.float32),
        ("rk4", {"dtype": torch.float64}, torch.float64),
        ("rk4", {"dtype": None}, torch.float64),
    ],
)
def test_times_are_in_float64_for_steps_by_error_or_on_request(method, options, dtype):
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
        (
            "dopri5",
            {"step_size": 0.1},
            "step_size means nothing to dopri5, which chooses its own steps: use dfactor, dtype, f",
        ),
        ("rk4", {"norm": print}, "norm means nothing to rk4, which has a fixed grid"),
        ("dopri5", {"stepsize": 0.1}, "unknown option stepsize: dopri5 has dfactor, dtype"),
        ("explicit_adams", {"max_orders": 4}, "unknown option max_orders: explicit_adams has dtype"),
        ("scipy_solver", {"jump_t": 0.1}, "jump_t means nothing to scipy_solver"),
        ("gl4", {"max_order": 4}, "unknown option max_order"),
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


def test_whole_numbers_become_floats_and_what_is_no_state_or_no_time_is_refused():
    for times in ([0, 1], [0]):
        assert odeint(decay, torch.ones(2, dtype=torch.int64), torch.tensor(times)).dtype == torch.float32
    for y0 in ([1.0], (), (1.0, torch.ones(1))):
        with pytest.raises(TypeError, match=f"y0 must be a tensor or a tuple of tensors, not {type(y0).__name__}"):
            odeint(decay, y0, torch.tensor([0.0, 1.0]))
    for times in ([0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0]):
        with pytest.raises(ValueError, match="strictly"):
            odeint(decay, torch.ones(1), torch.tensor(times))


@pytest.mark.parametrize("name", ["step_t", "jump_t"])
def test_times_given_as_numbers_are_those_of_a_tensor_in_double_precision(name):
    y0, t = start()
    y = [
        odeint(lambda t, y: torch.where(t < 0.3, 1.0, -2.0) * y, y0, t, options={name: given})
        for given in ([0.3], torch.tensor([0.3], dtype=torch.float64))
    ]
    assert torch.equal(*y)
