"""Median time of one solve with its gradient, on the workloads latent ODEs meet.

usage: python tests/benchmarks/ode/solver_speed.py [threads] [repetitions]
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve

CASES = [
    ("rk4 4 steps", {"method": "rk4", "n_steps": 4}),
    ("rk4 4 steps, watched", {"method": "rk4", "n_steps": 4, "watch": True}),
    ("rk4 20 steps", {"method": "rk4", "n_steps": 20}),
    ("tsit5 adaptive", {"method": "tsit5"}),
    ("dopri5 adaptive", {"method": "dopri5"}),
    ("rk4 4 steps, autograd", {"method": "rk4", "n_steps": 4, "adjoint": "autograd"}),
]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def median_ms(work: Callable[[], object], repetitions: int) -> float:
    for _ in range(10):
        work()
    times = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e3


def main(threads: int, repetitions: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    say(f"{threads} threads; ms of a forward, and of a forward with its gradient")
    for n_series in (64, 512):
        field = MLPDynamics(20, hidden_dims=(100, 100))
        z0 = torch.randn(n_series, 20, requires_grad=True)
        times = torch.rand(n_series, 50)
        received = torch.randn(n_series, 50, 20)
        wanted = [z0, *field.parameters()]
        for name, options in CASES:
            options = {"watch": False, **options}

            def forward() -> torch.Tensor:
                return solve(field, z0, times, t1=1.0, t_back=0.0, **options).z  # noqa: B023

            def inference() -> None:
                with torch.no_grad():
                    forward()

            def gradient() -> None:
                torch.autograd.grad(forward(), wanted, received)  # noqa: B023

            say(
                f"{n_series:4d} series, 50 own times, {name:24s} "
                f"{median_ms(inference, repetitions):8.2f} {median_ms(gradient, repetitions):8.2f}"
            )


if __name__ == "__main__":
    arguments = [int(x) for x in sys.argv[1:]] or [2]
    main(arguments[0], arguments[1] if len(arguments) > 1 else 50)
