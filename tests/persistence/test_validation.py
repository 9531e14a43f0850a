"""Directories that say of themselves what cannot be, one by one; ``tests/fuzz`` tries them by the thousand."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from latentode import load
from tests.estimators.tiny import dated, quick, replace_arrays, waves, weights_file


@pytest.fixture(scope="module")
def with_covariates(tmp_path_factory):
    path = tmp_path_factory.mktemp("covariates") / "model"
    df = waves(3, 6).assign(dose=lambda d: d["time"], kind=lambda d: d["id"])
    quick(max_steps=1, known_cols=["dose"], static_cols=["kind"]).fit(df).save(path)
    return path


@pytest.fixture(scope="module")
def with_impulses(tmp_path_factory):
    path = tmp_path_factory.mktemp("impulses") / "model"
    df = waves(3, 6).assign(dose=lambda d: d["time"].where(d["x"] > 0))
    quick(max_steps=1, impulse_cols=["dose"]).fit(df).save(path)
    return path


def spoil_config(path, *where, value):
    """Set one value of a config, ``where`` naming the way to it."""
    config = json.loads((path / "config.json").read_text())
    holder = config
    for key in where[:-1]:
        holder = holder[key]
    holder[where[-1]] = value
    (path / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("model", "n_channels", 10**9),
        ("model", "n_steps", 10**9),
        ("model", "n_steps", True),
        ("model", "usual_gap", 0.0),
        ("model", "log_beyond", 1e-300),
        ("model", "method", "nothing"),
        ("model", "adjoint", "nothing"),
        ("model", "anchor", "middle"),
        ("model", "observation_std", -1.0),
        ("model", "hidden_dim", 10_001),
        ("model", "n_models", 101),
        ("model", "usual_change", [1.0] * 3),
        ("model", "center", [float("nan"), 0.0]),
        ("schema", "layout", "cube"),
        ("schema", "id_col", ["id"]),
        ("schema", "target_cols", ["x", "x"]),
        ("time_axis", "origin", 10**18),
        ("ids", "dtype", "U1000000000"),
        ("ids", "values", [["s00"], ["s01"], ["s02"]]),
    ],
)
def test_a_part_of_the_wrong_kind_or_size_is_refused_by_name(spoilt, part, name, value):
    spoil_config(spoilt, part, name, value=value)
    with pytest.raises(ValueError, match=r"not a readable forecaster: .*(names of the channels|out of range)"):
        load(spoilt)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("model.likelihood.log_scale", lambda a: np.full_like(a, np.nan)),
        ("scaler.scale", lambda a: -a),
        ("scaler.center", lambda a: a * np.inf),
        ("panel.values", lambda a: np.full_like(a, np.inf)),
        ("panel.times", lambda a: a[::-1].copy()),
    ],
)
def test_arrays_that_would_spoil_every_prediction_are_refused_by_name(spoilt, name, spoil):
    arrays = load_file(spoilt / "weights.safetensors")
    with np.errstate(invalid="ignore"):
        arrays[name] = spoil(arrays[name])
    replace_arrays(spoilt, arrays)
    with pytest.raises(ValueError, match=rf"not a readable forecaster: {name}"):
        load(spoilt)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("coding", "known", 0, "center"), "a"),
        (("coding", "known", 0, "center"), None),
        (("coding", "known", 0, "center"), float("nan")),
        (("coding", "known", 0, "scale"), 0),
        (("coding", "known", 0, "scale"), -1.0),
        (("coding", "known", 0, "farthest"), 1e18),
        (("coding", "known", 0, "name"), ["x"]),
        (("coding", "known", 0, "name"), "x"),
        (("coding", "known", 0), "dose"),
        (("coding", "known"), []),
        (("coding", "static", 0, "categories"), ["s00", "s00", "s02"]),
        (("coding", "static", 0, "categories"), ["s00", 1, "s02"]),
        (("coding", "static", 0, "categories"), "abc"),
        (("schema", "static_cols"), []),
        (("coding",), None),
        (("horizon",), 5e-324),
    ],
)
def test_a_coding_or_a_horizon_that_would_spoil_predictions_is_refused(with_covariates, tmp_path, where, value):
    spoilt = shutil.copytree(with_covariates, tmp_path / "spoilt")
    spoil_config(spoilt, *where, value=value)
    with pytest.raises(ValueError, match=r"not a readable forecaster: .* out of range"):
        load(spoilt)


@pytest.mark.parametrize("name", ["dose", 1, True, 1.5, float("nan")])
def test_a_covariate_of_any_name_is_read_back(tmp_path, name):
    df = waves(3, 6)
    df[name] = df["time"]
    model = quick(max_steps=1, known_cols=[name], target_cols=["x"]).fit(df)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").predict(df).equals(model.predict(df))


@pytest.mark.parametrize("name", ["dateutil/{}", "{}", "../../..{}", "dateutil/Europe/Paris", ""])
def test_a_zone_that_is_a_path_is_refused_before_anything_is_opened(spoilt, tmp_path, name):
    config = json.loads((spoilt / "config.json").read_text())
    config["time_axis"] |= {"kind": "datetime", "tz": name.format(tmp_path / "secret")}
    (spoilt / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"not a readable forecaster: tz=.* out of range"):
        load(spoilt)


@pytest.mark.parametrize("zone", ["Europe/Paris", "Etc/GMT+5", "America/Port-au-Prince", "UTC", "+02:00", "tzlocal()"])
def test_every_zone_a_model_can_have_is_read_back(tmp_path, zone):
    model = quick(max_steps=1).fit(dated(waves(3, 6), zone=zone))
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").forecast().equals(model.forecast())


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("model", "impulse_dim"), 2, "."),
        (("model", "impulse_gap"), 0.0, "impulse_gap"),
        (("coding", "impulse", 0, "center"), 1.0, "coding of the impulse columns"),
        (("coding", "impulse", 0, "scale"), 0.0, "scale"),
        (("coding", "impulse", 0, "categories"), ["a"], "coding of the impulse columns"),
        (("coding", "impulse"), [], "coding of the impulse columns"),
        (("schema", "impulse_cols"), "dose", "impulse_cols"),
    ],
)
def test_impulses_that_would_spoil_predictions_are_refused(with_impulses, tmp_path, where, value, said):
    spoilt = shutil.copytree(with_impulses, tmp_path / "spoilt")
    spoil_config(spoilt, *where, value=value)
    with pytest.raises(ValueError, match=f"not a readable forecaster: .*{said}"):
        load(spoilt)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("impulses.values", lambda x: x * np.float32(np.inf), "impulses.values holds values that are not finite"),
        ("impulses.values", lambda x: x.astype(np.float64), "impulses.values holds float64"),
        ("impulses.times", lambda x: x[::-1], "impulses.times do not increase"),
        ("impulses.times", lambda x: x * np.nan, "impulses.times holds values that are not finite|do not increase"),
        ("impulses.offsets", lambda x: x + 1, "impulses.offsets do not divide the rows"),
        ("impulses.offsets", None, "'impulses.offsets' is missing"),
    ],
)
def test_arrays_of_impulses_that_are_not_in_order_are_refused(with_impulses, tmp_path, name, change, said):
    spoilt = shutil.copytree(with_impulses, tmp_path / "spoilt")
    arrays = load_file(weights_file(spoilt))
    array = arrays.pop(name)
    if change is not None:
        arrays[name] = np.ascontiguousarray(change(array))
    replace_arrays(spoilt, arrays)
    with pytest.raises(ValueError, match=f"not a readable forecaster: .*({said})"):
        load(spoilt)
