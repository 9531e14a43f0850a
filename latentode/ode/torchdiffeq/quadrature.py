"""Integrals of the polynomials through given nodes: the weights of multistep methods, and of collocation."""

from functools import cache

import torch
from torch import Tensor

__all__ = ["gauss_legendre", "lagrange_integrals"]

POINTS = 8  # exact for polynomials of degree 15


@cache
def gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of Gauss's quadrature on [0, 1], (n,) each, in float64.

    They are the eigenvalues of the Jacobi matrix of Legendre's polynomials, and the squares of the first components of
    its eigenvectors.

    References
    ----------
    Golub & Welsch (1969), Calculation of Gauss quadrature rules, Mathematics of Computation 23.

    Examples
    --------
    >>> gauss_legendre(2)
    (tensor([0.2113, 0.7887], dtype=torch.float64), tensor([0.5000, 0.5000], dtype=torch.float64))
    """
    k = torch.arange(1, n, dtype=torch.float64)
    beside = k / (4 * k**2 - 1).sqrt()
    values, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return 0.5 * (1 + values), vectors[0] ** 2


def lagrange_integrals(nodes: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Return the integral from ``begin`` to ``end`` of every Lagrange polynomial of the nodes, (node,).

    Parameters
    ----------
    nodes : Tensor
        (node,), at most 16, all different, in float64.
    begin, end : Tensor
        0-dimensional. Both, and the nodes, receive gradients.

    Examples
    --------
    Simpson's rule:

    >>> 6 * lagrange_integrals(torch.tensor([0.0, 0.5, 1.0]).double(), *torch.tensor([0.0, 1.0]).double())
    tensor([1.0000, 4.0000, 1.0000], dtype=torch.float64)
    """
    places, weights = (x.to(nodes) for x in gauss_legendre(POINTS))
    at = begin + (end - begin) * places
    itself = torch.eye(len(nodes), dtype=torch.bool, device=nodes.device)
    between = (nodes.unsqueeze(1) - nodes).masked_fill(itself, 1.0)
    factors = ((at.view(-1, 1, 1) - nodes) / between).masked_fill(itself, 1.0)
    return (end - begin) * (weights @ factors.prod(-1))
