import dataclasses
import hashlib
import multiprocessing
import os
import shutil
import stat
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from latentode import LatentODEForecaster, load
from latentode.data import DataError, DataWarning
from latentode.datasets import make_periodic
from latentode.persistence import saving
from latentode.persistence.saving import FORMAT_VERSION
from tests.estimators.keep_model import MODELS, frame
from tests.estimators.tiny import dated, edit_config, quick, rename_weights, replace_arrays, single, waves, weights_file

pytestmark = pytest.mark.usefixtures("roughly_stacked")

METHOD = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
"""How another process begins: a fork has everything imported."""


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    fitted.save(path)
    return path


def edit_arrays(path, change):
    arrays = load_file(weights_file(path))
    change(arrays)
    replace_arrays(path, arrays)


def test_what_is_loaded_predicts_bit_for_bit_what_was_saved(df, fitted, saved):
    loaded = load(saved)
    pd.testing.assert_frame_equal(loaded.predict(df), fitted.predict(df), check_exact=True)
    pd.testing.assert_frame_equal(loaded.predict_interval(df), fitted.predict_interval(df), check_exact=True)
    pd.testing.assert_frame_equal(loaded.forecast(), fitted.forecast(), check_exact=True)
    pd.testing.assert_frame_equal(
        loaded.sample(df, 3, random_state=0), fitted.sample(df, 3, random_state=0), check_exact=True
    )
    later = df.assign(time=df["time"] + 5)
    assert loaded.score(later) == fitted.score(later)


def test_the_class_method_and_the_function_load_the_same(df, fitted, saved):
    class Own(LatentODEForecaster):
        """A forecaster of a user's own."""

    for loaded, kind in ((LatentODEForecaster.load(saved), LatentODEForecaster), (Own.load(str(saved)), Own)):
        assert type(loaded) is kind
        assert loaded.get_params() == load(saved).get_params() == fitted.get_params()
        pd.testing.assert_frame_equal(loaded.predict(df), fitted.predict(df), check_exact=True)


def test_what_is_loaded_is_fitted_the_same(fitted, saved):
    loaded = load(saved)
    assert isinstance(loaded, LatentODEForecaster)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.channels_ == fitted.channels_
    assert loaded.horizon_ == fitted.horizon_
    assert loaded.feature_names_in_.tolist() == fitted.feature_names_in_.tolist()
    assert loaded.n_features_in_ == fitted.n_features_in_
    assert not loaded.model_.training
    pd.testing.assert_frame_equal(loaded.history_, fitted.history_)


def test_saving_what_was_loaded_writes_the_same_files(saved, tmp_path):
    load(saved).save(tmp_path)
    for name in sorted(p.name for p in saved.iterdir()):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


def test_two_files_are_written_and_nothing_else(saved):
    digest = hashlib.sha256(weights_file(saved).read_bytes()).hexdigest()
    assert sorted(p.name for p in saved.iterdir()) == ["config.json", f"weights-{digest[:16]}.safetensors"]


def test_the_files_may_be_read_by_whom_the_system_lets(saved, tmp_path):
    (tmp_path / "plain").touch()
    ordinary = stat.S_IMODE(os.stat(tmp_path / "plain").st_mode)
    assert {stat.S_IMODE(p.stat().st_mode) for p in saved.iterdir()} == {ordinary}


def test_saving_again_replaces_what_was_there(df, tmp_path):
    quick().fit(df).save(tmp_path)
    other = quick(random_state=3).fit(df)
    other.save(str(tmp_path))
    pd.testing.assert_frame_equal(load(str(tmp_path)).predict(df), other.predict(df), check_exact=True)


