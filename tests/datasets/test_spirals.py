import numpy as np
import pytest

from latentode.datasets import make_spirals


def polar(frame):
    """Each row's distance from both centres, and by how much its angle breaks either family's law."""
    radius_out = np.hypot(frame["x"] - 5, frame["y"])
    radius_in = np.hypot(frame["x"] + 5, frame["y"])
    angle_out = np.arctan2(frame["y"], frame["x"] - 5)
    angle_in = np.arctan2(frame["y"], frame["x"] + 5)
    gap_out = (radius_out / 0.3 - angle_out + np.pi) % (2 * np.pi) - np.pi
    gap_in = (15 / radius_in - angle_in + np.pi) % (2 * np.pi) - np.pi
    return radius_out, radius_in, gap_out.abs(), gap_in.abs()


def test_every_series_obeys_the_law_of_one_of_the_two_families():
    frame = make_spirals(300, 25, noise_std=0, random_state=1)
    _, _, gap_out, gap_in = polar(frame)
    worst = frame.assign(out=gap_out, into=gap_in).groupby("id")[["out", "into"]].max()
    assert (worst.min(axis=1) < 1e-9).all()
    assert 0.4 < (worst["out"] < 1e-9).mean() < 0.6  # 300 fair coins: standard error 0.03


def test_the_angle_turns_by_one_per_unit_of_time_in_opposite_senses():
    frame = make_spirals(100, 25, noise_std=0, random_state=1)
    radius_out, radius_in, gap_out, gap_in = polar(frame)
    outward = gap_out.groupby(frame["id"]).transform("max") < gap_in.groupby(frame["id"]).transform("max")
    angle = np.where(outward, radius_out / 0.3, -15 / radius_in)
    assert np.allclose(angle - frame["time"], (angle - frame["time"]).groupby(frame["id"]).transform("first"))


def test_series_start_clear_of_the_ends_and_last_a_fifth_of_the_spiral():
    frame = make_spirals(500, 40, noise_std=0, irregular=False, random_state=1)
    radius_out, _, gap_out, _ = polar(frame)
    out = gap_out.groupby(frame["id"]).transform("max") < 1e-9
    theta = radius_out[out] / 0.3
    step = 6 * np.pi / 499
    assert theta.min() >= 100 * step
    assert theta.max() <= 499 * step
    assert frame["time"].max() == pytest.approx(99 * step)
    starts = theta.groupby(frame["id"]).first()
    assert starts.min() < 120 * step
    assert starts.max() > 380 * step


def test_noise_has_the_wanted_spread_around_the_same_truth():
    noisy = make_spirals(200, 50, noise_std=0.3, random_state=2)
    truth = make_spirals(200, 50, noise_std=0, random_state=2)
    assert noisy[["id", "time"]].equals(truth[["id", "time"]])
    error = (noisy - truth)[["x", "y"]].to_numpy()
    assert error.std() == pytest.approx(0.3, rel=0.02)
    assert abs(np.corrcoef(error.T)[0, 1]) < 0.03


def test_a_regular_panel_shares_one_even_grid():
    frame = make_spirals(4, 11, irregular=False, random_state=0)
    times = frame["time"].to_numpy().reshape(4, 11)
    assert (times == times[0]).all()
    assert np.allclose(np.diff(times[0]), times[0, 1])


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match="noise_std=-1"):
        make_spirals(noise_std=-1)
