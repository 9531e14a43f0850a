"""Features of whole series: the latent state and context that the encoder computes."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from latentode.data import Panel
from latentode.estimators.frames import as_dtype
from latentode.nn import members_of
from latentode.persistence.state import FittedState
from latentode.training import RaggedSeries, fork_safe, query_batch
from latentode.training.tasks import MAX_HISTORY

__all__ = ["encoded_frame"]

BATCH = 256
"""Series encoded at a time."""


def encoded_frame(state: FittedState, panel: Panel, keys: pd.DataFrame | None) -> pd.DataFrame:
    """The features of every series of a panel, a row per series.

    Parameters
    ----------
    state : FittedState
        The fitted forecaster.
    panel : Panel
        The series, each read to its end.
    keys : DataFrame, optional
        Its column of ids has the dtype that the index gets.
    """
    features = _features(state, panel)
    latent = state.model.config.latent_dim
    names = [f"z{k}" for k in range(latent)] + [f"context{k}" for k in range(features.shape[1] - latent)]
    name, ids = state.schema.id_name, panel.ids
    if keys is not None and name in keys:
        ids = pd.Index(as_dtype(pd.Series(ids), keys[name].dtype))
    return pd.DataFrame(features, index=ids.rename(name), columns=names)


@fork_safe()
def _features(state: FittedState, panel: Panel) -> NDArray[np.float64]:
    """The mean of q(z0 | history) and the context, (series, latent + context).

    An ensemble encodes with its first model: the latent spaces of two models are unrelated.
    """
    values = state.scaler.transform(panel.values).astype(np.float32)
    history = RaggedSeries(panel.offsets, panel.times, values, state.seasons, panel.covariates)
    ends = np.nan_to_num(panel.last_times)
    config = state.model.config
    parts = [np.empty((0, config.latent_dim + config.context_dim))]
    for begin in range(0, panel.n_series, BATCH):
        which = np.arange(begin, min(begin + BATCH, panel.n_series))
        stops = panel.offsets[which + 1]
        starts = np.maximum(panel.offsets[which], stops - MAX_HISTORY)
        batch = query_batch(history, starts, stops, ends[which], ends[which][:, None], state.horizon, which)
        with torch.no_grad():
            found = members_of(state.model)[0].encode(batch)
        parts.append(torch.cat([found.mean, found.context], dim=-1).double().numpy())
    return np.concatenate(parts)