@pytest.mark.parametrize(
    "ids",
    [
        [10, 20, 30],
        [1.5, 2.5, 3.5],
        ["a", "b", "ü"],
        [True, False, True],
        [1, "1", 2.5],
        pd.array([1, 2, 3], dtype="Int64"),
        pd.Categorical(["p", "q", "r"]),
        pd.to_timedelta(["1D", "2D", "3D"]),
    ],
    ids=["int", "float", "text", "bool", "mixed", "Int64", "category", "timedelta"],
)
def test_ids_of_every_plain_type_are_found_again(ids, tmp_path):
    df = waves(3, 8)
    df["id"] = pd.Series(ids).repeat(8).to_numpy() if isinstance(ids, list) else pd.Series(ids).repeat(8).array
    forecaster = quick().fit(df)
    forecaster.save(tmp_path)
    pd.testing.assert_frame_equal(load(tmp_path).predict(df), forecaster.predict(df), check_exact=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda df: dated(df),
        lambda df: dated(df, "ns", "Europe/Paris"),
        lambda df: dated(df, zone="+02:00"),
        lambda df: df.assign(time=pd.to_timedelta(df["time"], unit="h")),
        lambda df: df.assign(time=[*pd.period_range("2024", periods=10, freq="M")] * 3),
        lambda df: df.set_index(["id", "time"]),
        lambda df: single(dated(df)).set_index("time"),
        lambda df: df.rename(columns={"x": 0, "y": 1}),
    ],
    ids=["dates", "zone", "offset", "timedelta", "period", "levels", "index", "numbered"],
)
def test_frames_of_every_shape_are_found_again(make, tmp_path):
    df = make(waves(3, 10))
    forecaster = quick().fit(df)
    forecaster.save(tmp_path)
    loaded = load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(df), forecaster.predict(df), check_exact=True)
    pd.testing.assert_frame_equal(loaded.forecast(), forecaster.forecast(), check_exact=True)


def test_ids_that_are_dates_are_refused_when_saved_with_the_cure(tmp_path):
    df = waves(3, 6)
    forecaster = quick().fit(df.assign(id=pd.to_datetime("2024") + pd.to_timedelta(df["id"].str[1:].astype(int), "D")))
    with pytest.raises(ValueError, match=r"ids are dates.*text"):
        forecaster.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_names_of_more_series_than_are_read_again_are_refused_when_saved(tmp_path, monkeypatch):
    forecaster = quick(max_steps=1).fit(waves(60, 4))
    forecaster.save(tmp_path / "bare", include_history=False)
    monkeypatch.setattr(saving, "LARGEST_CONFIG", (tmp_path / "bare" / "config.json").stat().st_size)
    with pytest.raises(ValueError, match=r"names of 60 series, takes \d+ bytes.*include_history=False"):
        forecaster.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    forecaster.save(tmp_path / "model", include_history=False)
    assert load(tmp_path / "model").channels_ == ("x", "y")


def test_columns_named_by_an_array_are_saved_as_a_list(tmp_path):
    quick(max_steps=1, target_cols=np.array(["x"])).fit(waves(3, 6)).save(tmp_path)
    assert load(tmp_path).target_cols == ["x"]


def test_names_that_are_tuples_are_refused_when_saved(tmp_path):
    forecaster = quick().fit(waves(3, 6).rename(columns={"x": ("lab", "x")}))
    with pytest.raises(ValueError, match=r"\('lab', 'x'\).*cannot be saved"):
        forecaster.save(tmp_path / "model")


@pytest.mark.parametrize("seed", [np.random.default_rng(0), np.random.RandomState(0)])
def test_a_random_state_that_is_no_number_stays_behind(df, tmp_path, seed):
    quick(random_state=seed).fit(df).save(tmp_path)
    assert load(tmp_path).random_state is None


def test_parameters_of_every_kind_go_along(dates, tmp_path):
    params = {"target_cols": ("y", "x"), "horizon": pd.Timedelta("36h"), "kl_weight": np.float64(0.5)}
    quick(**params).fit(dates).save(tmp_path)
    loaded = load(tmp_path)
    assert list(loaded.target_cols) == ["y", "x"]
    assert pd.Timedelta(loaded.horizon) == pd.Timedelta("36h")
    assert loaded.fit(dates).horizon_ == 129600.0


@pytest.fixture
def bare(fitted, tmp_path):
    fitted.save(tmp_path / "bare", include_history=False)
    return tmp_path / "bare"


def test_without_its_history_no_observation_id_or_time_is_in_the_files(bare, saved):
    arrays = load_file(weights_file(bare))
    assert all(arrays[name].size == 0 for name in ("panel.times", "panel.values"))
    text = (bare / "config.json").read_text()
    assert "s00" in (saved / "config.json").read_text()
    assert "s00" not in text


