"""A trained model and what was held out of its training."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.nn import Batch, GaussianProcess, LatentODE, Prediction, Stacked

__all__ = ["Extent", "Trained"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Extent:
    """How much a few series show, the last part of each of which is held out.

    Parameters
    ----------
    n_rows : float
        Rows of all series.
    n_spans : float
        Time from the first to the last row, in spans, summed over the series.
    """

    n_rows: float
    n_spans: float


@dataclass(frozen=True)
class Trained:
    """A trained model and its held-out data.

    Parameters
    ----------
    model : LatentODE or Stacked
        Trained without the held-out data.
    held_out : list of Batch
        Queries with targets, in rounds: each round queries every held-out series once, in the same order.
    series : array of int
        (series,), numbers of those series, the same for every model of the fit.
    process : GaussianProcess, optional
        A Gaussian process that does not know the held-out data.
    extent : Extent, optional
        How much the series show if the last part of each is held out; None where whole series are.
    """

    model: LatentODE | Stacked
    held_out: list[Batch]
    series: Ints
    process: GaussianProcess | None = None
    extent: Extent | None = None

    @property
    def network(self) -> LatentODE:
        """The model without a Gaussian process beside it."""
        network = self.model.network if isinstance(self.model, Stacked) else self.model
        assert isinstance(network, LatentODE)  # members of an ensemble are trained one by one
        return network

    @cached_property
    def of_network(self) -> list[Prediction]:
        """What the network forecasts of each batch."""
        network = self.model.network if isinstance(self.model, Stacked) else self.model
        with torch.no_grad():
            return [network.predict(batch) for batch in self.held_out]

    @cached_property
    def of_process(self) -> list[Prediction]:
        """What the process forecasts of each batch: once for all, as it takes as long as many steps of training."""
        assert self.process is not None
        with torch.no_grad():
            return [self.process(batch) for batch in self.held_out]

    @cached_property
    def of_model(self) -> list[Prediction]:
        """What the model forecasts of each batch."""
        if not isinstance(self.model, Stacked):
            return self.of_network
        parts = zip(self.of_network, self.of_process, self.held_out, strict=True)
        with torch.no_grad():
            return [self.model.moved(network, process, batch) for network, process, batch in parts]

    def with_model(self, model: LatentODE | Stacked) -> "Trained":
        """Another model of the same held-out data; what its network and process have forecast already is kept."""
        other = replace(self, model=model)
        kept = ("of_process", "of_network") if other.network is self.network else ("of_process",)
        vars(other).update({name: vars(self)[name] for name in kept if name in vars(self)})
        return other

    @property
    def series_of_batches(self) -> list[Ints]:
        """For each batch the number of the series of every row, (series,)."""
        ends = np.cumsum([len(batch.lengths) for batch in self.held_out])
        return [
            self.series[np.arange(end - len(batch.lengths), end) % len(self.series)]
            for batch, end in zip(self.held_out, ends, strict=True)
        ]
