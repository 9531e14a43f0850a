"""The command line of the league; see the package's docstring."""

import argparse
import ast
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and scikit-learn are loaded

from tests.benchmarks.league.running import RESULTS, run
from tests.benchmarks.league.sets import SETS, SHARED
from tests.benchmarks.league.tables import comparison, page


def _names(untouched: bool) -> list[str]:
    there = [n for n, one in SETS.items() if one.choosing != untouched]
    return [n for n in there if SETS[n].kind != "shared" or SHARED.is_dir()]


def _params(given: list[str]) -> Iterator[tuple[str, Any]]:
    for word in given:
        name, _, value = word.partition("=")
        try:
            yield name, ast.literal_eval(value)
        except (ValueError, SyntaxError):  # a plain word
            yield name, value


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.league")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("label")
    running.add_argument("params", nargs="*", help="parameters of the forecaster, NAME=VALUE")
    running.add_argument("--full", action="store_true")
    running.add_argument("--seeds", type=int)
    running.add_argument("--untouched", action="store_true")
    running.add_argument("--sets", nargs="*")
    comparing = commands.add_parser("compare")
    comparing.add_argument("labels", nargs="+", help="the first is the one compared with")
    comparing.add_argument("--full", action="store_true")
    rendering = commands.add_parser("render")
    rendering.add_argument("labels", nargs="+")
    rendering.add_argument("--full", action="store_true")
    args = parser.parse_args()
    if args.command == "run":
        seeds = range(args.seeds or (3 if args.full else 1))
        run(args.label, dict(_params(args.params)), args.sets or _names(args.untouched), seeds, not args.full)
    elif args.command == "compare":
        print(comparison(RESULTS, args.labels, not args.full))
    else:
        print(page(RESULTS, args.labels, not args.full))


if __name__ == "__main__":
    main()
