import numpy as np

from latentode.data import pad
from latentode.data.ragged import average_groups, sum_groups


def test_slices_of_rows_keep_their_channels():
    flat = np.arange(12.0).reshape(6, 2)
    padded = pad(flat, np.array([4, 0]), np.array([2, 3]), fill=np.nan)
    assert padded.shape == (2, 3, 2)
    np.testing.assert_array_equal(padded[0], [[8, 9], [10, 11], [np.nan, np.nan]])
    np.testing.assert_array_equal(padded[1], flat[:3])


def test_slices_without_rows_are_all_fill_and_one_step_long():
    padded = pad(np.arange(3.0), np.array([0, 3]), np.array([0, 0]), fill=-1.0)
    assert padded.tolist() == [[-1.0], [-1.0]]


def test_no_slices_at_all():
    assert pad(np.empty((0, 2)), np.empty(0, int), np.empty(0, int), fill=0.0).shape == (0, 1, 2)


def test_slices_may_overlap_and_keep_their_type():
    padded = pad(np.arange(4), np.array([0, 1, 1]), np.array([3, 3, 1]), fill=-1)
    assert padded.tolist() == [[0, 1, 2], [1, 2, 3], [1, -1, -1]]
    assert padded.dtype == np.arange(4).dtype
    single = pad(np.ones(4, dtype=np.float32), np.array([0]), np.array([3]), fill=0.0)
    assert single.dtype == np.float32


def test_the_average_of_a_group_is_the_same_to_the_last_digit_in_any_order():
    rng = np.random.default_rng(0)
    values, starts = rng.normal(size=(50, 2)) * 10.0 ** rng.integers(-6, 6, (50, 1)), np.array([0, 20, 21])
    values[rng.random((50, 2)) < 0.2] = np.nan
    expected = average_groups(values.copy(), starts)
    turned = np.concatenate([values[:20][::-1], values[20:21], values[21:][::-1]])
    np.testing.assert_array_equal(average_groups(turned, starts), expected)


def test_a_row_in_single_precision_that_comes_again_is_its_own_average():
    row = np.array([[0.1, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(average_groups(row.repeat(7, axis=0), np.array([0])), row)


def test_the_sum_of_a_group_is_the_same_to_the_last_digit_in_any_order_and_missing_where_all_are():
    rng = np.random.default_rng(0)
    values, starts = rng.normal(size=(50, 2)) * 10.0 ** rng.integers(-6, 6, (50, 1)), np.array([0, 20, 21])
    values[rng.random((50, 2)) < 0.2] = np.nan
    values[20] = np.nan
    expected = sum_groups(values.copy(), starts)
    np.testing.assert_allclose(expected[0], np.nansum(values[:20], axis=0))
    assert np.isnan(expected[1]).all()
    turned = np.concatenate([values[:20][::-1], values[20:21], values[21:][::-1]])
    np.testing.assert_array_equal(sum_groups(turned, starts), expected)
