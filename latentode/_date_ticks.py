"""Dates along an axis: few, and no label twice."""

from collections import Counter
from typing import TYPE_CHECKING

from matplotlib.dates import (
    DAILY,
    HOURLY,
    MINUTELY,
    MONTHLY,
    SECONDLY,
    AutoDateLocator,
    ConciseDateFormatter,
    num2date,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axis import Axis

__all__ = ["set_date_ticks"]

FEWEST = 3

# Matplotlib's steps end before the next unit begins: with few ticks nothing fits 60 hours, and it warns. Between one
# minute and five there is none, so that 9 minutes may have a single tick.
_MORE_STEPS = {SECONDLY: [2, 60], MINUTELY: [2, 60], HOURLY: [24], DAILY: [32], MONTHLY: [12]}

_COARSER = ("%H:%M", "%b", "%Y")


class _DateLabels(ConciseDateFormatter):
    """Short labels of dates; those that would stand twice get the unit above on a second line.

    :class:`~matplotlib.dates.ConciseDateFormatter` names a year only in January and a month only on its first day, so
    a year and a half with a tick every four months has "May" twice.
    """

    def format_ticks(self, values: "Sequence[float]") -> list[str]:
        labels = list(super().format_ticks(values))  # type: ignore[no-untyped-call]
        dates = [num2date(value) for value in values]  # type: ignore[no-untyped-call]
        for label, count in Counter(labels).items():
            places = [k for k, other in enumerate(labels) if other == label]
            if not label or count == 1:
                continue
            for form in ("%b-%d",) if ":" in label else _COARSER:
                above = [dates[k].strftime(form) for k in places]
                if len(set(above)) == count:
                    for k, text in zip(places, above, strict=True):
                        labels[k] = f"{label}\n{text}"
                    break
        return labels


def set_date_ticks(axis: "Axis", most: int) -> None:
    """Put ticks at dates on an axis, about `most` at most."""
    locator = AutoDateLocator(minticks=FEWEST, maxticks=most)  # type: ignore[no-untyped-call]
    locator.intervald = {
        unit: sorted([*steps, *_MORE_STEPS.get(unit, [])]) for unit, steps in locator.intervald.items()
    }
    axis.set_major_locator(locator)
    axis.set_major_formatter(_DateLabels(locator))  # type: ignore[no-untyped-call]
