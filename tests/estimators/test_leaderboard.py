import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import load
from latentode.data import ChannelScaler
from latentode.estimators import leaderboard
from latentode.estimators.leaderboard import leaderboard_of, report_idle_network
from latentode.estimators.trained import Trained
from latentode.nn import GaussianProcess, LatentODE, LatentODEConfig
from latentode.persistence.calibration import Calibration
from latentode.persistence.leaderboard import CANDIDATES, SCORES
from latentode.persistence.saving import FORMAT_VERSION
from tests.estimators.test_stacking import Foreseen, held_out
from tests.estimators.tiny import quick, waves

N, MAE, RMSE, CRPS, COVERAGE = range(len(SCORES))
PLAIN = ChannelScaler(np.zeros(2), np.ones(2), np.full(2, np.nan), np.ones(2))


@pytest.fixture(scope="module")
def small():
    return waves(22, 6)


@pytest.fixture(scope="module")
def fitted(small):
    return quick(max_steps=20, stacking=True).fit(small)


def scored(of_network, of_process, n_series=200, batch=None):
    """Scores of a network and a process with errors of given sizes."""
    batch = held_out(n_series) if batch is None else batch
    network = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1))
    network.predict = Foreseen(0.5, batch) if np.isnan(of_network) else Foreseen(of_network, batch)
    if np.isnan(of_network):
        network.predict.mean *= torch.nan
    process = GaussianProcess(2, 0, 0.1, 1.0)
    process.forward = Foreseen(of_process, batch)
    trained = [Trained(network, [batch], np.arange(n_series), process)]
    found = leaderboard_of(trained, network, Calibration.none(2), PLAIN, np.full((3, 2), 0.25))
    return dict(zip(CANDIDATES, found, strict=True))


def test_scores_are_those_of_the_errors():
    found = scored(0.5, 1.0)
    np.testing.assert_allclose(found["network"][:, RMSE], 0.5, rtol=0.1)
    np.testing.assert_allclose(found["Gaussian process"][:, MAE], np.sqrt(2 / np.pi), rtol=0.1)
    np.testing.assert_allclose(found["Gaussian process"][:, CRPS], 1 / np.sqrt(np.pi), rtol=0.1)
    np.testing.assert_allclose(found["network"][:, COVERAGE], 0.9, atol=0.05)
    assert (found["latentode"][:, RMSE] < 0.5).all()  # errors are independent


def test_naive_forecasts_have_no_distribution():
    batch = held_out(200)
    found = scored(0.5, 1.0, batch=batch)
    targets = batch.targets.numpy()
    for name, constant in [("last value", 0.0), ("series' mean", 0.0), ("overall mean", 0.25)]:
        np.testing.assert_allclose(found[name][:, RMSE], np.sqrt(((targets - constant) ** 2).mean((0, 1))), rtol=1e-5)
        assert np.isnan(found[name][:, [CRPS, COVERAGE]]).all()


def test_only_forecasts_are_scored_not_gaps_in_the_history():
    batch = held_out(50)
    batch.query_times[:, :2] *= -1.0
    assert (scored(0.5, 1.0, 50, batch)["latentode"][:, N] == 3 * 50).all()


def test_weights_are_scored_on_series_they_were_not_learned_on(monkeypatch):
    seen, fit = [], leaderboard.fitted_weights

    def noted(forecasts, process, n_series, prior):
        seen.append({tuple(row) for batch, *_ in forecasts for row in batch.targets.flatten(1).tolist()})
        return fit(forecasts, process, n_series, prior)

    monkeypatch.setattr(leaderboard, "fitted_weights", noted)
    scored(0.5, 1.0, 9)
    first, second = seen
    assert first.isdisjoint(second)
    assert len(first) + len(second) == 9


def test_a_single_held_out_series_is_scored_too():
    assert np.isfinite(scored(0.5, 1.0, 1)["latentode"]).all()


