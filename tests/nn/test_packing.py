import torch

from latentode.nn.packing import packing

LENGTHS = torch.tensor([2, 4, 1, 4])


def test_rows_come_step_by_step_with_the_longest_series_first():
    packed = packing(LENGTHS, 5)
    assert packed.rows.tolist() == [5, 15, 0, 10, 6, 16, 1, 7, 17, 8, 18]
    assert packed.sizes == [4, 3, 2, 2]


def test_the_last_row_of_every_series_is_known_in_the_series_own_order():
    packed = packing(LENGTHS, 5)
    assert packed.rows[packed.ends].tolist() == [1, 8, 10, 18]


def test_backwards_a_series_begins_with_its_last_row():
    packed = packing(LENGTHS, 5, backward=True)
    assert packed.rows[:4].tolist() == [8, 18, 1, 10]
    assert packed.rows[packed.ends].tolist() == [0, 5, 10, 15]


def test_the_row_before_is_the_one_before_of_the_same_series():
    packed = packing(LENGTHS, 5)
    first = packed.before == 0
    assert packed.rows[first].tolist() == [5, 15, 0, 10]
    assert (packed.rows[packed.before[~first] - 1] == packed.rows[~first] - 1).all()
