"""A fit that is killed is gone on from, and ends where it would have ended."""

import contextlib
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays

from latentode import LatentODEForecaster, load
from latentode.io.locks import lock, unlock
from latentode.training.checkpoint import Checkpoint
from latentode.training.snapshot import Snapshot
from tests.estimators.tiny import checks_every, quick, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")

MODELS, CHECKS, STEPS = 2, 3, 1
"""Models of a fit, checks of each, and steps between two: the fewest of which one can be broken off anywhere."""


@pytest.fixture(scope="module", autouse=True)
def _often():
    with checks_every(STEPS):
        yield


@pytest.fixture(scope="module")
def small():
    return waves(22, 6)  # enough series for whole ones to be held out


def forecaster(**params):
    return quick(**{"max_steps": STEPS * CHECKS, "n_models": MODELS, **params})


@pytest.fixture(scope="module")
def whole(small):
    """The fit that nobody breaks off."""
    return forecaster().fit(small)


@pytest.fixture(scope="module")
def three(small):
    """The same of three models."""
    return forecaster(n_models=3).fit(small)


class Killed(BaseException):
    """What no handler of ours catches."""


def killed_after(checks, df, **params):
    """A fit that ends at once after so many states were kept."""
    write, kept = Checkpoint.write, []

    def counted(self, snapshot):
        write(self, snapshot)
        kept.append(snapshot)
        if len(kept) == checks:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "write", counted)
        with pytest.raises(Killed):
            forecaster(**params).fit(df)
    return kept


@pytest.fixture(scope="module")
def one_state(small, tmp_path_factory):
    directory = tmp_path_factory.mktemp("kept")
    killed_after(1, small, checkpoint_dir=directory)
    return next(directory.glob("*.safetensors"))


@pytest.fixture
def kept_state(small, one_state, tmp_path):
    path = tmp_path / one_state.name
    path.write_bytes(one_state.read_bytes())
    return small, tmp_path, path


def assert_same_weights(left, right):
    theirs = right.model_.state_dict()
    for name, weight in left.model_.state_dict().items():
        assert torch.equal(weight, theirs[name]), name
    for name in ("factor", "shape"):
        np.testing.assert_array_equal(getattr(left.state_.calibration, name), getattr(right.state_.calibration, name))


def states(directory):
    return sorted(p.name for p in directory.iterdir() if p.suffix == ".safetensors")


def test_a_fit_interrupted_twice_ends_with_the_weights_of_an_uninterrupted_one(kept_state, whole):
    small, tmp_path, _ = kept_state
    killed_after(1, small, checkpoint_dir=tmp_path)
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        step = torch.optim.AdamW.step
        patch.setattr(torch.optim.AdamW, "step", lambda *a, **k: steps.append(1) or step(*a, **k))
        resumed = forecaster(checkpoint_dir=tmp_path).fit(small)
    assert len(steps) == STEPS * (MODELS * CHECKS - 2)  # it went on, it did not begin anew
    assert_same_weights(resumed, whole)
    columns = [c for c in whole.history_ if c != "seconds"]
    assert resumed.history_[columns].equals(whole.history_[columns])
    assert (resumed.history_.groupby("model")["seconds"].diff().dropna() > 0).all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", [1, CHECKS - 1])
def test_models_that_were_trained_to_their_end_are_not_trained_again(small, three, tmp_path, monkeypatch, last):
    """A state is kept at every check but the last of a model: this one is of the last of three models."""
    killed_after(2 * (CHECKS - 1) + last, small, checkpoint_dir=tmp_path, n_models=3)
    steps, step = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *a, **k: steps.append(1) or step(*a, **k))
    resumed = forecaster(checkpoint_dir=tmp_path, n_models=3).fit(small)
    assert len(steps) == STEPS * (CHECKS - last)
    assert_same_weights(resumed, three)
    assert resumed.history_["model"].tolist() == [0.0] * CHECKS + [1.0] * CHECKS + [2.0] * CHECKS