def test_without_its_history_the_given_one_is_used(df, fitted, bare):
    pd.testing.assert_frame_equal(load(bare).predict(df, history=df), fitted.predict(df), check_exact=True)
    pd.testing.assert_frame_equal(load(bare).forecast(history=df), fitted.forecast(), check_exact=True)


def test_without_any_history_every_series_is_unknown(df, bare):
    with pytest.warns(DataWarning, match="no observations of series 's00'"):
        assert load(bare).predict(df).notna().all(axis=None)


def test_without_any_history_there_is_no_end_to_forecast_from(bare):
    with pytest.raises(DataError, match=r"no series has observations.*history="):
        load(bare).forecast()


def test_one_series_without_its_history_is_unknown(one, fitted_on_one, tmp_path):
    fitted_on_one.save(tmp_path, include_history=False)
    with pytest.warns(DataWarning, match=r"no observations of series"):
        assert load(tmp_path).predict(one).notna().all(axis=None)
    np.testing.assert_array_equal(load(tmp_path).predict(one, history=one), fitted_on_one.predict(one))


def test_an_unseen_series_is_scored_without_the_history_of_fit(df, bare, fitted):
    new = df.assign(id="new" + df["id"])
    assert load(bare).score(new) == pytest.approx(fitted.score(new), rel=1e-5)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file_is_named(spoilt, name):
    (spoilt / name).unlink()
    with pytest.raises(ValueError, match=rf"holds no saved forecaster: {name}"):
        load(spoilt)


def test_a_path_that_is_no_directory_is_refused(tmp_path, saved):
    with pytest.raises(ValueError, match="holds no saved forecaster"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no saved forecaster"):
        load(saved / "config.json")


def test_a_path_that_is_a_file_cannot_be_saved_to(fitted, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        fitted.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, -1])
def test_truncated_weights_are_refused(spoilt, keep):
    content = (spoilt / "weights.safetensors").read_bytes()
    (spoilt / "weights.safetensors").write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    with pytest.raises(ValueError, match="not a readable forecaster"):
        load(spoilt)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe\x00", b"{}", b"[" * 200_000])
def test_a_config_that_is_none_is_refused(spoilt, content):
    (spoilt / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable forecaster"):
        load(spoilt)


@pytest.mark.parametrize("version", [0, 2, 9, "3", "4", None, [4]])
def test_another_version_is_refused_with_both_versions(spoilt, version):
    edit_config(spoilt, lambda c: c.update(format_version=version))
    with pytest.raises(ValueError, match=r"format version .*reads versions 3 to 8"):
        load(spoilt)


@pytest.mark.parametrize("key", ["format_version", "params", "schema", "time_axis", "model", "horizon", "ids"])
def test_a_missing_part_of_the_config_is_named(spoilt, key):
    edit_config(spoilt, lambda c: c.pop(key))
    with pytest.raises(ValueError, match=f"{key}"):
        load(spoilt)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["model"].update(hidden_dim=10**9),
        lambda c: c["model"].update(latent_dim=10**7, hidden_dim=10**7),
        lambda c: c["model"].update(hidden_dim=17),
        lambda c: c["model"].update(n_channels=3),
        lambda c: c["model"].update(n_channels="2"),
        lambda c: c["model"].update(exec="import os"),
        lambda c: c["params"].update(exec="import os"),
        lambda c: c["schema"].update(target_cols=["x"]),
        lambda c: c["schema"].update(target_cols=[["x"], ["y"]]),
        lambda c: c["schema"].update(target_cols=3),
        lambda c: c["time_axis"].update(kind="dates"),
        lambda c: c["time_axis"].update(kind="datetime", tz="Mars/Olympus"),
        lambda c: c["time_axis"].update(kind="datetime", tz="../../etc/passwd"),
        lambda c: c["time_axis"].update(kind="datetime", origin=10**30),
        lambda c: c["time_axis"].update(kind="period", freq="fortnight"),
        lambda c: c.update(horizon="long"),
        lambda c: c.update(horizon=-1.0),
        lambda c: c.update(horizon=float("nan")),
        lambda c: c["ids"].update(values=["a"]),
        lambda c: c["ids"].update(values=["a"] * 24),
        lambda c: c["ids"].update(dtype="pickle"),
        lambda c: c.update(ids=[]),
    ],
)
def test_a_config_that_does_not_fit_is_refused(spoilt, change):
    edit_config(spoilt, change)
    with pytest.raises(ValueError, match="not a readable forecaster"):
        load(spoilt)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("model.members.0.encoder.history_encoder.gru.weight_hh_l0"),
        lambda a: a.pop("scaler.center"),
        lambda a: a.pop("panel.times"),
        lambda a: a.update({"calibration.factor": np.ones(3)}),
        lambda a: a.update({"scaler.scale": np.ones((2, 2))}),
        lambda a: a.update({"scaler.scale": np.ones(2, dtype=np.float32)}),
        lambda a: a.update({"model.members.0.likelihood.log_scale": np.zeros(2)}),
        lambda a: a.update({"model.members.0.likelihood.log_scale": np.zeros(5, dtype=np.float32)}),
        lambda a: a.update({"model.extra": np.zeros(5, dtype=np.float32)}),
        lambda a: a.update({"panel.values": a["panel.values"][:, :1].copy()}),
        lambda a: a.update({"panel.times": a["panel.times"][:-1].copy()}),
        lambda a: a.update({"panel.times": a["panel.times"].reshape(2, -1)}),
        lambda a: a.update({"panel.offsets": a["panel.offsets"] + 1}),
        lambda a: a.update({"panel.offsets": a["panel.offsets"][::-1].copy()}),
        lambda a: a.update({"panel.offsets": a["panel.offsets"].astype(np.float64)}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(spoilt, change):
    edit_arrays(spoilt, change)
    with pytest.raises(ValueError, match="not a readable forecaster"):
        load(spoilt)


def test_loading_executes_nothing_and_changes_no_random_state(saved, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a loader of code was called")

    for name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "builtins.eval", "numpy.load"):
        monkeypatch.setattr(name, refuse)
    state, ours = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load(saved)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], ours)  # noqa: NPY002


