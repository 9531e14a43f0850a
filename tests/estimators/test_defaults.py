import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.data import Panel
from latentode.estimators import defaults, fitting
from latentode.training.tasks import MAX_QUERIES
from tests.estimators.tiny import quick, waves


@pytest.mark.parametrize(
    ("n_series", "n_values", "n_models"),
    [(6, 10, 1), (7, 10, 1), (8, 10, 3), (24, 9_999, 3), (24, 10_000, 1), (25, 10, 1), (700, 10, 1)],
)
def test_several_models_are_trained_where_few_whole_series_are_held_out(n_series, n_values, n_models):
    panel = Panel(pd.RangeIndex(n_series), np.arange(0, 2 * n_series + 1, 2), np.zeros(2 * n_series), np.zeros((1, 1)))
    settings, scaled = quick(n_models=None), np.zeros((n_values, 1))
    assert defaults.n_models_for(panel, scaled, settings) == n_models
    assert defaults.n_models_for(panel, scaled, replace(settings, n_models=2)) == 2


def test_the_typical_gap_is_the_median():
    times = np.concatenate([np.linspace(0, 2, 5)] * 30 + [[0.0]])
    offsets = np.concatenate([np.arange(0, 151, 5), [151]]).astype(np.int64)
    panel = Panel(pd.RangeIndex(31), offsets, times, np.zeros((151, 1)))
    assert defaults._typical_gap(panel) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("n_series", "n_values", "steps"),
    [
        (10, 100, 600),
        (16, 500_000, 600),
        (200, 4_000, 1_200),
        (1_000, 90_000, 3_000),
        (9_000, 2_900_000, 6_000),
        (4_000, 600_000, 3_000),
    ],
)
def test_many_series_get_more_training_steps_than_few(n_series, n_values, steps):
    panel = Panel(pd.RangeIndex(n_series), np.arange(n_series + 1), np.zeros(n_series), np.zeros((n_series, 1)))
    assert defaults._steps_for(panel, n_values, 1) == steps
    assert defaults._steps_for(panel, n_values, 3) == 400


@pytest.mark.parametrize(("much", "cells", "most"), [(80, 1600, 50), (80, 160, 24), (100_000, 160, MAX_QUERIES)])
def test_with_much_data_few_rows_of_a_series_are_queried_per_step(monkeypatch, much, cells, most):
    seen, train = [], fitting.train
    monkeypatch.setattr(defaults, "MUCH", much)
    monkeypatch.setattr(defaults, "CELLS_QUERIED", cells)

    def watched(model, tasks, *rest):
        seen.append(tasks.max_queries)
        return train(model, tasks, *rest)

    monkeypatch.setattr(fitting, "train", watched)
    quick(max_steps=1, batch_size=16).fit(waves())  # of two channels
    assert seen == [most]


def test_a_notebook_is_interactive_and_a_file_is_not(monkeypatch):
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    for out, watched in ((notebook(), True), (io.StringIO(), False), (None, False)):
        monkeypatch.setattr("sys.stdout", out)
        assert defaults._is_interactive() is watched


@pytest.mark.parametrize(("n_channels", "decoder"), [(15, "skip"), (16, "channels")])
def test_many_channels_have_weights_of_their_own_in_the_decoder(n_channels, decoder, tmp_path):
    rng = np.random.default_rng(0)
    df = waves(6, 5)[["id", "time"]].assign(**{f"y{k}": rng.standard_normal(30) for k in range(n_channels)})
    forecaster = quick(max_steps=3).fit(df)
    assert forecaster.model_.config.decoder == decoder
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").predict(df), forecaster.predict(df), check_exact=True)
    assert quick(max_steps=3, decoder="mlp").fit(df).model_.config.decoder == "mlp"
