import pytest

from latentode.plotting import plot_weights
from tests.estimators import tiny


@pytest.fixture(scope="module")
def stacked():
    return tiny.quick(stacking=True).fit(tiny.waves(12, 8))


def test_every_channel_has_a_line_after_one_observation_and_one_after_ten(stacked):
    ax = plot_weights(stacked)
    weights = stacked.weights_
    assert len(ax.lines) == 2 * weights.shape[1] + 2  # two name the styles
    for k, channel in enumerate(weights.columns):
        for line, seen in zip(ax.lines[2 * k : 2 * k + 2], (1, 10), strict=True):
            assert line.get_ydata().tolist() == weights[channel].xs(seen, level="observations").tolist()
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == [
        *(str(c) for c in weights.columns),
        "after one observation",
        "after ten",
    ]


def test_lead_times_are_in_a_unit_a_person_reads():
    ax = plot_weights(tiny.quick(stacking=True).fit(tiny.dated(tiny.waves(12, 8))))
    assert ax.get_xlabel() in ("lead time (days)", "lead time (hours)", "lead time (minutes)")
    first, *others = [tick.get_text() for tick in ax.get_xticklabels()]
    assert first == "inside"
    assert [float(text) for text in others] == sorted(float(text) for text in others)


def test_of_many_channels_none_is_named():
    df = tiny.waves(12, 8)
    for k in range(10):
        df[f"more {k}"] = df["time"] + k
    ax = plot_weights(tiny.quick(stacking=True).fit(df))
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["after one observation", "after ten"]


def test_without_stacking_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="stacking=False"):
        plot_weights(tiny.quick(stacking=False).fit(tiny.waves(12, 8)))
