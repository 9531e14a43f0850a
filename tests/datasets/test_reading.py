from pathlib import Path

import pytest

from latentode.datasets._reading import require_files


@pytest.fixture
def folder(tmp_path):
    for name in ("a.txt", "deep/er/b.txt", "c.dly", "d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.txt").mkdir()
    return tmp_path


def names(files):
    return sorted(file.name for file in files)


def test_files_that_match_are_found_at_any_depth_and_folders_are_none(folder):
    assert names(require_files(folder, "*.txt", "station files")) == ["a.txt", "b.txt"]
    assert names(require_files(str(folder), "*.txt", "station files", "*.dly")) == ["a.txt", "b.txt", "c.dly"]


def test_the_home_of_the_user_may_be_written_as_a_tilde(folder, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    assert require_files("~/deep", "*.txt", "station files") == [folder / "deep" / "er" / "b.txt"]


def test_what_is_no_folder_is_refused_with_what_it_should_hold(folder):
    for wrong in (folder / "nothing", folder / "a.txt"):
        with pytest.raises(
            FileNotFoundError, match=rf"{Path(wrong).name} is no folder; give the one that holds stations"
        ):
            require_files(wrong, "*.txt", "stations")


def test_a_folder_without_a_file_that_matches_is_refused_with_all_that_would(folder):
    with pytest.raises(FileNotFoundError, match=r"holds no file \*\.csv or \*\.gz; expected station files"):
        require_files(folder, "*.csv", "station files", "*.gz")
