import errno
import os
import warnings

import numpy as np
import pytest
import torch

from latentode.io.locks import lock, unlock
from latentode.training import TrainingConfig, train
from latentode.training.checkpoint import Checkpoint, checkpoint_in
from latentode.training.snapshot import Snapshot
from tests.training.small import small_model

FINGERPRINT = {"data": "abc", "hidden_dim": 8, "random_state": 0}


def state(step=25):
    return Snapshot({"x": torch.tensor([float(step)])}, {"step": step, "history": []})


def left_by_a_killed_fit(directory, fingerprint=FINGERPRINT, step=25):
    with checkpoint_in(directory, fingerprint) as checkpoint:
        checkpoint.begin(np.random.default_rng(3))
        checkpoint.write(state(step))
        return checkpoint.path


class Killed(BaseException):
    """What no handler of ours catches."""


def test_a_training_that_is_broken_off_and_resumed_ends_with_the_same_bits(setting, tmp_path, monkeypatch):
    def fitted(checkpoint):
        model, rng = small_model(), np.random.default_rng(0)
        if checkpoint is not None:
            checkpoint.begin(rng)
        options = TrainingConfig(n_steps=3, steps_per_check=1, batch_size=4)
        return model, train(model, *setting, options, rng, checkpoint).history

    expected, history = fitted(None)
    write = Checkpoint.write

    def killed(self, snapshot):
        write(self, snapshot)
        raise Killed

    monkeypatch.setattr(Checkpoint, "write", killed)
    with checkpoint_in(tmp_path, FINGERPRINT) as checkpoint, pytest.raises(Killed):
        fitted(checkpoint)
    monkeypatch.undo()
    with checkpoint_in(tmp_path, FINGERPRINT) as checkpoint:
        assert checkpoint.found.facts["step"] == 1
        found, resumed = fitted(checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), expected.parameters(), strict=True))
    assert [row["loss"] for row in resumed] == [row["loss"] for row in history]


def test_a_fit_finds_the_state_that_a_killed_one_left(tmp_path):
    path = left_by_a_killed_fit(tmp_path)
    with checkpoint_in(tmp_path, FINGERPRINT) as checkpoint:
        assert checkpoint.path == path
        assert checkpoint.found.facts["step"] == 25
        assert checkpoint.found.tensors["x"].tolist() == [25.0]
        checkpoint.write(state(50))
        checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_random_state_is_that_of_the_beginning(tmp_path):
    left_by_a_killed_fit(tmp_path)
    with checkpoint_in(tmp_path, FINGERPRINT) as checkpoint:
        rng = np.random.default_rng()
        checkpoint.begin(rng)
    assert rng.random() == np.random.default_rng(3).random()


def test_the_directory_is_made_and_the_last_state_is_the_one_that_is_kept(tmp_path):
    directory = tmp_path / "not" / "there"
    left_by_a_killed_fit(directory, step=25)
    with checkpoint_in(str(directory), FINGERPRINT) as checkpoint:
        checkpoint.write(state(75))
    assert len(list(directory.iterdir())) == 1
    assert Checkpoint(checkpoint.path, FINGERPRINT).found.facts["step"] == 75


def test_fits_at_the_same_time_never_share_a_file(tmp_path):
    path = left_by_a_killed_fit(tmp_path)
    with checkpoint_in(tmp_path, FINGERPRINT) as first, checkpoint_in(tmp_path, FINGERPRINT) as second:
        assert first.path == path
        assert second.path != path
        assert second.found is None
        second.write(state(1))
    with checkpoint_in(tmp_path, FINGERPRINT) as one, checkpoint_in(tmp_path, FINGERPRINT) as other:
        assert sorted(c.found.facts["step"] for c in (one, other)) == [1, 25]


