"""Hourly weather at the three airports of New York."""

import pandas as pd

from latentode.datasets._files import read

__all__ = ["load_airports"]

_CHANNELS = ["temperature", "dew_point", "humidity", "wind", "gust", "pressure", "visibility", "rain"]


def load_airports() -> pd.DataFrame:
    """Load a year of hourly weather at three airports: few series, long ones, with a day and a season.

    Returns
    -------
    pandas.DataFrame
        26,115 rows, sorted by ``id`` (``EWR``, ``JFK``, ``LGA``) and ``time`` (UTC, naive), with a column per channel:
        ``temperature`` and ``dew_point`` (degrees Fahrenheit), ``humidity`` (per cent), ``wind`` and ``gust`` (miles
        per hour), ``pressure`` (millibars), ``visibility`` (miles) and ``rain`` (inches in the hour). NaN where a
        channel was not measured: most gusts, a tenth of the pressures.

    References
    ----------
    Wickham, H. (2021). nycflights13: Flights that Departed NYC in 2013. R package.

    Examples
    --------
    >>> from latentode.datasets import load_airports
    >>> hours = load_airports()
    >>> hours.loc[:1, ["id", "time", "temperature", "gust"]]
        id                time  temperature  gust
    0  EWR 2013-01-01 06:00:00        39.02   NaN
    1  EWR 2013-01-01 07:00:00        39.02   NaN
    """
    frame = read("airports", "airports.csv.gz", ["id", "time", *_CHANNELS])
    frame["time"] = pd.to_datetime(frame["time"], format="%Y-%m-%dT%H").astype("datetime64[ns]")
    return frame.astype(dict.fromkeys(_CHANNELS, "float64"))
