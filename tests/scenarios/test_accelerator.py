"""Fits on a GPU, and what happens where there is none."""

import numpy as np
import pytest
import torch

from latentode import LatentODEForecaster, load
from latentode.nn import device_of
from tests.estimators.tiny import quick, waves

without_gpu = pytest.mark.skipif(device_of("gpu") is not None, reason="there is a GPU")
needs_gpu = pytest.mark.skipif(device_of("gpu") is None, reason="there is no GPU")


@without_gpu
@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_an_accelerator_that_is_not_there_is_refused_with_what_to_do(accelerator):
    with pytest.raises(ValueError, match=rf"accelerator='{accelerator}': PyTorch finds none on this machine; install"):
        LatentODEForecaster(accelerator=accelerator).fit(waves(3, 6))


@without_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu():
    df = waves(6, 8)
    fits = [quick(accelerator=name, max_steps=2).fit(df) for name in ("cpu", "auto")]
    assert fits[0].predict(df).equals(fits[1].predict(df))


@without_gpu
def test_a_model_fitted_on_a_gpu_predicts_where_there_is_none(tmp_path):
    df = waves(6, 8)
    forecaster = quick(max_steps=2).fit(df)
    forecaster.set_params(accelerator="gpu").save(tmp_path)
    loaded = load(tmp_path)
    assert loaded.accelerator == "gpu"
    assert loaded.predict_interval(df, 80).equals(forecaster.predict_interval(df, 80))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("options", [{}, {"n_models": 2}, {"kl_weight": 0.1}, {"encoder": "odernn"}], ids=str)
def test_a_fit_on_a_gpu_has_the_losses_of_one_on_the_cpu(options):
    df = waves(12, 12)
    fits = [quick(accelerator=name, max_steps=25, **options).fit(df) for name in ("cpu", "gpu")]
    losses = [one.history_["loss"].to_numpy() for one in fits]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)
    means = [one.predict(df).to_numpy() for one in fits]
    np.testing.assert_allclose(means[0], means[1], atol=0.05 * df["y"].std())
    assert {p.device.type for p in fits[1].model_.parameters()} == {"cpu"}


@pytest.mark.gpu
@needs_gpu
def test_a_model_predicts_on_a_gpu_what_it_predicts_on_the_cpu():
    df = waves(12, 12)
    forecaster = quick(max_steps=10).fit(df)
    there = quick(max_steps=10).fit(df).set_params(accelerator="gpu")
    torch.testing.assert_close(
        torch.tensor(there.predict_interval(df, 80).to_numpy(float)),
        torch.tensor(forecaster.predict_interval(df, 80).to_numpy(float)),
        rtol=1e-3,
        atol=1e-3,
    )
