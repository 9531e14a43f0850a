import pytest
import torch
from torch import nn

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import ODEBlock


class Branch(nn.Module):
    """f(z) of a residual block z + f(z)."""

    def __init__(self, width=6):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, width))

    def forward(self, t, z):
        return self.layers(z)


class Stack(nn.Module):
    """A field which is another branch in every unit of time."""

    def __init__(self, n_blocks):
        super().__init__()
        self.branches = nn.ModuleList(Branch() for _ in range(n_blocks))

    def forward(self, t, z):
        return self.branches[int(t[0])](t, z)


def residual(stack, z):
    for branch in stack.branches:
        z = z + branch(None, z)
    return z


@pytest.mark.parametrize("adjoint", ["discrete", "autograd"])
@pytest.mark.parametrize("n_blocks", [1, 3, 49])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_euler_with_steps_of_one_is_a_residual_stack_number_for_number(n_blocks, adjoint, dtype):
    stack = Stack(n_blocks).to(dtype)
    z0 = torch.randn(5, 6, dtype=dtype)
    for depth in {1, n_blocks // 2 + 1, n_blocks}:
        layer = ODEBlock(stack, t1=float(depth), method="euler", n_steps=depth, adjoint=adjoint)
        shallow = Stack(0)
        shallow.branches = stack.branches[:depth]
        assert torch.equal(layer(z0), residual(shallow, z0))


@pytest.mark.parametrize("adjoint", ["discrete", "checkpointed", "autograd"])
def test_its_gradients_are_those_of_the_stack(adjoint):
    stack, z0 = Stack(4).double(), torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    wanted = [z0, *stack.parameters()]
    layer = ODEBlock(stack, t1=4.0, method="euler", n_steps=4, adjoint=adjoint)
    ours = torch.autograd.grad(layer(z0).square().sum(), wanted)
    theirs = torch.autograd.grad(residual(stack, z0).square().sum(), wanted)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(ours, theirs, strict=True))


def test_it_trains_where_the_stack_would_and_to_the_same_weights():
    inputs, targets = torch.randn(64, 6), torch.randn(64, 6)
    losses, weights = [], []
    for make in (lambda s: ODEBlock(s, t1=3.0, method="euler", n_steps=3), lambda s: lambda z: residual(s, z)):
        torch.manual_seed(1)
        stack = Stack(3)
        layer = make(stack)
        for _ in range(60):
            loss = (layer(inputs) - targets).square().mean()
            gradients = torch.autograd.grad(loss, list(stack.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(stack.parameters(), gradients, strict=True):
                    parameter -= 0.3 * gradient
        losses.append(loss.item())
        weights.append(nn.utils.parameters_to_vector(stack.parameters()))
    start = (inputs - targets).square().mean().item()
    assert losses[0] < 0.6 * start
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert torch.allclose(*weights, atol=1e-3)


def test_it_goes_as_far_as_it_says_in_the_precision_of_its_state():
    layer = ODEBlock(nn.Linear(1, 1), t1=0.1, method="euler", n_steps=1)
    layer.field.forward = lambda t, z: torch.ones_like(z)
    z = layer(torch.zeros(1, 1, dtype=torch.float64))
    assert z.item() == pytest.approx(0.1, rel=1e-15)
    assert layer.extra_repr().startswith("t1=0.1, method='euler', n_steps=1, ")


def test_nothing_is_evaluated_but_its_steps():
    counted = []
    layer = ODEBlock(nn.Linear(1, 1), n_steps=2)
    layer.field.forward = lambda t, z: counted.append(1) or torch.ones_like(z)
    layer(torch.zeros(3, 1))
    assert len(counted) == 9


def test_images_keep_their_shape_and_the_convolution_gets_its_gradient():
    class Convolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, t, z):
            assert t.shape == (2, 1, 1, 1)
            return torch.tanh(self.layer(z)) * t

    field = Convolution()
    z = ODEBlock(field, n_steps=2)(torch.randn(2, 3, 5, 5))
    assert z.shape == (2, 3, 5, 5)
    z.sum().backward()
    assert field.layer.weight.grad.abs().sum() > 0


def test_it_is_a_layer_like_any_other():
    layer = ODEBlock(MLPDynamics(3, (4,)), method="dopri5", rtol=1e-5)
    network = nn.Sequential(nn.Linear(2, 3), layer, nn.Linear(3, 1))
    assert len(list(network.parameters())) == 8
    network(torch.randn(7, 2)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    assert "method='dopri5'" in repr(network)
    usual = "t1=1.0, method='rk4', n_steps=None, rtol=0.001, atol=0.0001, adjoint='discrete', coarse=None"
    assert ODEBlock(MLPDynamics(3, (4,))).extra_repr() == usual
    assert ODEBlock(MLPDynamics(3, (4,)), t1=-1.0)(torch.ones(2, 3)).shape == (2, 3)
