import pytest

from tests.estimators.tiny import dated, quick, single, waves


@pytest.fixture(scope="session")
def df():
    return waves(n_series=24, n_points=12)


@pytest.fixture(scope="session")
def fitted(df):
    return quick(max_steps=50, hidden_dim=16, latent_dim=8, n_models=None).fit(df)  # three models


@pytest.fixture(scope="session")
def plain(df):
    """What a fit of a moment on the plain frame gives, to compare others with."""
    return quick().fit(df)


@pytest.fixture(scope="session")
def dates():
    return dated(waves())


@pytest.fixture(scope="session")
def fitted_on_dates(dates):
    return quick().fit(dates)


@pytest.fixture(scope="session")
def one():
    return single(waves(n_points=30))


@pytest.fixture(scope="session")
def fitted_on_one(one):
    return quick().fit(one)
