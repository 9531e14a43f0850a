"""Every adjoint against autograd, over methods, jumps, controls and steps of each series' own; autograd against
finite differences.
"""

import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import METHODS, CubicSpline, PiecewiseLinear, solve
from tests.ode.adjoints.cases import Case
from tests.ode.conftest import Hidden


@pytest.fixture
def case():
    return Case()


def furthest(ours, theirs):
    return max(
        float((a - b).abs().max() / b.abs().max().clamp_min(1.0)) for a, b in zip(ours[1], theirs[1], strict=True)
    )


WAYS = [
    {"kind": None, "jumps": True},
    {"kind": "constant"},
    {"kind": "linear"},
    {"kind": "cubic", "jumps": True},
]


def pairwise(*choices):
    """Every combination of three kinds of choices; of these half are slow, where the indexes add up to an odd number.

    In the other half each choice still meets every other one.
    """
    return [
        pytest.param(
            *(c for _, c in combination), marks=[pytest.mark.slow] if sum(k for k, _ in combination) % 2 else []
        )
        for combination in itertools.product(*map(enumerate, choices))
    ]


GRID_METHODS = ["euler", "rk4", "bosh3", "tsit5", "dopri8", "kvaerno3"]


@pytest.mark.parametrize(("way", "adjoint", "method"), pairwise(WAYS, ["discrete", "checkpointed"], GRID_METHODS))
def test_on_a_grid_the_exact_adjoints_are_autograd_through_jumps_and_controls(case, method, adjoint, way):
    field, options = case.field(**way), {"method": method, "n_steps": 3, **way}
    assert (
        furthest(
            case.gradients(field, adjoint=adjoint, **options), case.gradients(field, adjoint="autograd", **options)
        )
        < 1e-11
    )


@pytest.mark.parametrize(("way", "independent", "method"), pairwise([{}, *WAYS], [False, True], ["heun", "tsit5"]))
def test_on_steps_chosen_by_their_error_the_exact_adjoints_are_autograd_too(case, method, independent, way):
    field = Hidden(case.field(**way))
    options = {"method": method, "independent": independent, "rtol": 1e-2, "atol": 1e-2, **way}
    exact = case.gradients(field, adjoint="autograd", **options)
    assert furthest(case.gradients(field, adjoint="discrete", **options), exact) < 1e-11
    if not independent:
        assert furthest(case.gradients(field, adjoint="checkpointed", **options), exact) < 1e-11


@pytest.mark.parametrize("way", [{}, *WAYS], ids=str)
@pytest.mark.parametrize("adjoint", ["continuous", pytest.param("backsolve", marks=pytest.mark.slow)])
def test_the_adjoints_of_the_equation_come_to_the_exact_gradient_as_the_grid_is_refined(case, adjoint, way):
    field = case.field(**way)
    exact = case.gradients(field, method="dopri8", n_steps=8, **way)
    errors = [furthest(case.gradients(field, adjoint=adjoint, n_steps=n, **way), exact) for n in (8, 32)]
    assert errors[1] < max(errors[0] / 10, 1e-6)
    assert errors[1] < 1e-4


@pytest.mark.parametrize(
    ("way", "adjoint", "independent"), pairwise([{}, *WAYS], ["backsolve", "continuous"], [False, True])
)
def test_the_adjoints_of_the_equation_are_as_good_as_the_tolerance(case, adjoint, way, independent):
    field = case.field(**way)
    options = {"method": "tsit5", "rtol": 1e-6, "atol": 1e-7, "independent": independent, **way}
    assert furthest(case.gradients(field, adjoint=adjoint, **options), case.gradients(field, **options)) < 1e-3


EXACT = ["discrete", "checkpointed", "autograd"]


def is_slow(number, name, adjoint):
    """All but one adjoint of each method, which they share out; implicit ones take a Newton iteration per stage."""
    if METHODS[name].implicit:
        return adjoint != "discrete" or name == "kvaerno5"
    return adjoint != EXACT[number % len(EXACT)]


PAIRS = [
    pytest.param(name, adjoint, marks=[pytest.mark.slow] if is_slow(number, name, adjoint) else [])
    for number, name in enumerate(METHODS)
    for adjoint in EXACT
]