@pytest.mark.parametrize(
    "change",
    [
        lambda a, f: a.update({next(k for k in a if k.startswith("finished.0.")): np.zeros(3, dtype=np.float32)}),
        lambda a, f: next(v for k, v in a.items() if k.startswith("finished.0.enc")).fill(np.nan),
        lambda a, f: a.pop(next(k for k in a if k.startswith("finished.0."))),
        lambda a, f: f.pop("finished"),
        lambda a, f: f.update(finished="abc"),
        lambda a, f: f.update(finished=[[[1, 2]]]),
        lambda a, f: f.update(finished=[[{"step": "x"}]]),
        lambda a, f: f.update(history="abc"),
    ],
)
def test_a_finished_model_that_does_not_fit_is_refused(small, second_model, tmp_path, change):
    path = tmp_path / second_model.name
    path.write_bytes(second_model.read_bytes())
    tampered(path, change)
    with pytest.raises(ValueError, match=r"is not a training state that this fit can resume from.*Delete it"):
        forecaster(checkpoint_dir=tmp_path).fit(small)


@pytest.fixture(scope="module")
def second_model(small, tmp_path_factory):
    """The state of a fit killed in its second model."""
    directory = tmp_path_factory.mktemp("second")
    killed_after(CHECKS, small, checkpoint_dir=directory)
    (path,) = directory.glob("*.safetensors")
    return path


def test_a_fit_resumes_after_annealing_and_after_recovery_from_non_finite_numbers(small, tmp_path, monkeypatch):
    from latentode.nn import LatentODE

    loss, calls = LatentODE.loss, []

    def broken(self, *args):
        calls.append(1)
        found = loss(self, *args)
        return type(found)(found.total * float("nan"), found.kl) if len(calls) == STEPS + 1 else found

    monkeypatch.setattr(LatentODE, "loss", broken)
    params = {"patience": 1, "learning_rate": 0.3}
    with pytest.warns(UserWarning, match="the loss was not finite 1 time"):
        expected = forecaster(**params).fit(small)
    assert expected.history_["learning_rate"].nunique() > 1
    calls.clear()
    killed_after(2, small, checkpoint_dir=tmp_path, **params)
    with pytest.warns(UserWarning, match="the loss was not finite 1 time"):
        resumed = forecaster(checkpoint_dir=tmp_path, **params).fit(small)
    assert_same_weights(resumed, expected)


def test_without_a_seed_the_random_state_of_the_killed_fit_is_restored(small, tmp_path):
    (kept,) = killed_after(1, small, checkpoint_dir=tmp_path, random_state=None)
    resumed = forecaster(checkpoint_dir=tmp_path, random_state=None).fit(small)
    assert resumed.history_["loss"].iloc[0] == kept.facts["history"][0]["loss"]
    other = forecaster(random_state=None).fit(small)
    assert other.history_["loss"].iloc[0] != resumed.history_["loss"].iloc[0]


@pytest.mark.parametrize(
    ("make", "n_models"), [(np.random.RandomState, 1), (lambda s: np.random.Generator(np.random.MT19937(s)), 2)]
)
def test_generators_of_every_kind_are_restored(small, tmp_path, make, n_models):
    """The Gaussian process draws from them too, before the networks."""
    params = {"max_steps": 2 * STEPS, "stacking": True, "n_models": n_models}
    expected = forecaster(random_state=make(3), **params).fit(small)
    killed_after(1, small, checkpoint_dir=tmp_path, random_state=make(3), **params)
    resumed = forecaster(random_state=make(3), checkpoint_dir=tmp_path, **params).fit(small)
    assert_same_weights(resumed, expected)


def test_a_killed_fit_resumes_under_another_time_limit(small, whole, tmp_path):
    killed_after(1, small, checkpoint_dir=tmp_path, time_limit=1e6)
    assert_same_weights(forecaster(checkpoint_dir=tmp_path).fit(small), whole)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_the_state_and_the_next_fit_goes_on(small, whole, tmp_path, monkeypatch):
    write = Checkpoint.write

    def interrupted(self, snapshot):
        write(self, snapshot)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "write", interrupted)
    with pytest.raises(KeyboardInterrupt, match=f"after {STEPS} steps"):
        forecaster(checkpoint_dir=tmp_path).fit(small)
    monkeypatch.undo()
    assert len(states(tmp_path)) == 1
    assert_same_weights(forecaster(checkpoint_dir=str(tmp_path)).fit(small), whole)


