import functools

import pytest
from lightning.fabric.utilities import registry

from tests.estimators.tiny import checks_every, dated, quick, single, waves


@pytest.fixture(scope="session", autouse=True)
def _installed_callbacks_are_found_once():
    """Each trainer of Lightning searches all installed packages for callbacks: an eighth of the time of a quick fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", functools.cache(registry.entry_points))
        yield


@pytest.fixture(scope="session")
def df():
    return waves(n_series=24, n_points=12)


@pytest.fixture(scope="session")
def fitted(df):
    """Three models and the Gaussian process, trained for two checks."""
    with checks_every(6):
        return quick(max_steps=12, hidden_dim=16, latent_dim=8, n_models=None, stacking=True).fit(df)


@pytest.fixture(scope="session")
def plain(df):
    """What a fit of a moment on the plain frame gives, to compare others with."""
    return quick().fit(df)


@pytest.fixture(scope="session")
def dates():
    return dated(waves())


@pytest.fixture(scope="session")
def fitted_on_dates(dates):
    return quick(stacking=True).fit(dates)


@pytest.fixture(scope="session")
def one():
    return single(waves(n_points=30))


@pytest.fixture(scope="session")
def fitted_on_one(one):
    return quick(stacking=True).fit(one)