@pytest.mark.parametrize(("length", "larger"), [(1, "weights"), (3000, "config")])
def test_a_disk_that_holds_one_file_of_two_leaves_the_old_model_whole(df, spoilt, tmp_path, length, larger):
    resource = pytest.importorskip("resource")  # there is none on Windows
    before = {p.name: p.read_bytes() for p in spoilt.iterdir()}
    other = quick(random_state=5).fit(df.assign(id=df["id"] * length))
    other.save(tmp_path / "elsewhere")
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "elsewhere").iterdir()}
    assert max(sizes, key=sizes.get).startswith(larger)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sum(sizes.values()) // 2, unlimited[1]))
    try:
        with pytest.raises(OSError, match=rf"{larger}\S+ could not be written; no existing file was changed"):
            other.save(spoilt)
        with pytest.raises(OSError, match="could not be written"):
            other.save(tmp_path / "new" / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert {p.name: p.read_bytes() for p in spoilt.iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("begins", ["config", "weights"])
@pytest.mark.parametrize("dated_back", [False, True], ids=["with a digest", "over a model without a digest"])
def test_a_save_that_is_broken_off_leaves_the_old_model(fitted, df, spoilt, monkeypatch, begins, dated_back):
    """Before either file is moved to its place."""
    fitted.save(spoilt)
    if dated_back:
        rename_weights(spoilt)
        edit_config(spoilt, lambda c: (c.pop("weights_sha256"), c.pop("weights")))
    before = {p.name: p.read_bytes() for p in spoilt.iterdir()}
    replace = Path.replace

    def broken(self, target):
        if target.name.startswith(begins):
            raise OSError("the power is gone")
        return replace(self, target)

    monkeypatch.setattr("pathlib.Path.replace", broken)
    with pytest.raises(OSError, match="power is gone"):
        quick(random_state=5).fit(df).save(spoilt)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in spoilt.iterdir()} == before
    pd.testing.assert_frame_equal(load(spoilt).predict(df), fitted.predict(df), check_exact=True)


def test_what_killed_saves_left_is_removed_by_the_next(fitted, spoilt):
    for name in (f"weights-{'0' * 16}.safetensors", ".config.json-0123", ".weights.safetensors-01", ".lock"):
        (spoilt / name).touch()
    for name in ("notes.txt", "weights-of-mine.safetensors"):
        (spoilt / name).touch()
    fitted.save(spoilt)
    kept = sorted(["config.json", "notes.txt", "weights-of-mine.safetensors", weights_file(spoilt).name])
    assert sorted(p.name for p in spoilt.iterdir()) == kept


def test_saving_the_same_model_again_keeps_it(fitted, df, tmp_path):
    fitted.save(tmp_path)
    fitted.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert load(tmp_path).channels_ == fitted.channels_


@pytest.mark.skipif(os.name != "posix", reason="there are no modes")
def test_a_model_that_is_replaced_keeps_its_mode(fitted, df, tmp_path):
    fitted.save(tmp_path)
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    quick(random_state=5).fit(df).save(tmp_path)
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o600}


