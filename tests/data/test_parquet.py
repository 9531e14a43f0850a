"""Stored tables: whole, or some of the series, each of them whole."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning, read_parquet
from tests.estimators.tiny import dated, quick, waves

pyarrow = pytest.importorskip("pyarrow", exc_type=ImportError)
dataset = pytest.importorskip("pyarrow.dataset", exc_type=ImportError)
DF = dated(waves(20, 6), zone="Europe/Athens")


@pytest.fixture
def path(tmp_path):
    DF.to_parquet(tmp_path / "visits.parquet", index=False)
    return tmp_path / "visits.parquet"


def test_a_small_table_is_read_whole_and_in_silence(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in (path, str(path), path.parent, dataset.dataset(path)):
            pd.testing.assert_frame_equal(read_parquet(source), DF)


def test_of_a_large_one_some_series_are_read_each_of_them_whole_and_it_is_said(path):
    with pytest.warns(DataWarning, match=r"^8 of 20 series were read, 48 of 120 rows"):
        some = read_parquet(path, max_rows=50)
    pd.testing.assert_frame_equal(some, DF[DF["id"].isin(some["id"])].reset_index(drop=True))


def test_a_pattern_names_several_files_and_a_name_with_a_star_is_no_pattern(path):
    DF.iloc[:12].to_parquet(path.parent / "visits*.parquet", index=False)
    pd.testing.assert_frame_equal(read_parquet(path.parent / "visits*.parquet"), DF.iloc[:12])
    (path.parent / "visits*.parquet").rename(path.parent / "more.parquet")
    assert len(read_parquet(path.parent / "*s.parquet")) == len(DF)
    assert len(read_parquet(path.parent / "*.parquet")) == len(DF) + 12
    with pytest.raises(FileNotFoundError, match=r"no such file: .*none\*.parquet"):
        read_parquet(path.parent / "none*.parquet")


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_the_choice_is_the_same_in_any_order_and_over_many_files(path, tmp_path):
    some = read_parquet(path, max_rows=50)
    (tmp_path / "parts").mkdir()
    mixed = DF.sample(frac=1, random_state=0)
    for k in range(3):
        mixed.iloc[k::3].to_parquet(tmp_path / "parts" / f"{k}.parquet", index=False)
    other = read_parquet(tmp_path / "parts", max_rows=50).sort_values(["id", "time"], ignore_index=True)
    pd.testing.assert_frame_equal(other, some.sort_values(["id", "time"], ignore_index=True))


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_the_rows_of_a_series_are_counted_over_all_batches(path, monkeypatch):
    some = read_parquet(path, max_rows=50)
    monkeypatch.setattr("latentode.data.parquet.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("latentode.data.parquet.PARTS_AT_ONCE", 3)
    pd.testing.assert_frame_equal(read_parquet(path, max_rows=50), some)


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_files_may_number_their_categories_each_for_itself(path, tmp_path):
    some = read_parquet(path, max_rows=50)
    (tmp_path / "parts").mkdir()
    for k, of_one in enumerate((DF[DF["id"] > "s1"], DF[DF["id"] <= "s1"])):
        of_one.astype({"id": "category"}).to_parquet(tmp_path / "parts" / f"{k}.parquet", index=False)
    other = read_parquet(tmp_path / "parts", max_rows=50)
    assert set(other["id"]) == set(some["id"])
    assert len(other) == len(some)


@pytest.mark.filterwarnings("error")
def test_what_just_fits_is_read_whole(path):
    assert len(read_parquet(path, max_rows=len(DF))) == len(DF)
    with pytest.warns(DataWarning):
        assert len(read_parquet(path, max_rows=len(DF) - 1)) < len(DF)


def test_without_pyarrow_it_is_said_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"^reading Parquet needs pyarrow: pip install latentode\[parquet\]$"):
        read_parquet(path)


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
@pytest.mark.parametrize("dtype", ["category", object, "int64"])
def test_ids_of_any_kind(tmp_path, dtype):
    df = DF.assign(unit=DF["id"].str[1:].astype(int).astype(str if dtype is object else "int64").astype(dtype))
    df.drop(columns="id").to_parquet(tmp_path / "t.parquet")
    assert read_parquet(tmp_path / "t.parquet", "unit", max_rows=30)["unit"].nunique() == 5


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_an_index_of_series_and_time_comes_back_as_one(tmp_path):
    DF.set_index(["id", "time"]).to_parquet(tmp_path / "t.parquet")
    some = read_parquet(tmp_path / "t.parquet", max_rows=50)
    assert some.index.names == ["id", "time"]
    assert len(some) == 48


def test_what_cannot_be_read_is_said(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_parquet(tmp_path / "nothing.parquet")
    (tmp_path / "t.csv").write_text("id,time\n1,2\n")
    with pytest.raises(
        DataError,
        match=r"t\.csv is not a Parquet file, .*give a frame instead, for instance pd\.read_csv\('.*t\.csv'\)$",
    ):
        read_parquet(tmp_path / "t.csv")
    with pytest.raises(DataError, match="id_col='patient': no such column"):
        read_parquet(path, "patient", max_rows=10)
    DF.rename(columns={"id": "patient"}).to_parquet(tmp_path / "patients.parquet")
    with pytest.raises(DataError, match=r"^no single id column found; pass id_col=; the table's columns are"):
        read_parquet(tmp_path / "patients.parquet", max_rows=10)
    with pytest.raises(DataError, match="no series can be read whole within max_rows=5"):
        read_parquet(path, max_rows=5)
    with pytest.raises(DataError, match="y and sample_weight need a frame"):
        quick().fit(path, DF["x"])


PEAK = """
import sys, warnings
import pyarrow
from latentode.data import read_parquet
warnings.simplefilter("ignore")
assert len(read_parquet(sys.argv[1], max_rows=50_000)) == 50_000
print(pyarrow.default_memory_pool().max_memory())
"""


def test_no_more_than_the_chosen_series_are_in_memory(tmp_path):
    n = 1_000_000
    df = pd.DataFrame({"id": np.arange(n) // 100, "time": np.arange(n) % 100.0})
    df = df.assign(**{c: np.random.default_rng(0).normal(size=n) for c in "abcdef"})
    df.to_parquet(tmp_path / "t.parquet", row_group_size=25_000)
    # In a process of its own: what Arrow has held at most is counted from the start.
    command = [sys.executable, "-c", PEAK, str(tmp_path / "t.parquet")]
    reported = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert reported.returncode == 0, reported.stderr
    assert int(reported.stdout) < 0.5 * df.memory_usage(deep=True).sum()


def test_a_path_is_fitted_as_the_frame_is(path):
    fitted = quick().fit(path)
    pd.testing.assert_frame_equal(fitted.predict(DF), quick().fit(DF).predict(DF), check_exact=True)
    again = quick().fit(dataset.dataset(path))
    pd.testing.assert_frame_equal(fitted.predict(DF), again.predict(DF), check_exact=True)
    assert fitted.n_features_in_ == 4


def test_a_table_without_rows_keeps_its_columns_and_their_dtypes(tmp_path):
    DF.iloc[:0].to_parquet(tmp_path / "t.parquet", index=False)
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "t.parquet"), DF.iloc[:0])


def test_when_nobody_says_how_many_rows_it_is_the_cells_that_count(path, monkeypatch):
    monkeypatch.setattr("latentode.data.parquet.MOST_CELLS", 50 * DF.shape[1] + 1)
    with pytest.warns(
        DataWarning, match=r"48 of 120 rows: the table is larger than 50 rows; .*max_rows=\) reads more$"
    ):
        read_parquet(path)


def test_what_was_left_out_is_said_where_the_table_is_read(path):
    with pytest.warns(DataWarning) as said:
        read_parquet(path, max_rows=50)
    assert said[0].filename == __file__
