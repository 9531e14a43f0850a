"""Values that a likelihood does not support are refused wherever a frame comes in: fit, update, history, score."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from latentode.data import DataError, Schema
from latentode.data.columns import numbers_of
from latentode.data.errors import shown
from latentode.nn import LIKELIHOODS

__all__ = ["refuse_unsupported"]


def refuse_unsupported(df: pd.DataFrame, schema: Schema, likelihoods: Sequence[str]) -> None:
    """Refuse values that the likelihood of their channel does not support, such as -3.5 as a count.

    Parameters
    ----------
    df : DataFrame
        With every channel of the schema, as numbers.
    schema : Schema
        The roles of the columns.
    likelihoods : sequence of str
        (channel,), the name of the likelihood of each channel.

    Raises
    ------
    DataError
        When a channel holds such a value; it names the first.
    """
    for channel, likelihood in zip(schema.channels, likelihoods, strict=True):
        kind = LIKELIHOODS[likelihood]
        values = numbers_of(df[channel])
        wrong = np.isfinite(values) & ~kind.supports(values)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"likelihood={likelihood!r} is for {kind.support}, but column {channel!r} holds {values[row]:g} in row "
                f"{shown(df.index[row])}; choose another likelihood, or leave the column out with target_cols=[...]"
            )