def test_a_model_that_is_replaced_while_it_is_read_is_read_again(fitted, df, tmp_path, monkeypatch):
    fitted.save(tmp_path)
    other = quick(random_state=5).fit(df)
    read, saves = saving.read_json, [other]

    def replaced(file):
        config = read(file)
        if saves:
            saves.pop().save(tmp_path)
        return config

    monkeypatch.setattr(saving, "read_json", replaced)
    pd.testing.assert_frame_equal(load(tmp_path).predict(df), other.predict(df), check_exact=True)
    assert not saves


def save_in_turn(models, path, began):
    began.set()
    for k in range(10**6):
        models[k % 2].save(path)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kills", [1, pytest.param(40, marks=pytest.mark.slow)])
def test_every_load_beside_a_process_that_saves_and_after_its_kill_finds_a_model(fitted, df, tmp_path, kills):
    fitted.save(tmp_path / "a")
    quick(random_state=5).fit(df).save(tmp_path / "b")
    whole = {weights_file(tmp_path / name).name for name in "ab"}
    shutil.copytree(tmp_path / "a", tmp_path / "model")
    models = [load(tmp_path / name) for name in "ab"]
    rng, context = np.random.default_rng(0), multiprocessing.get_context(METHOD)
    for _ in range(kills):
        began = context.Event()
        process = context.Process(target=save_in_turn, args=(models, tmp_path / "model", began))
        process.start()
        try:
            assert began.wait(120)
            for _ in range(15):
                assert load(tmp_path / "model").channels_ == ("x", "y")
            time.sleep(rng.uniform(0, 0.02))
        finally:
            process.kill()
            process.join()
        assert process.exitcode  # it has saved until it was killed
        assert load(tmp_path / "model").channels_ == ("x", "y")
    fitted.save(tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} <= {"config.json"} | whole


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "weights-x.safetensors", "", None, 3, ["a"]])
def test_a_name_of_weights_that_is_none_is_refused(spoilt, name):
    edit_config(spoilt, lambda c: c.update(weights=name))
    with pytest.raises(ValueError, match=r"not a readable forecaster: weights=.*is not the name of a file of weights"):
        load(spoilt)


