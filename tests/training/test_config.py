import re
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from latentode.training import TimeLimit, TrainingConfig


def test_a_config_cannot_be_changed_but_replaced():
    config = TrainingConfig()
    with pytest.raises(FrozenInstanceError):
        config.n_steps = 3
    assert replace(config, n_steps=3).n_steps == 3
    assert config == TrainingConfig(time_limit=config.time_limit)


def test_every_setting_is_described():
    described = re.findall(r"^    (\w[\w, ]*) : ", TrainingConfig.__doc__, re.MULTILINE)
    assert [name for names in described for name in names.split(", ")] == [f.name for f in fields(TrainingConfig)]


def test_each_config_has_a_time_limit_of_its_own_that_is_never_over():
    one, other = TrainingConfig(), TrainingConfig()
    assert isinstance(one.time_limit, TimeLimit)
    assert not one.time_limit.finite
    one.time_limit.shortened.append("mine")
    assert one.time_limit is not other.time_limit
    assert other.time_limit.shortened == []


def test_unasked_there_is_one_process_and_silence():
    config = TrainingConfig()
    assert (config.devices, config.num_nodes, config.verbose, config.on_check) == (1, 1, 0, None)
    assert (config.number, config.n_models) == (1, 1)
