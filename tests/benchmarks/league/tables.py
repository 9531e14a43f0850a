"""What the league's rows say: ratios to boosting, to the best naive forecast, and between two labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.league.sets import SETS

__all__ = ["comparison", "page", "read_rows", "table", "trials"]

KEYS = ["set", "seed"]
NAIVE_LIMIT = 1.1
TRIED = ("mse", "crps", "energy")


def read_rows(results: Path, label: str) -> list[dict[str, Any]]:
    """The rows of a label so far."""
    path = results / f"{label}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def _frame(results: Path, label: str, quick: bool) -> pd.DataFrame:
    df = pd.DataFrame(read_rows(results, label))
    return df[df["quick"] == quick].drop(columns="quick")


def ratios(results: Path, label: str, quick: bool) -> pd.DataFrame:
    """A row per set: errors in the mean over seeds, over boosting's and over the best naive forecast's."""
    ours = _frame(results, label, quick)
    others = _frame(results, "baselines", quick)
    ours = ours.merge(others[KEYS].drop_duplicates())  # the seeds that all have played
    others = others.merge(ours[KEYS])
    mean = others.groupby(["player", "set"])[["mse", "crps"]].mean()
    boosting = mean.loc["boosting"]
    naive = mean.drop("boosting").groupby("set")[["mse", "crps"]].min()
    found = ours.drop(columns=["player", "code"], errors="ignore").groupby("set").mean(numeric_only=True)
    for score in ("mse", "crps"):
        found[f"{score}/boosting"] = found[score] / boosting[score]
        found[f"{score}/naive"] = found[score] / naive[score]
    found = found[found["mse/boosting"].notna()]  # what has been played by all
    return found.loc[[n for n in SETS if n in found.index]]


def comparison(results: Path, labels: list[str], quick: bool) -> str:
    """Geometric means over the sets that all labels have played, and the sets where a label differs most."""
    frames = {label: _frame(results, label, quick).set_index(KEYS) for label in labels}
    shared = frames[labels[0]].index
    for frame in frames.values():
        shared = shared.intersection(frame.index)
    lines = [f"{len(shared)} rows"]
    first = frames[labels[0]].loc[shared]
    for label in labels[1:]:
        ratio = frames[label].loc[shared, [*TRIED, "fit_seconds"]] / first[[*TRIED, "fit_seconds"]]
        mean = np.exp(np.log(ratio).mean())
        by_set = ratio.groupby("set")[["mse", "crps"]].mean()
        order = by_set["mse"].sort_values()
        reported = ", ".join(f"{n} {v:.2f}" for n, v in [*order.head(4).items(), *order.tail(5).items()])
        lines.append(f"{label}: " + ", ".join(f"{k} {v:.3f}" for k, v in mean.items()) + f" | {reported}")
    return "\n".join(lines)


def trials(results: Path, reference: str, labels: dict[str, str]) -> str:
    """A row per trial: ratios to a reference in the geometric mean over the sets both have played, and the extremes."""
    rows = []
    first = _frame(results, reference, quick=True).set_index(KEYS)
    for label, words in labels.items():
        if not (results / f"{label}.jsonl").is_file():
            continue
        other = _frame(results, label, quick=True).set_index(KEYS)
        shared = first.index.intersection(other.index)
        ratio = other.loc[shared, list(TRIED)] / first.loc[shared, list(TRIED)]
        mean = np.exp(np.log(ratio).mean())
        order = ratio["mse"].groupby("set").mean().sort_values()
        ends = [f"{order.index[k]} {order.iloc[k]:.2f}" for k in (0, -1)]
        rows.append([words, len(shared), *(f"{mean[k]:.3f}" for k in TRIED), *ends])
    return table(["changed", "sets and seeds", "MSE", "CRPS", "energy", "best set, MSE", "worst set, MSE"], rows)


def page(results: Path, labels: list[str], quick: bool) -> str:
    """Tables for the page: first the geometric means and the worst cases of each label, then every set."""
    halves = {True: "choosing", False: "untouched"}
    head = [
        "label",
        "half",
        "sets",
        "MSE over boosting's",
        "CRPS over boosting's",
        "MSE over best naive",
        "worst over naive",
        "coverage of 90 %",
        "fit, seconds",
    ]
    rows, each = [], []
    for label in labels:
        found = ratios(results, label, quick)
        for half, name in halves.items():
            part = found[[SETS[n].choosing == half for n in found.index]]
            if part.empty:
                continue
            mean = np.exp(np.log(part[["mse/boosting", "crps/boosting", "mse/naive", "fit_seconds"]]).mean())
            worst = part["mse/naive"].sort_values(ascending=False)
            worst = worst[worst > NAIVE_LIMIT] if (worst > NAIVE_LIMIT).any() else worst.head(1)
            reported = ", ".join(f"{n} {v:.2f}" for n, v in worst.items())
            values = [f"{mean[k]:.3f}" for k in ("mse/boosting", "crps/boosting", "mse/naive")]
            rows.append(
                [
                    label,
                    name,
                    len(part),
                    *values,
                    reported,
                    f"{part['coverage'].mean():.3f}",
                    f"{mean['fit_seconds']:.1f}",
                ]
            )
        each.append(found)
    reported = [[n, *(_cell(found, n) for found in each)] for n in SETS if any(n in found.index for found in each)]
    cell = "MSE / boosting's / best naive's; CRPS / boosting's; coverage; seconds"
    return table(head, rows) + "\n" + f"Each cell: {cell}.\n\n" + table(["set", *labels], reported)


def _cell(found: pd.DataFrame, name: str) -> str:
    if name not in found.index:
        return ""
    r = found.loc[name]
    return (
        f"{r['mse']:.3g} / {r['mse/boosting']:.2f} / {r['mse/naive']:.2f}; {r['crps']:.3g} / {r['crps/boosting']:.2f}; "
        f"{r['coverage']:.2f}; {r['fit_seconds']:.0f}"
    )


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A table of the page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
