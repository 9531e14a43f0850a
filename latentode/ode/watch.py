"""Looking at a solve: whether it is finite, its grid fine enough, and its queries within the span."""

import warnings
from collections.abc import Sequence

from torch import Tensor

from latentode.ode.errors import CoarseGridWarning, Stuck
from latentode.ode.spans import Schedule
from latentode.ode.trace import Trace

__all__ = ["refuse_broken", "refuse_outside", "warn_if_coarse"]


def refuse_broken(traces: Sequence[Trace]) -> None:
    """Read the errors, once: refuse what is not finite.

    Raises
    ------
    Stuck
        Naming the series whose values are not finite.
    """
    for trace in traces:
        broken = [i for i, e in enumerate(trace.error().tolist()) if not e < float("inf")]
        if broken:
            raise Stuck(
                "the solution is not finite",
                "The field may be broken there, or the grid too coarse for it: check its inputs, or take more steps.",
                trace.first_broken(broken),
            )


def warn_if_coarse(traces: Sequence[Trace], coarse: float) -> None:
    """Warn of series whose fixed grid has a greater estimated error than this."""
    for trace in traces:
        errors = [] if trace.adaptive else trace.error().tolist()
        rough = [i for i, e in enumerate(errors) if e > coarse]
        if rough:
            shown = ", ".join(map(str, rough[:8])) + (f" and {len(rough) - 8} more" if len(rough) > 8 else "")
            warnings.warn(
                f"the grid of {trace.steps} {trace.method.name} steps is too coarse for series {shown}: "
                f"estimated relative error up to {max(errors):.2g}, above {coarse:g}; gradients suffer more. "
                "Raise n_steps, or use an adaptive method.",
                CoarseGridWarning,
                stacklevel=3,
            )
            return


def refuse_outside(schedule: Schedule, times: Tensor) -> None:
    """Refuse queries beyond the span, naming the series.

    Raises
    ------
    ValueError
        If there are any.
    """
    if not bool(schedule.outside.any()):
        return
    series = schedule.outside.any(1).nonzero().flatten().tolist()
    worst = float(times[series[0]][schedule.outside[series[0]]][0])
    raise ValueError(
        f"series {', '.join(map(str, series[:8]))} have queries outside the span "
        f"(series {series[0]} at t = {worst:.6g}): "
        "t1 and t_back must reach every query, or be None"
    )
