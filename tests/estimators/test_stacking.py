from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from latentode.estimators.stacking import stack
from latentode.estimators.trained import Extent, Trained
from latentode.nn import Batch, GaussianProcess, LatentODE, LatentODEConfig, Prediction, Stacked
from tests.estimators.tiny import quick, waves


class Foreseen:
    """Forecasts with errors of a given size, (), or by query, in place of those of a network or a process."""

    def __init__(self, error: float | torch.Tensor, batch: Batch) -> None:
        self.error = torch.as_tensor(error)
        rng = torch.Generator().manual_seed(int(1e4 * self.error.max()))
        assert batch.targets is not None
        self.mean = batch.targets + self.error * torch.randn(batch.targets.shape, generator=rng)

    def __call__(self, batch: Batch) -> Prediction:
        return Prediction(self.mean, self.error.expand(self.mean.shape))


def held_out(n_series: int, n_channels: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(
        times=torch.zeros(n_series, 1),
        values=torch.zeros(n_series, 1, n_channels),
        mask=torch.ones(n_series, 1, n_channels),
        lengths=torch.ones(n_series, dtype=torch.long),
        query_times=torch.rand(n_series, 5, generator=rng),
        targets=torch.randn(n_series, 5, n_channels, generator=rng),
        target_mask=torch.ones(n_series, 5, n_channels),
    )


def weight(of_network: float, of_process: float, n_series: int, extent: Extent | None = None) -> float:
    """The mean weight of the process, given the sizes of both errors."""
    return float(weights(of_network, of_process, held_out(n_series), extent).mean())


def weights(
    of_network: float | torch.Tensor, of_process: float | torch.Tensor, batch: Batch, extent: Extent | None = None
) -> torch.Tensor:
    """The weights of the process, given the sizes of both errors."""
    n_series = len(batch.lengths)
    network = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1))
    network.predict = Foreseen(of_network, batch)  # type: ignore[method-assign]
    process = GaussianProcess(2, 0, 0.1, 1.0)
    process.forward = Foreseen(of_process, batch)  # type: ignore[method-assign]
    trained, stacking = stack([Trained(network, [batch], np.arange(n_series), process, extent)], process)
    assert isinstance(trained[0].model, Stacked)
    assert stacking is not None
    with torch.no_grad():
        return stacking.weights(batch)


def test_the_better_forecast_gets_the_weight():
    assert weight(1.0, 0.1, 300) > 0.9
    assert weight(0.1, 1.0, 300) < 0.1
    assert 0.4 < weight(0.5, 0.5001, 300) < 0.6  # independent errors of one size cancel best at one half


def test_a_few_queries_inside_the_history_have_a_weight_of_their_own():
    """One query of twenty lies inside; there the process is right, and ahead the network."""
    batch = held_out(16)
    inside = torch.arange(80).view(16, 5) % 20 == 0
    batch = replace(batch, query_times=torch.where(inside, -batch.query_times, batch.query_times), backward=True)
    good, bad = (torch.where(inside[..., None] == here, 0.1, 1.0) for here in (True, False))
    found = weights(of_network=bad, of_process=good, batch=batch)
    assert found[inside].mean() > 0.6
    assert found[~inside].mean() < 0.2


def test_few_series_leave_the_weight_near_one_third():
    assert weight(1.0, 0.1, 3) < weight(1.0, 0.1, 300)
    assert weight(0.1, 1.0, 3) > weight(0.1, 1.0, 300)


def test_the_process_is_trusted_more_where_only_the_ends_of_a_few_series_are_held_out():
    assert weight(1.0, 1.0, 1, extent=Extent(20, 1.0)) > 0.75
    assert weight(0.1, 1.0, 7, extent=Extent(200, 7.0)) < weight(1.0, 1.0, 7, extent=Extent(200, 7.0))


def test_without_a_process_models_stay_as_they_are():
    network = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1))
    trained, stacking = stack([Trained(network, [held_out(3)], np.arange(3))], None)
    assert stacking is None
    assert trained[0].model is network


def test_nothing_held_out_leaves_the_weight_of_the_prior():
    network, process = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1)), GaussianProcess(2, 0, 0.1, 1.0)
    _, stacking = stack([Trained(network, [], np.arange(0), process)], process)
    assert stacking is not None
    torch.testing.assert_close(stacking.weights(held_out(3)), torch.full((3, 5, 2), 1 / 3))


def test_a_loaded_forecaster_is_stacked_alike(tmp_path):
    fitted = quick(stacking=True).fit(waves(12, 10))
    fitted.save(tmp_path / "m")
    again = type(fitted).load(tmp_path / "m")
    pd.testing.assert_frame_equal(again.weights_, fitted.weights_)
    df = waves(12, 10)
    pd.testing.assert_frame_equal(again.predict(df), fitted.predict(df))
