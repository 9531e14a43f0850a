"""What a solve and its gradient hold at a time, for each adjoint, against the number of steps.

usage: python -m tests.benchmarks.ode.memory [picture]

Bytes of live tensors are counted, not the process's memory, so that the figures are the same on every machine.
"""

import sys

import torch

from latentode.nn.dynamics import MLPDynamics
from tests.ode.held import peak_of

ADJOINTS = ("autograd", "discrete", "continuous", "checkpointed", "backsolve")
STEPS = (10, 30, 100, 300, 1000, 3000, 10_000)


def main(picture: str | None) -> None:
    torch.manual_seed(0)
    field = MLPDynamics(4, (16,))
    sys.stdout.write("kB held by 16 series, rk4, forward and gradient\n" + "steps".rjust(13))
    sys.stdout.write("".join(f"{n:>9,}" for n in STEPS) + "\n")
    held = {}
    for adjoint in ADJOINTS:
        held[adjoint] = [peak_of(adjoint, n, field, every=50 if n <= 300 else 500) / 1000 for n in STEPS]
        sys.stdout.write(f"{adjoint:>13}" + "".join(f"{x:>9,.0f}" for x in held[adjoint]) + "\n")
        sys.stdout.flush()
    if picture:
        draw(held, picture)


def draw(held: dict[str, list[float]], picture: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for adjoint, kilobytes in held.items():
        axes.plot(STEPS, kilobytes, marker="o", markersize=4)
        axes.annotate(
            adjoint, (STEPS[-1], kilobytes[-1]), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="held at a time (kB)")
    axes.set_xlim(right=STEPS[-1] * 6)
    axes.set_title("Memory of a solve and its gradient, 16 series", fontsize=11, loc="left")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=130)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
