"""Frames nobody would bring on purpose: every dtype, column, index and hole that pandas can hold, by seed."""

import contextlib
import datetime as dt
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

Rng = np.random.Generator
Maker = Callable[[Rng, int], Any]

NAMES = ["x", "y", "value", 0, 1.5, ("a", "b"), "", " ", "=1+1", "ü", None, float("nan"), True, pd.Timestamp("2024")]


@dataclass(frozen=True)
class Case:
    """A frame, and the parameters it is brought with."""

    frame: pd.DataFrame
    params: dict[str, Any]


def case(seed: int) -> Case:
    """The frame of a seed: half of them whole but for one spoilt part, half of parts drawn at random."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([0, 1, 2, 3, 8, 25], p=[0.04, 0.06, 0.1, 0.1, 0.3, 0.4]))
    frame = _mostly_whole(rng, n) if rng.random() < 0.5 else _at_random(rng, n)
    return Case(_shuffled(rng, frame), _params(rng, list(frame.columns)))


# ------------------------------------------------------------------------------------------------ whole frames


def _mostly_whole(rng: Rng, n: int) -> pd.DataFrame:
    parts = {"id": IDS["text"], "time": TIMES["float"], "x": VALUES["float"], "y": VALUES["float"]}
    for spoilt in rng.choice([*parts], int(rng.integers(1, 3))):
        parts[spoilt] = _any(rng, {"id": IDS, "time": TIMES}.get(spoilt, VALUES))
    return pd.DataFrame({name: make(rng, n) for name, make in parts.items()}, index=pd.RangeIndex(n))


def _at_random(rng: Rng, n: int) -> pd.DataFrame:
    columns: list[tuple[Any, Any]] = []
    if rng.random() < 0.8:
        name = rng.choice(["id", "unique_id", "item_id", "who"], p=[0.6, 0.15, 0.15, 0.1])
        columns.append((str(name), _any(rng, IDS)(rng, n)))
    if rng.random() < 0.9:
        name = rng.choice(["time", "ds", "timestamp", "when"], p=[0.6, 0.15, 0.15, 0.1])
        columns.append((str(name), _any(rng, TIMES)(rng, n)))
    for _ in range(int(rng.integers(0, 4))):
        kinds = VALUES if rng.random() < 0.8 else {**IDS, **TIMES}
        columns.append((NAMES[int(rng.choice(len(NAMES)))], _any(rng, kinds)(rng, n)))
    frame = pd.DataFrame(dict(enumerate(values for _, values in columns)), index=pd.RangeIndex(n))
    frame.columns = pd.Index([name for name, _ in columns], dtype=object, tupleize_cols=False)
    return frame


def _shuffled(rng: Rng, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows repeated or in another order, another index."""
    if len(frame) and rng.random() < 0.3:
        frame = frame.iloc[rng.integers(0, len(frame), len(frame))]
    kind = rng.choice(["as it is", "range", "same", "text", "dates", "levels", "deep", "columns", "named"], p=_INDEXES)
    n = len(frame)
    if kind == "range":
        frame.index = pd.RangeIndex(5, 5 + n)
    elif kind == "same":
        frame.index = pd.Index([0] * n)
    elif kind == "text":
        frame.index = pd.Index([f"r{i}" for i in range(n)])
    elif kind == "dates":
        frame.index = pd.date_range("2024-01-01", periods=n, freq="7h", name=rng.choice(["when", "time", "other"]))
    elif kind == "named":
        frame.index = pd.Index(range(n), name="id")
    elif kind == "levels" and {"id", "time"} <= set(frame.columns):
        keys = ["id", "time"] if rng.random() < 0.7 else ["time", "id"]
        with warnings.catch_warnings(), contextlib.suppress(TypeError, ValueError, NotImplementedError, Warning):
            warnings.simplefilter("error")  # lists and the like make no index, and pandas says so
            frame = frame.set_index(keys)
    elif kind == "deep":
        frame.index = pd.MultiIndex.from_arrays([range(n)] * 3, names=["id", "time", None])
    elif kind == "columns" and len(frame.columns):
        frame.columns = pd.MultiIndex.from_arrays([[str(c) for c in frame.columns], ["u"] * len(frame.columns)])
    return frame


_INDEXES = [0.66, 0.06, 0.06, 0.04, 0.06, 0.06, 0.02, 0.02, 0.02]


