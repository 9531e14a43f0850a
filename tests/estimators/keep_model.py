"""Write the model that every later version must read: run once for each format version, and commit what it writes.

python -m tests.estimators.keep_model
"""

import warnings
from pathlib import Path

import pandas as pd

from latentode.persistence.saving import FORMAT_VERSION
from tests.estimators.tiny import dated, quick, waves

MODELS = Path(__file__).parent / "models"


def frame() -> pd.DataFrame:
    """Dates with a zone, text ids, a static and a known column."""
    df = dated(waves(4, 6), unit="ms", zone="Europe/Athens")
    return df.assign(ward=df["id"].map(lambda i: "north" if i < "s02" else "south"), dose=range(len(df)))


def main() -> None:
    df = frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecaster = quick(static_cols="ward", known_cols=["dose"], seasonality=["1D"], stacking=True).fit(df)
    path = MODELS / f"format_{FORMAT_VERSION}"
    forecaster.save(path)
    forecaster.predict_interval(df, 80).to_csv(path / "answers.csv", index=False)


if __name__ == "__main__":
    main()
