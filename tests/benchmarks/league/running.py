"""Runs a label over the sets, a process per set and seed, and keeps what it found."""

import hashlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.league.contest import Contest
from tests.benchmarks.league.sets import SETS
from tests.benchmarks.league.tables import read_rows

__all__ = ["RESULTS", "contest_of", "run"]

RESULTS = Path(__file__).parent / "results"
BASELINES = "baselines"


def contest_of(name: str, seed: int, quick: bool) -> Contest:
    """The contest of a set and seed; no two sets share a stream of random numbers."""
    stream = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return SETS[name].make(np.random.default_rng([stream, seed]), quick)


def play(label: str, name: str, seed: int, quick: bool, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one set and seed: the forecaster's, or those of all baselines."""
    from tests.benchmarks.league import players  # in the process that needs torch, and nowhere else

    begin = time.perf_counter()
    contest = contest_of(name, seed, quick)
    about = {"set": name, "seed": seed, "quick": quick}
    if label == BASELINES:
        found = players.baselines(contest, seed)
    else:
        found = {label: players.latentode(contest, seed, **params) | {"code": _code()}}
    print(f"{label}: {name}, seed {seed}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return [{**about, "player": who, **_rounded(row)} for who, row in found.items()]


def run(label: str, params: dict[str, Any], names: list[str], seeds: range, quick: bool) -> None:
    """Play what has not been played yet, two at a time."""
    played = _played(label, quick)
    left = [(name, seed) for seed in seeds for name in names if (name, seed) not in played]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, max_tasks_per_child=1) as pool:  # a fresh process knows its own peak memory
        for job in as_completed([pool.submit(play, label, name, seed, quick, params) for name, seed in left]):
            _append(label, job.result())


def _played(label: str, quick: bool) -> set[tuple[str, int]]:
    return {(row["set"], row["seed"]) for row in read_rows(RESULTS, label) if row["quick"] == quick}


def _append(label: str, rows: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{label}.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def _code() -> str:
    """A digest of the package's source that was run."""
    import latentode

    digest = hashlib.sha256()
    for path in sorted(Path(latentode.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]
