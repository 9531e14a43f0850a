"""What tests of several folders share. Imports are inside: with workers, the process that starts them tests nothing."""

import functools

import pytest


@pytest.fixture(scope="session", autouse=True)
def _installed_callbacks_are_found_once():
    """Each trainer of Lightning searches all installed packages for callbacks: an eighth of the time of a quick fit."""
    from lightning.fabric.utilities import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", functools.cache(registry.entry_points))
        yield


@pytest.fixture(scope="session")
def df():
    from tests.estimators.tiny import waves

    return waves(n_series=24, n_points=12)


@pytest.fixture(scope="session")
def fitted(df):
    """Three models and the Gaussian process, trained for two checks."""
    from tests.estimators.tiny import checks_every, quick, rough_stacking

    with checks_every(6), rough_stacking():
        return quick(max_steps=12, hidden_dim=16, latent_dim=8, n_models=None, stacking=True).fit(df)


@pytest.fixture(scope="session")
def plain(df):
    """What a fit of a moment on the plain frame gives, to compare others with."""
    from tests.estimators.tiny import quick

    return quick().fit(df)


@pytest.fixture(scope="session")
def dates():
    from tests.estimators.tiny import dated, waves

    return dated(waves())


@pytest.fixture(scope="session")
def fitted_on_dates(dates):
    from tests.estimators.tiny import quick, rough_stacking

    with rough_stacking():
        return quick(stacking=True).fit(dates)


@pytest.fixture(scope="session")
def one():
    from tests.estimators.tiny import single, waves

    return single(waves(n_points=30))


@pytest.fixture(scope="session")
def fitted_on_one(one):
    from tests.estimators.tiny import quick, rough_stacking

    with rough_stacking():
        return quick(stacking=True).fit(one)


@pytest.fixture(scope="module")
def roughly_stacked():
    """All fits of the module take a few steps of the Gaussian process and of the weights of stacking."""
    from tests.estimators.tiny import rough_stacking

    with rough_stacking():
        yield