def _params(rng: Rng, columns: list[Any]) -> dict[str, Any]:
    """Mostly none; sometimes columns by name, some of them of another role or not there."""
    found: dict[str, Any] = {}
    one = [*columns, "nowhere"]
    for name in ("id_col", "time_col"):
        if rng.random() < 0.1:
            found[name] = one[int(rng.integers(len(one)))]
    for name in ("target_cols", "static_cols", "known_cols", "past_cols", "impulse_cols"):
        if rng.random() < 0.08:
            chosen = [one[i] for i in rng.choice(len(one), min(len(one), int(rng.integers(1, 3))), replace=False)]
            found[name] = chosen if rng.random() < 0.8 else chosen[0]
    if rng.random() < 0.1:
        horizons = ["3D", 2.0, 0, -1, "soon", "1h", np.nan, np.inf, pd.Timedelta("1D")]
        found["horizon"] = horizons[int(rng.integers(len(horizons)))]
    if rng.random() < 0.1:
        periods = [None, "1D", 3.0, [2.0, 5.0], ["1D"], "weekly", 0.0]
        found["seasonality"] = periods[int(rng.integers(len(periods)))]
    return found


def _any(rng: Rng, kinds: dict[str, Maker]) -> Maker:
    return kinds[str(rng.choice([*kinds]))]


# ----------------------------------------------------------------------------------------------------- columns


def _holed(rng: Rng, values: Any, hole: Any = None, part: float = 0.2) -> list[Any]:
    return [hole if rng.random() < part else v for v in values]


def _few(*labels: Any) -> Maker:
    """A column of a few labels."""
    return lambda rng, n: pd.Series([labels[i] for i in rng.integers(0, len(labels), n)], dtype=object)


def _whole(rng: Rng, n: int) -> Any:
    return rng.integers(0, 4, n)


def _text(rng: Rng, n: int) -> Any:
    return [f"s{i}" for i in rng.integers(0, 4, n)]


IDS: dict[str, Maker] = {
    "text": _text,
    "whole": _whole,
    "float with holes": lambda rng, n: np.where(rng.random(n) < 0.2, np.nan, _whole(rng, n)),
    "text with holes": lambda rng, n: _holed(rng, _text(rng, n)),
    "boolean": lambda rng, n: rng.random(n) < 0.5,
    "mixed": _few(1, "1", 2.5, None, True),
    "category": lambda rng, n: pd.Categorical(_holed(rng, _text(rng, n)), categories=["s9", "s2", "s1", "s0", "s3"]),
    "category of numbers": lambda rng, n: pd.Categorical(_whole(rng, n)),
    "string": lambda rng, n: pd.array(_holed(rng, _text(rng, n), pd.NA), dtype="string"),
    "Int64": lambda rng, n: pd.array(_holed(rng, _whole(rng, n), pd.NA), dtype="Int64"),
    "dates": lambda rng, n: pd.to_datetime("2024-01-01") + pd.to_timedelta(_whole(rng, n), "D"),
    "periods": lambda rng, n: pd.PeriodIndex.from_ordinals(_whole(rng, n), freq="M"),
    "tuples": _few((1, 2), (1, "b"), ()),
    "lists": _few([1], [2], []),
    "dictionaries": _few({"a": 1}, {}),
    "bytes": _few(b"a", b"b"),
    "nothing": lambda rng, n: [None] * n,
    "one a row": lambda rng, n: np.arange(n),
    "huge": lambda rng, n: pd.Series(rng.integers(0, 3, n)).astype("uint64") + np.uint64(2**63),
    "infinite": lambda rng, n: rng.choice([np.inf, -np.inf, 1.0], n),
    "formulas": _few("=1+1", "+a", "-b", "@c"),
    "intervals": lambda rng, n: pd.cut(rng.uniform(0.1, 3, n), [0, 1, 2, 3]) if n else [],
}


def _days(rng: Rng, n: int) -> Any:
    return pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), "s")


def _objects(rng: Rng, n: int) -> list[Any]:
    return [dt.datetime(2024, 1, 1) + dt.timedelta(hours=int(h)) for h in rng.integers(0, 5000, n)]


def _float(rng: Rng, n: int) -> Any:
    return rng.uniform(0, 10, n)


