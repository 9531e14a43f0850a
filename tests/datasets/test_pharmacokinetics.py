"""Drug concentrations after doses: exact courses, noise, and the rows of doses and measurements."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from latentode.datasets import make_pharmacokinetics


def _solved(subject, route, doses, times):
    """The concentration at some times by a solver, restarted at every dose."""
    ka, out = subject["ka"], subject["clearance"] / subject["volume"]
    there, back = subject["exchange"] / subject["volume"], subject["exchange"] / subject["peripheral"]

    def slope(_, a):
        return [-ka * a[0], ka * a[0] - (out + there) * a[1] + back * a[2], there * a[1] - back * a[2]]

    a, at, found = np.zeros(3), 0.0, np.zeros(len(times))
    for when, amount in [*zip(doses["time"], doses["dose"], strict=True), (times.max() + 1, 0.0)]:
        inside = (times > at) & (times <= when)
        course = solve_ivp(slope, (at, when), a, "DOP853", dense_output=True, rtol=1e-11, atol=1e-12)
        found[inside] = course.sol(times[inside])[1]
        a, at = course.y[:, -1] + amount * np.eye(3)[0 if route == "oral" else 1], when
    return found / subject["volume"]


@pytest.mark.parametrize("compartments", [1, 2])
@pytest.mark.parametrize("route", ["oral", "intravenous"])
def test_the_concentration_is_that_of_a_solver(compartments, route):
    _, truth, parameters = make_pharmacokinetics(2, 3, compartments=compartments, route=route, random_state=0)
    for name, rows in truth.groupby("id"):
        doses = rows[rows["dose"].notna()]
        expected = _solved(parameters.loc[name], route, doses, rows["time"].to_numpy())
        assert np.abs(rows["concentration"] - expected).max() < 1e-8
        assert rows["concentration"].max() > 0.5


def test_a_row_is_a_dose_or_a_measurement_and_the_rows_of_a_subject_are_in_order():
    data, truth, parameters = make_pharmacokinetics(20, random_state=0)
    assert (data["dose"].isna() == data["concentration"].notna()).all()
    pd.testing.assert_frame_equal(data.drop(columns="concentration"), truth.drop(columns="concentration"))
    assert data.groupby("id")["time"].is_monotonic_increasing.all()
    assert len(parameters) == data["id"].nunique() == 20
    assert data.groupby("id")["dose"].count().between(4, 10).all()


def test_noise_has_a_proportional_and_an_additive_part():
    data, truth, _ = make_pharmacokinetics(80, 10, proportional_noise=0.2, additive_noise=0.05, random_state=0)
    clean = truth["concentration"]
    error = (data["concentration"] - clean)[data["concentration"] > 0]
    for part in (clean.between(0.2, 0.5), clean.between(1, 2), clean > 3):
        expected = np.hypot(0.2 * clean, 0.05)
        assert (error / expected)[part & error.notna()].std() == pytest.approx(1, abs=0.1)
    without, truth, _ = make_pharmacokinetics(3, proportional_noise=0, additive_noise=0, random_state=0)
    measured = without["concentration"].notna()
    np.testing.assert_allclose(without["concentration"][measured], truth["concentration"][measured])


def test_subjects_differ_as_much_as_is_said():
    _, _, parameters = make_pharmacokinetics(300, 1, between_subjects=0.4, random_state=0)
    assert np.log(parameters["clearance"]).std() == pytest.approx(0.4, rel=0.1)
    assert (parameters["exchange"] == 0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_series": 0},
        {"n_days": 0},
        {"mean_gap": -1},
        {"compartments": 3},
        {"route": "nasal"},
        {"proportional_noise": -0.1},
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        make_pharmacokinetics(**wrong)
