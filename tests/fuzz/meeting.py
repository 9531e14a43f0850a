"""What becomes of a strange frame: an answer for every row, or an error of ours that says what is wrong."""

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import latentode
from latentode import LatentODEForecaster
from latentode.data import (
    ChannelScaler,
    Coding,
    DataWarning,
    TimeAxis,
    find_seasons,
    infer_schema,
    panel_from_frame,
)
from tests.estimators.tiny import dated, quick, single, waves
from tests.fuzz.frames import Case

OURS = str(Path(latentode.__file__).parent)
TINY = {"max_steps": 1, "n_steps": 1, "latent_dim": 2, "hidden_dim": 2, "stacking": True}


def models() -> list[LatentODEForecaster]:
    """Fitted forecasters to which strange frames are brought afterwards: numbers, dates, a zone, one series."""
    df = waves(3, 6)
    frames = [df, dated(df), dated(df, zone="Europe/Paris"), single(waves(1, 12))]
    return [quick(**TINY).fit(frame) for frame in frames]


def brought_to_the_data(case: Case) -> None:
    """A frame read and scaled as fit reads and scales it."""
    roles = {k: v for k, v in case.params.items() if k.endswith(("_col", "_cols"))}
    schema = infer_schema(case.frame, **roles)
    axis = TimeAxis.from_times(schema.times_of(case.frame))
    coded = schema.static_cols, schema.known_cols, schema.impulse_cols
    coding = Coding.from_frame(case.frame, *coded) if any(coded) else None
    panel, treatment = panel_from_frame(case.frame, schema, axis, coding)
    assert panel.offsets[-1] == len(panel.times) == len(treatment.rows)
    assert np.isfinite(panel.times).all()
    assert not np.isinf(panel.values).any()
    scaler = ChannelScaler.from_values(panel.values)
    assert np.isfinite(scaler.center).all()
    assert (np.isfinite(scaler.scale) & (scaler.scale > 0)).all()
    assert not np.isinf(scaler.transform(panel.values)).any()
    seasons = find_seasons(panel, axis, case.params.get("seasonality", "auto"))
    assert np.isfinite(seasons.features(panel.times)).all()


def brought_to_fit(case: Case) -> None:
    """A frame fitted, and every question for it."""
    before = case.frame.copy()
    model = quick(**TINY, **case.params).fit(case.frame)
    assert all(p.isfinite().all() for p in model.model_.state_dict().values())
    empty = model.state_.calibration.factor[0, : len(model.channels_)]
    found = model.predict(case.frame)
    assert found.index.equals(case.frame.index)
    timed = ~np.isnan(model.time_axis_.to_float(model.schema_.times_of(case.frame)))
    assert np.isfinite(found.to_numpy()[timed][:, ~np.isnan(empty)]).all()
    future = model.forecast()
    assert np.isfinite(future.iloc[:, -3 * len(empty) :].to_numpy()[:, : len(empty)][:, ~np.isnan(empty)]).all()
    each(
        lambda: model.impute(case.frame),
        lambda: model.score(case.frame),
        lambda: model.update(case.frame),
    )
    pd.testing.assert_frame_equal(case.frame, before)


def brought_to(model: LatentODEForecaster, case: Case) -> None:
    """A frame brought to a forecaster fitted on another."""
    state = model.state_
    try:
        each(
            lambda: model.predict(case.frame),
            lambda: model.impute(case.frame),
            lambda: model.score(case.frame),
            lambda: model.forecast(history=case.frame),
            lambda: model.update(case.frame),
        )
    finally:
        model.state_ = state


def each(*calls: Callable[[], Any]) -> None:
    """Questions of which some may be refused without keeping the others from being made."""
    for ask in calls:
        fault_of(ask, reraise=True)


def fault_of(meet: Callable[[], Any], reraise: bool = False) -> str | None:
    """What is wrong with how a frame was met; None for an answer, or an error of ours."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            meet()
        except ValueError as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            if not last.filename.startswith(OURS) or not str(error):
                if reraise:
                    raise
                return _reported(error)
        except Exception as error:
            if reraise:
                raise
            return _reported(error)
    of_few_series = "prediction intervals are calibrated on"
    foreign = [w for w in said if w.category is not DataWarning and not str(w.message).startswith(of_few_series)]
    if foreign:
        text = f"{foreign[0].category.__name__}: {foreign[0].message} ({foreign[0].filename}:{foreign[0].lineno})"
        if reraise:
            raise AssertionError(text)
        return text
    return None


def _reported(error: Exception) -> str:
    """The error, and where in our code it came from."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(OURS)]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].line}" if ours else "the test"
    return f"{type(error).__name__}: {str(error)[:200]} ({place})"
