import numpy as np
import pytest

from latentode.training import TaskSampler, validation_batches
from tests.training.small import waves


@pytest.fixture
def setting():
    maker = TaskSampler(waves(), span=1.0)
    held_out = TaskSampler(waves(seed=1), span=1.0)
    return maker, validation_batches(held_out, np.arange(8), 2, np.random.default_rng(0))
