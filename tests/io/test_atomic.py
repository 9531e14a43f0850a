import errno
import os
import stat

import pytest

from latentode.io.atomic import directory_for, try_writing, write_whole


def test_a_directory_made_for_a_block_that_fails_is_removed_with_those_above_it(tmp_path):
    seen = []

    def fail():
        seen.append((tmp_path / "new" / "deep").is_dir())
        raise RuntimeError

    with pytest.raises(RuntimeError), directory_for(tmp_path / "new" / "deep"):
        fail()
    assert seen == [True]
    assert list(tmp_path.iterdir()) == []
    with directory_for(tmp_path / "new" / "deep"):
        pass
    with pytest.raises(RuntimeError), directory_for(tmp_path / "new" / "deep"):
        raise RuntimeError
    assert (tmp_path / "new" / "deep").is_dir()  # it was there before


@pytest.mark.skipif(os.name != "posix", reason="there are no modes")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode_and_a_new_one_follows_the_umask(tmp_path, mode):
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    write_whole(path, b"new")
    write_whole(tmp_path / "other", b"new", like=path)
    umask = os.umask(0o027)
    try:
        write_whole(tmp_path / "fresh", b"new")
    finally:
        os.umask(umask)
    assert [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("file", "other", "fresh")] == [mode, mode, 0o640]


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
