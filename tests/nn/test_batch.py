from dataclasses import fields

import torch
from torch import Tensor

from tests.nn.batches import batch_of, random_batch


def test_a_tiled_batch_is_one_copy_after_the_other():
    batch = random_batch()
    tiled = batch.tile(3)
    for field in fields(batch):
        value, many = getattr(batch, field.name), getattr(tiled, field.name)
        if isinstance(value, Tensor):
            assert torch.equal(many, torch.cat([value] * 3)), field.name
        else:
            assert many == value


def test_a_batch_moves_whole_but_for_the_lengths_which_the_host_reads():
    moved = random_batch().to(torch.device("meta"))
    for field in fields(moved):
        value = getattr(moved, field.name)
        here = "cpu" if field.name == "lengths" else "meta"
        assert not isinstance(value, Tensor) or value.device.type == here, field.name


def test_a_batch_without_targets_moves_and_tiles():
    batch = batch_of([(0.0, 1.0)])
    assert batch.tile(2).targets is None
    assert batch.to(torch.device("cpu")).target_mask is None
