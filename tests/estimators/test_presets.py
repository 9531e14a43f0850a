from latentode import PUBLISHED, LatentODEForecaster
from latentode.estimators.settings import Settings, check


def test_the_published_model_is_within_the_limits_and_differs_from_the_defaults():
    check(Settings(**PUBLISHED))
    defaults = LatentODEForecaster().get_params()
    assert set(PUBLISHED) <= set(defaults)
    assert {"encoder", "decoder", "likelihood", "anchor"} <= {k for k, v in PUBLISHED.items() if v != defaults[k]}
