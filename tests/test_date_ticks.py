"""Dates along an axis."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from latentode._drawing import TimeScale, make_axes, tidy
from latentode.data import TimeAxis


def drawn(start, days, n_columns=1):
    """The visible labels of a date axis, and its figure."""
    axis = TimeAxis("datetime", int(pd.Timestamp(start).timestamp()))
    times = np.linspace(0.0, days * 86_400.0, 30)
    scale = TimeScale.of(axis, times)
    grid = make_axes(None, 1, n_columns)
    for ax in grid.flat:
        ax.plot(scale.place(times), np.sin(times))
        scale.set_ticks(ax)
        tidy(ax)
    figure, ax = grid[0, 0].figure, grid[0, 0]
    FigureCanvasAgg(figure).draw()
    low, high = ax.get_xlim()
    return [t.label1 for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high], figure


def test_a_month_that_comes_in_two_years_is_labelled_with_its_year():
    labels, _ = drawn("2024-01-11", 545)
    assert [label.get_text() for label in labels] == ["2024", "May\n2024", "Sep", "2025", "May\n2025"]


def test_a_day_of_two_months_and_an_hour_of_two_days_are_labelled_with_them():
    assert [label.get_text() for label in drawn("2023-05-11", 46)[0]] == ["15\nMay", "Jun", "15\nJun"]
    hours = [label.get_text() for label in drawn("2023-05-11 03:00", 1.6)[0]]
    assert hours == ["12:00\nMay-11", "May-12", "12:00\nMay-12"]


DAYS = [0.0057, 0.0064, 0.09, 1.6, 2.04, 2.87, 5, 40, 53.6, 81.3, 300, 517, 988, 5000]


@pytest.mark.parametrize(
    ("days", "n_columns"),
    [
        # Of four columns, which take four times as long, the default suite has every second span.
        pytest.param(days, n, marks=[pytest.mark.slow] if n > 1 and i % 2 else [])
        for i, days in enumerate(DAYS)
        for n in (1, 4)
    ],
)
def test_labels_differ_and_neither_touch_nor_leave_the_picture(days, n_columns):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels, figure = drawn("2021-04-27 19:17:53", days, n_columns)
    texts, boxes = [label.get_text() for label in labels], [label.get_window_extent() for label in labels]
    assert 2 <= len(set(texts)) == len(texts)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)
