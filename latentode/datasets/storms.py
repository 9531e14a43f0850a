"""Tracks of Atlantic storms."""

import pandas as pd

from latentode.datasets._files import read

_CHANNELS = ["lat", "long", "wind", "pressure"]
_SIZES = ["category", "ts_diameter", "hu_diameter"]


def load_storms(*, extras: bool = False, start: int = 1975, end: int = 2022) -> pd.DataFrame:
    """Load the tracks of 654 Atlantic storms, 1975 to 2022, at 19,513 moments.

    A storm is fixed every six hours, with more records at landfalls and peaks and, in early years, gaps of up
    to three and a half days. Storms last from half a day to 24 days.

    Parameters
    ----------
    extras : bool, default=False
        Add ``status`` (tropical storm, hurricane, extratropical, ...), ``category`` (1 to 5, NaN where the
        storm is no hurricane) and the diameters, in nautical miles, of the area with winds of tropical-storm
        force (``ts_diameter``) and hurricane force (``hu_diameter``), recorded since 2004.
    start, end : int, default=1975, 2022
        The first and the last season to load. A season is the year in which a storm began.

    Returns
    -------
    pandas.DataFrame
        A row per record, in order of the storms and then of time, with ``id`` (name and season, as in
        ``"Floyd-1999"``), ``time`` (UTC, without zone) and a column per channel: ``lat`` and ``long`` in
        degrees (east is positive), ``wind`` in knots, ``pressure`` in millibars.

    Raises
    ------
    ValueError
        If no season lies between `start` and `end`.

    References
    ----------
    Landsea, C. W. and Franklin, J. L. (2013). Atlantic hurricane database uncertainty and presentation of a
    new database format. Monthly Weather Review 141, 3576-3592.

    Examples
    --------
    >>> from latentode.datasets import load_storms
    >>> tracks = load_storms(start=2005, end=2005)
    >>> tracks["id"].nunique()
    29
    >>> tracks[tracks["id"] == "Katrina-2005"].head(2)
                   id                time   lat  long  wind  pressure
    345  Katrina-2005 2005-08-23 18:00:00  23.1 -75.1  30.0    1008.0
    346  Katrina-2005 2005-08-24 00:00:00  23.4 -75.7  30.0    1007.0
    """
    columns = ["id", "time", *_CHANNELS]
    if extras:
        columns += ["status", *_SIZES]
    frame = read("storms", "storms.csv.gz", columns)
    season = frame["id"].str[-4:].astype("int64")
    frame = frame[season.between(start, end)].reset_index(drop=True)
    if frame.empty:
        raise ValueError(f"no storms between start={start} and end={end}: the seasons are 1975 to 2022")
    frame["time"] = pd.to_datetime(frame["time"], format="%Y-%m-%dT%H").astype("datetime64[ns]")
    numeric = [column for column in columns if column in _CHANNELS + _SIZES]
    return frame.astype(dict.fromkeys(numeric, "float64"))
