"""Reading a solution that was kept: at any time, from the side of the start where it lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.spans import Schedule
from latentode.ode.trace import Trace

__all__ = ["Reader"]


@dataclass(frozen=True)
class Reader:
    """What a solve left: its schedule, and a trace for every side, or one for both."""

    plan: Schedule
    traces: Sequence[Trace]

    @torch.no_grad()
    def __call__(self, times: Tensor) -> Tensor:
        """Return the state at these times, (series, time, latent), NaN beyond the span."""
        start = self.plan.sides[0].start[0].detach()
        times = times.to(start.dtype).expand(len(start), -1)
        asked = ~torch.isnan(times)
        times = torch.where(asked, times, start)
        answers = []
        for i, side in enumerate(self.plan.sides):
            clock, over = side.place(start, times)
            trace = self.traces[min(i, len(self.traces) - 1)]
            z = trace.read(clock, i if len(self.traces) == 1 else 0)
            answers.append(torch.where((asked & ~over).unsqueeze(-1), z, float("nan")))
        if len(answers) == 1:
            return answers[0]
        forwards = torch.where(self.plan.sides[0].span.detach().sum(0) >= 0, 1.0, -1.0)
        return torch.where(((times - start) * forwards >= 0).unsqueeze(-1), answers[0], answers[1])
