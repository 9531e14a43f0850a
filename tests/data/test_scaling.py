import warnings

import numpy as np
import pytest

from latentode.data import ChannelScaler


def normal(n=2000, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def scaler_of(x):
    return ChannelScaler.from_values(np.asarray(x, dtype=float)[:, None])


def in_logarithms(scaler):
    return not np.isnan(scaler.log_floor[0])


def test_a_normal_channel_gets_mean_zero_and_unit_spread():
    x = (3.0 * normal() - 200.0)[:, None]
    scaled = ChannelScaler.from_values(x).transform(x)
    assert abs(scaled.mean()) < 1e-9
    assert abs(scaled.std() - 1) < 1e-2


def test_channels_are_scaled_apart_and_missing_values_count_for_nothing():
    x = np.column_stack([normal(), 1000 * normal(seed=1)])
    with_holes = np.vstack([x, [[np.nan, 5000.0], [1.0, np.nan]]])
    scaler = ChannelScaler.from_values(with_holes)
    assert 0.9 < scaler.scale[0] < 1.1
    assert 900 < scaler.scale[1] < 1100
    assert np.isnan(scaler.transform(with_holes)[-2, 0])


def test_values_go_there_and_back():
    x = np.column_stack([normal(), np.exp(normal(seed=1)), np.full(2000, 7.0)])
    scaler = ChannelScaler.from_values(x)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(x)), x, rtol=1e-9)


def test_a_few_absurd_values_hardly_widen_the_scale():
    x = normal()
    spoilt = np.concatenate([x, [1e9, -1e9, 1e30]])
    assert scaler_of(spoilt).scale[0] < 1.1 * scaler_of(x).scale[0]


def test_values_of_a_channel_mostly_constant_still_have_a_scale():
    x = np.zeros(100)
    x[:20] = 1.0
    assert 0.01 < scaler_of(x).scale[0] < 10


@pytest.mark.parametrize("value", [0.0, 3.0, -2e9, 1e-200, 0.1])
def test_a_constant_channel_is_zero_and_moves_by_a_tenth_of_its_size(value):
    scaler = scaler_of(np.full(50, value))
    assert abs(scaler.transform(np.array([[value]]))[0, 0]) < 1e-9
    assert scaler.scale[0] == pytest.approx(0.1 * abs(value) or 1.0)


def test_a_channel_without_values_is_left_alone():
    scaler = scaler_of([np.nan, np.nan])
    assert (scaler.center[0], scaler.scale[0]) == (0.0, 1.0)


@pytest.mark.parametrize("unit", [2.0**-600, 2.0**-40, 2.0**40, 2.0**600])
@pytest.mark.parametrize("x", [normal(), np.exp(normal())], ids=["normal", "lognormal"])
def test_the_unit_of_a_channel_makes_no_difference(x, unit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, other = scaler_of(x), scaler_of(x * unit)
        left, right = ours.transform(x[:, None]), other.transform(x[:, None] * unit)
    assert in_logarithms(ours) == in_logarithms(other)
    np.testing.assert_allclose(left, right, atol=1e-9)


@pytest.mark.parametrize("offset", [1e6, 1e9, -1e9])
def test_a_small_signal_on_a_large_offset_is_still_a_signal(offset):
    assert 0.9 < scaler_of(normal() + offset).scale[0] < 1.1


def test_scaled_values_stay_within_single_precision():
    scaler = scaler_of(normal())
    scaled = scaler.transform(np.array([[9.97e36], [-1e300]]))
    assert np.isfinite(scaled.astype(np.float32) ** 2).all()


def test_a_positive_skewed_channel_is_read_in_logarithms_and_comes_back_positive():
    scaler = scaler_of(np.exp(normal()))
    assert in_logarithms(scaler)
    assert (scaler.inverse(np.linspace(-1e6, 5, 50)[:, None]) > 0).all()


@pytest.mark.parametrize("x", [normal(), normal() + 50, np.exp(normal()) * -1, np.append(np.exp(normal()), 0.0)])
def test_channels_with_values_at_or_below_zero_or_no_skew_stay_as_they_are(x):
    assert not in_logarithms(scaler_of(x))


def test_a_channel_without_values_leaves_those_after_it_alone():
    x = np.column_stack([np.full(200, np.nan), 5 * normal(200) + 3])
    scaler = ChannelScaler.from_values(x)
    assert (scaler.center[1], scaler.scale[1]) == (scaler_of(x[:, 1]).center[0], scaler_of(x[:, 1]).scale[0])


def test_spread_is_in_the_channels_own_unit_when_the_scale_is_that_of_logarithms():
    x = np.column_stack([3 * normal(), np.exp(normal(seed=1))])
    scaler, plain = ChannelScaler.from_values(x), ChannelScaler.from_values(x, logarithms=False)
    np.testing.assert_array_equal(scaler.spread, plain.scale)
    assert scaler.scale[1] != scaler.spread[1]


@pytest.mark.parametrize(
    ("x", "deviation"),
    [
        (np.append(np.linspace(-1, 1, 101), 1e4), 1 / 1.349),  # quartiles at about -1/2 and 1/2
        (np.repeat([10.0, 11.0, 1000.0], [95, 4, 1]), 9.94),  # quartiles that are one value: mean distance from it
    ],
    ids=["quartiles", "mostly constant"],
)
def test_what_lies_beyond_five_deviations_is_drawn_in_to_there(x, deviation):
    end = np.median(x) + 5 * deviation
    scaler = ChannelScaler.from_values(x[:, None], logarithms=False)
    assert scaler.scale[0] == pytest.approx(np.minimum(x, end).std(), rel=0.02)
    assert scaler.center[0] == pytest.approx(np.minimum(x, end).mean(), abs=0.02 * scaler.scale[0])


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_of_zeros_of_outliers_and_of_answers_far_out():
    assert not in_logarithms(scaler_of(np.append(np.exp(normal()), 0.0)))
    assert np.isfinite(scaler_of(2.0**-600 * normal()).transform(np.array([[1e300]]))).all()
    assert np.isfinite(scaler_of(np.exp(normal())).inverse(np.array([[1e6], [-1e6]]))).all()


def test_a_channel_that_never_doubles_is_not_read_in_logarithms():
    assert not in_logarithms(scaler_of(np.repeat([1.0, 1.9], [95, 5])))
    assert in_logarithms(scaler_of(np.repeat([1.0, 2.0], [95, 5])))
