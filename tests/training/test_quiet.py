import logging
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from latentode.training import isolated_rng, quiet_lightning

NAMES = ("lightning", "lightning.pytorch", "lightning.fabric")


def test_levels_are_as_before_afterwards():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(17)
    try:
        with quiet_lightning():
            assert logger.level == logging.ERROR
        assert logger.level == 17
        with pytest.raises(KeyError), quiet_lightning():
            raise KeyError
        assert logger.level == 17
    finally:
        logger.setLevel(before)


def test_warning_filters_are_as_before_afterwards():
    before = list(warnings.filters)
    with quiet_lightning():
        assert warnings.filters != before
    assert warnings.filters == before


def test_the_root_is_a_directory_that_goes_away():
    with quiet_lightning() as root:
        assert Path(root).is_dir()
        (Path(root) / "file").touch()
    assert not Path(root).exists()


def test_the_random_state_within_is_its_own():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    others = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with isolated_rng(7):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with isolated_rng(7):
        assert torch.equal(torch.rand(3), first)
    np.testing.assert_array_equal(np.random.get_state()[1], others[0])  # noqa: NPY002
    assert random.getstate() == others[1]


def test_the_random_state_comes_back_after_a_failure():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), isolated_rng(7):
        torch.rand(3) @ torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