@pytest.mark.parametrize("name", [None, ("lab", "x"), pd.Timestamp("2024"), np.datetime64("2024"), 1j, b"x"], ids=str)
def test_a_channel_whose_name_cannot_be_read_back_is_refused_when_saved(fitted, name, tmp_path):
    schema = dataclasses.replace(fitted.state_.schema, target_cols=(name, "y"))
    with pytest.raises(ValueError, match=r"column=.*cannot be saved; use a text instead"):
        saving.save(dataclasses.replace(fitted.state_, schema=schema), fitted.get_params(), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_channel_named_nan_is_found_again(tmp_path):
    df = waves(3, 6).rename(columns={"y": float("nan")})
    forecaster = quick(max_steps=1).fit(df)
    forecaster.save(tmp_path)
    assert [str(name) for name in load(tmp_path).channels_] == ["x", "nan"]
    pd.testing.assert_frame_equal(load(tmp_path).predict(df), forecaster.predict(df), check_exact=True)


@pytest.mark.parametrize("names", [(1.5, "y"), (True, "y"), (1, "1")], ids=str)
def test_a_channel_whose_name_can_be_read_back_is_found_again(names, tmp_path):
    df = waves(3, 6).rename(columns=dict(zip("xy", names, strict=True)))
    forecaster = quick(max_steps=1, target_cols=list(names)).fit(df)
    forecaster.save(tmp_path)
    assert load(tmp_path).channels_ == names
    pd.testing.assert_frame_equal(load(tmp_path).predict(df), forecaster.predict(df), check_exact=True)


def test_weights_that_were_changed_are_refused(spoilt):
    content = bytearray((spoilt / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (spoilt / "weights.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="one of them is from another save, or was changed; save the model again"):
        load(spoilt)


@pytest.mark.parametrize("digest", [None, "", 3, ["a"]])
def test_a_digest_that_is_none_is_refused(spoilt, digest):
    edit_config(spoilt, lambda c: c.update(weights_sha256=digest))
    with pytest.raises(ValueError, match="is not the file"):
        load(spoilt)


def test_a_save_that_fails_midway_leaves_the_old_one_and_no_scraps(fitted, df, spoilt, monkeypatch):
    def broken(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("pathlib.Path.replace", broken)
    with pytest.raises(OSError, match="disk is full"):
        quick(random_state=5).fit(df).save(spoilt)
    monkeypatch.undo()
    assert sorted(p.name for p in spoilt.iterdir()) == ["config.json", "weights.safetensors"]
    pd.testing.assert_frame_equal(load(spoilt).predict(df), fitted.predict(df), check_exact=True)


@pytest.mark.parametrize("path", sorted(MODELS.glob("format_*")), ids=lambda p: p.name)
def test_models_of_every_format_version_load_and_predict_as_they_did(path):
    kept = pd.read_csv(path / "answers.csv")
    found = load(path).predict_interval(frame(), 80).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, kept, rtol=1e-6, atol=1e-6)


def test_there_is_a_model_of_this_format_version():
    assert (MODELS / f"format_{FORMAT_VERSION}" / "config.json").is_file()


# ------------------------------------------------------------------------- how far held-out forecasts went ahead


def test_how_far_the_held_out_forecasts_went_is_saved(fitted, saved):
    np.testing.assert_array_equal(load(saved).state_.reached, fitted.state_.reached)


def test_a_model_saved_without_it_loads_and_does_not_warn(df, fitted, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "model")
    edit_arrays(tmp_path / "model", lambda arrays: arrays.pop("reached"))
    loaded, far = load(tmp_path / "model"), 1.99 * fitted.horizon_
    assert loaded.state_.reached is None
    with pytest.warns(DataWarning, match="held-out forecasts went no farther"):
        fitted.forecast(far)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.forecast(far)


def test_what_intervals_held_on_held_out_series_is_missing_in_earlier_models(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "model")

    def drop(arrays):
        for name in [name for name in arrays if name.startswith("coverage.")]:
            arrays.pop(name)

    edit_arrays(tmp_path / "model", drop)
    assert load(tmp_path / "model").calibration_ is None


def test_coverage_of_another_shape_or_with_a_part_missing_is_refused(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "model")
    edit_arrays(tmp_path / "model", lambda arrays: arrays.update({"coverage.n_series": np.zeros((4, 9), np.int64)}))
    with pytest.raises(ValueError, match=r"coverage.n_series holds int64 of shape \(4, 9\)"):
        load(tmp_path / "model")
    edit_arrays(tmp_path / "model", lambda arrays: arrays.pop("coverage.n_series"))
    with pytest.raises(ValueError, match=r"coverage.n_series. is missing"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    ("reached", "message"),
    [(np.zeros(3), "reached holds float64 of shape"), (np.linspace(1.0, 0.0, 101), "quantiles that fall")],
)
def test_quantiles_that_are_none_are_refused(saved, tmp_path, reached, message):
    shutil.copytree(saved, tmp_path / "model")
    edit_arrays(tmp_path / "model", lambda arrays: arrays.update(reached=reached))
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "model")


def test_a_model_with_periods_of_each_series_own_is_read_back(tmp_path):
    known = make_periodic(30, 15, duration=5.0, random_state=0)
    model = quick(max_steps=2, stacking=True).fit(known)
    periods = model.state_.stacking.process.periods
    assert periods is not None
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.forecast().equals(model.forecast())
    assert torch.equal(again.state_.stacking.process.periods.prior, periods.prior)
