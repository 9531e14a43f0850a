"""The encoder's features of whole series."""

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Panel, Seasons
from latentode.nn import Model, members_of
from latentode.training import RaggedSeries, fork_safe, query_batch
from latentode.training.tasks import MAX_HISTORY

__all__ = ["encoded"]

AT_ONCE = 256
"""Series encoded at a time."""


@fork_safe()
def encoded(model: Model, scaler: ChannelScaler, panel: Panel, span: float, seasons: Seasons) -> NDArray[np.float64]:
    """The mean of q(z0 | history) and the context of every series, (series, latent + context).

    Parameters
    ----------
    model : LatentODE or Ensemble
        Fitted; of an ensemble the first is asked: the latent spaces of two have nothing to do with each other.
    scaler : ChannelScaler
        Of the channels.
    panel : Panel
        The series, each read to its end.
    span : float
        The unit of the model's time.
    seasons : Seasons
        Periods of the times.
    """
    values = scaler.transform(panel.values).astype(np.float32)
    history = RaggedSeries(panel.offsets, panel.times, values, seasons, panel.covariates)
    ends = np.nan_to_num(panel.last_times)
    parts = [np.empty((0, model.config.latent_dim + model.config.context_dim))]
    for begin in range(0, panel.n_series, AT_ONCE):
        which = np.arange(begin, min(begin + AT_ONCE, panel.n_series))
        stops = panel.offsets[which + 1]
        starts = np.maximum(panel.offsets[which], stops - MAX_HISTORY)
        batch = query_batch(history, starts, stops, ends[which], ends[which][:, None], span, which)
        with torch.no_grad():
            found = members_of(model)[0].encoder(batch)
        parts.append(torch.cat([found.mean, found.context], dim=-1).double().numpy())
    return np.concatenate(parts)
