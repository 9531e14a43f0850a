"""Imputing, encoding, updating, going on with training, and breaking it off."""

import logging

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from latentode.training import LatentODEModule
from tests.estimators.tiny import quick, waves


def test_whole_numbers_with_holes_are_filled_as_floats_that_may_be_missing(fitted, df):
    counts = df.assign(y=df["y"].round().astype("Int64"))
    filled = fitted.impute(counts)["y"]
    assert filled.dtype == "Float64"
    assert filled.notna().all()
    np.testing.assert_array_equal(filled[counts["y"].notna()], counts["y"].dropna())


def test_imputed_values_stand_only_where_there_was_none(fitted, df):
    filled = fitted.impute(df)
    assert filled.columns.tolist() == df.columns.tolist()
    assert filled.index.equals(df.index)
    assert not filled[["x", "y"]].isna().any().any()
    was = df[["x", "y"]].notna()
    pd.testing.assert_frame_equal(filled[["x", "y"]].where(was), df[["x", "y"]], check_exact=True)


def test_imputing_leaves_the_frame_and_the_forecaster_as_they_were(fitted, df):
    copy, answer = df.copy(), fitted.predict(df)
    fitted.impute(df.assign(x=df["x"] + 1))
    pd.testing.assert_frame_equal(df, copy)
    pd.testing.assert_frame_equal(fitted.predict(df), answer)


def test_an_imputed_value_is_given_all_else_in_the_frame(fitted, df):
    hole = df.index[5]
    other = df.copy()
    other.loc[6:8, "y"] = other.loc[6:8, "y"] + 5
    one, two = (frame.assign(y=frame["y"].where(frame.index != hole)) for frame in (df, other))
    assert fitted.impute(one).loc[hole, "y"] != pytest.approx(fitted.impute(two).loc[hole, "y"], abs=1e-3)


def test_encoding_gives_a_row_per_series(fitted, df):
    found = fitted.encode(df)
    assert found.index.tolist() == sorted(df["id"].unique())
    assert found.index.name == "id"
    assert found.columns[0] == "z0"
    assert np.isfinite(found).all().all()
    pd.testing.assert_frame_equal(found, fitted.encode())


def test_encoding_some_series_is_some_rows_of_encoding_all(fitted, df):
    some = df[df["id"].isin(["s03", "s07"])]
    pd.testing.assert_frame_equal(fitted.encode(some), fitted.encode(df).loc[["s03", "s07"]], atol=1e-5)


def test_an_update_is_what_history_would_have_said(df):
    early = df["time"] < 4
    forecaster = quick().fit(df[early])
    queries = df[["id", "time"]].assign(time=df["time"] + 3)
    told = forecaster.predict(queries, history=df)
    assert forecaster.update(df[~early]) is forecaster
    pd.testing.assert_frame_equal(forecaster.predict(queries), told, atol=1e-6)


def test_an_update_corrects_values_and_keeps_the_others(df):
    forecaster = quick().fit(df)
    row = df[df["x"].notna() & df["y"].notna()].iloc[[0]]
    forecaster.update(row.assign(x=7.0, y=np.nan))
    panel = forecaster.panel_
    where = (panel.times == row["time"].item()) & (panel.ids[panel.series_of_row] == row["id"].item())
    assert panel.values[where].tolist() == [[7.0, row["y"].item()]]
    assert len(panel.times) == df[["x", "y"]].notna().any(axis=1).sum()


def test_an_update_may_bring_new_series(df):
    forecaster = quick().fit(df[df["id"] < "s20"])
    forecaster.update(df[df["id"] >= "s20"])
    assert set(forecaster.panel_.ids) == set(df["id"])
    pd.testing.assert_frame_equal(forecaster.predict(df), forecaster.predict(df, history=df), atol=1e-6)


def test_a_bad_update_changes_nothing(df):
    forecaster = quick().fit(df)
    before = forecaster.panel_
    with pytest.raises(DataError, match="no column 'y'"):
        forecaster.update(df.drop(columns="y"))
    assert forecaster.panel_ is before


def test_a_warm_start_goes_on_from_the_weights_and_a_cold_one_does_not(df):
    warm = quick(warm_start=True, max_steps=1, learning_rate=1e-9).fit(df)
    before = {k: v.clone() for k, v in warm.model_.state_dict().items()}
    warm.set_params(random_state=5).fit(df)
    assert all(np.allclose(v, before[k], atol=1e-6) for k, v in warm.model_.state_dict().items())
    cold = warm.set_params(warm_start=False).fit(df)
    assert not all(np.allclose(v, before[k], atol=1e-6) for k, v in cold.model_.state_dict().items())


def test_a_warm_start_keeps_its_scales_and_refuses_other_channels(df):
    forecaster = quick(warm_start=True).fit(df)
    scaler, horizon = forecaster.scaler_, forecaster.horizon_
    forecaster.fit(df[df["time"] < 3])
    assert forecaster.scaler_ is scaler
    assert forecaster.horizon_ == horizon
    with pytest.raises(DataError, match="warm_start=True goes on with the columns of the fit before"):
        forecaster.fit(df.drop(columns="y"))


def test_an_interrupt_leaves_a_forecaster_that_can_be_used(df, monkeypatch):
    steps = LatentODEModule.training_step
    seen = []

    def broken_off(self, batch, number):
        seen.append(number)
        if len(seen) == 30:
            raise KeyboardInterrupt
        return steps(self, batch, number)

    monkeypatch.setattr(LatentODEModule, "training_step", broken_off)
    forecaster = quick(max_steps=100)
    with pytest.raises(KeyboardInterrupt, match="after 25 steps; the forecaster keeps the best weights"):
        forecaster.fit(df)
    assert len(seen) == 30
    assert forecaster.history_["step"].tolist() == [25.0]
    assert np.isfinite(forecaster.predict(df)).all().all()


def test_far_beyond_the_horizon_it_is_said_how_far_training_went(df):
    forecaster = quick(horizon=2.0).fit(df)
    with pytest.warns(DataWarning, match=r"1 rows lie up to .* horizons beyond .* training went 2 ahead"):
        forecaster.predict(pd.DataFrame({"id": ["s00"] * 2, "time": [7.0, 60.0]}))


def test_the_log_has_a_line_for_every_look(caplog):
    with caplog.at_level(logging.INFO, logger="latentode"):
        quick(max_steps=50).fit(waves())
    lines = [r.getMessage() for r in caplog.records if r.name == "latentode"]
    assert len(lines) == 2
    assert lines[0].startswith("step 25 of at most 50: loss ")


def test_the_bar_has_losses_and_is_gone_at_the_end(capsys):
    quick(max_steps=50, verbose=2).fit(waves())
    told = capsys.readouterr()
    assert "held-out CRPS" in told.out + told.err
    assert "50/50" in told.err


@pytest.mark.parametrize(
    ("weight", "match"),
    [([1.0], "one weight per row"), (np.nan, "finite"), (-1.0, "not negative"), (0.0, "0 for every row")],
)
def test_weights_that_cannot_be_are_refused(df, weight, match):
    given = weight if isinstance(weight, list) else np.full(len(df), weight)
    with pytest.raises(ValueError, match=match):
        quick().fit(df, sample_weight=given)


def test_equal_weights_are_no_weights(df):
    queries = df.assign(time=df["time"] + 1)
    told = quick().fit(df, sample_weight=np.full(len(df), 3.0)).predict(queries)
    pd.testing.assert_frame_equal(told, quick().fit(df).predict(queries), atol=1e-5)
