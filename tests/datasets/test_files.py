import gzip
from pathlib import Path

import pytest

from latentode.datasets import _files


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """A package that carries one small file."""
    place = tmp_path / "files" / "small"
    place.mkdir(parents=True)
    place.joinpath("small.csv.gz").write_bytes(gzip.compress(b"id,time,x\na,0,1.5\nb,2,\n"))
    monkeypatch.setattr(_files, "files", lambda package: tmp_path)
    return place


def test_the_columns_named_are_read_in_their_order(bundled):
    frame = _files.read("small", "small.csv.gz", ["x", "id"])
    assert frame.columns.tolist() == ["x", "id"]
    assert frame["id"].tolist() == ["a", "b"]
    assert frame["x"].isna().tolist() == [False, True]
    with pytest.raises(ValueError, match="y"):
        _files.read("small", "small.csv.gz", ["y"])


def test_the_file_of_the_package_comes_before_that_of_a_checkout(bundled):
    copy = bundled.parents[0] / "pbc" / "pbc.csv.gz"
    copy.parent.mkdir()
    copy.touch()
    assert Path(_files.find("pbc", "pbc.csv.gz")) == copy
    in_checkout = Path(_files.find("storms", "storms.csv.gz"))
    assert in_checkout == Path(__file__).parents[2] / "datasets" / "storms" / "storms.csv.gz"


def test_a_file_that_is_missing_is_named_with_both_places_and_the_cure(bundled):
    with pytest.raises(FileNotFoundError, match=r"file small/other\.csv\.gz is missing: looked for .* and .*Reinstall"):
        _files.find("small", "other.csv.gz")
