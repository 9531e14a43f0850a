"""What every generator owes its user."""

import numpy as np
import pytest

from latentode.datasets import make_periodic, make_spirals

GENERATORS = [make_spirals, make_periodic]
pytestmark = pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)


def test_the_same_seed_gives_the_same_frame_and_another_seed_does_not(make):
    assert make(5, 7, random_state=3).equals(make(5, 7, random_state=3))
    assert not make(5, 7, random_state=3).equals(make(5, 7, random_state=4))


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
def test_a_generator_given_is_used_and_moves_on(make, source):
    rng, twin = source(3), source(3)
    first, second = make(5, 7, random_state=rng), make(5, 7, random_state=rng)
    assert first.equals(make(5, 7, random_state=twin))
    assert not first.equals(second)


def test_without_a_seed_frames_differ_and_global_state_is_untouched(make):
    before = np.random.get_state()  # noqa: NPY002 (the legacy state is what must stay untouched)
    assert not make(5, 7).equals(make(5, 7))
    after = np.random.get_state()  # noqa: NPY002
    assert before[2:] == after[2:]
    assert (before[1] == after[1]).all()


def test_every_series_has_its_own_increasing_times(make):
    frame = make(20, 30, random_state=0)
    assert frame["id"].tolist() == np.repeat(np.arange(20), 30).tolist()
    assert (frame.groupby("id")["time"].diff().dropna() > 0).all()
    assert frame.loc[frame["id"] == 0, "time"].tolist() != frame.loc[frame["id"] == 1, "time"].tolist()


@pytest.mark.parametrize(("observed", "kept"), [(1.0, 20), (0.3, 6), (0.001, 1)])
def test_every_series_keeps_the_wanted_fraction_of_its_own_records(make, observed, kept):
    whole = make(50, 20, random_state=0)
    part = make(50, 20, observed=observed, random_state=0)
    assert (part.groupby("id").size() == kept).all()
    assert len(part.merge(whole)) == len(part)


def test_records_are_dropped_without_favour(make):
    whole = make(2000, 10, random_state=0)
    part = make(2000, 10, observed=0.5, random_state=0)
    position = whole.groupby("id").cumcount()
    kept = whole.merge(part, how="left", indicator=True)["_merge"] == "both"
    share = kept.groupby(position).mean()
    assert share.between(0.45, 0.55).all()  # 2,000 fair coins: standard error 0.011


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_series": 0}, "n_series=0"),
        ({"n_points": 0}, "n_points=0"),
        ({"observed": 0.0}, "observed=0.0"),
        ({"observed": 1.5}, "observed=1.5"),
    ],
)
def test_impossible_sizes_are_refused_by_name(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)
