import numpy as np
import pandas as pd
import pytest
from scipy import stats

from latentode.evaluation import LastValue, backtest, coverage_by_lead, pit
from latentode.evaluation.reliability import coverage_and_error

NAN = float("nan")
LEVELS = np.arange(1, 20) / 20


def uniform(values):
    return stats.kstest(values, "uniform").pvalue > 0.01


def test_the_transform_of_exchangeable_samples_is_uniform_even_of_counts():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((4000, 6))
    counts = rng.poisson(0.7, (4000, 6))
    assert uniform(pit(normal[:, 0], normal[:, 1:]))
    assert uniform(pit(counts[:, 0], counts[:, 1:]))


def test_the_transform_of_quantiles_is_uniform_where_they_are_right():
    rng = np.random.default_rng(1)
    quantiles = np.broadcast_to(stats.norm.ppf(LEVELS), (4000, 19))
    assert uniform(pit(rng.standard_normal(4000), quantiles, LEVELS))
    assert not uniform(pit(2 * rng.standard_normal(4000), quantiles, LEVELS))


def test_the_transform_of_quantiles_of_counts_is_nearly_uniform():
    rng = np.random.default_rng(2)
    quantiles = np.broadcast_to(stats.poisson.ppf(LEVELS, 1.5), (20_000, 19))
    found = np.histogram(pit(rng.poisson(1.5, 20_000), quantiles, LEVELS), 5, (0, 1))[0] / 20_000
    assert found == pytest.approx(0.2, abs=0.03)


def test_the_transform_lies_between_the_neighbouring_ranks_or_levels():
    assert 0.25 <= pit([1.5], [[1.0, 2.0, 3.0]])[0] <= 0.5
    assert 0 <= pit([-9.0], [[1.0, 2.0]], [0.1, 0.9])[0] <= 0.1
    ties = pit(np.zeros(2000), np.tile([0.0, 0.0, 4.0], (2000, 1)), [0.2, 0.4, 0.6])
    assert (ties.min(), ties.max()) == pytest.approx((0.0, 0.5), abs=0.01)


def test_the_transform_is_of_known_values_only_and_repeats_itself():
    first, again = (pit([[1.0, NAN], [2.0, 3.0]], np.zeros((2, 2, 4))) for _ in range(2))
    assert first.shape == (3,)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, pit([1.0, 2.0, 3.0], np.zeros((3, 4)), random_state=1))


def test_the_transform_refuses_levels_that_are_not_those_of_the_quantiles():
    with pytest.raises(ValueError, match="levels have shape"):
        pit([1.0], [[1.0, 2.0]], [0.5])


def test_the_error_of_coverage_is_that_found_between_many_data_sets():
    rng = np.random.default_rng(3)
    series = np.repeat(np.arange(40), 10)

    def one():
        shared = np.repeat(rng.standard_normal(40), 10)
        values = np.sqrt(0.6) * shared + np.sqrt(0.4) * rng.standard_normal(400)
        return coverage_and_error(np.abs(values) < stats.norm.ppf(0.9), series)[:2]

    shares, errors = np.array([one() for _ in range(400)]).T
    assert errors.mean() == pytest.approx(shares.std(), rel=0.12)
    assert shares.std() > 1.5 * np.sqrt(0.8 * 0.2 / 400)  # independent values would vary less


def test_an_error_is_known_from_two_series_on_and_never_zero():
    assert np.isnan(coverage_and_error(np.ones(5, bool), np.zeros(5))[1])
    assert coverage_and_error(np.ones(5, bool), np.arange(5))[1] > 0.1
    assert coverage_and_error(np.ones(0, bool), np.arange(0))[2] == 0


def frame():
    rng = np.random.default_rng(4)
    rows = pd.MultiIndex.from_product([["mine", "other"], range(6), range(1, 5)], names=["model", "series", "lead"])
    df = rows.to_frame(index=False).assign(y=rng.standard_normal(48))
    width = np.where(df["model"] == "mine", 9.0, 0.0)
    return df.assign(**{"q0.05": -width, "q0.5": 0.0, "q0.25": -width / 2, "q0.75": width / 2, "q0.95": width})


def test_coverage_is_by_model_lead_and_level():
    table = coverage_by_lead(frame(), bins=[0, 2, 4])
    assert list(table.columns) == ["model", "lead", "nominal", "achieved", "standard_error", "n", "n_series"]
    assert table["nominal"].tolist() == [50.0, 90.0] * 4
    assert table["achieved"].tolist() == [100.0, 100.0, 0.0, 0.0] * 2
    backwards = coverage_by_lead(frame().iloc[::-1], bins=[0, 2, 4])
    assert backwards["lead"].tolist() == table["lead"].tolist()
    assert set(table["n"]) == {12}
    assert set(table["n_series"]) == {6}


def test_coverage_may_be_divided_by_other_columns_or_none():
    whole = coverage_by_lead(frame(), bins=1, levels=[90], by=())
    assert whole["achieved"].tolist() == [50.0]
    channels = pd.concat([frame().assign(channel=c) for c in "ab"])
    assert len(coverage_by_lead(channels, bins=1, levels=[90], by=("channel", "model"))) == 4


def test_coverage_counts_known_values_only():
    hidden = frame().assign(y=lambda d: d["y"].mask(d["series"] == 0))
    assert coverage_by_lead(hidden, bins=1, levels=[90])[["n", "n_series"]].to_numpy().tolist() == [[20, 5]] * 2


def test_coverage_takes_the_leads_of_a_backtest_of_dates():
    days = pd.date_range("2024-01-01", periods=8, freq="D")
    df = pd.DataFrame({"id": np.repeat([1, 2, 3], 8), "time": np.tile(days, 3), "x": np.arange(24.0)})
    table = coverage_by_lead(backtest(LastValue(), df, naive={}), bins=2, levels=[80])
    assert isinstance(table["lead"][0].right, pd.Timedelta)
    assert (table["n_series"] == 3).all()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: coverage_by_lead(frame().drop(columns="y")), r"no column \['y'\]"),
        (lambda: coverage_by_lead(frame(), levels=[80]), "a bound of the 80 % interval"),
        (lambda: coverage_by_lead(frame(), bins=[0, 2]), "24 leads lie in no bin"),
    ],
)
def test_what_cannot_be_tabulated_is_refused_with_the_reason(call, match):
    with pytest.raises(ValueError, match=match):
        call()
