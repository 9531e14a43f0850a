"""Work against precision on the 25 DETEST problems, beside SciPy's RK45 and DOP853.

usage: python -m tests.benchmarks.ode.work_precision [picture]

Work is counted in evaluations of the field, so that the figures are the same on every machine. An error is that at the
end, t = 20, relative to the size of the solution there; classes are summed up by geometric means over their five
problems. All methods choose their own steps, from the same tolerances.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from latentode.ode import solve
from tests.ode.detest import END, PROBLEMS, Problem, reference, scipy_field

OURS, SCIPY = ("bosh3", "dopri5", "tsit5", "dopri8"), ("RK45", "DOP853")
TOLERANCES = tuple(10.0**-k for k in range(3, 11))
CLASSES = {
    "A": "single equations",
    "B": "small systems",
    "C": "moderate systems",
    "D": "orbits",
    "E": "higher order",
    "": "all 25",
}
COLORS = {
    "bosh3": "#8c8c8c",
    "dopri5": "#1f77b4",
    "tsit5": "#2ca02c",
    "dopri8": "#d62728",
    "RK45": "#1f77b4",
    "DOP853": "#d62728",
}


def measured(problem: Problem, method: str, tol: float) -> tuple[float, float]:
    """Return the evaluations a method takes, and its error."""
    exact = reference(problem.name, (END,))[-1].numpy()
    if method in SCIPY:
        found = solve_ivp(scipy_field(problem), (0.0, END), problem.start, method, rtol=tol, atol=tol)
        end, evaluations = found.y[:, -1], found.nfev
    else:
        times = problem.z0.new_tensor([[END]])
        found = solve(problem.field, problem.z0, times, t0=0.0, t1=END, method=method, rtol=tol, atol=tol,
                      max_steps=100_000)  # fmt: skip
        end, evaluations = found.z[0, 0].numpy(), found.stats.evaluations
    size = max(float(np.linalg.norm(exact)), 1e-12)
    return float(evaluations), max(float(np.linalg.norm(end - exact)) / size, 1e-13)


def main(picture: str | None) -> None:
    table: dict[str, dict[str, NDArray[np.float64]]] = {}
    for method in (*OURS, *SCIPY):
        tolerances = [tol for tol in TOLERANCES if method != "bosh3" or tol >= 1e-7]
        each = {
            name: np.log10([measured(problem, method, tol) for tol in tolerances]) for name, problem in PROBLEMS.items()
        }
        table[method] = {
            letter: np.mean([rows for name, rows in each.items() if name.startswith(letter)], 0) for letter in CLASSES
        }
        rows = "  ".join(f"{10**work:8.0f} {10**error:7.1e}" for work, error in table[method][""][::2])
        sys.stdout.write(f"{method:>7}: {rows}\n")
        sys.stdout.flush()
    if picture:
        draw(table, picture)


def draw(table: dict[str, dict[str, NDArray[np.float64]]], picture: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    for axes, (letter, title) in zip(figure.subplots(2, 3).flat, CLASSES.items(), strict=True):
        for method, by_class in table.items():
            work, error = 10 ** by_class[letter].T
            scipy = method in SCIPY
            label = f"SciPy {method}" if scipy else method
            axes.plot(
                error, work, label=label, color=COLORS[method], linestyle="--" if scipy else "-",
                marker="o", markersize=3, markerfacecolor="white" if scipy else None,
            )  # fmt: skip
        axes.set(xscale="log", yscale="log")
        axes.invert_xaxis()
        axes.set_title(f"{letter}: {title}" if letter else title, fontsize=10, loc="left")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("relative error at the end (smaller to the right)", fontsize=10)
    figure.supylabel("evaluations of the field", fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
