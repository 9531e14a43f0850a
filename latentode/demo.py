"""From raw visits of real patients to scored forecasts, in half a minute."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from latentode._drawing import require_matplotlib
from latentode.comparison import LEVEL, NAIVE, compare, last_part, table_of
from latentode.datasets import load_pbc
from latentode.estimators import LatentODEForecaster
from latentode.io.atomic import write_out
from latentode.io.pictures import write_picture
from latentode.plotting import plot_forecast

__all__ = ["run_demo", "split_visits"]

SPLIT_SEED = 0
"""Which patients are tested was drawn once, before any score was looked at; the seed of the fit is another."""

TEST_SHARE = 0.4

LABS = {
    "bili": "bilirubin (mg/dl)",
    "chol": "cholesterol (mg/dl)",
    "albumin": "albumin (g/dl)",
    "alk_phos": "alkaline phosphatase (U/l)",
    "ast": "AST (U/ml)",
    "platelet": "platelets (1000/mm³)",
    "protime": "prothrombin time (s)",
}
DRAWN_LABS = ["bili", "albumin", "platelet"]
DRAWN_PATIENTS_A_GROUP = 2
GROUPS = {
    "seen": "Seen patients: their earlier visits were in the fit",
    "unseen": "Unseen patients: no visit of theirs was in the fit, earlier ones were given as history",
}


def run_demo(out: str | Path, random_state: int = 0, echo: Callable[[str], object] = print) -> pd.DataFrame:
    """Fit patients' lab values as they are, forecast later visits, and score the forecasts beside naive ones.

    Two fifths of the patients with at least two visits are tested, and the last third of their visits is held
    out. Of half of them the earlier visits are in the fit; the other half the model has never seen.

    Parameters
    ----------
    out : str or Path
        A directory, made if it is not there, for ``forecasts.csv`` and ``forecasts.png``.
    random_state : int
        Seed of the fit. The split does not depend on it.
    echo : callable
        Where lines of text go.

    Returns
    -------
    DataFrame
        The scores of :func:`latentode.evaluation.score_table`, with a column ``patients``: seen or unseen.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    require_matplotlib()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    visits = load_pbc()
    labs = list(LABS)
    role = split_visits(visits)
    known, early = visits[role == "fit"], visits[role == "history"]
    held_out = {group: visits[role == group] for group in GROUPS}
    echo(_what_there_is(visits, labs))
    echo(_held_out_text(held_out))
    echo(f"Fitting {known['id'].nunique()} patients, {len(known)} visits; this takes less than a minute ...")
    started = time.perf_counter()
    forecaster = LatentODEForecaster(random_state=random_state).fit(known)
    steps = int(forecaster.history_.groupby("model")["step"].max().sum())
    echo(f"Fitted in {time.perf_counter() - started:.0f} s, {steps} steps.")

    scores = []
    naive = {name.replace("series'", "patient's"): kind for name, kind in NAIVE.items()}
    for group, title in GROUPS.items():
        history = early if group == "unseen" else None
        table = compare(forecaster, known, held_out[group], history, naive)
        scores.append(table.assign(patients=group))
        echo(f"\n{title}\n\n{table_of(table, 'lab', LABS)}")
    _write_forecasts(forecaster, held_out, early, out / "forecasts.csv")
    _draw_forecasts(forecaster, held_out, early, out / "forecasts.png")
    echo("\n* lowest error in its row\n")
    for name in ("forecasts.csv", "forecasts.png"):
        echo(f"written to {out / name}")
    return pd.concat(scores, ignore_index=True)