# ------------------------------------------------------------------------------------------- other fits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_dim": 9}, "hidden_dim was 8 and is 9"),
        ({"random_state": 1}, "random_state differs"),
        ({"data": 1}, "the data differ"),
        ({"sample_weight": 2.0}, "sample_weight differs"),
    ],
    ids=lambda c: "".join(c) if isinstance(c, dict) else "",
)
def test_the_training_of_another_fit_is_not_mixed_with(kept_state, change, message):
    small, tmp_path, _ = kept_state
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.safetensors")}
    params = {k: v for k, v in change.items() if k not in ("data", "sample_weight")}
    df = small.assign(x=small["x"] + 1) if "data" in change else small
    weights = np.linspace(1, 2, len(df)) if "sample_weight" in change else None
    expected = quick(n_models=1, **params).fit(df, sample_weight=weights)
    with pytest.warns(UserWarning, match=f"unfinished training of another fit.*{message}") as said:
        other = quick(n_models=1, **params, checkpoint_dir=tmp_path).fit(df, sample_weight=weights)
    assert sum("unfinished training" in str(one.message) for one in said) == 1
    assert_same_weights(other, expected)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.safetensors")} == before


def test_a_file_that_is_no_checkpoint_of_another_fit_gives_no_warning(small, whole, tmp_path):
    (tmp_path / "training-a-0.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "training-b-0.safetensors").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_weights(forecaster(checkpoint_dir=tmp_path).fit(small), whole)


@pytest.mark.parametrize("read", ["stat", "read_bytes"])
def test_another_fit_that_ends_while_its_checkpoint_is_read_gives_no_warning(small, tmp_path, monkeypatch, read):
    other = tmp_path / "training-a-0.safetensors"
    other.write_bytes(b"")
    reading = getattr(Path, read)

    def gone(self, *args, **kwargs):
        if self == other:
            other.unlink(missing_ok=True)
        return reading(self, *args, **kwargs)

    monkeypatch.setattr(Path, read, gone)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(n_models=1, checkpoint_dir=tmp_path).fit(small)
    assert not other.exists()


def test_a_checkpoint_of_another_version_of_torch_gives_a_warning(kept_state, monkeypatch):
    small, tmp_path, _ = kept_state
    monkeypatch.setattr("torch.__version__", "9.9")
    with pytest.warns(UserWarning, match=r"torch was '2.*' and is '9.9'"):
        quick(n_models=1, checkpoint_dir=tmp_path).fit(small)


def test_a_frame_in_another_order_and_a_bar_are_the_same_fit(kept_state, whole, capsys):
    small, tmp_path, _ = kept_state
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = forecaster(checkpoint_dir=tmp_path, verbose=1).fit(small.sample(frac=1, random_state=0))
    assert_same_weights(resumed, whole)


def test_the_state_of_a_fit_that_is_running_is_nobody_elses(kept_state, whole):
    """A fit of the same data and parameters at the same time takes a place of its own."""
    small, tmp_path, _ = kept_state
    (name,) = states(tmp_path)
    held = lock(tmp_path / name.replace(".safetensors", ".lock"))
    try:
        before = (tmp_path / name).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same_weights(forecaster(checkpoint_dir=tmp_path).fit(small), whole)
            quick(n_models=1, random_state=5, checkpoint_dir=tmp_path).fit(small)
        assert (tmp_path / name).read_bytes() == before
    finally:
        unlock(tmp_path / name.replace(".safetensors", ".lock"), held)


def test_as_many_as_were_killed_go_on(small, tmp_path):
    """Two fits without a seed in one directory: each finds a state of its own again."""
    first = killed_after(1, small, checkpoint_dir=tmp_path, random_state=None)[0]
    (name,) = states(tmp_path)
    held = lock(tmp_path / name.replace(".safetensors", ".lock"))
    second = killed_after(1, small, checkpoint_dir=tmp_path, random_state=None)[0]
    unlock(tmp_path / name.replace(".safetensors", ".lock"), held)
    assert len(states(tmp_path)) == 2
    found = [forecaster(checkpoint_dir=tmp_path, random_state=None).fit(small) for _ in range(2)]
    assert [f.history_["loss"].iloc[0] for f in found] == [s.facts["history"][0]["loss"] for s in (first, second)]
    assert states(tmp_path) == []


# ------------------------------------------------------------------------------------------- broken files


def tampered(path, change):
    content = path.read_bytes()
    arrays = load_arrays(content)
    length = int.from_bytes(content[:8], "little")
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["training"])
    change(arrays, facts)
    path.write_bytes(Snapshot({name: torch.from_numpy(array) for name, array in arrays.items()}, facts).to_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda a, f: f.pop("rounds"),
        lambda a, f: f.pop("began"),
        lambda a, f: f.update(fingerprint={}),
        lambda a, f: f.update(step="many"),
        lambda a, f: f["rounds"]["rng"].update(bit_generator="Other"),
        lambda a, f: a.pop("generator"),
        lambda a, f: a.update(generator=np.zeros(3, dtype=np.uint8)),
        lambda a, f: a.update({"rounds.queue": np.array([10_000])}),
        lambda a, f: a.pop(next(k for k in a if k.startswith("best_average."))),
        lambda a, f: a.update({next(k for k in a if k.startswith("model.")): np.zeros(999, dtype=np.float32)}),
        lambda a, f: a.update({next(k for k in a if k.endswith(".exp_avg")): np.zeros(999, dtype=np.float32)}),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_the_cure(kept_state, change):
    df, directory, path = kept_state
    tampered(path, change)
    with pytest.raises(ValueError, match=r"not a training state .* resume from.*Delete it to start again"):
        forecaster(checkpoint_dir=directory).fit(df)
    assert path.exists()


@pytest.mark.parametrize("place", [0.01, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_state_of_which_one_bit_was_changed_is_refused(kept_state, place):
    df, directory, path = kept_state
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    content[header + int(place * (len(content) - header))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"changed after it was written. Delete it to start again"):
        forecaster(checkpoint_dir=directory).fit(df)


def test_a_state_whose_counters_were_changed_is_refused(kept_state):
    df, directory, path = kept_state
    content = path.read_bytes()
    step = b'\\"step\\": %d,'
    assert content.count(step % STEPS) == 1
    path.write_bytes(content.replace(step % STEPS, step % (STEPS + 4)))
    with pytest.raises(ValueError, match=r"changed after it was written. Delete it to start again"):
        forecaster(checkpoint_dir=directory).fit(df)


def test_a_directory_in_its_place_is_refused(kept_state):
    df, directory, path = kept_state
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=r"resume from: .* Delete it to start again"):
        forecaster(checkpoint_dir=directory).fit(df)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 40, (8).to_bytes(8, "little") + b"{}      "])
