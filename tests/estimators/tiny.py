"""Small frames and quick fits, shared by the tests of this floor."""

import contextlib
import hashlib
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from latentode import LatentODEForecaster
from latentode.estimators import defaults, stacking
from latentode.training import TrainingConfig, gaussian_process, process_draws


def waves(n_series=6, n_points=10, seed=0, missing=0.2):
    """Sines and lines at irregular times: text ids, float times, two channels with holes."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 6, (n_series, n_points)), axis=1).ravel()
    phase = np.repeat(rng.uniform(0, 3, n_series), n_points)
    df = pd.DataFrame(
        {
            "id": np.repeat([f"s{k:02d}" for k in range(n_series)], n_points),
            "time": time,
            "x": np.sin(time + phase) + 0.05 * rng.normal(size=time.size),
            "y": 20 + phase + 0.3 * time,
        }
    )
    return df.mask(np.column_stack([np.zeros((time.size, 2), bool), rng.random((time.size, 2)) < missing]))


def dated(df, unit="us", zone=None):
    """The same frame with a day for each unit of time."""
    days = pd.to_datetime("2024-03-01") + pd.to_timedelta((df["time"] * 86400e6).round().astype("int64"), unit="us")
    return df.assign(time=days.astype(f"datetime64[{unit}]").dt.tz_localize(zone))


def quick(**params):
    """A forecaster that fits in a moment: of one network and without a Gaussian process, where nobody wants more."""
    few = {"max_steps": 2, "hidden_dim": 8, "latent_dim": 4, "n_steps": 2, "n_models": 1, "stacking": False}
    return LatentODEForecaster(**{**few, "random_state": 0, **params})


@contextlib.contextmanager
def checks_every(steps):
    """Within the block training has a validation check every few steps: a fit of two checks is a short one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults, "TrainingConfig", partial(TrainingConfig, steps_per_check=steps))
        yield


@contextlib.contextmanager
def rough_stacking():
    """Within the block the Gaussian process and the weights of stacking take few steps, where none need be good.

    The process learns from a few dozen series at most.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_process, "STEPS", 3)
        patch.setattr(gaussian_process, "MOST_SERIES", 40)
        patch.setattr(process_draws, "ROUNDS", 2)
        patch.setattr(stacking, "MOST_ITERATIONS", 3)
        yield


def single(df):
    """The rows of the first series, without its id."""
    return df[df["id"] == df["id"].iloc[0]].drop(columns="id").reset_index(drop=True)


def edit_config(path, change):
    """Change the config of a saved model in place."""
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))


def replace_arrays(path, arrays):
    """Write other arrays into a saved model, and the digest that goes with them."""
    weights = save(arrays)
    edit_config(path, lambda config: config.update(weights_sha256=hashlib.sha256(weights).hexdigest()))
    weights_file(path).write_bytes(weights)


def weights_file(path):
    """The file of weights that the config of a saved model names."""
    return path / json.loads((path / "config.json").read_text()).get("weights", "weights.safetensors")


def rename_weights(path):
    """Give the weights of a saved model the name that earlier formats gave them, which a config may still name."""
    weights_file(path).rename(path / "weights.safetensors")
    edit_config(path, lambda config: config.update(weights="weights.safetensors"))
    return path
