import cmath
import math

import pytest
import torch

from latentode.ode import odeint, odeint_adjoint, odeint_event
from latentode.ode.torchdiffeq.complex_state import ComplexState, is_complex, real_pairs

Z = torch.tensor([1 + 2j, -0.5j, 3 + 0j], dtype=torch.complex128)
X = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize("given", [{}, {"method": "rk4", "options": {"step_size": 0.05}}, {"method": "gl4"}])
def test_complex_states_are_solved_and_given_as_such(given):
    seen, t = set(), torch.linspace(0.0, 1.0, 21, dtype=torch.float64)

    def spin(t, state):
        seen.update(part.dtype for part in state)
        return 1j * state[0], -state[1]

    y0 = (torch.tensor([1.0, 2j], dtype=torch.complex128), torch.ones(1, dtype=torch.float64))
    z, y = odeint(spin, y0, t, **given)
    assert seen == {torch.complex128, torch.float64}
    assert torch.allclose(z, y0[0] * torch.exp(1j * t).unsqueeze(1), atol=1e-6)
    assert torch.allclose(y[:, 0], torch.exp(-t), atol=1e-6)


def test_a_state_is_complex_if_any_part_is():
    assert is_complex(Z)
    assert is_complex((X, Z))
    assert not is_complex(X)
    assert not is_complex((X, X))


@pytest.mark.parametrize("y0", [Z, Z.reshape(3, 1), Z[0], (Z, X), (X, Z[:2])])
def test_complex_numbers_become_pairs_and_come_back(y0):
    state = ComplexState(y0)
    pairs = state.real(y0)
    parts, reals = (x if isinstance(x, tuple) else (x,) for x in (y0, pairs))
    for part, real in zip(parts, reals, strict=True):
        assert not real.is_complex()
        assert real.shape == (*part.shape, 2) if part.is_complex() else real is part
    again = state.complex(pairs)
    for part, same in zip(parts, again if isinstance(again, tuple) else (again,), strict=True):
        assert torch.equal(part, same)


def test_pairs_are_copied_and_a_view_changes_what_it_is_of():
    pairs = real_pairs(Z)
    pairs.zero_()
    assert Z[0] == 1 + 2j
    ComplexState(Z).view(pairs).add_(1j)
    assert torch.equal(pairs, torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(3, 2))
    columns = real_pairs(Z).T.contiguous().T  # pairs that do not lie in memory as complex numbers do
    assert torch.equal(ComplexState(Z).view(columns), Z)


@pytest.mark.parametrize("method", ["rk4", "gl4"])
def test_gradients_of_complex_states_and_parameters_agree_with_finite_differences(method):
    rate = torch.tensor(-0.3 + 1.1j, dtype=torch.complex128, requires_grad=True)
    z0, t = Z.clone().requires_grad_(), torch.tensor([0.0, 0.4], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z0, rate: odeint(lambda t, z: rate * z + t, z0, t, method=method), (z0, rate), fast_mode=True
    )


@pytest.mark.parametrize("face", [odeint, odeint_adjoint])
def test_a_norm_of_the_callers_is_given_complex_states(face):
    seen = set()

    def norm(z):
        seen.add((z.dtype, tuple(z.shape)))
        return z.abs().max()

    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    own = {"adjoint_params": ()} if face is odeint_adjoint else {}
    z = face(lambda t, z: 1j * z, Z, t, options={"norm": norm}, **own)
    assert seen == {(torch.complex128, (3,))}
    assert torch.allclose(z[-1], Z * cmath.exp(1j), atol=1e-6)


def test_an_event_is_of_the_complex_state():
    begin = torch.tensor(0.0, dtype=torch.float64)
    when, z = odeint_event(
        lambda t, z: 1j * z, Z[:1] / Z[0], begin, event_fn=lambda t, z: z.real[0], rtol=1e-9, atol=1e-10
    )
    assert float(when) == pytest.approx(math.pi / 2, abs=1e-7)
    assert torch.allclose(z[-1], torch.tensor([1j], dtype=torch.complex128), atol=1e-6)


def test_a_callback_is_given_complex_states_and_may_change_them_in_place():
    class Dosed(torch.nn.Module):
        def forward(self, t, z):
            return torch.zeros_like(z)

        def callback_step(self, t, z, step):
            z += 1j

    z = odeint(Dosed(), Z, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), method="euler")
    assert torch.equal(z, torch.stack([Z, Z + 1j, Z + 2j]))
    assert Z[0] == 1 + 2j


@pytest.mark.parametrize("slope", [torch.ones(4) + 0j, torch.ones(1) + 0j, torch.ones(()), None, [Z]])
def test_a_slope_that_is_not_shaped_as_the_state_is_refused_as_for_real_ones(slope):
    with pytest.raises(ValueError, match=r"must return a tensor shaped like y, \(3,\), but returned"):
        odeint(lambda t, z: slope, Z, torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="must return a tuple of 2 tensors"):
        odeint(lambda t, state: (state[0],), (Z, X), torch.tensor([0.0, 1.0]))


def test_real_slopes_of_complex_states_count_as_complex_and_not_the_other_way_round():
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    z = odeint(lambda t, z: torch.ones(3, dtype=torch.float64), Z, t)
    assert torch.allclose(z[-1], Z + 1)
    with pytest.raises(TypeError, match=r"returned torch\.complex128 for a real state"):
        odeint(lambda t, state: (state[0], 1j * state[1]), (Z, X), t)
