import errno
import os

import pytest

from latentode.io.atomic import try_writing, write_together, write_whole


def test_files_are_replaced_in_the_order_given_once_all_are_there(tmp_path, monkeypatch):
    seen, replace = [], type(tmp_path).replace

    def noted(self, target):
        seen.append((target.name, len(list(tmp_path.iterdir()))))
        return replace(self, target)

    monkeypatch.setattr("pathlib.Path.replace", noted)
    write_together({tmp_path / "b": b"1", tmp_path / "a": b"2"})
    assert seen == [("b", 2), ("a", 2)]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"2", "b": b"1"}


def test_where_the_second_cannot_be_moved_the_error_tells_that_the_first_is_new(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError, match=r"b could not be written; a was already replaced"):
        write_together({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_check_leaves_nothing_and_keeps_existing_files(tmp_path):
    try_writing(tmp_path / "new" / "deep")
    try_writing(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", ["touch", "symlink_to_itself", "mkdir_and_no_room"])
def test_a_check_that_fails_raises_and_leaves_nothing(tmp_path, make, monkeypatch):
    place = tmp_path / "place"
    if make == "touch":
        place.touch()
    elif make == "symlink_to_itself":
        place.symlink_to(place)
    else:
        place.mkdir()

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("pathlib.Path.touch", full)
    with pytest.raises(OSError):
        try_writing(place / "model")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["place"]
    assert not place.is_dir() or list(place.iterdir()) == []


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"before")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("latentode.io.atomic.os.fsync", full)
    with pytest.raises(OSError, match="file could not be written; no existing file was changed"):
        write_whole(path, b"after")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"before"]