TIMES: dict[str, Maker] = {
    "float": _float,
    "float with holes": lambda rng, n: np.where(rng.random(n) < 0.2, np.nan, _float(rng, n)),
    "infinite": lambda rng, n: np.where(rng.random(n) < 0.2, rng.choice([np.inf, -np.inf], n), _float(rng, n)),
    "whole": lambda rng, n: rng.integers(-5, 20, n),
    "int8": lambda rng, n: rng.integers(-128, 128, n).astype(np.int8),
    "uint64": lambda rng, n: rng.integers(0, 2**64 - 1, n, dtype=np.uint64),
    "equal": lambda rng, n: np.full(n, 3.0),
    "huge": lambda rng, n: rng.choice([1e300, -1e300, 1.7e308, 0.0, 1.0], n),
    "tiny": lambda rng, n: rng.choice([5e-324, 1e-300, 0.0, 2e-300], n),
    "both": lambda rng, n: rng.choice([1e-12, 1e15, 0.0, 1.0], n) * rng.uniform(1, 2, n),
    "float32": lambda rng, n: _float(rng, n).astype(np.float32),
    "float16": lambda rng, n: _float(rng, n).astype(np.float16),
    "longdouble": lambda rng, n: _float(rng, n).astype(np.longdouble),
    "Int64": lambda rng, n: pd.array(_holed(rng, rng.integers(0, 20, n), pd.NA), dtype="Int64"),
    "Float64": lambda rng, n: pd.array(_holed(rng, _float(rng, n), pd.NA), dtype="Float64"),
    "dates": _days,
    "dates [s]": lambda rng, n: _days(rng, n).astype("datetime64[s]"),
    "dates [ns]": lambda rng, n: _days(rng, n).astype("datetime64[ns]"),
    "dates with holes": lambda rng, n: pd.Series(_holed(rng, _days(rng, n), pd.NaT), dtype="datetime64[us]"),
    "dates in a zone": lambda rng, n: _days(rng, n).tz_localize("UTC").tz_convert("Europe/Paris"),
    "dates at an offset": lambda rng, n: _days(rng, n).tz_localize(dt.timezone(dt.timedelta(hours=5, minutes=45))),
    "dates of all centuries": lambda rng, n: pd.Series(
        rng.choice(np.array(["0001-01-01", "1677-09-21", "2024-02-29", "9999-12-31"], dtype="datetime64[s]"), n)
    ),
    "no date": lambda rng, n: pd.Series([pd.NaT] * n, dtype="datetime64[ns]"),
    "objects": _objects,
    "objects of all centuries": _few(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31), dt.date(2024, 1, 1)),
    "objects in several zones": lambda rng, n: [
        o.replace(tzinfo=dt.timezone(dt.timedelta(hours=int(rng.integers(-3, 3))))) for o in _objects(rng, n)
    ],
    "objects some in a zone": lambda rng, n: [
        o.replace(tzinfo=dt.UTC) if rng.random() < 0.5 else o for o in _objects(rng, n)
    ],
    "text": lambda rng, n: [str(o) for o in _objects(rng, n)],
    "numbers in text": lambda rng, n: [str(o) for o in _float(rng, n)],
    "periods": lambda rng, n: pd.PeriodIndex.from_ordinals(rng.integers(0, 60, n), freq=str(rng.choice(["M", "D"]))),
    "quarters with holes": lambda rng, n: pd.Series(
        _holed(rng, pd.PeriodIndex.from_ordinals(rng.integers(0, 60, n), freq="Q-DEC"), pd.NaT), dtype="period[Q-DEC]"
    ),
    "differences": lambda rng, n: pd.to_timedelta(rng.integers(-(10**6), 10**6, n), "s"),
    "objects of differences": lambda rng, n: pd.Series(
        [dt.timedelta(hours=int(h)) for h in rng.integers(0, 99, n)], dtype=object
    ),
    "boolean": lambda rng, n: rng.random(n) < 0.5,
    "complex": lambda rng, n: _float(rng, n) + 1j,
    "decimals": lambda rng, n: [Decimal(int(i)) for i in rng.integers(0, 9, n)],
    "times of day": _few(dt.time(12), dt.time(13, 30)),
    "mixed": _few(1, 2.5, "x", dt.datetime(2024, 1, 1), None),
    "whole numbers as objects": _few(1, 2, 3, 4, 5),
    "category of dates": lambda rng, n: pd.Categorical(_days(rng, n)),
    "category of numbers": lambda rng, n: pd.Categorical(rng.integers(0, 5, n)),
    "arrow dates": lambda rng, n: pd.Series(_days(rng, n)).astype("timestamp[us][pyarrow]"),
    "arrow numbers": lambda rng, n: pd.Series(_float(rng, n)).astype("double[pyarrow]"),
    "arrow days": lambda rng, n: pd.Series(_days(rng, n)).astype("date32[day][pyarrow]"),
    "sparse": lambda rng, n: pd.arrays.SparseArray(_float(rng, n)),
    "intervals": lambda rng, n: pd.cut(rng.uniform(0.1, 3, n), [0, 1, 2, 3]) if n else [],
    "nothing": lambda rng, n: [None] * n,
}

