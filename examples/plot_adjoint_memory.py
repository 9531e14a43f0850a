"""
Adjoint methods: memory of the backward pass
============================================

The backsolve adjoint solves the adjoint equation backward in time. It stores only the values of z at the query times,
so its memory does not grow with the number of solver steps. Backpropagation through the solver (``autograd``) stores
every step.
"""

import torch
from matplotlib import pyplot as plt

from latentode.nn import MLPDynamics
from latentode.ode import solve


def stored(adjoint: str, n_steps: int) -> float:
    """Kilobytes that autograd stores between the forward and the backward pass."""
    torch.manual_seed(0)
    field, z0 = MLPDynamics(4, (32, 32)), torch.randn(8, 4, requires_grad=True)
    seen: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        z = solve(field, z0, torch.ones(8, 1), n_steps=n_steps, adjoint=adjoint).z
    z.sum().backward()
    return sum(seen.values()) / 1e3


steps = [10, 30, 100, 300]
_, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for adjoint, color in (("autograd", "#D55E00"), ("backsolve", "#0072B2")):
    ax.loglog(steps, [stored(adjoint, n) for n in steps], "o-", color=color, label=adjoint)
ax.set(xlabel="steps", ylabel="kB stored for the backward pass")
ax.legend(frameon=False)
