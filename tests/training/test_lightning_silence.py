import logging
import warnings
from pathlib import Path

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException

from latentode.training import silent_lightning
from tests.training.overlapping import overlapping

NAMES = ("lightning", "lightning.pytorch", "lightning.fabric")


def test_levels_are_as_before_afterwards():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(17)
    try:
        with silent_lightning():
            assert logger.level == logging.ERROR
        assert logger.level == 17
        with pytest.raises(KeyError), silent_lightning():
            raise KeyError
        assert logger.level == 17
    finally:
        logger.setLevel(before)


def test_warning_filters_are_as_before_afterwards():
    before = list(warnings.filters)
    with silent_lightning():
        assert warnings.filters != before
    assert warnings.filters == before


def test_a_sigterm_is_an_exit_with_its_code_and_other_exits_are_as_they_were():
    with pytest.raises(SystemExit) as end, silent_lightning():
        raise SIGTERMException
    assert end.value.code == 143
    with pytest.raises(SystemExit) as end, silent_lightning():
        raise SystemExit(5)
    assert end.value.code == 5


def test_the_root_is_a_directory_that_goes_away():
    with silent_lightning() as root:
        assert Path(root).is_dir()
        (Path(root) / "file").touch()
    assert not Path(root).exists()


def test_no_root_is_needed_where_there_is_no_room_for_one(monkeypatch):
    def full(*_, **__):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with silent_lightning() as root:
        assert not Path(root).is_dir()


def test_what_is_silenced_is_as_before_when_the_first_in_is_the_first_out():
    logger = logging.getLogger("lightning.pytorch")
    filters, level = list(warnings.filters), logger.level
    while_the_second_is_in, _ = overlapping(silent_lightning)
    assert while_the_second_is_in == logging.ERROR
    assert warnings.filters == filters
    assert logger.level == level


def test_a_filter_of_the_callers_outlives_ours():
    with warnings.catch_warnings():
        before = list(warnings.filters)
        with silent_lightning():
            warnings.filterwarnings("error", message="mine")
        assert warnings.filters[1:] == before
        assert warnings.filters[0][0] == "error"


def test_a_block_of_the_callers_that_began_within_ours_leaves_nothing_of_it():
    before = list(warnings.filters)
    ours = silent_lightning()
    ours.__enter__()
    with warnings.catch_warnings():
        ours.__exit__(None, None, None)
    assert warnings.filters == before


def test_a_level_set_meanwhile_stays():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    try:
        with silent_lightning():
            logger.setLevel(17)
        assert logger.level == 17
    finally:
        logger.setLevel(before)
