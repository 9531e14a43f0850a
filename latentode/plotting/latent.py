"""The latent space: trajectories, and the field that moves them."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latentode._drawing import FAINT, make_axes, tidy
from latentode.data import DataError, Panel, panel_from_frame
from latentode.data.native import as_pandas
from latentode.estimators import LatentODEForecaster
from latentode.nn import members_of
from latentode.training import RaggedSeries, query_batch
from latentode.training.tasks import MAX_HISTORY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_latent"]

MOST_SHOWN = 12
POINTS = 121
ARROWS = 18


def plot_latent(
    forecaster: LatentODEForecaster,
    series: Sequence[Hashable] | None = None,
    history: pd.DataFrame | None = None,
    dims: tuple[int, int] | None = None,
    axes: "NDArray[Any] | Sequence[Axes] | None" = None,
) -> NDArray[Any]:
    """Draw latent trajectories around the end of each history, over time and in the plane with the vector field.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    series : sequence of hashable, optional
        Series to draw. None means twelve, evenly chosen.
    history : DataFrame, optional
        Observations of series that fit has not seen; None means those seen in fit.
    dims : (int, int), optional
        The latent dimensions of the plane. None means the two in which the series differ most.
    axes : array of two Axes, optional
        Where to draw. None makes a figure of its own.

    Returns
    -------
    array of Axes
        (2,): over time, a line for each series in the first of the two dimensions; and the plane, with the field for
        the first series' context, the other dimensions held where its trajectory is at the end of its history.

    Raises
    ------
    DataError
        When a series has no observations.
    ImportError
        When matplotlib is not installed.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.plotting import plot_latent
    >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
    >>> plot_latent(LatentODEForecaster(max_steps=20, random_state=0).fit(df)).shape
    (2,)
    """
    check_is_fitted(forecaster, "model_")
    panel = forecaster.panel_
    if history is not None:
        panel = panel_from_frame(as_pandas(history), forecaster.schema_, forecaster.time_axis_, forecaster.coding_)[0]
    which = _chosen(panel, series)
    times, z, context = _trajectories(forecaster, panel, which)
    first, second = _telling(z) if dims is None else dims
    over_time, plane = make_axes(None if axes is None else np.asarray(axes), 1, 2)[0]
    _draw_field(plane, forecaster, z, context, first, second)
    for path in z:
        line = over_time.plot(times, path[:, first], lw=1.3, alpha=0.9)[0]
        plane.plot(path[:, first], path[:, second], lw=1.3, alpha=0.9, color=line.get_color(), zorder=3)
        middle = len(times) // 2
        plane.plot(path[middle, first], path[middle, second], "o", ms=4.5, color=line.get_color(), zorder=4)
    over_time.axvline(0, color=FAINT, lw=0.9, ls=(0, (4, 3)))
    over_time.set_xlabel("horizons from the end of the history", fontsize=9)
    over_time.set_ylabel(f"z{first}", fontsize=9)
    plane.set_xlabel(f"z{first}", fontsize=9)
    plane.set_ylabel(f"z{second}", fontsize=9)
    for ax in (over_time, plane):
        tidy(ax)
    return np.array([over_time, plane])


def _chosen(panel: Panel, series: Sequence[Hashable] | None) -> NDArray[np.int64]:
    some = np.flatnonzero(panel.lengths > 0)
    if series is None:
        if len(some) == 0:
            raise DataError("no series has observations; pass history= with some")
        return some[np.linspace(0, len(some) - 1, min(MOST_SHOWN, len(some))).astype(np.int64)]
    which = panel.ids.get_indexer(pd.Index(list(series)))
    missing = [s for s, k in zip(series, which, strict=True) if k < 0 or panel.lengths[k] == 0]
    if missing or not len(which):
        raise DataError(f"series {missing!r} have no observations to draw; pass history= with some")
    return np.asarray(which, dtype=np.int64)


def _trajectories(
    forecaster: LatentODEForecaster, panel: Panel, which: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], torch.Tensor]:
    """Times in spans, states (series, time, latent), and contexts."""
    model, span = members_of(forecaster.model_)[0], forecaster.horizon_
    values = forecaster.scaler_.transform(panel.values).astype(np.float32)
    known = RaggedSeries(panel.offsets, panel.times, values, forecaster.seasons_, panel.covariates)
    stops = panel.offsets[which + 1]
    starts = np.maximum(panel.offsets[which], stops - MAX_HISTORY)
    times = np.linspace(-1, 1, POINTS)
    ends = panel.times[stops - 1]
    batch = query_batch(known, starts, stops, ends, ends[:, None] + span * times, span, which)
    with torch.no_grad():
        encoding = model.encode(batch)
        z = model.trajectory(encoding.mean, encoding.context, batch)
    return times, z.double().numpy(), encoding.context


def _telling(z: NDArray[np.float64]) -> tuple[int, int]:
    """The two dimensions in which trajectories differ most, or in which a single trajectory moves most."""
    if z.shape[-1] == 1:
        return 0, 0
    spread = z.std(axis=0).mean(axis=0) if len(z) > 1 else z.std(axis=1).mean(axis=0)
    most = np.argsort(-spread, kind="stable")[:2]
    return int(most[0]), int(most[1])


def _draw_field(
    ax: "Axes",
    forecaster: LatentODEForecaster,
    z: NDArray[np.float64],
    context: torch.Tensor,
    first: int,
    second: int,
) -> None:
    """Arrows of dz/dt in the plane; without arrows if the field needs a control."""
    model = members_of(forecaster.model_)[0]
    config = model.config
    if config.control_dim or first == second:
        return
    sides = [np.linspace(z[..., k].min(), z[..., k].max(), ARROWS) for k in (first, second)]
    across, up = np.meshgrid(*sides)
    state = np.repeat(z[:1, POINTS // 2], across.size, axis=0)
    state[:, first], state[:, second] = across.ravel(), up.ravel()
    args = (context[:1].expand(len(state), -1),) if config.context_dim else ()
    with torch.no_grad():
        slope = model.dynamics(torch.zeros(len(state), 1), torch.from_numpy(state).float(), *args).numpy()
    u, v = slope[:, first], slope[:, second]
    ax.quiver(across.ravel(), up.ravel(), u, v, color=FAINT, alpha=0.6, width=0.0025, zorder=1)
