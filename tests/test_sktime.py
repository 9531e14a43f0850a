"""The adapter for sktime: single series and panels, irregular absolute horizons, quantiles as sktime names them."""

import importlib
import warnings

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError

pytest.importorskip("sktime")

QUICK = {"max_steps": 5, "hidden_dim": 8, "latent_dim": 4, "random_state": 0}
TIMES = pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-04", "2024-01-09", "2024-01-10"])
AHEAD = pd.DatetimeIndex(["2024-01-11 06:00", "2024-01-20"])


@pytest.fixture(scope="module")
def adapter():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("latentode.sktime").SktimeLatentODEForecaster


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_irregular_series_is_forecast_at_any_dates(adapter):
    y = pd.Series([1.0, np.nan, 1.5, 2.5, 2.0], TIMES, name="level")
    forecaster = adapter(**QUICK).fit(y)
    found = forecaster.predict(fh=AHEAD)
    assert found.index.equals(AHEAD)
    assert np.isfinite(found).all()
    quantiles = forecaster.predict_quantiles(fh=AHEAD, alpha=[0.1, 0.9])
    assert quantiles.columns.tolist() == [("level", 0.1), ("level", 0.9)]
    assert (quantiles[("level", 0.1)] <= quantiles[("level", 0.9)]).all()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_panel_of_two_channels(adapter):
    index = pd.MultiIndex.from_product([["a", "b", "c"], TIMES], names=["id", "time"])
    y = pd.DataFrame(np.random.default_rng(0).normal(size=(15, 2)), index, columns=["x", "z"])
    found = adapter(**QUICK).fit(y).predict(fh=AHEAD)
    assert found.shape == (6, 2)
    assert found.columns.tolist() == ["x", "z"]
    assert found.index.names == ["id", "time"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_steps_of_dates_without_a_frequency_are_refused_with_the_way_out(adapter):
    forecaster = adapter(**QUICK).fit(pd.Series([1.0, np.nan, 1.5, 2.5, 2.0], TIMES))
    with pytest.raises(DataError, match=r"fh=\[1, 2\] counts steps.* fh=pd\.DatetimeIndex"):
        forecaster.predict(fh=[1, 2])
    assert len(forecaster.predict(fh=pd.to_timedelta(["1D", "2D"]))) == 2


@pytest.mark.slow
def test_sktimes_own_checks_pass(adapter):
    from sktime.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(adapter, raise_exceptions=False, verbose=False)
    assert {name: reported for name, reported in results.items() if reported != "PASSED"} == {}
