import math

import pytest
import torch

from latentode.nn.features import TypicalScales, log_gap, neighbours, row_features, summary_of
from tests.nn.batches import NAN, batch_of

GAP = torch.tensor(0.5)
USUAL = TypicalScales(GAP, torch.tensor([1.0, 2.0]))
HISTORY = [(-1.0, 1.0, NAN), (-0.5, 3.0, 10.0), (0.0, 2.0, NAN)]


def features_of(history, **more):
    batch = batch_of(history, **more)
    return row_features(batch, USUAL, torch.arange(batch.times.numel()))


def near(history, queries):
    found = neighbours(batch_of(history, queries=[queries]), GAP)
    return {name: getattr(found, name)[0] for name in vars(found)}


def assert_close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=1e-6)


# --------------------------------------------------------------------------------------------- neighbours


@pytest.mark.parametrize(
    ("query", "base", "since", "until"),
    [
        (-1.3, 1.0, 0.0, 0.3),  # before the first
        (-1.0, 1.0, 0.0, 0.5),  # at the first
        (-0.75, 2.0, 0.25, 0.25),  # half way
        (-0.6, 2.6, 0.4, 0.1),  # nearer the right
        (-0.5, 3.0, 0.0, 0.5),  # at one inside
        (0.0, 2.0, 0.0, 0.0),  # at the last
        (0.7, 2.0, 0.7, 0.0),  # after the last
    ],
)
def test_the_base_is_the_line_between_the_neighbours(query, base, since, until):
    found = near(HISTORY, [query])
    assert_close(found["base"][0, 0], base)
    assert_close(found["since"][0, 0], since)
    assert_close(found["until"][0, 0], until)
    assert found["has_left"][0, 0] == (query >= -1)
    assert found["has_right"][0, 0] == (query < 0)


def test_a_channel_seen_once_is_its_own_neighbour_on_either_side():
    found = near(HISTORY, [-0.9, -0.5, 0.4])
    assert_close(found["base"][:, 1], [10.0, 10.0, 10.0])
    assert_close(found["since"][:, 1], [0.0, 0.0, 0.9])
    assert_close(found["until"][:, 1], [0.4, 0.0, 0.0])
    assert_close(found["has_left"][:, 1], [0.0, 1.0, 1.0])
    assert_close(found["has_right"][:, 1], [1.0, 0.0, 0.0])


def test_a_channel_hidden_in_some_rows_is_bridged_over_them():
    history = [(-1.0, 0.0), (-0.75, NAN), (-0.5, NAN), (0.0, 4.0)]
    found = near(history, [-0.75, -0.5, -0.25])
    assert_close(found["base"][:, 0], [1.0, 2.0, 3.0])
    assert_close(found["since"][:, 0], [0.25, 0.5, 0.75])


def test_a_channel_never_seen_is_unknown():
    found = near([(-1.0, 1.0, NAN), (0.0, 2.0, NAN)], [-2.0, -0.5, 0.0, 1.0])
    for name in ("base", "known", "since", "until", "has_left", "has_right", "drift"):
        assert (found[name][:, 1] == 0).all(), name
    assert (found["known"][:, 0] == 1).all()


def test_an_empty_history_knows_nothing():
    found = neighbours(batch_of([], HISTORY, queries=[[-1.0, 0.0, 1.0]] * 2), GAP)
    assert (found.known[0] == 0).all()
    assert (found.base[0] == 0).all()
    assert (found.known[1] == 1).all()


def test_padding_is_no_neighbour():
    short, long = [(-0.5, 7.0, 1.0)], HISTORY
    alone = neighbours(batch_of(short, queries=[[-0.7, 0.2]]), GAP)
    padded = neighbours(batch_of(short, long, queries=[[-0.7, 0.2], [0.0, 0.0]], pad=3), GAP)
    for name in vars(alone):
        torch.testing.assert_close(getattr(padded, name)[0], getattr(alone, name)[0])


def test_queries_may_come_in_any_order():
    queries = [0.3, -1.2, -0.6, 0.0, -0.6]
    together = near(HISTORY, queries)
    for k, query in enumerate(queries):
        assert_close(together["base"][k], near(HISTORY, [query])["base"][0].tolist())


def test_the_drift_goes_on_after_the_last_value_at_its_last_rate():
    drift = near(HISTORY, [-0.6, 0.0, 0.25, 0.5])["drift"][:, 0, 0]
    assert_close(drift, [0.0, 0.0, -0.5, -1.0])  # the slope is (2 - 3) / 0.5


