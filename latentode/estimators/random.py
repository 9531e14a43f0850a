"""The generator behind a ``random_state``."""

from typing import Any

import numpy as np

from latentode.persistence.limits import Seed

__all__ = ["as_generator"]


def as_generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, a RandomState, a Generator or None; NumPy's global state is not touched.

    Raises
    ------
    ValueError
        When it is none of these.
    """
    if not Seed().allows(random_state):
        raise ValueError(f"random_state={random_state!r} must {Seed()}")
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, dtype=np.uint64))
    return np.random.default_rng(random_state)
