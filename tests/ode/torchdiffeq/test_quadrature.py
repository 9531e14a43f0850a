import pytest
import torch

from latentode.ode.torchdiffeq.quadrature import gauss_legendre, lagrange_integrals


@pytest.mark.parametrize("n", [1, 3, 8])
def test_gauss_integrates_all_polynomials_below_twice_its_nodes_and_no_further_one(n):
    x, w = gauss_legendre(n)
    off = [abs(float(w @ x**p) - 1 / (p + 1)) for p in range(2 * n + 1)]
    assert max(off[:-1]) < 1e-14
    assert off[-1] > 1e-11


def test_the_weights_of_adams_are_the_classical_ones_on_equal_steps():
    nodes = torch.tensor([0.0, -1.0, -2.0, -3.0], dtype=torch.float64)
    zero, one = nodes.new_tensor(0.0), nodes.new_tensor(1.0)
    bashforth = torch.tensor([55.0, -59.0, 37.0, -9.0], dtype=torch.float64) / 24
    moulton = torch.tensor([9.0, 19.0, -5.0, 1.0], dtype=torch.float64) / 24
    assert torch.allclose(lagrange_integrals(nodes, zero, one), bashforth, rtol=1e-13)
    assert torch.allclose(lagrange_integrals(nodes + 1, zero, one), moulton, rtol=1e-13)


def test_weights_have_the_gradient_of_nodes_and_ends():
    nodes = torch.tensor([0.1, -0.4, -1.0], dtype=torch.float64, requires_grad=True)
    ends = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.1, 0.7))
    assert torch.autograd.gradcheck(lagrange_integrals, (nodes, *ends))
