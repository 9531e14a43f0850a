"""The coverage of a fit on its held-out series as a table that a person can read."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from latentode.data import TimeAxis
from latentode.persistence.coverage import LEAD_ENDS, NOMINAL, HeldOutCoverage

__all__ = ["calibration_frame"]


def calibration_frame(
    coverage: HeldOutCoverage, channels: Sequence[Hashable], axis: TimeAxis, horizon: float
) -> pd.DataFrame:
    """A row for each channel, range of lead times and level.

    Parameters
    ----------
    coverage : HeldOutCoverage
        What a fit left.
    channels : sequence of hashable
        (channel,), their names.
    axis : TimeAxis
        Kind of the times.
    horizon : float
        The unit of the model's time on that axis.

    Returns
    -------
    DataFrame
        Columns ``channel``, ``lead`` (the end of the range, a Timedelta unless times are numbers), ``nominal``,
        ``achieved`` and ``standard_error`` (per cent, to a tenth), ``n`` and ``n_series``.
    """
    ends = LEAD_ENDS * horizon
    leads = ends if axis.kind == "number" else pd.to_timedelta(ends, unit="s").round("s")
    n_levels, n_leads, n_channels = coverage.achieved.shape
    channel, lead, level = np.indices((n_channels, n_leads, n_levels)).reshape(3, -1)
    names = pd.Series(list(channels), dtype=object).infer_objects()
    return pd.DataFrame(
        {
            "channel": names.to_numpy()[channel],
            "lead": leads[lead],
            "nominal": NOMINAL[level],
            "achieved": np.round(100 * coverage.achieved[level, lead, channel], 1),
            "standard_error": np.round(100 * coverage.standard_error[level, lead, channel], 1),
            "n": coverage.n_values[lead, channel],
            "n_series": coverage.n_series[lead, channel],
        }
    )
