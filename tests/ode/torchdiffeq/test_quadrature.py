import pytest
import torch

from latentode.ode.torchdiffeq.collocation import COLLOCATION
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


@pytest.mark.parametrize(
    ("name", "order"), [("implicit_midpoint", 2), ("gl4", 4), ("gl6", 6), ("radauIIA3", 3), ("radauIIA5", 5)]
)
def test_collocation_meets_the_conditions_of_its_order_and_no_more(name, order):
    method = COLLOCATION[name]
    a, b, c = (torch.tensor(x, dtype=torch.float64) for x in (method.a, method.b, method.c))
    off = [abs(float(b @ c ** (q - 1)) - 1 / q) for q in range(1, order + 2)]
    assert max(off[:-1]) < 1e-14 < 1e-4 < off[-1]
    for q in range(1, len(c) + 1):  # C(s), with which B(2s) or B(2s - 1) gives the order
        assert torch.allclose(a @ c ** (q - 1), c**q / q, atol=1e-14)