def test_the_drift_along_a_line_is_the_line_whichever_way_it_is_measured():
    line = [(-1.0, -3.0), (-0.8, -2.4), (-0.3, -0.9), (0.0, 0.0)]
    drift = near(line, [0.2])["drift"][0, 0]
    assert_close(drift[0], 0.6)
    assert drift[1].item() == pytest.approx(0.6, rel=0.05)


def test_a_channel_seen_once_has_no_drift():
    assert (near(HISTORY, [0.5])["drift"][0, 1].abs() < 1e-5).all()


def test_two_values_taken_together_make_no_cliff():
    drift = near([(-1.0, 0.0), (-1e-7, 0.0), (0.0, 1.0)], [1.0])["drift"][0, 0]
    assert (drift.abs() <= 20).all()


# ------------------------------------------------------------------------------------------- row features


def rows_of(history, **more):
    """Named features of every row of one history."""
    features = features_of(history, **more)
    names = ["value", "mask", "last", "since", "rate"]
    found = {name: features[:, 2 * k : 2 * k + 2] for k, name in enumerate(names)}
    return {**found, "gap": features[:, 10], "to_origin": features[:, 11]}


def test_rows_say_value_mask_last_value_age_and_rate_of_each_channel():
    found = rows_of(HISTORY)
    gap = math.log1p(0.5 / 0.5)
    assert_close(found["value"], [[1.0, 0.0], [3.0, 8.0], [2.0, 0.0]])  # drawn in to 8
    assert_close(found["mask"], [[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    assert_close(found["last"], [[0.0, 0.0], [1.0, 0.0], [3.0, 8.0]])
    assert_close(found["since"], [[0.0, 0.0], [gap, 0.0], [gap, gap]])
    assert_close(found["rate"], [[0.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    assert_close(found["gap"], [0.0, gap, gap])
    assert_close(found["to_origin"], [math.log1p(2.0), gap, 0.0])


def test_the_rate_is_over_the_gap_since_the_channel_was_seen_and_in_its_usual_change():
    history = [(-1.0, 0.0, 0.0), (-0.5, NAN, NAN), (0.0, 3.0, 3.0)]
    assert_close(rows_of(history)["rate"][2], [1.5, 0.75])


def test_the_rate_is_bounded():
    found = rows_of([(-1e-9, -1e3, 0.0), (0.0, 1e3, 1e-6)])
    assert found["rate"].abs().max() <= 4


def test_rows_do_not_see_what_comes_after_them():
    changed = [*HISTORY[:2], (0.0, 50.0, 50.0)]
    before, after = (features_of(h) for h in (HISTORY, changed))
    torch.testing.assert_close(before[:2], after[:2])
    assert not torch.equal(before[2], after[2])


def test_an_absurd_value_is_drawn_in():
    assert features_of([(-1.0, 1e30, -1e30), (0.0, 1.0, 1.0)]).abs().max() <= 8


# ----------------------------------------------------------------------------------------------- summary


def summarised(history, **more):
    summary = summary_of(batch_of(history, **more), USUAL)
    names = ["last", "mean", "age", "count", "rate"]
    found = dict(zip(names, summary.channels[0].T, strict=True))
    assert_close(summary.features[0], [*summary.channels[0].T.flatten(), summary.series[0, 0]])
    return {**found, "length": summary.series[0, 0], "level": summary.mean[0]}


@pytest.mark.parametrize("pad", [0, 4])
def test_a_summary_says_last_value_mean_age_count_and_rate(pad):
    found = summarised(HISTORY, pad=pad)
    assert_close(found["last"], [2.0, 8.0])
    assert_close(found["level"], [6 / 4, 10 / 2])  # as if the population's 0 had been seen once
    assert_close(found["mean"], [6 / 4, 5.0])
    assert_close(found["age"], [0.0, math.log1p(1.0)])
    assert_close(found["count"], [math.log1p(3.0), math.log1p(1.0)])
    assert_close(found["rate"], [-1.0, 0.0])
    assert_close(found["length"], math.log1p(2.0))


def test_the_summary_of_nothing_is_nothing():
    for history in ([], [(0.0, NAN, NAN)]):
        batch = batch_of(history, HISTORY)
        summary = summary_of(batch, USUAL)
        assert (summary.features[0] == 0).all()
        assert (summary.mean[0] == 0).all()


def test_the_rate_of_a_summary_skips_rows_without_the_channel():
    history = [(-1.0, 5.0, 1.0), (-0.5, NAN, 3.0), (0.0, 6.0, NAN)]
    assert_close(summarised(history)["rate"], [0.5, 1.0])


def test_gaps_are_logarithmic_and_never_negative():
    assert_close(log_gap(torch.tensor([-1.0, 0.0, 0.5, 5.0]), GAP), [0.0, 0.0, math.log(2), math.log(11)])
