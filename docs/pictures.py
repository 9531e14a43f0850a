"""Runs the examples whose pictures stand on pages, and writes those: ``python docs/pictures.py [NAME ...]``."""

import runpy
import sys
from pathlib import Path

import matplotlib

HERE = Path(__file__).parent
EXAMPLES = ["what_if", "dosing"]

if __name__ == "__main__":
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    for name in sys.argv[1:] or EXAMPLES:
        runpy.run_path(str(HERE.parent / "examples" / f"plot_{name}.py"))
        plt.gcf().savefig(HERE / "images" / f"{name}.png", dpi=110)
        plt.close("all")
