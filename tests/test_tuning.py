"""What a search may try can be fitted."""

import numpy as np
import pytest

from latentode import LatentODEForecaster
from latentode.tuning import suggest
from tests.estimators.tiny import waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")


class Draws:
    """A trial that draws at random and remembers its suggestions."""

    def __init__(self, seed):
        self.rng, self.suggested = np.random.default_rng(seed), []

    def suggest_categorical(self, name, choices):
        self.suggested.append(name)
        return choices[self.rng.integers(len(choices))]

    def suggest_float(self, name, low, high, *, log=False):
        self.suggested.append(name)
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))) if log else self.rng.uniform(low, high))

    def suggest_int(self, name, low, high, *, step=1):
        self.suggested.append(name)
        return int(self.rng.choice(np.arange(low, high + 1, step)))


@pytest.mark.parametrize("seed", range(6))
def test_every_suggestion_can_be_fitted(seed):
    trial = Draws(seed)
    params = suggest(trial)
    assert set(trial.suggested) == set(params) <= set(LatentODEForecaster().get_params())
    df = waves(4, 6)
    forecaster = LatentODEForecaster(**params, max_steps=2, random_state=0).fit(df)
    assert np.isfinite(forecaster.predict(df)).all().all()


def test_a_study_of_optuna_finds_a_best():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    df = waves(6, 8)

    def objective(trial):
        fitted = LatentODEForecaster(**suggest(trial), max_steps=2, random_state=0).fit(df)
        return fitted.score(df.assign(time=df["time"] + 6))

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=2)
    assert np.isfinite(study.best_value)