@pytest.mark.parametrize(("method", "adjoint"), PAIRS)
def test_every_method_and_exact_adjoint_agrees_with_finite_differences_in_every_input(case, method, adjoint):
    """All inputs move at once, along a random direction: the sum of what they add is right to its sixth digit."""
    field = case.field(kind="linear")
    inputs = {name: x.detach() for name, x in case.inputs.items() if name != "jumps"}
    ways = {name: torch.randn_like(x) for name, x in inputs.items()}

    def answers(length):
        given = {name: x + length * ways[name] for name, x in inputs.items()}
        z = case.solve(field, given, kind="linear", method=method, n_steps=1, adjoint=adjoint).z
        return torch.nan_to_num(z)

    length = torch.zeros((), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(answers, (length,), fast_mode=True, rtol=1e-6, atol=1e-6, nondet_tol=1e-12)


@pytest.mark.parametrize(("method", "adjoint"), [("rk4", "checkpointed"), ("implicit_euler", "discrete")])
def test_each_input_by_itself_agrees_with_finite_differences(case, method, adjoint):
    field, names = case.field(kind="linear"), [name for name in case.inputs if name != "jumps"]

    def answers(*given):
        z = case.solve(
            field, dict(zip(names, given, strict=True)), kind="linear", method=method, n_steps=1, adjoint=adjoint
        ).z  # fmt: skip
        return torch.nan_to_num(z)

    given = tuple(case.inputs[name] for name in names)
    assert torch.autograd.gradcheck(answers, given, fast_mode=True, atol=1e-6, nondet_tol=1e-12)


@pytest.mark.parametrize(("method", "adjoint"), [pair for pair in PAIRS if pair.values[0] != "kvaerno5"])
def test_the_time_of_a_jump_has_the_gradient_of_finite_differences(method, adjoint):
    def answer(jump, height):
        def field(t, z, jump, height):
            return torch.where(t >= jump, height, -1.0) * z

        z0, times = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[0.3, 1.0], [1.0, 0.2]], dtype=torch.float64)
        return solve(
            field,
            z0,
            times,
            args=(jump, height),
            jump_times=jump,
            method=method,
            n_steps=4,
            coarse=None,
            adjoint=adjoint,
        ).z

    jump = torch.tensor([[0.61], [0.37]], dtype=torch.float64, requires_grad=True)
    height = torch.tensor([[0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(answer, (jump, height), atol=1e-6)


@pytest.mark.parametrize("method", ["rk4", "kvaerno3", "kvaerno5"])
def test_second_derivatives_go_through_autograd_for_explicit_and_implicit_methods(method):
    z0 = torch.tensor([[0.5]], dtype=torch.float64, requires_grad=True)
    z = solve(lambda t, z: z**2, z0, torch.tensor([[0.5]]).double(), n_steps=40, method=method, adjoint="autograd").z
    (first,) = torch.autograd.grad(z.sum(), z0, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z0)
    assert first.item() == pytest.approx(1 / 0.75**2, rel=1e-5)  # z = z0 / (1 - z0 t)
    assert second.item() == pytest.approx(2 * 0.5 / 0.75**3, rel=1e-5)


class HostReads(TorchDispatchMode):
    """Counts what makes the host wait for the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return func(*args, **(kwargs or {}))


def test_the_host_reads_nothing_in_an_unwatched_solve_on_a_grid_nor_in_its_gradient():
    field, z0, times = MLPDynamics(3, (8,)), torch.randn(4, 3, requires_grad=True), torch.rand(4, 6)
    with HostReads() as reads:
        z = solve(field, z0, times, 0.0, 1.0, t_back=0.0, n_steps=4, watch=False).z
        torch.autograd.grad(z.sum(), [z0, *field.parameters()])
    assert reads.count == 0


EVERY = ["discrete", "checkpointed", "continuous", "backsolve", "autograd"]


@pytest.mark.parametrize("before", [torch.lt, torch.le])
@pytest.mark.parametrize("adjoint", EVERY)
def test_a_gradient_reads_the_field_on_that_side_of_a_jump_on_which_the_solution_is(adjoint, before):
    def field(t, z, jump):
        return torch.where(before(t, jump), z, -2.0 * z * torch.cos(t))

    jump = torch.tensor([[0.25], [0.5], [0.6]], dtype=torch.float64)
    times = torch.tensor([[0.25, 1.0, 0.1], [0.5, 0.5, 0.9], [0.2, 0.8, 0.9]]).double().requires_grad_()
    z0 = torch.ones(3, 1, dtype=torch.float64, requires_grad=True)
    t0 = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    z = solve(field, z0, times, t0, 1.0, t_back=t0, args=(jump,), jump_times=jump, n_steps=40, adjoint=adjoint).z
    by_state, by_time, by_start = torch.autograd.grad(z.nansum(), [z0, times, t0])
    truth = torch.exp(torch.minimum(times, jump) + 2 * (torch.sin(jump) - torch.sin(times)).clamp(max=0.0)).detach()
    assert torch.allclose(by_state, truth.nansum(1, keepdim=True), rtol=1e-4)
    assert torch.allclose(by_start, -truth.nansum(1), rtol=1e-3)
    rate = torch.where(times > jump, -2.0 * torch.cos(times), 1.0) * truth  # at the jump, the one before it
    assert torch.allclose(by_time, rate.nan_to_num(), rtol=1e-3)


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("adjoint", EVERY)
def test_times_and_controls_finer_than_the_state_reach_the_field_as_the_state_is_and_get_their_gradients(
    adjoint, stops
):
    def gradients(begin, dtype):
        def field(t, z, u):
            assert t.dtype == u.dtype == z.dtype == dtype
            return -u * z

        knots = torch.tensor([0.0, 0.3, 1.5], dtype=torch.float64) + begin
        times = torch.tensor([[0.25, 0.75], [1.0, 0.5]], dtype=torch.float64) + begin
        values = torch.tensor([[1.0], [2.0], [0.5]], dtype=torch.float64)
        wanted = [torch.ones(2, 1, dtype=dtype), times, values, knots]
        z0, times, values, knots = (x.requires_grad_() for x in wanted)
        jumps = [begin + 0.4] if stops else None
        control = (PiecewiseLinear if stops else CubicSpline)(knots, values)
        z = solve(field, z0, times, begin, control=control, jump_times=jumps, n_steps=12, adjoint=adjoint).z
        return torch.autograd.grad((z * torch.tensor([[[1.0], [2.0]]], dtype=dtype)).sum(), wanted)

    ours, exact = gradients(2.0**30, torch.float32), gradients(0.0, torch.float64)
    assert all(torch.allclose(a.double(), b, rtol=1e-4, atol=1e-5) for a, b in zip(ours, exact, strict=True))
    assert [a.dtype for a in ours] == [torch.float32] + [torch.float64] * 3


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "autograd"])
@pytest.mark.parametrize("name", ["t0", "t1", "t_back", "times"])
def test_one_time_alone_may_ask_for_its_gradient(adjoint, name):
    def answers(time):
        options = {"n_steps": 3, "method": "heun", "adjoint": adjoint, "coarse": None}
        return solve(swing, z0, **{**times, name: time}, **options).z

    def swing(t, z):
        return z * torch.cos(3 * t)

    z0 = torch.ones(1, 1, dtype=torch.float64)
    times = {"t0": 0.1, "t1": 1.0, "t_back": -0.8, "times": [[0.4, 0.95, -0.3]]}
    times = {key: torch.tensor(value, dtype=torch.float64) for key, value in times.items()}
    time = times[name].clone().requires_grad_()
    (ours,) = torch.autograd.grad(answers(time).sum(), time)
    with torch.no_grad():
        ways = torch.eye(time.numel(), dtype=torch.float64).view(-1, *time.shape) * 1e-6
        each = [(answers(time + way) - answers(time - way)).sum() / 2e-6 for way in ways]
    assert torch.allclose(ours.flatten(), torch.stack(each), rtol=1e-5, atol=1e-8)
    assert ours.abs().max() > 1e-3


@pytest.mark.parametrize("adjoint", EVERY)
def test_what_the_field_does_not_read_gets_nothing_whatever_its_precision(adjoint):
    z0, unread, rate = torch.ones(2, 1), torch.ones(3, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    wanted = [x.requires_grad_() for x in (z0, unread, rate)]
    field = lambda t, z, unread, rate: -rate.to(z.dtype) * z  # noqa: E731
    z = solve(field, z0, torch.tensor([0.5, 1.0]), args=(unread, rate), n_steps=20, adjoint=adjoint).z
    by_state, by_unread, by_rate = torch.autograd.grad(z[:, -1].sum(), wanted, allow_unused=True)
    assert by_unread is None or not by_unread.any()
    assert torch.allclose(by_state, z[:, -1], rtol=1e-4)
    assert torch.allclose(by_rate, -z[:, -1].double(), rtol=1e-4)


@pytest.mark.parametrize("adjoint", EVERY)
def test_a_slope_in_another_precision_becomes_one_in_that_of_the_state(adjoint):
    rate = torch.tensor(1.5, requires_grad=True)
    z0, times = torch.ones(2, 1, dtype=torch.float64, requires_grad=True), torch.tensor([1.0], dtype=torch.float64)
    field = lambda t, z, rate: -rate * z.float()  # noqa: E731
    z = solve(field, z0, times, args=(rate,), n_steps=20, adjoint=adjoint).z
    by_state, by_rate = torch.autograd.grad(z.sum(), [z0, rate])
    assert (z.dtype, by_state.dtype, by_rate.dtype) == (torch.float64, torch.float64, torch.float32)
    assert torch.allclose(by_state, torch.full_like(by_state, math.exp(-1.5)), rtol=1e-4)
    assert float(by_rate) == pytest.approx(-2 * math.exp(-1.5), rel=1e-4)


@pytest.mark.parametrize("adjoint", EVERY)
def test_a_field_that_reads_nothing_has_the_gradients_of_a_constant(adjoint):
    z0 = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    z = solve(lambda t, z: torch.full_like(z, 2.0), z0, times, 0.0, 1.0, n_steps=3, adjoint=adjoint).z
    by_state, by_time = torch.autograd.grad(z.sum(), [z0, times])
    assert torch.allclose(by_state, torch.full_like(by_state, 2.0))
    assert torch.allclose(by_time, torch.full_like(by_time, 4.0))


@pytest.mark.parametrize(
    ("method", "independent"),
    [("bosh3", False), ("bosh3", True), pytest.param("kvaerno3", False, marks=pytest.mark.slow), ("kvaerno3", True)],
)
def test_steps_that_were_rejected_leave_nothing_in_a_gradient(method, independent):
    def gradient(adjoint):
        z0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
        options = {"method": method, "rtol": 1e-5, "atol": 1e-6, "independent": independent, "adjoint": adjoint}
        solution = solve(lambda t, z: torch.cos(9 * t) * z**2 / 4, z0, torch.tensor([1.0]).double(), **options)
        assert solution.stats.rejected > 0
        taken.add((solution.stats.steps, solution.stats.rejected))
        return torch.autograd.grad(solution.z.sum(), z0)[0]

    taken = set()
    for adjoint in ("discrete", "checkpointed") if not independent else ("discrete",):
        assert torch.allclose(gradient(adjoint), gradient("autograd"), rtol=1e-10)
    assert len(taken) == 1


@pytest.mark.parametrize("adjoint", EVERY)
def test_a_query_that_overshoots_by_rounding_has_its_gradient(adjoint):
    z0, end = torch.ones(1, 1, dtype=torch.float64, requires_grad=True), torch.tensor([1e9 + 1e-3], dtype=torch.float64)
    over = torch.nextafter(end, end + 1)
    z = solve(lambda t, z: -1e3 * z, z0, over, 1e9, end, n_steps=20, adjoint=adjoint).z
    (by_state,) = torch.autograd.grad(z.sum(), z0)
    assert torch.allclose(by_state, z[0], rtol=1e-3)


@pytest.mark.parametrize("adjoint", EVERY)
@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_where_nothing_is_queried_nothing_has_a_gradient(adjoint, shape):
    field, z0 = MLPDynamics(2, (4,)), torch.ones(shape[0], 2, requires_grad=True)
    every = ({"n_steps": 2}, {"method": "tsit5"}, {"method": "tsit5", "step_times": [0.5]}, {"n_steps": 20})
    own = [] if adjoint == "checkpointed" else [{"method": "tsit5", "independent": True}]
    for options in (*every, *own):
        for ends in ({"t1": 1.0, "t_back": 0.0}, {}):
            z = solve(field, z0, torch.rand(shape), adjoint=adjoint, **ends, **options).z
            grads = torch.autograd.grad(z.sum(), [z0, *field.parameters()])
            assert all(not g.any() for g in grads)