def split_visits(visits: pd.DataFrame) -> pd.Series:
    """Split visits into training, history and held-out visits.

    Parameters
    ----------
    visits : DataFrame
        With columns ``id`` and ``time``.

    Returns
    -------
    Series
        A row per visit: ``"fit"``; ``"history"``, the earlier visits of unseen patients; ``"seen"`` or
        ``"unseen"``, the held-out visits of either group. It is the same every time.
    """
    sizes = visits.groupby("id").size()
    drawn = np.random.default_rng(SPLIT_SEED).permutation(sizes.index[sizes >= 2])
    n_each = round(TEST_SHARE * len(drawn) / 2)
    seen, unseen = visits["id"].isin(drawn[:n_each]), visits["id"].isin(drawn[n_each : 2 * n_each])
    late = last_part(visits, "id", "time")
    role = pd.Series("fit", index=visits.index)
    role[unseen] = "history"
    role[seen & late] = "seen"
    role[unseen & late] = "unseen"
    return role


def _what_there_is(visits: pd.DataFrame, labs: list[str]) -> str:
    gaps = visits.groupby("id")["time"].diff().dropna()
    missing = visits[labs].isna().mean()
    return (
        f"{visits['id'].nunique()} patients with liver disease, {len(visits)} visits {gaps.min():.0f} to "
        f"{gaps.max():.0f} days apart, {len(labs)} labs;\n"
        f"{visits[labs].isna().to_numpy().mean():.0%} of the values were not measured, "
        f"of {missing.idxmax()} {missing.max():.0%}. No grid, no imputation, no tuning."
    )


def _held_out_text(held_out: dict[str, pd.DataFrame]) -> str:
    counts = [f"{part['id'].nunique()} {group} patients ({len(part)} visits)" for group, part in held_out.items()]
    return f"Held out, by a draw fixed beforehand: the last third of the visits of\n{' and of '.join(counts)}."


def _write_forecasts(
    forecaster: LatentODEForecaster, held_out: dict[str, pd.DataFrame], early: pd.DataFrame, path: Path
) -> None:
    """A row per held-out visit and lab: the truth, the forecast, its interval."""
    parts = []
    for group, rows in held_out.items():
        history = early if group == "unseen" else None
        mean = forecaster.predict(rows, history=history)
        interval = forecaster.predict_interval(rows, level=LEVEL, history=history)
        for lab in LABS:
            forecasts = {
                "id": rows["id"],
                "patients": group,
                "time": rows["time"],
                "lab": lab,
                "observed": rows[lab],
                "forecast": _readable(mean[lab]),
                f"lo-{LEVEL}": _readable(interval[f"{lab}-lo-{LEVEL}"]),
                f"hi-{LEVEL}": _readable(interval[f"{lab}-hi-{LEVEL}"]),
            }
            parts.append(pd.DataFrame(forecasts))
    order = {lab: k for k, lab in enumerate(LABS)}
    by = ["patients", "id", "time", "lab"]
    table = pd.concat(parts).sort_values(by, key=lambda c: c.map(order) if c.name == "lab" else c)
    write_out(path, table.to_csv(index=False).encode())


def _readable(values: pd.Series) -> pd.Series:
    return values.map("{:.5g}".format).astype(float)


def _draw_forecasts(
    forecaster: LatentODEForecaster, held_out: dict[str, pd.DataFrame], early: pd.DataFrame, path: Path
) -> None:
    """Draw the patients with the most held-out visits, from both groups, chosen without regard to their forecasts."""
    drawn = []
    for group, visits in held_out.items():
        most = visits.groupby("id").size().sort_values(ascending=False, kind="stable")
        drawn += [(group, patient) for patient in most.index[:DRAWN_PATIENTS_A_GROUP]]
    patients = [patient for _, patient in drawn]
    axes = plot_forecast(forecaster, patients, DRAWN_LABS, history=early, held_out=pd.concat(held_out.values()))
    for ax, lab in zip(axes[0], DRAWN_LABS, strict=True):
        ax.set_title(LABS[lab], fontsize=10)
    for ax, (group, patient) in zip(axes[:, 0], drawn, strict=True):
        ax.set_ylabel(f"patient {patient}\n{group}", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("days since first visit", fontsize=9)
    write_picture(axes[0, 0].figure, path)
