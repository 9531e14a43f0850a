import numpy as np
import pytest

from latentode._page import counted, duration_in_words, table, time_text
from latentode.data import TimeAxis

DATES = TimeAxis("datetime", 1_700_000_000)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 seconds"),
        (0.02, "0.02 seconds"),
        (1.0, "1 second"),
        (90.0, "1.5 minutes"),
        (3599.9, "1 hour"),
        (86_400.0, "1 day"),
        (276_480.0, "3.2 days"),
        (540 * 86_400.0, "540 days"),
        (3e8, "9.51 years"),
        (1e15, "31,688,739 years"),
        (float("nan"), "none"),
    ],
)
def test_a_duration_has_three_digits_and_the_largest_unit_it_fills(seconds, words):
    assert duration_in_words(DATES, seconds) == words


def test_durations_of_numbers_have_no_unit():
    assert duration_in_words(TimeAxis("number"), 1234.567) == "1235"


def test_times_are_written_to_the_second():
    times = [time_text(DATES, time) for time in DATES.from_float(np.array([0.0001, -80_000.0]))]
    assert times == ["2023-11-14 22:13:20", "2023-11-14"]
    assert time_text(TimeAxis("number"), 0.25) == "0.25"


def test_one_has_no_plural():
    assert [counted(n, "channel") for n in (1, 2_000)] == ["1 channel", "2,000 channels"]
    assert counted(1, "series", "series") == "1 series"


def test_a_table_escapes_what_it_holds():
    assert "<td>&lt;b&gt;</td>" in table(["<a>"], [["<b>"]])
