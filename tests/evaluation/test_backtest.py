from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from latentode.evaluation import LastValue, backtest, energy_score, summarise_backtest

DF = pd.DataFrame({"id": [1] * 5 + [2] * 5, "time": [0, 1, 2, 3, 4, 10, 11, 12, 13, 14], "x": np.arange(10.0)})


class Stub:
    """Answers with the last time it was fitted to, and remembers the histories."""

    def fit(self, X):
        self.seen = X["time"].max()
        return self

    def predict(self, X, history=None):
        assert not X.merge(history, on=["id", "time"]).shape[0]
        return pd.DataFrame({"x": float(self.seen)}, index=X.index)

    def predict_quantiles(self, X, quantiles=(0.5,), history=None):
        return pd.DataFrame({f"x-q{q:g}": float(self.seen) + q for q in quantiles}, index=X.index)


def test_each_series_is_cut_at_its_own_origin_and_fitted_on_what_precedes():
    reported = backtest(Stub(), DF, fractions=[0.5, 0.75], horizon=1, naive={})
    assert reported["origin"].tolist() == [2, 12, 3, 13]
    assert reported["time"].tolist() == [3, 13, 4, 14]
    assert reported["lead"].tolist() == [1] * 4
    assert reported["mean"].tolist() == [12, 12, 13, 13]
    assert reported["y"].tolist() == [3, 8, 4, 9]


def test_absolute_origins_leave_out_series_without_a_history():
    reported = backtest(Stub(), DF, origins=[2], naive={"last": LastValue})
    assert set(reported["series"]) == {1}
    assert reported["model"].tolist() == ["forecaster"] * 2 + ["last"] * 2
    assert reported["mean"].tolist() == [2, 2, 2, 2]


def test_with_train_it_is_fitted_once_and_answers_from_histories():
    train = DF[DF["id"] == 2]
    reported = backtest(Stub(), DF[DF["id"] == 1], fractions=[0.5], train=train, naive={"last": LastValue})
    assert reported["mean"].tolist() == [14, 14, 2, 2]
    with pytest.raises(ValueError, match="future would be seen"):
        backtest(Stub(), DF, train=train)


def test_dates_have_leads_that_are_durations_and_can_be_binned():
    dated = DF.assign(time=pd.Timestamp("2024-01-01") + pd.to_timedelta(DF["time"], unit="D"))
    reported = backtest(LastValue(), dated, fractions=[0.5], horizon=pd.Timedelta("2D"))
    assert reported["lead"].max() == pd.Timedelta("2D")
    table = summarise_backtest(reported, bins=[pd.Timedelta(0), pd.Timedelta("1D"), pd.Timedelta("2D")])
    ours = table[table["model"] == "last value"]
    assert ours["mae"].tolist() == [1.0, 2.0]
    assert ours["n"].tolist() == [2, 2]


def test_values_that_were_not_measured_are_not_queried():
    reported = backtest(LastValue(), DF.assign(x=DF["x"].where(DF["time"] != 4)), fractions=[0.5], naive={})
    assert reported["time"].tolist() == [3, 13, 14]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": [2.0]}, "between 0 and 1"),
        ({"origins": [99]}, "no observation follows"),
        ({"id_col": "who"}, "no such column"),
        ({"naive": {"forecaster": LastValue}}, "rename"),
    ],
)
def test_what_cannot_be_tested_is_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        backtest(Stub(), DF, **arguments)


def test_a_lead_in_no_bin_is_refused():
    with pytest.raises(ValueError, match="no bin"):
        summarise_backtest(backtest(LastValue(), DF), bins=[0, 1])


def test_dates_are_cut_by_one_clock_and_numbers_by_each_series_own():
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta([0, 40, 90, 100, 60, 90], unit="D")
    df = pd.DataFrame({"id": [1, 1, 1, 1, 2, 2], "time": days, "x": np.arange(6.0)})
    reported = backtest(LastValue(), df, naive={})
    assert set(reported["origin"]) == {pd.Timestamp("2024-02-20"), pd.Timestamp("2024-03-11")}
    assert set(reported.loc[reported["cut"] == pd.Timestamp("2024-02-20"), "series"]) == {1}  # the other began later
    numbers = df.assign(time=(df["time"] - df["time"].min()).dt.days)
    assert set(backtest(LastValue(), numbers, naive={})["origin"]) == {50.0, 75.0, 70.0, 81.0}


def test_scaled_and_log_scores_are_reported():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"id": np.repeat(np.arange(30), 40), "time": np.tile(np.arange(40), 30)})
    df["x"] = rng.normal(size=1200)
    table = summarise_backtest(backtest(LastValue(), df, horizon=10), bins=2)
    by = table.groupby("model")[["mase", "log_score"]].mean()
    assert by.loc["forecaster", "mase"] == pytest.approx(1.0, abs=0.15)
    assert by.loc["series mean", "mase"] < by.loc["last value", "mase"]
    assert by.loc["series mean", "log_score"] < by.loc["last value", "log_score"]


