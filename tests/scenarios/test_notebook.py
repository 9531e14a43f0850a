"""A notebook shows a picture for every call that draws."""

import textwrap

import pytest

from tests.estimators.tiny import quick, waves

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

CELLS = [
    """
    import pandas as pd
    from latentode import load
    from latentode.plotting import *
    df, forecaster = pd.read_pickle("df.pkl"), load("model")
    """,
    "axes = plot_forecast(forecaster, ['s01'])",
    "axes = forecaster.plot(['s01'])",
    "axes = plot_latent(forecaster)",
    "axes = plot_training(forecaster)",
    "axes = plot_calibration(forecaster, df)",
    """
    lead = pd.IntervalIndex.from_tuples([(0, 2)])
    axes = plot_backtest(pd.DataFrame({"model": "mine", "channel": "x", "lead": lead, "mae": [1.0]}))
    """,
    "from matplotlib import pyplot; assert pyplot.get_fignums() == []",
]


def test_every_call_that_draws_shows_one_picture_in_its_cell(monkeypatch, tmp_path):
    """The model is fitted here: the notebook's process need not import what trains it."""
    df = waves(8, 10)
    df.to_pickle(tmp_path / "df.pkl")
    quick().fit(df).save(tmp_path / "model")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    pictures = [sum("image/png" in o.get("data", {}) for o in cell.outputs) for cell in notebook.cells]
    assert pictures == [0, 1, 1, 1, 1, 1, 1, 0]
