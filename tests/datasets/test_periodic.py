import numpy as np
import pytest

from latentode.datasets import make_periodic


def fit_sinusoids(frame, grid):
    """Each series' frequency and level by least squares, frequencies from a grid, and the worst residual."""
    found = []
    for _, series in frame.groupby("id"):
        time, value = series["time"].to_numpy(), series["y"].to_numpy()
        errors = []
        for frequency in grid:
            design = np.column_stack([np.sin(2 * np.pi * frequency * time), np.ones_like(time)])
            (amplitude, level), *_ = np.linalg.lstsq(design, value, rcond=None)
            errors.append((np.abs(design @ (amplitude, level) - value).max(), frequency, amplitude, level))
        found.append(min(errors))
    return np.array(found).T


@pytest.mark.parametrize("bounds", [(0.4, 0.8), (0.5, 1.0)])
def test_frequencies_fill_the_bounds_and_amplitudes_are_one(bounds):
    frame = make_periodic(60, 40, frequency=bounds, noise_width=0, random_state=0)
    worst, frequency, amplitude, level = fit_sinusoids(frame, np.linspace(0.3, 1.1, 161))
    assert worst.max() < 0.1  # the grid misses a frequency by up to 0.0025: a phase of 0.08 by the end
    assert frequency.min() == pytest.approx(bounds[0], abs=0.05)
    assert frequency.max() == pytest.approx(bounds[1], abs=0.05)
    assert frequency.mean() == pytest.approx(np.mean(bounds), abs=0.05)
    assert amplitude == pytest.approx(1, abs=0.03)
    assert level.mean() == pytest.approx(1, abs=0.04)
    assert level.std() == pytest.approx(0.1, abs=0.03)


def test_a_given_frequency_is_obeyed_exactly():
    frame = make_periodic(5, 30, frequency=(0.5, 0.5), noise_width=0, random_state=0)
    level = frame.groupby("id")["y"].transform("first")
    assert np.allclose(frame["y"] - level, np.sin(np.pi * frame["time"]))


def test_every_series_starts_at_time_zero_and_ends_before_the_duration():
    frame = make_periodic(100, 30, duration=2.0, random_state=0)
    assert (frame.groupby("id")["time"].min() == 0).all()
    assert 1.9 < frame["time"].max() < 2.0


def test_noise_is_uniform_from_zero_and_spares_the_first_record():
    noisy = make_periodic(200, 30, noise_width=0.2, random_state=0)
    truth = make_periodic(200, 30, noise_width=0, random_state=0)
    noise = noisy["y"] - truth["y"]
    first = noisy["time"] == 0
    assert (noise[first] == 0).all()
    assert noise[~first].between(0, 0.2).all()
    assert noise[~first].mean() == pytest.approx(0.1, rel=0.05)
    assert noise[~first].max() > 0.19


def test_shared_times_are_the_same_for_all_series_but_their_frequencies_are_not():
    frame = make_periodic(6, 20, shared_times=True, random_state=0)
    times = frame["time"].to_numpy().reshape(6, 20)
    assert (times == times[0]).all()
    assert len(np.unique(frame["y"].to_numpy().reshape(6, 20)[:, -1])) == 6


@pytest.mark.parametrize("wrong", [{"frequency": (0.8, 0.4)}, {"duration": -1.0}, {"noise_width": -0.1}])
def test_impossible_parameters_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_periodic(3, 3, **wrong)
