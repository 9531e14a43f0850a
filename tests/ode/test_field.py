import math

import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve
from latentode.ode.field import is_analytic
from tests.ode.conftest import Hidden

HOOKS = ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_closure_over_a_trainable_tensor_is_refused_rather_than_left_without_gradient(wanted):
    rate = torch.tensor(1.0, requires_grad=True)
    with pytest.raises(ValueError, match="Pass it through args"):
        solve(lambda t, z: rate * z, torch.ones(1, 1, requires_grad=wanted), torch.ones(1, 1))
    with pytest.raises(ValueError, match=r"shape \(\) .*or solve under torch.no_grad\(\)\."):
        solve(
            lambda t, z: rate * z, torch.ones(1, 1, requires_grad=wanted), torch.ones(1, 1), t1=1.0, t_back=0.0,
            method="euler", n_steps=1, watch=False,
        )  # fmt: skip


def test_a_closure_gets_its_gradient_through_args():
    rate = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    z = solve(lambda t, z, r: r * z, torch.ones(1, 1).double(), torch.ones(1, 1).double(), args=(rate,)).z
    z.sum().backward()
    assert rate.grad.item() == pytest.approx(2.71828, rel=1e-3)


def test_frozen_parameters_get_no_gradient_and_the_others_do():
    field = MLPDynamics(2, (4,))
    field.layers[0].weight.requires_grad_(False)
    for the_field in (field, Hidden(field)):
        field.zero_grad()
        solve(the_field, torch.randn(3, 2), torch.rand(3, 2)).z.sum().backward()
        assert field.layers[0].weight.grad is None
        assert field.layers[1].weight.grad.abs().sum() > 0


def test_dropout_gets_the_gradient_of_the_very_numbers_that_were_drawn():
    class Dropping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, t, z):
            return self.drop(torch.tanh(self.layer(z)))

    field, z0, times = Dropping().double(), torch.randn(4, 3).double(), torch.rand(4, 5).double()
    grads = []
    for adjoint in ("discrete", "autograd"):
        torch.manual_seed(3)
        z = solve(field, z0, times, n_steps=3, adjoint=adjoint, coarse=None).z
        grads.append(torch.autograd.grad(z.sum(), list(field.parameters())))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*grads, strict=True))


def test_buffers_are_updated_once_per_evaluation_and_only_in_the_forward():
    class Normed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(3)

        def forward(self, t, z):
            return torch.tanh(self.norm(z))

    field = Normed()
    solution = solve(field, torch.randn(4, 3), torch.rand(4, 5), n_steps=3, coarse=None)
    solution.z.sum().backward()
    assert field.norm.num_batches_tracked.item() == solution.stats.evaluations


@pytest.mark.parametrize("change", [*HOOKS, "parametrization", "forward", "subclass"])
def test_a_field_that_was_changed_from_outside_is_no_longer_used_for_its_derivatives(change):
    class Other(MLPDynamics):
        def forward(self, t, z, *args):
            return 2 * super().forward(t, z, *args)

    field = (Other if change == "subclass" else MLPDynamics)(2, (4,))
    assert is_analytic(field) == (change != "subclass")
    if change in HOOKS:
        getattr(field.layers[0], f"register_{change}")(lambda *given: None)
    elif change == "parametrization":
        torch.nn.utils.parametrizations.weight_norm(field.layers[0])
    elif change == "forward":
        field.forward = lambda t, z: -z
    assert not is_analytic(field)


class Potential(torch.nn.Module):
    """The gradient of a potential, dz/dt = -k z, in one of the ways people write it."""

    def __init__(self, way):
        super().__init__()
        self.way, self.k = way, torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, t, z):
        with torch.enable_grad():
            if self.way == "in place":
                z.requires_grad_()
            elif not z.requires_grad or self.way == "detached":
                z = z.detach().clone().requires_grad_() if self.way == "copy" else z.detach().requires_grad_()
            return -torch.autograd.grad(0.5 * self.k * (z**2).sum(), z, create_graph=True)[0]


WAYS = ["in place", "if needed", "copy"]
EXACT = ["discrete", "checkpointed", "autograd"]
# An implicit method takes a Newton iteration per stage: the default suite has each way and each adjoint of it once.
IMPLICIT = [
    pytest.param("kvaerno5", way, adjoint, marks=[] if WAYS.index(way) == EXACT.index(adjoint) else [pytest.mark.slow])
    for way in WAYS
    for adjoint in EXACT
]


