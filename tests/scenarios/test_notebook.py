"""A notebook shows a picture for every call that draws."""

import textwrap

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

CELLS = [
    """
    from latentode.plotting import *
    from tests.estimators.tiny import quick, waves
    df = waves(8, 10)
    forecaster = quick().fit(df)
    """,
    "axes = plot_forecast(forecaster, ['s01'])",
    "axes = forecaster.plot(['s01'])",
    "axes = plot_latent(forecaster)",
    "axes = plot_training(forecaster)",
    "axes = plot_calibration(forecaster, df)",
    """
    import pandas as pd
    lead = pd.IntervalIndex.from_tuples([(0, 2)])
    axes = plot_backtest(pd.DataFrame({"model": "mine", "channel": "x", "lead": lead, "mae": [1.0]}))
    """,
    "from matplotlib import pyplot; assert pyplot.get_fignums() == []",
]


def test_every_call_that_draws_shows_one_picture_in_its_cell(monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    cells = [nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    pictures = [sum("image/png" in o.get("data", {}) for o in cell.outputs) for cell in notebook.cells]
    assert pictures == [0, 1, 1, 1, 1, 1, 1, 0]
