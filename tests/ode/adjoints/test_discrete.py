import gc
import weakref

import pytest
import torch
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import METHODS, PiecewiseLinear, odeint, odeint_adjoint, solve
from tests.ode.conftest import Hidden


class Operators(TorchDispatchMode):
    """Counts what is dispatched."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def assert_same(ours, theirs, tolerance):
    value, gradients = ours
    assert value == pytest.approx(theirs[0].item(), rel=tolerance)
    for name, expected in theirs[1].items():
        scale = expected.abs().max().clamp_min(1.0)
        assert (gradients[name] - expected).abs().max() <= tolerance * scale, name


GIVEN_STEPS = (0.0, 0.2, 0.9, 1.0)
# Of implicit methods that choose their steps kvaerno3 speaks for all in the default suite.
SLOW = {(None, "sdirk2"), (None, "trbdf2"), (None, "kvaerno5"), (3, "kvaerno5")}


@pytest.mark.parametrize(
    ("n_steps", "method", "hidden"),
    [
        # Of each method each number of steps meets one kind of field; in the slow suite both.
        pytest.param(
            n_steps,
            method,
            hidden,
            marks=[pytest.mark.slow] if hidden == (n_steps == GIVEN_STEPS) or (n_steps, method) in SLOW else [],
        )
        for n_steps in (3, GIVEN_STEPS, None)
        for method in METHODS
        for hidden in (False, True)
    ],
)
def test_the_discrete_adjoint_is_autograd_to_rounding(case, gradients, method, n_steps, hidden):
    field = Hidden(case[0]) if hidden else case[0]
    options = {"method": method, "n_steps": n_steps}
    left_over = 1e-5 if METHODS[method].implicit and n_steps is None else 1e-12  # stages are solved to the tolerance
    assert_same(gradients(field, **options), gradients(field, adjoint="autograd", **options), left_over)


def test_two_sides_with_their_own_numbers_of_steps_are_exact_too(gradients):
    options = {"n_steps": 4, "n_steps_back": 2}
    assert_same(gradients(**options), gradients(adjoint="autograd", **options), 1e-12)


@pytest.mark.parametrize("adjoint", ["discrete", "autograd"])
@pytest.mark.parametrize("method", ["euler", "rk4", "tsit5"])
def test_gradients_of_every_input_agree_with_finite_differences(case, method, adjoint):
    field, inputs = case

    def answers(z0, context, t0, t1, t_back, times, *parameters):
        names = list(dict(field.named_parameters()))

        def call(t, z, context, *parameters):
            return functional_call(field, dict(zip(names, parameters, strict=True)), (t, z, context))

        return torch.nan_to_num(
            solve(
                call, z0, times, t0, t1, t_back=t_back, args=(context, *parameters), method=method, n_steps=2,
                coarse=None, adjoint=adjoint,
            ).z
        )  # fmt: skip

    gradcheck_inputs = (*inputs.values(), *field.parameters())
    assert torch.autograd.gradcheck(answers, gradcheck_inputs, fast_mode=True, atol=1e-6)


def test_gradients_of_the_analytic_path_agree_with_finite_differences(case):
    field, inputs = case

    def answers(z0, context, t0, t1, t_back, times):
        z = solve(field, z0, times, t0, t1, t_back=t_back, args=(context,), n_steps=2, coarse=None).z
        return torch.nan_to_num(z)

    assert torch.autograd.gradcheck(answers, tuple(inputs.values()), fast_mode=True, atol=1e-6)


def test_the_ends_of_the_span_get_gradients_when_the_furthest_query_sets_them(case):
    field, inputs = case
    picked = [inputs[name] for name in ("z0", "context", "t0", "times")]

    def answers(z0, context, t0, times):
        return torch.nan_to_num(solve(field, z0, times, t0, args=(context,), n_steps=2, coarse=None).z)

    assert torch.autograd.gradcheck(answers, tuple(picked), fast_mode=True, atol=1e-6)


def test_the_work_of_a_solve_and_its_gradient_does_not_depend_on_the_number_of_queries():
    field = MLPDynamics(3, (8,))
    z0 = torch.randn(4, 3, requires_grad=True)
    counts, evaluations = [], []
    solve(field, z0, torch.rand(4, 2), t1=1.0, t_back=0.0, n_steps=5).z.sum().backward()  # constants are made once
    for n_queries in (2, 20, 2000):
        times = torch.rand(4, n_queries)
        with Operators() as operators:
            solution = solve(field, z0, times, t1=1.0, t_back=0.0, n_steps=5, watch=False)
            torch.autograd.grad(solution.z.sum(), [z0, *field.parameters()])
        counts.append(operators.count)
        evaluations.append(solution.stats.evaluations)
    assert len(set(counts)) == 1
    assert evaluations == [21, 21, 21]


def test_a_second_derivative_is_refused_with_the_way_out(case):
    field, inputs = case
    for adjoint in ("discrete", "backsolve"):
        z = solve(field, inputs["z0"], inputs["times"], args=(inputs["context"],), coarse=None, adjoint=adjoint).z
        (g,) = torch.autograd.grad(z.nansum(), inputs["z0"], create_graph=True)
        again = solve(
            field, inputs["z0"], inputs["times"].detach(), args=(inputs["context"],), coarse=None, adjoint=adjoint
        )
        (sealed,) = torch.autograd.grad(again.z.nansum(), inputs["context"], create_graph=True, retain_graph=True)
        assert torch.equal(sealed, torch.autograd.grad(again.z.nansum(), inputs["context"])[0])
        with pytest.raises(RuntimeError, match='adjoint="autograd"'):
            g.sum().backward()


def test_autograd_gives_second_derivatives():
    z0 = torch.tensor([[0.5]], dtype=torch.float64, requires_grad=True)
    z = solve(lambda t, z: z**2, z0, torch.tensor([[0.5]]).double(), n_steps=40, adjoint="autograd").z
    (first,) = torch.autograd.grad(z.sum(), z0, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z0)
    assert first.item() == pytest.approx(1 / 0.75**2, rel=1e-6)  # z = z0 / (1 - z0 t)
    assert second.item() == pytest.approx(2 * 0.5 / 0.75**3, rel=1e-6)


def test_a_gradient_may_be_requested_twice(case):
    field, inputs = case
    for the_field in (field, Hidden(field)):
        z = solve(the_field, inputs["z0"], inputs["times"], args=(inputs["context"],), coarse=None).z
        first = torch.autograd.grad(z.nansum(), [inputs["z0"], *field.parameters()], retain_graph=True)
        again = torch.autograd.grad(z.nansum(), [inputs["z0"], *field.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_parameters_changed_in_place_before_the_gradient_are_noticed():
    field = MLPDynamics(2, (4,))
    z = solve(field, torch.randn(3, 2), torch.rand(3, 2)).z
    with torch.no_grad():
        field.layers[0].weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed"])
def test_a_field_that_reads_no_time_gives_the_ends_of_the_span_their_gradients(adjoint, control):
    field = MLPDynamics(2, (4,), control_dim=control).double()
    z0, t0, t1 = (torch.rand(*shape).double().requires_grad_() for shape in ((3, 2), (3,), (3,)))
    values = torch.rand(3, 2, 1).double().requires_grad_()
    path = PiecewiseLinear(torch.tensor([[-1.0, 3.0]] * 3).double(), values) if control else None
    options = {"control": path, "t_back": t0, "n_steps": 3, "coarse": None}
    wanted = [z0, t0, t1, *field.parameters(), *([values] if control else [])]
    times = torch.full((3, 1), 0.5).double()
    grads = [
        torch.autograd.grad(
            solve(field, z0, times, t0, t1, adjoint=which, watch=False, **options).z.nansum()
            + solve(field, z0, (t1 * 1).unsqueeze(1), t0, t1, adjoint=which, watch=False, **options).z.nansum(),
            wanted,
        )
        for which in (adjoint, "autograd")
    ]
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads, strict=True))
    assert all(g.abs().max() > 0 for g in grads[0])


@pytest.mark.parametrize("call", ["solve", "odeint", "odeint_adjoint", "shaped"])
def test_a_module_that_keeps_its_own_solution_can_be_collected(call):
    class Keeping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = torch.nn.Parameter(torch.ones(3))
            y0, t = torch.ones(1, 3), torch.tensor([0.0, 1.0])
            if call in ("solve", "shaped"):
                self.solution = solve(self, y0 if call == "solve" else (y0, y0), t)
                self.z = self.solution.z if call == "solve" else self.solution.z[0]
            else:
                self.z = (odeint if call == "odeint" else odeint_adjoint)(self, y0, t, method="rk4")

        def forward(self, t, y):
            return tuple(-self.rate * part for part in y) if isinstance(y, tuple) else -self.rate * y

    module = Keeping()
    assert torch.autograd.grad(module.z.sum(), module.rate, retain_graph=True)[0].abs().min() > 0.1
    kept = weakref.ref(module)
    del module
    gc.collect()
    assert kept() is None