VALUES: dict[str, Maker] = {
    "float": lambda rng, n: rng.normal(size=n),
    "with holes": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)),
    "infinite": lambda rng, n: np.where(rng.random(n) < 0.2, rng.choice([np.inf, -np.inf], n), rng.normal(size=n)),
    "constant": lambda rng, n: np.full(n, rng.choice([0.0, 7.0, -1e30, 1e-300])),
    "nothing": lambda rng, n: np.full(n, np.nan),
    "none": lambda rng, n: [None] * n,
    "huge": lambda rng, n: rng.normal(size=n) * 1e300,
    "the largest": lambda rng, n: rng.choice([np.finfo(float).max, -np.finfo(float).max, 0.0], n),
    "tiny": lambda rng, n: rng.normal(size=n) * 1e-300,
    "the smallest": lambda rng, n: rng.choice([5e-324, 0.0, -5e-324], n),
    "outliers": lambda rng, n: np.where(rng.random(n) < 0.1, 1e30, rng.normal(size=n)),
    "lognormal": lambda rng, n: np.exp(rng.normal(0, 50, n)),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "float16": lambda rng, n: rng.normal(size=n).astype(np.float16),
    "longdouble": lambda rng, n: rng.normal(size=n).astype(np.longdouble) * np.longdouble("1e4000"),
    "int8": lambda rng, n: rng.integers(-128, 128, n).astype(np.int8),
    "uint64": lambda rng, n: rng.integers(0, 2**64 - 1, n, dtype=np.uint64),
    "boolean": lambda rng, n: rng.random(n) < 0.5,
    "Boolean": lambda rng, n: pd.array(_holed(rng, rng.random(n) < 0.5, pd.NA), dtype="boolean"),
    "Int64": lambda rng, n: pd.array(_holed(rng, rng.integers(0, 9, n), pd.NA), dtype="Int64"),
    "Float64": lambda rng, n: pd.array(_holed(rng, rng.normal(size=n), pd.NA), dtype="Float64"),
    "Float64 with NaN": lambda rng, n: pd.array(rng.normal(size=n), dtype="Float64") * np.inf * 0,
    "complex": lambda rng, n: rng.normal(size=n) + 1j,
    "numbers as objects": _few(1, 2.5, None, np.float32(3)),
    "huge whole numbers": _few(10**400, 1, 2),
    "text": _few("high", "low"),
    "text and numbers": _few("high", 1, 2.5, 3, 4),
    "numbers in text": _few("1", "2.5", "-3e4"),
    "decimals": _few(Decimal("1.5"), Decimal("NaN"), Decimal(2)),
    "fractions": _few(Fraction(1, 3), Fraction(2, 3)),
    "lists": _few([1.0], [], [[2.0]]),
    "arrays": _few(np.ones(2), np.zeros(3)),
    "dates": _days,
    "differences": lambda rng, n: pd.to_timedelta(rng.integers(0, 99, n), "s"),
    "category of numbers": lambda rng, n: pd.Categorical(rng.integers(0, 5, n)),
    "category of text": lambda rng, n: pd.Categorical(_text(rng, n)),
    "sparse": lambda rng, n: pd.arrays.SparseArray(np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n))),
    "arrow": lambda rng, n: pd.Series(_holed(rng, rng.normal(size=n))).astype("double[pyarrow]"),
    "arrow decimals": lambda rng, n: (
        pd.Series(_holed(rng, rng.integers(0, 9, n))).astype("Int64").astype("int64[pyarrow]")
    ),
    "string": lambda rng, n: pd.array(_text(rng, n), dtype="string"),
}