def test_another_fit_starts_anew_and_says_what_differs(tmp_path):
    path = left_by_a_killed_fit(tmp_path)
    before = path.read_bytes()
    other = {**FINGERPRINT, "hidden_dim": 9, "data": "xyz"}
    with (
        pytest.warns(UserWarning, match=r"another fit, training-.*: the data differ; hidden_dim was 8 and is 9\. The"),
        checkpoint_in(tmp_path, other) as checkpoint,
    ):
        assert checkpoint.found is None
    assert path.read_bytes() == before


def test_the_state_of_another_fit_that_is_running_gives_no_warning(tmp_path):
    path = left_by_a_killed_fit(tmp_path)
    held = lock(path.with_suffix(".lock"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with checkpoint_in(tmp_path, {**FINGERPRINT, "data": "xyz"}) as checkpoint:
                assert checkpoint.found is None
    finally:
        unlock(path.with_suffix(".lock"), held)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "it was changed after it was written"),
        (lambda content: content[: len(content) // 2], "not a training state"),
        (lambda content: b"", "not a training state"),
        (lambda content: Snapshot({}, {"fingerprint": FINGERPRINT}).to_bytes(), "'finished'"),
        (lambda content: Snapshot({}, {"fingerprint": FINGERPRINT, "finished": [3]}).to_bytes(), "a history is not"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name_with_the_cause_and_the_cure(tmp_path, spoil, why):
    path = left_by_a_killed_fit(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{path.name} is not a training state .*{why}.*\. Delete it to start again$"):
        checkpoint_in(tmp_path, FINGERPRINT).__enter__()
    assert path.exists()
    path.unlink()
    with checkpoint_in(tmp_path, FINGERPRINT) as checkpoint:  # the failure kept no lock
        assert checkpoint.path == path


def test_a_file_under_the_name_of_another_fit_is_refused(tmp_path):
    path = left_by_a_killed_fit(tmp_path)
    with pytest.raises(ValueError, match=r"another fit than its name says \(random_state differs\)"):
        Checkpoint(path, {**FINGERPRINT, "random_state": 1})


def finished(path):
    checkpoint = Checkpoint(path, FINGERPRINT)
    checkpoint.begin(np.random.default_rng(0))
    model = small_model(seed=5)
    checkpoint.finish(model, [{"step": 25.0, "loss": 0.5}])
    checkpoint.write(state(10))
    return model


def test_models_that_were_trained_before_are_found_again_with_their_histories(tmp_path):
    model = finished(tmp_path / "kept")
    found, other = Checkpoint(tmp_path / "kept", FINGERPRINT), small_model(seed=6).train()
    assert (found.has_finished(0), found.has_finished(1)) == (True, False)
    assert found.finished_into(0, other) == [{"step": 25.0, "loss": 0.5}]
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True))
    assert not other.training
    assert found.found.facts["step"] == 10


def test_weights_that_do_not_fit_or_are_not_finite_are_refused(tmp_path):
    finished(tmp_path / "kept")
    found = Checkpoint(tmp_path / "kept", FINGERPRINT)
    with pytest.raises(ValueError, match=r"kept is not a training state .*Delete it to start again"):
        found.finished_into(0, torch.nn.Linear(2, 2))
    next(iter(found.finished[0][0].values())).fill_(float("nan"))
    with pytest.raises(ValueError, match="weights of model 0 are not finite"):
        found.finished_into(0, small_model())


def test_a_state_that_cannot_be_written_names_the_directory_and_leaves_the_one_before(tmp_path, monkeypatch):
    path = left_by_a_killed_fit(tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with checkpoint_in(tmp_path, FINGERPRINT) as checkpoint:
        monkeypatch.setattr("latentode.io.atomic.os.fsync", full)
        with pytest.raises(OSError, match=r"the state before is intact\. Make room") as raised:
            checkpoint.write(state(50))
        monkeypatch.undo()
    assert raised.value.errno == errno.ENOSPC
    assert f"checkpoint_dir={str(tmp_path)!r}" in str(raised.value)
    assert path.read_bytes() == before


def test_a_file_in_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(OSError, match=r"checkpoint_dir='.*taken' cannot be used: "):
        checkpoint_in(tmp_path / "taken", FINGERPRINT).__enter__()
