import re
from pathlib import Path

import pytest

from latentode.datasets import load_airports, load_pbc, load_storms

DATASETS = Path(__file__).parents[2] / "datasets"
LOADERS = {
    "airports": load_airports,
    "pbc": lambda: load_pbc(extras=True, outcome=True),
    "storms": lambda: load_storms(extras=True),
}
ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \| .* \| ([\d, ]+) \|$", re.MULTILINE)


def columns_in(readme: str) -> dict[str, int]:
    found = {}
    for names, counts in ROW.findall(readme):
        columns = re.findall(r"`(\w+)`", names)
        missing = counts.split(", ")
        assert len(columns) == len(missing), names
        found |= {column: int(count.replace(",", "")) for column, count in zip(columns, missing, strict=True)}
    return found


@pytest.mark.parametrize("name", LOADERS)
def test_the_readme_names_every_column_and_counts_its_missing_values(name):
    frame = LOADERS[name]()
    assert columns_in((DATASETS / name / "README.md").read_text()) == frame.isna().sum().to_dict()


@pytest.mark.parametrize("name", LOADERS)
def test_the_readmes_count_the_series_and_rows_of_the_data(name):
    frame = LOADERS[name]()
    series, rows = frame["id"].nunique(), len(frame)
    per_series = frame.groupby("id").size()
    readme = (DATASETS / name / "README.md").read_text()
    assert re.search(rf"\*\*{series} \w+, {rows:,} \w+\*\*, {per_series.min()} to {per_series.max()} per", readme)
    assert f"(median {per_series.median():g}" in readme
    assert re.search(rf"\| {series} \w+ \| {rows:,} \w+ \|", (DATASETS / "README.md").read_text())


@pytest.mark.parametrize("name", LOADERS)
def test_each_data_set_has_its_script_and_states_its_source(name):
    assert (DATASETS / name / "prepare.py").is_file()
    assert "## Source and licence" in (DATASETS / name / "README.md").read_text()
    assert (DATASETS / name / f"{name}.csv.gz").stat().st_size < 300_000