def test_without_any_held_out_value_there_is_no_leaderboard():
    """As where all that is held out lies beyond the horizon."""
    batch = held_out(3)
    empty = batch.with_features(target_mask=torch.zeros_like(batch.target_mask))
    network = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1))
    trained = [Trained(network, [empty], np.arange(3), GaussianProcess(2, 0, 0.1, 1.0))]
    assert leaderboard_of(trained, network, Calibration.none(2), PLAIN, np.zeros((3, 2))) is None


def test_the_history_ends_with_the_last_observation_of_each_channel():
    batch = held_out(1)
    values = torch.tensor([[[1.0, 5.0], [2.0, 0.0], [0.0, 0.0]]])
    batch = batch.with_features(
        times=torch.tensor([[-2.0, -1.0, 0.0]]), values=values, mask=(values > 0).float(), lengths=torch.tensor([3])
    )
    naive = leaderboard._naive(batch, PLAIN, np.array([9.0, 9.0]))
    assert naive["last value"].tolist() == [[2.0, 5.0]]
    assert naive["series' mean"].tolist() == [[1.5, 5.0]]
    empty = batch.with_features(mask=torch.zeros_like(values))
    assert leaderboard._naive(empty, PLAIN, np.array([9.0, 9.0]))["last value"].tolist() == [[9.0, 9.0]]


def test_a_network_that_has_diverged_has_no_scores():
    found = scored(float("nan"), 1.0)
    assert np.isnan(found["network"][:, MAE:]).all()
    assert np.isfinite(found["Gaussian process"]).all()


# ------------------------------------------------------------------------------------------- of a fit


def test_a_fit_has_a_leaderboard_of_all_candidates(fitted):
    found = fitted.leaderboard()
    assert set(found.index) == set(CANDIDATES)
    assert found["rmse"].is_monotonic_increasing
    assert (found["n"] == found["n"].iloc[0]).all()
    of_channels = fitted.leaderboard(by_channel=True)
    assert of_channels.loc["x"]["n"].iloc[0] + of_channels.loc["y"]["n"].iloc[0] == found["n"].iloc[0]
    spread = pd.Series(fitted.scaler_.spread, ["x", "y"])
    scaled = sum(of_channels.loc[c]["mae"].reindex(found.index) / spread[c] for c in ("x", "y")) / 2
    pd.testing.assert_series_equal(scaled, found["mae"], check_names=False)


def test_several_models_and_a_network_alone(small):
    found = quick(max_steps=5, n_models=2, stacking=False).fit(small).leaderboard()
    assert set(found.index) == {"latentode", "last value", "series' mean", "overall mean"}


def test_channels_that_are_only_read_are_not_scored(small):
    found = quick(target_cols=["x"], past_cols=["y"]).fit(small).leaderboard(by_channel=True)
    assert set(found.index.get_level_values("channel")) == {"x"}


def test_counts_are_scored_by_their_own_distribution(small):
    rng = np.random.default_rng(0)
    df = small.assign(y=rng.poisson(2.0, len(small)))
    found = quick(likelihood={"y": "poisson"}, stacking=True).fit(df).leaderboard(by_channel=True).loc["y"]
    assert np.isfinite(found.loc[["latentode", "network", "Gaussian process"]]).all(axis=None)
    assert found.loc["latentode", "mae"] == found.loc["network", "mae"]


def test_it_is_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path)
    pd.testing.assert_frame_equal(load(tmp_path).leaderboard(), fitted.leaderboard(), check_exact=True)
    assert json.loads((tmp_path / "config.json").read_text())["format_version"] == FORMAT_VERSION


def test_an_earlier_model_says_why_it_has_none():
    from tests.estimators.keep_model import MODELS

    with pytest.raises(ValueError, match="was saved by an earlier version of latentode; fit it again"):
        load(MODELS / "format_5").leaderboard()


def test_a_network_that_adds_nothing_is_reported_once(caplog):
    caplog.set_level(logging.INFO, "latentode")
    for network, process in [(1.0, 0.01), (0.01, 1.0)]:
        report_idle_network(np.stack(list(scored(network, process, 30).values())), np.ones(2))
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "the network adds nothing" in record.getMessage()
