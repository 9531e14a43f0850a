import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.nn.mlp_vjp import ACTIVATIONS

SHAPES = [
    {},
    {"context_dim": 2},
    {"time_dependent": True},
    {"context_dim": 2, "time_dependent": True},
    {"context_dim": 2, "control_dim": 3, "time_dependent": True},
    {"control_dim": 1},
    {"hidden_dims": ()},
    {"hidden_dims": (), "context_dim": 2, "time_dependent": True},
    {"hidden_dims": (4, 3, 5)},
]


def tape_and_inputs(copies=1, **shape):
    torch.manual_seed(0)
    field = MLPDynamics(3, **{"hidden_dims": (5, 4), **shape}).double()
    rows = 4 * copies
    z, t, u = (torch.randn(2, rows, dim).double() for dim in (3, 1, field.control_dim))
    args = (torch.randn(4, 2).double(),) if field.context_dim else ()
    return field, field.tape(args, z[0], copies=copies, record=True), z, t, u if field.control_dim else None, args


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("copies", [1, 2])
def test_the_tape_gives_the_values_and_gradients_of_autograd(activation, shape, copies):
    field, tape, z, t, u, args = tape_and_inputs(copies, activation=activation, **shape)
    cotangents = torch.randn_like(z)
    tape.reserve(1)
    pulled, slopes = torch.empty_like(z), torch.empty_like(z)
    for slot in range(2):
        tape.reserve(slot + 1)
        tape.evaluate(slot, t[slot] if tape.reads_time else None, None if u is None else u[slot], z[slot], slopes[slot])
    for slot in (1, 0):
        tape.pull(slot, cotangents[slot], pulled[slot])
    received = tape.gradients(z, cotangents, t, u)

    inputs = [z.requires_grad_(), t.requires_grad_(), *(a.requires_grad_() for a in args), *field.parameters()]
    each = [a.repeat(copies, 1) for a in args]
    driven = [] if u is None else [u.requires_grad_()]
    exact = torch.stack([field(t[slot], z[slot], *(x[slot] for x in driven), *each) for slot in range(2)])
    g_z, g_t, *rest = torch.autograd.grad(exact, inputs, cotangents, allow_unused=True, retain_graph=True)
    if u is not None:
        (g_u,) = torch.autograd.grad(exact, u, cotangents, retain_graph=True)
        assert torch.allclose(received.controls, g_u, atol=1e-13)
    assert torch.allclose(slopes, exact, atol=1e-13)
    assert torch.allclose(pulled, g_z, atol=1e-13)
    assert (received.times is None) == (g_t is None)
    if g_t is not None:
        assert torch.allclose(received.times, g_t, atol=1e-13)
    ours = [*received.args, *received.parameters]
    assert len(ours) == len(rest)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(ours, rest, strict=True))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_that_of_torch_and_its_backward_is_its_derivative(activation):
    kind = ACTIVATIONS[activation]
    x = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    inner, raw, slope = kind.inner * x.detach(), torch.empty(41).double(), torch.empty(41).double()
    kind.forward(inner, raw)
    kind.backward(torch.ones_like(raw), inner if kind.saves_input else raw, slope)
    exact = kind.module()(x)
    (exact_slope,) = torch.autograd.grad(exact.sum(), x)
    assert torch.allclose(kind.outer * raw + kind.shift, exact, atol=1e-14)
    assert torch.allclose(kind.outer * slope * kind.inner, exact_slope, atol=1e-14)


def test_without_a_backward_sweep_one_slot_is_used_again_and_again():
    field, _, z, t, _, args = tape_and_inputs(context_dim=2, time_dependent=True)
    tape, slopes = field.tape(args, z[0], copies=1, record=False), torch.empty_like(z)
    tape.reserve(50)
    for slot in (0, 1):
        tape.evaluate(slot + 40, t[slot], None, z[slot], slopes[slot])
    assert [len(x) for x in tape.outputs] == [1, 1]
    assert torch.allclose(slopes, torch.stack([field(t[k], z[k], *args) for k in range(2)]), atol=1e-13)


def test_a_control_that_is_missing_or_of_another_width_is_refused():
    _, tape, z, t, u, _ = tape_and_inputs(control_dim=3, time_dependent=True)
    tape.reserve(1)
    with pytest.raises(ValueError, match="the field has control_dim=3: solve needs control="):
        tape.evaluate(0, t[0], None, z[0], torch.empty_like(z[0]))
    with pytest.raises(ValueError, match="the control has 2 channels, but the field has control_dim=3"):
        tape.evaluate(0, t[0], u[0, :, :2], z[0], torch.empty_like(z[0]))
    _, tape, *_ = tape_and_inputs()
    tape.reserve(1)
    with pytest.raises(ValueError, match="the control has 3 channels, but the field has control_dim=0"):
        tape.evaluate(0, None, u[0], z[0], torch.empty_like(z[0]))
