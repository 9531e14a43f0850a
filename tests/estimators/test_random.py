import numpy as np
import pytest

from latentode.estimators.random import as_generator


@pytest.mark.parametrize("make", [lambda: 0, lambda: np.random.RandomState(0), lambda: np.random.default_rng(0)])
def test_equal_random_states_give_equal_generators(make):
    assert as_generator(make()).random() == as_generator(make()).random()


def test_a_generator_is_used_itself():
    rng = np.random.default_rng(0)
    assert as_generator(rng) is rng


@pytest.mark.parametrize("seed", ["a", -1, True, 1.5, [1]])
def test_what_is_no_seed_is_refused_by_name(seed):
    with pytest.raises(ValueError, match=r"random_state=.* must be a whole number from 0 up, a RandomState"):
        as_generator(seed)
