# ruff: noqa: E501  (lines of a page)
"""Results as a page: reads ``results/*.json``, writes ``docs/accuracy.md``.

python -m tests.benchmarks.accuracy.render
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.league.running import RESULTS
from tests.benchmarks.league.tables import page, table, trials

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "accuracy.md"

OPENING = """\
# Accuracy

The first part of this page is the league: fifty sets of many kinds, by which every default is chosen. The second part has public benchmarks. Every figure
comes from a JSON file in `tests/benchmarks`, and `python -m tests.benchmarks.accuracy.render` writes the page.
"""

PUBLIC = """
# Public benchmarks

**These tables are of the code before training was shortened and the search for periods was removed.** They are to be taken again. They came from two cores
of a shared machine without a GPU, one thread per fit, default settings of that time (three models for pbc, storms and airports), one seed unless said.
"""

TASKS = {
    "extrapolation": "100 steps known, the next 100 queried",
    "third": "the first 66 steps known, the other 134 queried (the published figures are of 100 to 100)",
    "interpolation": "all 100 steps of a slice queried",
}


def main() -> None:
    parts = [OPENING, *league(), PUBLIC, *hopper(), *toy(), *boosting(), *iteration(), *medical()]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def league() -> Iterable[str]:
    yield "\n## The league\n"
    yield "Each set has its own protocol: new series of which the first part is known, later rows of the same series, the first rows known and all others queried,"
    yield "or hidden rows between known ones. Half of the sets choose defaults. The other half is looked at when a piece of work ends, to see whether what was chosen"
    yield "carries over. Errors are in units of each channel's spread, as ratios to gradient boosting on lag features and to the best of six naive forecasts (last value,"
    yield "means, trends, interpolation), in the geometric mean over sets. The *quick* form: at most 90 series of a set, one seed, two processes of one thread each."
    yield "`python -m tests.benchmarks.league run default`, then `... render default before`; the protocol of every set stands in `tests/benchmarks/league/sets.py`.\n"
    yield "Of the 27 choosing sets those that boosting has played so far; of the code before, one. The rest, three seeds and the other half are to come.\n"
    yield page(RESULTS, [name for name in ("default", "before") if (RESULTS / f"{name}.jsonl").is_file()], quick=True)
    yield "## What each choice is worth\n"
    yield "Each choice changed alone, on the sets of the choosing half that it was tried on, one seed, one model of at most 600 steps with the full weight of the"
    yield "divergence; ratios to the same without the change, in the geometric mean. Below 1 the change is better. Two fits of one set that differ by their seed"
    yield "alone differ by several per cent at this size, so a mean within 1 % of 1 says that nothing was found.\n"
    yield trials(RESULTS, "t-base", TRIALS)


TRIALS = {
    "t-det": "z(t0) is a point (`variational=False`)",
    "t-nobridge": "no bridge, no bow, states as they are (config)",
    "t-linear": 'rotations in closed form alone (`dynamics="linear"`)',
    "t-batch": "64 series in a batch instead of a quarter of them",
    "t-long": "up to 4,000 steps",
    "t-3": "three models of 400 steps",
    "t-kl": "a tenth of the divergence's weight (`kl_weight=0.1`, now the default)",
    "t-kl2": "a hundredth of it",
}


def hopper() -> Iterable[str]:
    yield "\n## Hopper\n"
    yield "10,000 simulated trajectories of 14 channels; mean squared error in hundredths, lower is better. The protocol is in the docstring of"
    yield "`tests/benchmarks/accuracy/hopper.py`: `python -m tests.benchmarks.accuracy.hopper hopper.npy TASK DENSITY ...`\n"
    rows = read("hopper")
    for task, words in TASKS.items():
        mine = [r for r in rows if r["task"] == task]
        naive = [k for k in mine[0]["mse_x100"] if k not in ("latentode", "LinearTrend")]
        yield f"**{task.capitalize()}**: {words}.\n"
        head = ["points seen", "latentode", "published Latent ODE", *naive, "coverage of 90 %", "fit"]
        yield table(
            head,
            [
                [
                    f"{r['observed']} %",
                    f"{r['mse_x100']['latentode']:.3g}",
                    r["published"],
                    *(f"{r['mse_x100'].get(k, float('nan')):.3g}" for k in naive),
                    f"{r['coverage of 90 %']:.0%}",
                    f"{r['seconds']} s",
                ]
                for r in mine
            ],
        )


def toy() -> Iterable[str]:
    yield "\n## Toy periodic\n"
    yield "1,000 sinusoids of random frequency; only the points seen are learned from. `python -m tests.benchmarks.accuracy.toy`"
    yield "At 10 % an extrapolation has five points for the four unknowns of a sinusoid.\n"
    naive = {
        "interpolation": ["LinearInterpolation", "SplineInterpolation"],
        "extrapolation": ["LastValue", "PopulationMean"],
    }
    for task, names in naive.items():
        head = [f"{task}, points seen", "latentode", "published Latent ODE", *names, "fit"]
        mine = [r for r in read("toy") if r["task"] == task]
        yield table(
            head,
            [
                [
                    f"{r['observed']} %",
                    f"{r['latentode']:.5f}",
                    r["published"],
                    *(f"{r[n]:.4f}" for n in names),
                    f"{r['seconds']:.0f} s",
                ]
                for r in mine
            ],
        )


def boosting() -> Iterable[str]:
    yield "\n## Real sets, beside gradient boosting on lag features\n"
    yield "Mean over channels, in units of each channel's spread. The protocol is in the docstring of `tests/benchmarks/accuracy/against_boosting.py`."
    yield "What stands behind ± is the standard error of a coverage by which series were drawn for the test (not taken of all).\n"
    for entry in read("against_boosting"):
        yield f"**{entry['set']}, seed {entry['seed']}**\n"
        rows = []
        for name, scores in entry["scores"].items():
            mae, rmse, crps, width, seconds = (f"{scores[c]:.3g}" for c in ("mae", "rmse", "crps", "width", "seconds"))
            chance = f" ± {scores['coverage_error']:.3f}" if "coverage_error" in scores else ""
            coverage = f"{scores['coverage']:.3f}{chance}"
            rows.append([name, mae, rmse, crps, coverage, width, seconds])
        yield table(["", "MAE", "RMSE", "CRPS", "coverage of 90 %", "width", "seconds"], rows)


def iteration() -> Iterable[str]:
    reported = read("iteration_time")
    yield "\n## Time of a training iteration\n"
    yield f"At the sizes of the published models, on {reported['threads']} threads, the best of three passes. The reference is the published model's iteration written anew"
    yield "with PyTorch and torchdiffeq (its likelihood without the authors' loops over samples and series) and timed in the same run:"
    yield f"{reported['reference_ms']['toy']:.0f} ms (toy) and {reported['reference_ms']['hopper']:.0f} ms (Hopper). `python -m tests.benchmarks.accuracy.iteration_time`, extra `bench`.\n"
    rows = [[r["data"], r["mode"], f"{r['ms']:.0f} ms", f"{r['times']:.1f}"] for r in reported["results"]]
    yield table(["data", "model", "an iteration", "times faster"], rows)


def medical() -> Iterable[str]:
    reported = read("medical_scale")
    yield "\n## Clinical scale\n"
    yield "10,000 series of 75 rows and 37 channels, 15 % of the values seen; `python -m tests.benchmarks.accuracy.medical_scale`."
    yield f"On {reported['threads']} threads a step took {reported['seconds of a step']:.2f} s, an epoch {reported['seconds of an epoch']:.0f} s, the whole fit"
    yield f"{reported['seconds of the fit']} s ({reported['steps']:,} steps). Mean absolute error in units of spread, of series not fitted:\n"
    names = list(reported["mae"])
    yield table(names, [[f"{reported['mae'][name]:.3f}" for name in names]])


def read(name: str) -> Any:
    return json.loads((HERE / "results" / f"{name}.json").read_text("utf-8"))


if __name__ == "__main__":
    main()
