import pytest
from matplotlib.figure import Figure

from latentode.data import DataError
from latentode.plotting import plot_latent, plot_training
from tests.estimators import tiny


@pytest.mark.parametrize("dynamics", ["mixed", "linear", "mlp"])
def test_the_latent_space_has_a_trajectory_for_each_series_and_a_field(dynamics):
    forecaster = tiny.quick(dynamics=dynamics).fit(tiny.waves(8, 10))
    over_time, plane = plot_latent(forecaster, series=["s01", "s05"], dims=(0, 1))
    assert sum(len(line.get_xdata()) > 10 for line in over_time.lines) == 2
    assert len(plane.collections) == 1
    with pytest.raises(DataError, match="'nobody'"):
        plot_latent(forecaster, series=["nobody"])


def test_axes_given_are_drawn_on(small_model):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_training(small_model, left) is left
    assert plot_latent(small_model, axes=[left, right])[1] is right