def test_a_file_that_holds_something_else_is_refused(kept_state, content):
    df, directory, path = kept_state
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Delete it to start again"):
        forecaster(checkpoint_dir=directory).fit(df)


def test_a_pickle_in_its_place_is_not_executed(kept_state):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(kept_state[1] / "executed"),)

    df, directory, path = kept_state
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="Delete it"):
        forecaster(checkpoint_dir=directory).fit(df)
    assert not (directory / "executed").exists()


def test_what_a_killed_writer_left_beside_is_cleared(kept_state, whole):
    df, directory, path = kept_state
    (directory / f".{path.name}-0123456789abcdef").write_bytes(b"half")
    path.with_suffix(".lock").touch()
    assert_same_weights(forecaster(checkpoint_dir=directory).fit(df), whole)
    assert list(directory.iterdir()) == []


# ------------------------------------------------------------------------------------------- disks


def test_the_error_of_a_full_disk_names_the_directory_and_keeps_the_checkpoint(small, whole, tmp_path, monkeypatch):
    fsync, calls = os.fsync, []

    def full(descriptor):
        calls.append(1)
        if len(calls) > 2:  # the file and its directory, once
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr("latentode.io.atomic.os.fsync", full)
    with pytest.raises(OSError, match="the state before is intact") as raised:
        forecaster(checkpoint_dir=tmp_path).fit(small)
    assert raised.value.errno == errno.ENOSPC
    assert str(tmp_path) in str(raised.value)
    assert os.strerror(errno.ENOSPC) in str(raised.value)
    monkeypatch.undo()
    assert [p.suffix for p in tmp_path.iterdir()] == [".safetensors"]  # and nothing half written beside it
    assert_same_weights(forecaster(checkpoint_dir=tmp_path).fit(small), whole)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MiB, where this machine lets us make one."""
    place = tmp_path / "disk"
    place.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full(small, whole, tiny_disk):
    killed_after(1, small, checkpoint_dir=tiny_disk)
    state = next(tiny_disk.glob("*.safetensors"))
    before = state.read_bytes()
    with contextlib.suppress(OSError), (tiny_disk / "others").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(OSError, match=r"No space left on device.*is intact. Make room") as raised:
        forecaster(checkpoint_dir=tiny_disk).fit(small)
    assert str(tiny_disk) in str(raised.value)
    assert state.read_bytes() == before
    (tiny_disk / "others").unlink()
    assert_same_weights(forecaster(checkpoint_dir=tiny_disk).fit(small), whole)


def test_a_directory_that_is_a_file_is_refused_by_its_name(small, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(OSError, match=r"checkpoint_dir='.*taken' cannot be used"):
        forecaster(checkpoint_dir=tmp_path / "taken").fit(small)


# ------------------------------------------------------------------------------------------- saved models


def test_a_saved_model_names_no_directory_and_a_loaded_one_writes_to_none(small, tmp_path):
    path = tmp_path / "model"
    quick(n_models=1, checkpoint_dir=tmp_path / "kept").fit(small).save(path)
    config = json.loads((path / "config.json").read_text())
    assert config["params"]["checkpoint_dir"] is None
    config["params"]["checkpoint_dir"] = str(tmp_path / "elsewhere")
    (path / "config.json").write_text(json.dumps(config))
    assert load(path).checkpoint_dir is None


def test_the_constructor_stores_the_directory_and_touches_nothing(tmp_path):
    place = tmp_path / "not" / "there"
    assert LatentODEForecaster(checkpoint_dir=place).get_params()["checkpoint_dir"] is place
    assert not place.exists()


# ------------------------------------------------------------------------------------------- kills

LONG = 100
"""Steps of a fit that lasts long enough for a kill to meet it."""
NO_KILLS = "forkserver" not in multiprocessing.get_all_start_methods()


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def fit_and_write(steps, kept, out):
    with checks_every(STEPS):
        fitted = forecaster(max_steps=steps, checkpoint_dir=kept).fit(waves(22, 6))
    np.savez(out, **{k: v.numpy() for k, v in fitted.model_.state_dict().items()})


def kills_until_it_ends(context, directory, expected, steps, moments):
    """Kill a fit at some moments, in seconds since it began, let it end, compare, and count the kills that met it."""
    kept, out, kills = directory / "kept", directory / "weights.npz", 0
    for moment in [*moments, None]:
        running = context.Process(target=fit_and_write, args=(steps, kept, out))
        running.start()
        if moment is not None:
            while running.is_alive() and not (kept.exists() and list(kept.glob("*.lock"))):
                time.sleep(0.002)
            time.sleep(moment)
            running.kill()
        running.join(600)
        assert running.exitcode in (0, -signal.SIGKILL)
        kills += running.exitcode != 0
        if running.exitcode == 0:
            break
    found = np.load(out)
    assert set(found) == set(expected)
    assert all((found[k] == v.numpy()).all() for k, v in expected.items())
    assert list(kept.iterdir()) == []
    return kills


@pytest.mark.slow  # the default suite has kills of the same fit by an exception that nothing catches
@pytest.mark.skipif(NO_KILLS, reason="there is no SIGKILL")
def test_a_fit_that_is_killed_ends_with_the_weights_of_one_that_was_not(small, processes, tmp_path):
    expected = forecaster(max_steps=LONG).fit(small).model_.state_dict()
    assert kills_until_it_ends(processes, tmp_path, expected, LONG, [0.2]) == 1


@pytest.mark.slow
@pytest.mark.skipif(NO_KILLS, reason="there is no SIGKILL")
def test_twenty_fits_killed_at_random_moments_end_equal(small, processes, tmp_path, record_property):
    steps = 2 * LONG
    began = time.perf_counter()
    expected = forecaster(max_steps=steps).fit(small).model_.state_dict()
    takes = time.perf_counter() - began
    rng, kills = random.Random(0), []
    while len(kills) < 20:
        place = tmp_path / str(time.perf_counter_ns())
        place.mkdir()
        moments = [rng.uniform(0, takes), rng.uniform(0, takes / 2)]
        killed = kills_until_it_ends(processes, place, expected, steps, moments)
        if killed:
            kills.append(killed)
        else:  # it ended before its moment came: the machine has less to do than when the time was taken
            takes *= 0.7
    record_property("kills", kills)
