import inspect
import re
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster
from latentode.estimators.settings import LIMITS, Settings, check, settings_of
from latentode.ode import solve
from latentode.persistence.limits import OneOf
from tests.estimators.tiny import quick, waves


@pytest.mark.parametrize("params", [{"n_steps": 0}, {"kl_weight": -2.0}], ids=str)
def test_sizes_that_make_no_sense_are_named(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        quick(**params).fit(waves(3, 6))


@pytest.mark.parametrize(
    "params",
    [
        {"validation_fraction": 1.5},
        {"validation_fraction": 0.0},
        {"validation_fraction": -0.1},
        {"max_steps": 0, "patience": 1},
        {"max_steps": -1},
        {"batch_size": -3},
        {"latent_dim": -1},
        {"learning_rate": -1.0},
        {"patience": 0},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_named(params):
    df = waves(3, 6)
    with pytest.raises(ValueError, match=next(iter(params))):
        quick(**params).fit(df).predict_interval(df)


def test_numbers_of_numpy_are_parameters_like_others():
    """As the grids of scikit-learn's searches give them."""
    df = waves(3, 6)
    params = {"max_steps": 5, "hidden_dim": 8, "latent_dim": 4, "batch_size": 2, "patience": 3, "n_steps": 2}
    expected = quick(**params, kl_weight=0.1).fit(df).predict(df)
    found = quick(**{k: np.int64(v) for k, v in params.items()}, kl_weight=np.float64(0.1)).fit(df).predict(df)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", "rnn"),
        ("dynamics", "ode"),
        ("decoder", None),
        ("likelihood", "normal"),
        ("anchor", "middle"),
        ("kl_weight", -1.0),
        ("n_models", 0),
        ("n_models", 101),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        quick(**{name: value}).fit(waves(4, 6))


# ----------------------------------------------------------------------------------- one place for a parameter


def test_the_constructor_is_that_of_the_settings_and_only_stores():
    given = {f.name: object() for f in fields(Settings)}
    forecaster = LatentODEForecaster(**given)
    assert list(inspect.signature(LatentODEForecaster).parameters) == list(given)
    assert vars(forecaster) == given
    assert forecaster.get_params(deep=False) == given


def test_a_copy_of_the_settings_is_not_changed_with_the_estimator():
    forecaster = quick()
    settings = settings_of(forecaster)
    forecaster.set_params(n_steps=7)
    assert settings.n_steps == 2


def test_defaults_are_within_their_limits():
    check(Settings())


def test_every_parameter_is_documented_and_every_choice_named_there():
    documented = inspect.getdoc(LatentODEForecaster)
    for field in fields(Settings):
        assert re.search(rf"^(\w+, )*{field.name}(, \w+)* : ", documented, re.M), field.name
    for name in ("encoder", "dynamics", "decoder", "likelihood", "anchor", "adjoint"):
        listed = re.search(rf"^{name} : \{{(.*)\}}( or dict)?$", documented, re.M).group(1)
        assert set(re.findall(r'"(\w+)"', listed)) == set(LIMITS[name].choices), name


CHOICES = [name for name, limit in LIMITS.items() if isinstance(limit, OneOf)]


def test_every_parameter_that_is_one_of_several_names_has_its_choices():
    strings = {f.name for f in fields(Settings) if isinstance(f.default, str)}
    assert strings - {"seasonality", "likelihood", "bounds"} == set(CHOICES)


@pytest.mark.parametrize("value", ["nothing", None, 3, ["poisson"], {"x": "nothing"}, {"x": "auto"}, {"x": None}])
def test_a_likelihood_that_is_none_is_refused_at_fit_with_the_choices(value):
    with pytest.raises(ValueError, match=r"likelihood=.*must be one of 'auto', 'gaussian', .*or a dict"):
        quick(likelihood=value).fit(waves(3, 6))


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["nothing", None, 3])
def test_a_name_that_is_no_choice_is_refused_at_fit_with_the_choices(name, value):
    choices = ", ".join(map(repr, LIMITS[name].choices))
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r} must be one of {choices}")):
        quick(**{name: value}).fit(waves(3, 6))


@pytest.mark.parametrize("adjoint", LIMITS["adjoint"].choices)
def test_every_adjoint_that_is_allowed_fits(adjoint):
    df = waves(3, 6)
    assert np.isfinite(quick(max_steps=2, adjoint=adjoint).fit(df).predict(df)).all(axis=None)


def test_every_adjoint_of_the_solver_is_allowed():
    with pytest.raises(ValueError, match="adjoint must be one of") as refused:
        solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), adjoint="nothing")
    known = re.search("one of (.*), not", str(refused.value)).group(1)
    assert set(known.split(", ")) == set(LIMITS["adjoint"].choices)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("n_steps", 10_001, "at least 1 and at most 10,000"),
        ("n_models", 101, "at least 1 and at most 100"),
        ("validation_fraction", 1.0, "greater than 0 and less than 1"),
        ("learning_rate", float("nan"), "greater than 0"),
        ("kl_weight", -1.0, "at least 0"),
    ],
)
def test_a_number_outside_its_range_is_refused_with_the_range(name, value, words):
    with pytest.raises(ValueError, match=f"{name}={value!r} must be {words}"):
        check(Settings(**{name: value}))


def test_parameters_are_checked_before_the_frame_is_read():
    with pytest.raises(ValueError, match="method='rk5' must be one of"):
        quick(method="rk5").fit("no frame at all")


# ------------------------------------------------------------------------------------------------- wrong types

WRONG = [["a"], {"a": 1}, [["a"]], {"a"}, "no such", None, float("nan"), float("inf"), True, -1, 2.5, object()]
RIGHT = {
    "horizon": [2.5],
    "seasonality": [2.5],
    "kl_weight": [2.5],
    "learning_rate": [2.5],
    "time_limit": [2.5],
    "warm_start": [True],
    "stacking": [True],
    "verbose": [True],
    "checkpoint_dir": ["no such"],
}


def is_right(field, value):
    if value is None:
        return field.default is None or field.name in ("seasonality", "bounds")
    return any(type(value) is type(right) and value == right for right in RIGHT.get(field.name, []))


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_a_value_of_a_wrong_type_is_refused_at_fit_by_the_name_of_the_parameter(field):
    df = waves(3, 6)
    for value in WRONG:
        if not is_right(field, value):
            with pytest.raises(ValueError, match=rf"^{field.name}[=:]"):
                quick(**{"max_steps": 1, field.name: value}).fit(df)


def test_devices_are_a_number_of_processes():
    with pytest.raises(ValueError, match=r"devices='cuda' must be at least 1 \(a whole number of processes"):
        quick(devices="cuda").fit(waves(3, 6))


def test_processes_that_train_one_model_have_no_time_limit():
    with pytest.raises(ValueError, match=r"devices=2.*give max_steps= instead of time_limit="):
        check(Settings(devices=2, time_limit=60, random_state=0))


@pytest.mark.parametrize("value", ["10", "1M", 0, "soon"])
def test_a_time_limit_is_seconds_or_a_duration(value):
    with pytest.raises(ValueError, match=f"time_limit={value!r} must be a positive number of seconds, or a duration"):
        check(Settings(time_limit=value))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"id_col": ["id"]}, "is a list, which cannot name a column; give id_col='id'"),
        ({"time_col": ["time"]}, "give time_col='time'"),
        ({"target_cols": [["y"]]}, "holds ['y'], a list"),
        ({"known_cols": {"y"}}, "is a set; give the names of columns as a list"),
    ],
)
def test_a_list_in_place_of_a_name_is_refused_with_what_to_give(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        quick(**params).fit(waves(3, 6))