# Each way meets every adjoint with one of two methods in the default suite.
EXPLICIT = [
    pytest.param(method, way, adjoint, marks=[pytest.mark.slow] if (i + j + k) % 2 else [])
    for i, method in enumerate(["rk4", "tsit5"])
    for j, way in enumerate(WAYS)
    for k, adjoint in enumerate([*EXACT, "continuous", "backsolve"])
]


@pytest.mark.parametrize(("method", "way", "adjoint"), [*EXPLICIT, *IMPLICIT])
def test_a_field_may_differentiate_a_potential(way, adjoint, method):
    field, times = Potential(way), torch.tensor([1.0], dtype=torch.float64)
    options = {"method": method, "adjoint": adjoint, "rtol": 1e-4, "atol": 1e-5, "n_steps": 10}
    for wanted in (False, True):
        z0 = torch.ones(2, 2, dtype=torch.float64, requires_grad=wanted)
        z = solve(field, z0, times, **options).z
        assert torch.allclose(z, torch.full_like(z, math.exp(-1)), rtol=1e-4)
        by_rate, *by_state = torch.autograd.grad(z.mean(), [field.k, z0] if wanted else [field.k])
        assert float(by_rate) == pytest.approx(-math.exp(-1), rel=1e-3)
        assert all(torch.allclose(4 * g, torch.full_like(z0, math.exp(-1)), rtol=1e-3) for g in by_state)
        assert z0.requires_grad == wanted
        with torch.no_grad():
            assert torch.allclose(solve(field, z0, times, **options).z, z, rtol=1e-12)
    field.k.requires_grad_(False)
    assert torch.allclose(solve(field, z0.detach(), times, **options).z, z, rtol=1e-12)


def test_a_potential_of_a_detached_state_is_refused_with_what_to_use():
    with pytest.raises(ValueError, match=r"use the state itself, z if z\.requires_grad else"):
        solve(Potential("detached"), torch.ones(2, 2).double(), torch.ones(1).double())


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "continuous", "backsolve", "autograd"])
def test_a_field_that_changes_its_state_in_place_is_refused(adjoint):
    def bounded(t, z):
        z[:, 0] = 0.0
        return -z

    for field in (bounded, lambda t, z: z.neg_(), lambda t, z: z.view(-1).neg_().view(z.shape)):
        with pytest.raises(ValueError, match="changes the state it is given in place"):
            solve(field, torch.ones(2, 3), torch.ones(1), adjoint=adjoint)
        with torch.no_grad(), pytest.raises(ValueError, match="changes the state it is given in place"):
            solve(field, torch.ones(2, 3, 1), torch.ones(1), adjoint=adjoint)
        with pytest.raises((ValueError, RuntimeError), match=r"in place|in-place"):
            solve(field, torch.ones(2, 3, requires_grad=True), torch.ones(1), adjoint=adjoint)


def test_in_inference_mode_a_field_has_a_state_of_its_own():
    with torch.inference_mode():
        z = solve(lambda t, z: z.neg_(), torch.ones(2, 3), torch.ones(1)).z
    assert torch.allclose(z, torch.full_like(z, math.exp(-1)), rtol=1e-4)


def test_a_field_may_write_every_slope_to_the_same_memory():
    out = torch.empty(2, 3)
    for adjoint in ("discrete", "autograd"):
        z = solve(lambda t, z: torch.mul(z, -1.0, out=out), torch.ones(2, 3), torch.ones(1), adjoint=adjoint).z
        assert torch.allclose(z, torch.full_like(z, math.exp(-1)), rtol=1e-4)


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve", "autograd"])
def test_a_slope_that_is_none_is_named(adjoint):
    z0, times = torch.ones(2, 3), torch.ones(1)
    for slope, got in ((-1.0, "float"), (None, "NoneType"), (z0.numpy(), "ndarray"), ((z0,), "tuple")):
        with pytest.raises(ValueError, match=f"shaped like z.*but returned {got}"):
            solve(lambda t, z, slope=slope: slope, z0, times, adjoint=adjoint)
        with pytest.raises(ValueError, match=rf"shaped like z.*but returned \['{got}'"):
            solve(lambda t, z, slope=slope: (slope, z[1]), (z0, z0), times, adjoint=adjoint)
    with pytest.raises(ValueError, match="shaped like z"):
        solve(lambda t, z: torch.stack(z), (z0, z0), times, adjoint=adjoint)
    with pytest.raises(ValueError, match="that of t: the arguments of a field are t, then z"):
        solve(lambda z, t: -z, z0, times, adjoint=adjoint)
    with pytest.raises(TypeError, match=r"returned torch\.complex64 for a real state"):
        solve(lambda t, z: 1j * z, z0, times, adjoint=adjoint)