def test_the_horizon_may_be_text_where_times_are_dates():
    dated = DF.assign(time=pd.Timestamp("2024-01-01") + pd.to_timedelta(DF["time"], unit="D"))
    expected = backtest(LastValue(), dated, fractions=[0.5], horizon=pd.Timedelta("2D"), naive={})
    for horizon in ("2D", "48h", np.timedelta64(2, "D")):
        pd.testing.assert_frame_equal(
            backtest(LastValue(), dated, fractions=[0.5], horizon=horizon, naive={}), expected
        )
    for horizon in (2, "soon"):
        with pytest.raises(ValueError, match=r"horizon=.*: expected a duration such as '30D'"):
            backtest(LastValue(), dated, horizon=horizon)


@pytest.mark.parametrize(
    ("horizon", "match"),
    [("5D", "expected a number"), (pd.Timedelta("5D"), "expected a number"), (0, "horizon=0 must be positive")],
)
def test_a_horizon_that_does_not_fit_numbers_is_refused(horizon, match):
    with pytest.raises(ValueError, match=match):
        backtest(LastValue(), DF, horizon=horizon)


# ------------------------------------------------------------------------------------- the columns of the forecaster

RICH = DF.rename(columns={"id": "patient", "time": "day"}).assign(
    dose=np.tile([0.0, 1.0, 0.0, 1.0, 1.0], 2),
    sex=np.repeat(["f", "m"], 5),
    noise=np.arange(10.0)[::-1],
    bolus=1.0,
    other=1.0,
)
ROLES = {
    "id_col": "patient",
    "time_col": "day",
    "target_cols": ["x"],
    "static_cols": ["sex"],
    "known_cols": ["dose"],
    "impulse_cols": ["bolus"],
    "past_cols": ["noise"],
}


class Recorder:
    """Keeps the frames that it is given."""

    frames: ClassVar[dict] = {}

    def __init__(self, **roles):
        vars(self).update(roles)

    def fit(self, X):
        self.frames["fit"] = X
        return self

    def predict(self, X, history=None):
        self.frames |= {"query": X, "history": history}
        return pd.DataFrame({"x": X["dose"]}, index=X.index)

    def predict_quantiles(self, X, quantiles=(0.5,), history=None):
        return pd.DataFrame({f"x-q{q:g}": X["dose"] + q for q in quantiles}, index=X.index)


def test_a_forecasters_own_columns_are_used_and_its_covariates_reach_it_without_the_truth():
    reported = backtest(Recorder(**ROLES), RICH, fractions=[0.5], naive={"last": LastValue})
    assert reported.query("model == 'forecaster'")["mean"].tolist() == [1, 1, 1, 1]
    assert reported.query("model == 'last'")["mean"].tolist() == [2, 2, 7, 7]
    assert set(reported["channel"]) == {"x"}
    everything = {"patient", "day", "x", "sex", "dose", "bolus", "noise"}
    assert set(Recorder.frames["fit"]) == set(Recorder.frames["history"]) == everything
    assert set(Recorder.frames["query"]) == {"patient", "day", "sex", "dose", "bolus"}


def test_columns_named_in_the_call_come_before_the_forecasters_own():
    renamed = RICH.rename(columns={"patient": "who"})
    reported = backtest(Recorder(**ROLES), renamed, id_col="who", fractions=[0.5], naive={})
    assert reported["series"].tolist() == [1, 1, 2, 2]


def test_training_series_are_read_with_the_same_columns():
    train = RICH[RICH["patient"] == 2].assign(unused=1.0)
    backtest(Recorder(**ROLES), RICH[RICH["patient"] == 1], fractions=[0.5], train=train, naive={})
    assert "unused" not in Recorder.frames["fit"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [(DF.set_index(["id", "time"]), "reset_index"), (DF[DF["id"] == 1].drop(columns="id"), "no column of ids")],
)
def test_a_frame_without_columns_of_ids_and_times_is_refused_with_what_to_do(frame, message):
    with pytest.raises(ValueError, match=message):
        backtest(Stub(), frame)


class Sampler(LastValue):
    """The last value, with joint samples: walks that start there."""

    def sample(self, query, n_samples=100, random_state=None, history=None):
        steps = np.random.default_rng(random_state).standard_normal((n_samples, len(query))).cumsum(1)
        return pd.DataFrame({"x": (self.predict(query, history)["x"].to_numpy() + steps).ravel()})


def test_samples_give_an_energy_score_and_naive_models_have_none():
    forecasts = backtest(Sampler(), DF, fractions=[0.5], n_samples=6, naive={"last": LastValue})
    table = summarise_backtest(forecasts, bins=1).set_index("model")
    ours = forecasts[forecasts["model"] == "forecaster"]
    samples = ours[[f"sample{k}" for k in range(6)]].to_numpy()
    assert table.loc["forecaster", "energy"] == energy_score(ours["y"].to_numpy(), samples, ours["series"])
    assert np.isnan(table.loc["last", "energy"])
    assert "energy" not in summarise_backtest(backtest(LastValue(), DF, fractions=[0.5]), bins=1)
