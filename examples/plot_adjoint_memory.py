"""
The adjoint: gradients at constant memory
=========================================

Solving the adjoint equation backward keeps nothing but the answers: what a solve holds for its backward pass does not
grow with the number of steps. The discrete adjoint keeps every stage and is exact.
"""

import torch
from matplotlib import pyplot as plt

from latentode.nn import MLPDynamics
from latentode.ode import solve


def held(adjoint: str, n_steps: int) -> float:
    """Kilobytes that autograd keeps between the two passes."""
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
    ax.loglog(steps, [held(adjoint, n) for n in steps], "o-", color=color, label=adjoint)
ax.set(xlabel="steps", ylabel="kB held for the backward pass")
ax.legend(frameon=False)
