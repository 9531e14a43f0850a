"""Values of series at times of their own."""

import numpy as np

from latentode.data.ragged import average_groups
from latentode.data.timed_rows import TimedRows, grouped_rows

NAN = float("nan")


def rows(series, times, values, n_series=2):
    values = np.array(values, dtype=np.float32)[:, None]
    return grouped_rows(n_series, np.array(series), np.array(times), values, average_groups)


def test_a_row_of_new_rows_holds_in_place_of_an_old_one_of_its_time():
    found = rows([0, 0, 1], [0.0, 1.0, 0.0], [1, 2, 3]).with_rows(
        np.array([0, 0]), np.array([0.5, 1.0]), np.array([[4], [5]], dtype=np.float32)
    )
    assert found.offsets.tolist() == [0, 3, 4]
    assert found.times.tolist() == [0.0, 0.5, 1.0, 0.0]
    assert found.values.ravel().tolist() == [1, 4, 5, 3]


def test_a_row_holds_from_its_own_time_until_the_next_and_the_first_before_it_too():
    found = rows([0, 0, 2], [1.0, 2.0, 0.0], [1, 2, 3], n_series=3)
    series, times = np.array([0, 0, 0, 0, 0, 1, 2, 2]), np.array([9.0, 0.0, 1.0, 1.5, 2.0, 5.0, -1.0, 1.0])
    assert found.held(series, times).ravel().tolist() == [2, 1, 1, 1, 2, 0, 3, 3]


def test_a_window_reach_from_what_holds_at_the_beginning_to_the_end():
    found = rows([0, 0, 0, 0], [0.0, 1.0, 2.0, 3.0], [0, 1, 2, 3])
    times, values = found.window(np.array([0, 1]), np.array([1.5, 0.0]), np.array([2.5, 9.0]))
    assert times[0].tolist() == [1.0, 2.0]
    assert values[0].ravel().tolist() == [1.0, 2.0]
    assert np.isinf(times[1]).all()
    assert values[1].ravel().tolist() == [0.0, 0.0]


def test_a_window_at_the_very_times_queried_are_among_them():
    found = rows([0, 0, 0, 0], [0.0, 1.0, 2.0, 3.0], [0, 1, 2, 3])
    times, values = found.window(np.array([0]), np.array([1.0]), np.array([2.0]))
    assert times.tolist() == [[1.0, 2.0]]
    assert values.dtype == np.float32


def test_a_window_of_nothing_are_one_that_never_comes():
    none = np.empty(0, dtype=np.int64)
    times, values = rows([0], [1.0], [1]).window(none, none.astype(float), none.astype(float))
    assert times.shape == (0, 1)
    assert values.shape == (0, 1, 1)


def test_rows_go_with_the_series_that_are_taken_and_appended():
    found = rows([0, 0, 0, 2, 2], [0.0, 1.0, 2.0, 5.0, 6.0], [0, 1, 2, 5, 6], n_series=3)
    taken = found.take(np.array([2, 1, 0]))
    assert taken.offsets.tolist() == [0, 2, 2, 5]
    assert taken.times.tolist() == [5, 6, 0, 1, 2]
    assert taken.values.ravel().tolist() == [5, 6, 0, 1, 2]
    both = taken.append(found)
    assert both.offsets.tolist() == [0, 2, 2, 5, 8, 8, 10]
    assert both.times.tolist() == [5, 6, 0, 1, 2, 0, 1, 2, 5, 6]
    assert both.values.ravel().tolist() == both.times.tolist()


def test_a_window_that_all_come_later_begin_with_the_first():
    times, _ = rows([0, 0], [5.0, 6.0], [1, 2]).window(np.array([0]), np.array([0.0]), np.array([1.0]))
    assert times.tolist() == [[5.0]]


def test_a_window_of_a_series_are_its_own_whichever_stands_beside_it():
    found = rows([0, 0, 1, 1, 2, 2], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [0, 1, 2, 3, 4, 5], n_series=3)
    times, values = found.window(np.array([1, 0]), np.array([0.0, 0.5]), np.array([9.0, 9.0]))
    assert times.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert values[:, :, 0].tolist() == [[2.0, 3.0], [0.0, 1.0]]


def test_what_new_rows_do_not_give_stays_as_it_was():
    old = TimedRows(np.array([0, 1]), np.array([1.0]), np.array([[1, 2]], dtype=np.float32))
    new = np.array([[NAN, 5], [NAN, NAN]], dtype=np.float32)
    found = old.with_rows(np.array([0, 0]), np.array([1.0, 2.0]), new)
    np.testing.assert_array_equal(found.values, [[1, 5], [NAN, NAN]])


def test_some_rows_leave_a_series_with_none():
    found = rows([0, 0, 1], [0.0, 1.0, 0.0], [1, 2, 3]).where(np.array([False, True, False]))
    assert found.offsets.tolist() == [0, 1, 1]
    assert found.times.tolist() == [1.0]


def test_further_series_have_no_rows():
    found = rows([0, 1], [0.0, 1.0], [1, 2]).grown(4)
    assert found.n_series == 4
    assert found.offsets.tolist() == [0, 1, 2, 2, 2]
    assert TimedRows.empty(3, 2).values.shape == (0, 2)
