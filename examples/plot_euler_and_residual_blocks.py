"""
Euler's method and residual blocks
==================================

A residual block, z <- z + h f(z), is one step of Euler's method. More and smaller steps, or a better method, follow
the trajectory of the ODE more closely.
"""

import torch
from matplotlib import pyplot as plt

from latentode.ode import solve

turn = torch.tensor([[-0.15, -1.0], [1.0, -0.15]])


def field(t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """A spiral."""
    return z @ turn.T


z0, end = torch.tensor([[2.0, 0.0]]), 6.0
_, ax = plt.subplots(figsize=(5.5, 5), layout="constrained")
side = torch.linspace(-2.3, 2.3, 16)
x, y = torch.meshgrid(side, side, indexing="xy")
slope = field(torch.zeros(1), torch.stack([x.flatten(), y.flatten()], 1))
ax.quiver(x.flatten(), y.flatten(), slope[:, 0], slope[:, 1], color="#BBBBBB", width=0.003)
for n_blocks, color in ((8, "#D55E00"), (16, "#E69F00"), (64, "#009E73")):
    times = torch.linspace(0, end, n_blocks + 1)
    z = solve(field, z0, times, method="euler", n_steps=n_blocks, coarse=None).z[0]
    ax.plot(*z.T, "o-", ms=3, lw=1, color=color, label=f"{n_blocks} residual blocks (Euler)")
curve = solve(field, z0, torch.linspace(0, end, 300), method="dopri5", rtol=1e-8, atol=1e-8).z[0]
ax.plot(*curve.T, color="#0072B2", lw=2, label="the ODE (dopri5)")
ax.set(xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal", xlabel="z1", ylabel="z2")
ax.legend(frameon=False, loc="lower right", fontsize=8)
