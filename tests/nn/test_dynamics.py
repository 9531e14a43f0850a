import copy

import pytest
import torch

from latentode.nn.dynamics import LinearDynamics, MixedDynamics, MLPDynamics
from latentode.nn.mlp_vjp import ACTIVATIONS
from latentode.ode import AnalyticField, solve
from latentode.ode.field import is_analytic


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_solve_agrees_with_finite_differences(activation):
    field = MLPDynamics(2, (4,), activation=activation, context_dim=1, time_dependent=True).double()
    z0, context = torch.randn(2, 2).double().requires_grad_(), torch.randn(2, 1).double().requires_grad_()
    times = (torch.rand(2, 3).double() * 2 - 1).requires_grad_()

    def answers(z0, context, times):
        return solve(field, z0, times, t1=1.0, t_back=-1.0, args=(context,), n_steps=2, coarse=None).z

    assert torch.autograd.gradcheck(answers, (z0, context, times), fast_mode=True)


def test_parameters_come_layer_by_layer_and_the_first_multiplies_state_context_and_time():
    field = MLPDynamics(2, (5,), context_dim=3, time_dependent=True)
    assert [tuple(p.shape) for p in field.parameters()] == [(5, 6), (5,), (2, 5), (2,)]
    z, context, t = torch.randn(4, 2), torch.randn(4, 3), torch.randn(4, 1)
    w1, b1, w2, b2 = field.parameters()
    expected = torch.tanh(torch.cat([z, context, t], 1) @ w1.T + b1) @ w2.T + b2
    assert torch.allclose(field(t, z, context), expected, atol=1e-6)


def test_the_time_may_be_a_number():
    field = MLPDynamics(2, (5,), time_dependent=True)
    z = torch.randn(4, 2)
    assert torch.allclose(field(0.5, z), field(torch.full((4, 1), 0.5), z))


def test_it_is_recognised_as_analytic_unless_something_stands_between():
    field = MLPDynamics(2, (5,))
    assert isinstance(field, AnalyticField)
    assert is_analytic(field)
    assert is_analytic(copy.deepcopy(field))

    class Changed(MLPDynamics):
        def forward(self, t, z):
            return -super().forward(t, z)

    assert not is_analytic(Changed(2, (5,)))
    hooked = MLPDynamics(2, (5,))
    hooked.layers[0].register_forward_hook(lambda module, args, out: 2 * out)
    assert not is_analytic(hooked)
    normed = torch.nn.utils.parametrizations.weight_norm(MLPDynamics(2, (5,)).layers[0])
    assert not is_analytic(torch.nn.Sequential(normed))


def test_a_subclass_that_changes_forward_is_solved_by_its_own_forward():
    class Reversed(MLPDynamics):
        def forward(self, t, z):
            return -super().forward(t, z)

    torch.manual_seed(0)
    field, reverse = MLPDynamics(2, (5,)), Reversed(2, (5,))
    reverse.load_state_dict(field.state_dict())
    z0, times = torch.randn(3, 2), torch.rand(3, 4)
    assert torch.allclose(solve(reverse, z0, -times).z, solve(field, z0, times).z, atol=1e-6)


def test_an_activation_that_is_not_smooth_is_refused():
    with pytest.raises(ValueError, match="activation must be one of elu, silu, softplus, tanh"):
        MLPDynamics(3, (4,), activation="relu")


@pytest.mark.parametrize(
    ("build", "call", "message"),
    [
        ({}, (torch.zeros(2, 2),), "2 latent dimensions, but the field has 3"),
        ({}, (torch.zeros(2, 3), torch.zeros(2, 1)), "context_dim=0"),
        ({"context_dim": 2}, (torch.zeros(2, 3),), "context_dim=2"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(build, call, message):
    field = MLPDynamics(3, (4,), **build)
    with pytest.raises(ValueError, match=message):
        field(0.0, *call)
    with pytest.raises(ValueError, match=message):
        solve(field, call[0], torch.ones(2, 1), args=call[1:])


# ------------------------------------------------------------------------------------------------ the kin


def field_of(kind, context_dim=0):
    if kind is MixedDynamics:
        return MixedDynamics(MLPDynamics(2, (8, 8), context_dim=context_dim), LinearDynamics(2, context_dim))
    torch.manual_seed(0)
    return LinearDynamics(latent_dim=4, context_dim=context_dim)


@pytest.mark.parametrize("kind", [LinearDynamics, MixedDynamics])
@pytest.mark.parametrize("context_dim", [0, 3])
def test_the_kin_solve_and_learn(kind, context_dim):
    field = field_of(kind, context_dim)
    z0, args = torch.randn(5, 4, requires_grad=True), (torch.randn(5, context_dim),) * (context_dim > 0)
    z = solve(field, z0, torch.rand(5, 7), t0=0.0, t1=1.0, method="rk4", n_steps=60, args=args).z
    z.square().sum().backward()
    assert z0.grad.abs().sum() > 0
    assert all(p.grad is not None for p in field.parameters())


def test_the_closed_form_is_what_a_solver_finds():
    field = field_of(LinearDynamics, 3).double()
    z0, context = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    times = 2 * torch.rand(5, 7, dtype=torch.float64) - 1
    solved = solve(
        field, z0, times, t0=0.0, t1=1.0, t_back=-1.0, method="dopri8", rtol=1e-9, atol=1e-9, args=(context,)
    ).z
    torch.testing.assert_close(field.flow(z0, times, context), solved, atol=1e-6, rtol=1e-6)


def test_an_mlp_that_ends_in_tanh_has_a_bounded_slope():
    field = MLPDynamics(4, (8, 8), ("silu", "tanh"))
    last = field.layers[-1]
    bound = last.weight.abs().sum(1) + last.bias.abs()
    assert (field(0.0, 1e6 * torch.randn(20, 4)).abs() <= bound + 1e-4).all()


def test_an_odd_latent_dim_is_refused():
    with pytest.raises(ValueError, match="latent_dim=3 must be even"):
        LinearDynamics(3, 8)


@pytest.mark.parametrize("activation", [("silu", "tanh"), ("tanh", "elu"), ("softplus", "silu")])
def test_layers_of_different_activations_have_autograds_gradients(activation):
    torch.manual_seed(0)
    field = MLPDynamics(3, (8, 6), activation, context_dim=2).double()
    z0 = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    context = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    found = []
    for adjoint in ("discrete", "autograd"):
        z = solve(
            field,
            z0,
            torch.rand(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
            t0=0.0,
            t1=1.0,
            method="rk4",
            n_steps=4,
            args=(context,),
            adjoint=adjoint,
        ).z
        found.append(torch.autograd.grad(z.square().sum(), [z0, context, *field.parameters()]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-9)


def test_activations_must_be_as_many_as_hidden_layers():
    with pytest.raises(ValueError, match="names 1, for 2 hidden layers"):
        MLPDynamics(2, (8, 8), ("silu",))
