import gc
import shutil
import warnings
import weakref

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch._dynamo.utils import counters

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import NotCompiledWarning, SolveError, solve
from latentode.ode import compiled as compiled_room


class Driven(torch.nn.Module):
    """A field that reads the time and an argument, and that the solver does not know."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, t, z, shift):
        return torch.tanh(self.layer(z)) * torch.cos(t) + shift


@pytest.fixture(scope="module")
def solved():
    """One field solved twice with its gradients, uncompiled and compiled, and the graphs that took."""
    if not any(map(shutil.which, ("g++", "clang++", "c++"))):
        pytest.skip("there is no compiler on this machine")
    torch.manual_seed(0)
    field, z0 = Driven().double(), torch.randn(3, 2).double().requires_grad_()
    shift = torch.randn(3, 2).double().requires_grad_()
    times = (2 * torch.rand(3, 4).double() - 1).requires_grad_()
    t1 = torch.full((3,), 1.5).double().requires_grad_()
    wanted = [z0, shift, times, t1, *field.parameters()]

    def run(**options):
        solution = solve(
            field, z0, times, 0.0, t1, t_back=-1.5, args=(shift,), n_steps=2, coarse=None, method="heun", **options
        )
        return solution, torch.autograd.grad((solution.z**2).sum(), wanted)

    before = counters["stats"]["unique_graphs"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCompiledWarning)
        compiled = run(compile=True)
    return run(), compiled, counters["stats"]["unique_graphs"] - before, run


@pytest.mark.slow  # compiling takes half a minute
def test_a_compiled_solve_has_the_answers_and_gradients_of_the_uncompiled_one(solved):
    (plain, plain_gradients), (fast, fast_gradients), _, _ = solved
    assert torch.allclose(plain.z, fast.z, atol=1e-13)
    assert torch.allclose(plain.stats.error, fast.stats.error, atol=1e-13)
    assert plain.stats.evaluations == fast.stats.evaluations
    for a, b in zip(plain_gradients, fast_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.slow  # compiling takes half a minute
def test_it_really_was_compiled_and_is_not_compiled_again(solved):
    *_, graphs, run = solved
    assert graphs >= 1
    before = counters["stats"]["unique_graphs"]
    run(compile=True)
    assert counters["stats"]["unique_graphs"] == before


@pytest.mark.slow  # compiling takes half a minute
def test_a_solution_that_was_compiled_can_be_read_and_is_watched(solved):
    *_, run = solved
    solution, _ = run(compile=True)
    assert torch.allclose(solution.at(torch.tensor([0.7]).double()), run()[0].at(torch.tensor([0.7]).double()))


@pytest.mark.parametrize("n_steps", [1, 6, 11, 16, 20])
@pytest.mark.parametrize("method", ["euler", "heun", "rk4", "tsit5"])
def test_what_is_given_to_the_compiler_takes_the_steps_of_the_uncompiled_solve(monkeypatch, method, n_steps):
    made = []

    def compiler(function, fullgraph):
        assert fullgraph
        made.append(function)
        counters["stats"]["unique_graphs"] += 1
        return function

    field, z0 = Driven().double(), torch.randn(3, 2).double().requires_grad_()
    shift, t1 = torch.randn(3, 2).double().requires_grad_(), torch.full((3,), 1.5).double().requires_grad_()
    times = torch.tensor([[0.0, 1.5, 0.75, -1.0], [0.3, -1.5, 1.0, 0.1], [1.2, -0.2, float("nan"), 0.9]]).double()
    wanted = [z0, shift, times.requires_grad_(), t1, *field.parameters()]

    def run(**options):
        solution = solve(
            field,
            z0,
            times,
            0.0,
            t1,
            t_back=-1.5,
            args=(shift,),
            n_steps=n_steps,
            coarse=None,
            method=method,
            **options,
        )
        return solution, torch.autograd.grad((solution.z.nan_to_num() ** 2).sum(), wanted)

    (plain, plain_gradients), before = run(), counters["stats"]["unique_graphs"]
    monkeypatch.setattr(compiled_room.torch, "compile", compiler)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCompiledWarning)
        for _ in range(2):  # the second time with what is kept
            solution, gradients = run(compile=True)
            assert torch.allclose(solution.z, plain.z, atol=1e-13, equal_nan=True)
            assert torch.allclose(solution.at(times), plain.at(times), atol=1e-13, equal_nan=True)
            assert solution.stats.steps == plain.stats.steps
            if method == "euler":  # whose slope at the very end nobody but the estimate of its error wants
                assert solution.stats.evaluations == plain.stats.evaluations + 2
            else:
                assert solution.stats.evaluations == plain.stats.evaluations
                assert torch.allclose(solution.stats.error, plain.stats.error, atol=1e-13)
            assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(gradients, plain_gradients, strict=True))
    counters["stats"]["unique_graphs"] = before
    assert len(made) == (1 if n_steps < 9 else 2)


def uncompiled(function, fullgraph):
    """Stand in for a compiler."""
    counters["stats"]["unique_graphs"] += 1
    return function


def test_where_a_compiled_solve_breaks_is_said_as_of_an_uncompiled_one(monkeypatch):
    monkeypatch.setitem(counters["stats"], "unique_graphs", 0)
    monkeypatch.setattr(compiled_room.torch, "compile", uncompiled)
    field = Driven().double()
    z0, shift = torch.ones(3, 2).double(), torch.ones(3, 2).double()
    t1 = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)

    class Broken(torch.nn.Module):
        def forward(self, t, z, shift):
            return torch.where(t > 0.6, float("nan"), field(t, z, shift))

    caught = []
    for compiled in (False, True):
        with torch.no_grad(), pytest.raises(SolveError, match="not finite") as raised:
            solve(Broken(), z0, t1.unsqueeze(1), 0.0, t1, t_back=0.0, args=(shift,), n_steps=8, compile=compiled)
        caught.append((raised.value.series, raised.value.times, raised.value.reached))
    assert caught[0] == caught[1]


def test_a_compiled_solve_may_ask_for_autograd_which_it_has_anyway(monkeypatch):
    monkeypatch.setitem(counters["stats"], "unique_graphs", 0)
    monkeypatch.setattr(compiled_room.torch, "compile", uncompiled)
    layer = torch.nn.Linear(2, 2)

    class Strict(torch.nn.Module):
        def forward(self, t, z):
            assert t.dtype == z.dtype
            return torch.tanh(layer(z)) * torch.cos(t)

    field = Strict()
    z0, times = torch.randn(3, 2, requires_grad=True), torch.rand(3, 4).double()
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCompiledWarning)
        z = solve(field, z0, times, n_steps=3, adjoint="autograd", compile=True).z
    assert z.dtype == torch.float32
    assert torch.allclose(z, solve(field, z0, times, n_steps=3, adjoint="autograd").z, atol=1e-6)


def test_where_it_cannot_be_compiled_a_warning_says_so_once_and_the_answer_is_the_same(monkeypatch):
    def broken(function, **options):
        def program(*given):
            raise TorchDynamoException("there is no compiler here")

        return program

    monkeypatch.setattr(compiled_room.torch, "compile", broken)
    field, z0, times = MLPDynamics(2, (4,)), torch.randn(3, 2), torch.rand(3, 4)
    with pytest.warns(NotCompiledWarning, match="runs uncompiled: there is no compiler here"):
        z = solve(field, z0, times, n_steps=3, compile=True).z
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = solve(field, z0, times, n_steps=3, compile=True).z
    assert torch.equal(z, solve(field, z0, times, n_steps=3).z)
    assert torch.equal(z, again)


def test_a_compiler_that_is_switched_off_is_noticed(monkeypatch):
    monkeypatch.setitem(counters["stats"], "unique_graphs", 5)  # something else has been compiled before
    monkeypatch.setattr(compiled_room.torch, "compile", lambda function, **options: function)
    with pytest.warns(NotCompiledWarning, match="switched off"):
        solve(MLPDynamics(2, (4,)), torch.randn(3, 2), torch.rand(3, 4), n_steps=3, compile=True)


def test_programs_do_not_outlive_their_field(monkeypatch):
    monkeypatch.setattr(compiled_room.torch, "compile", lambda function, **options: function)
    field = MLPDynamics(2, (4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCompiledWarning)
        solve(field, torch.randn(3, 2), torch.rand(3, 4), n_steps=3, compile=True)
    alive = weakref.ref(field)
    del field
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "tsit5"}, "grid of equal steps"),
        ({"n_steps": (0.0, 0.4, 1.0)}, "grid of equal steps"),
        ({"n_steps": 3, "jump_times": [0.5]}, "grid of equal steps"),
        ({"n_steps": 3, "method": "kvaerno3"}, "explicit methods"),
        ({"n_steps": 3, "adjoint": "backsolve"}, "discrete adjoint"),
    ],
)
def test_what_is_not_compiled_is_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        solve(MLPDynamics(2, (4,)), torch.randn(3, 2), torch.ones(3, 4), compile=True, **options)
