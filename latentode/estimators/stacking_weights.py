"""The weights of a stacking as a table that a person can read."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from latentode.nn import Stacking

__all__ = ["weights_frame"]

LEADS, COUNTS = (0.0, 1.0, 3.0, 10.0, 30.0), (1, 10)
"""Lead times, in usual gaps, and numbers of observations that are shown."""


def weights_frame(stacking: Stacking, channels: pd.Index, counts: NDArray[np.bool_], horizon: float) -> pd.DataFrame:
    """The weight of the Gaussian process, a row per lead time and number of observations, a column per channel.

    Parameters
    ----------
    stacking : Stacking
        The process and its weight.
    channels : Index
        Names of the channels.
    counts : array of bool
        (channel,), which channels hold counts: their weight is 0.
    horizon : float
        The unit of the model's time, in that of the lead times.
    """
    unit = stacking.config.usual_gap * horizon
    index = pd.MultiIndex.from_product([[lead * unit for lead in LEADS], COUNTS], names=["lead", "observations"])
    leads = torch.tensor(LEADS).repeat_interleave(len(COUNTS))[:, None]
    seen = torch.tensor(COUNTS, dtype=torch.float32).repeat(len(LEADS))[:, None]
    with torch.no_grad():
        found = stacking.weights.at(torch.log1p(leads), (leads <= 0).float(), torch.log1p(seen)).numpy()
    return pd.DataFrame(np.where(counts, 0.0, found), index, channels)
