from types import SimpleNamespace

import numpy as np
import torch

from latentode.estimators.trained import Trained
from latentode.nn import Prediction, Stacked
from tests.nn.batches import lively, random_batch


def trained(**options):
    batch = random_batch()
    return Trained(lively(), [batch, batch], np.array([7, 3, 5, 9]), **options)


def test_every_round_queries_the_same_series_in_the_same_order():
    assert [of.tolist() for of in trained().series_of_batches] == [[7, 3, 5, 9]] * 2


def test_rounds_that_batches_cut_are_distinguished():
    batch = random_batch()
    parts = [batch.take(slice(0, 3)), batch.take(slice(3, 4)), batch]
    found = Trained(lively(), parts, np.array([7, 3, 5, 9])).series_of_batches
    assert [of.tolist() for of in found] == [[7, 3, 5], [9], [7, 3, 5, 9]]


def test_the_network_forecasts_alone_until_it_is_stacked():
    one = trained()
    assert one.of_model is one.of_network
    shape = one.of_network[0].mean.shape

    def process(batch):
        return Prediction(torch.zeros(shape), torch.ones(shape))

    stacking = torch.nn.Module()
    stacking.process, stacking.weights = None, lambda batch: torch.full(shape, 0.5)
    stacked = Trained(Stacked(one.network, stacking), one.held_out, one.series, process)
    assert stacked.network is one.network
    assert torch.allclose(stacked.of_model[0].mean, 0.5 * one.of_network[0].mean)


def test_what_network_and_process_have_forecast_is_kept_for_another_model():
    calls = []

    def process(batch):
        calls.append(batch)
        return SimpleNamespace()

    one = trained(process=process)
    kept = one.of_process, one.of_network
    same, other = one.with_model(one.model), one.with_model(lively(seed=1))
    assert (same.of_process, same.of_network) == kept
    assert other.of_process is kept[0]
    assert other.of_network is not kept[1]
    assert len(calls) == 2
