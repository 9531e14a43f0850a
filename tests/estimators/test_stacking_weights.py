import numpy as np
import pandas as pd
import pytest
import torch

from latentode.estimators.stacking_weights import weights_frame
from latentode.nn import Stacking, StackingConfig
from tests.estimators.tiny import quick, waves


@pytest.fixture(scope="module")
def fitted():
    return quick(stacking=True).fit(waves(12, 10))


def test_weights_are_shown_by_lead_time_and_length_of_history(fitted):
    frame = fitted.weights_
    assert frame.index.names == ["lead", "observations"]
    assert list(frame.columns) == list(fitted.channels_)
    assert ((frame > 0) & (frame < 1)).to_numpy().all()


def test_a_network_alone_has_no_weights():
    alone = quick(stacking=False).fit(waves(12, 10))
    assert alone.weights_ is None


def test_a_row_is_the_weight_at_its_lead_time_and_number_of_observations():
    stacking = Stacking(StackingConfig(n_channels=2, n_given=0, usual_gap=0.1, duration=1.0))
    with torch.no_grad():
        stacking.weights.slopes.copy_(torch.tensor([1.0, 0.0, 0.0]))
        stacking.weights.of_channel.copy_(torch.tensor([0.0, 1.0]))
    frame = weights_frame(stacking, pd.Index(["x", "visits"]), np.array([False, True]), horizon=20.0)
    leads = frame.index.get_level_values("lead")
    assert sorted(set(leads)) == [0.0, 2.0, 6.0, 20.0, 60.0]  # multiples of the usual gap of 2
    assert (frame["visits"] == 0).all()  # counts are the network's
    assert frame["x"].is_monotonic_increasing
    one = frame.loc[(2.0, 1), "x"]
    assert one == pytest.approx(1 / (1 + np.exp(-(np.log(2.0) - 1 - np.log(2)))))
