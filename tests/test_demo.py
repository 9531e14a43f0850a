from functools import partial

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster, demo
from latentode.datasets import load_pbc
from latentode.demo import LABS, run_demo, split_visits

pytestmark = pytest.mark.usefixtures("roughly_stacked")


@pytest.fixture(scope="module")
def visits():
    return load_pbc()


@pytest.fixture(scope="module")
def role(visits):
    return split_visits(visits)


def patients(visits, role, *roles):
    return set(visits.loc[role.isin(roles), "id"])


def test_two_fifths_of_the_patients_who_came_back_are_tested_half_of_them_seen(visits, role):
    n_back = (visits.groupby("id").size() >= 2).sum()
    seen, unseen = patients(visits, role, "seen"), patients(visits, role, "unseen")
    assert len(seen) == len(unseen) == round(0.2 * n_back)
    assert not seen & unseen


def test_no_visit_of_an_unseen_patient_is_in_the_fit(visits, role):
    assert not patients(visits, role, "unseen", "history") & patients(visits, role, "fit")
    assert patients(visits, role, "unseen") == patients(visits, role, "history")
    assert patients(visits, role, "seen") <= patients(visits, role, "fit")


def test_held_out_visits_are_the_last_third_in_time_and_at_least_one(visits, role):
    late = role.isin(["seen", "unseen"])
    first_hidden = visits[late].groupby("id")["time"].min()
    last_known = visits[~late & visits["id"].isin(first_hidden.index)].groupby("id")["time"].max()
    assert (last_known < first_hidden).all()
    counts = visits.groupby("id").size()[first_hidden.index]
    assert (visits[late].groupby("id").size() == np.maximum(counts // 3, 1)).all()


def test_the_split_is_the_same_every_time(visits, role):
    pd.testing.assert_series_equal(split_visits(visits), role)
    assert sorted(patients(visits, role, "seen"))[:5] == [1, 6, 20, 21, 29]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("here") / "demo"
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "LatentODEForecaster", partial(LatentODEForecaster, max_steps=5, n_models=1, verbose=False))
        scores = run_demo(out, random_state=1, echo=said.append)
    return out, scores, "\n".join(said)


def test_the_scores_are_of_every_lab_and_forecaster_for_both_groups(run):
    _, scores, _ = run
    assert set(scores["patients"]) == {"seen", "unseen"}
    assert set(scores["channel"]) == {*LABS, "mean"}
    assert list(scores["forecaster"].unique()) == [
        "latentode",
        "last value",
        "patient's mean",
        "overall mean",
        "linear fit",
    ]
    assert len(scores) == 2 * 8 * 5
    assert np.isfinite(scores[["mae", "rmse", "crps", "coverage"]]).all(axis=None)


def test_what_is_printed_fits_100_columns_and_shows_every_score_of_every_lab(run):
    _, scores, said = run
    assert max(len(line) for line in said.splitlines() if not line.startswith("written to")) <= 100
    for score in ("MAE", "RMSE", "CRPS", "90 % coverage"):
        assert said.count(f"{score} by lab") == 2
    for lab in LABS.values():
        assert said.count(f"  {lab} ") == 2 * 4
    ours = scores.set_index(["patients", "forecaster", "channel"])["mae"]["seen", "latentode", "bili"]
    assert f"  {LABS['bili']}" in said
    assert f"{ours:.2f}" in said


def test_it_says_that_it_fits_before_it_does_and_what_it_wrote_after(run):
    out, _, said = run
    assert said.index("Fitting 255 patients, ") < said.index("Fitted in ") < said.index("Seen patients")
    assert said.endswith(f"written to {out / 'forecasts.csv'}\nwritten to {out / 'forecasts.png'}")


def test_the_csv_holds_every_held_out_visit_and_lab_with_its_truth_and_interval(run, visits, role):
    table = pd.read_csv(run[0] / "forecasts.csv")
    assert table.columns.tolist() == ["id", "patients", "time", "lab", "observed", "forecast", "lo-90", "hi-90"]
    late = role.isin(["seen", "unseen"])
    assert len(table) == late.sum() * len(LABS)
    assert table[["forecast", "lo-90", "hi-90"]].notna().all(axis=None)
    assert (table["lo-90"] < table["hi-90"]).all()
    expected = visits[late].melt(["id", "time"], list(LABS), "lab", "observed")
    keys = ["id", "time", "lab"]
    found = table[[*keys, "observed"]].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected.sort_values(keys, ignore_index=True))
    assert (table["patients"] == table["id"].map(dict(zip(visits["id"][late], role[late], strict=True)))).all()


def test_the_csv_agrees_with_the_scores(run):
    out, scores, _ = run
    table = pd.read_csv(out / "forecasts.csv")
    mine = table[(table["patients"] == "unseen") & (table["lab"] == "protime")].dropna()
    row = scores.set_index(["patients", "forecaster", "channel"]).loc[("unseen", "latentode", "protime")]
    assert (mine["forecast"] - mine["observed"]).abs().mean() == pytest.approx(row["mae"], rel=1e-3)
    assert mine["observed"].between(mine["lo-90"], mine["hi-90"]).mean() == pytest.approx(row["coverage"], abs=0.02)


def test_the_picture_is_there(run):
    picture = (run[0] / "forecasts.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 50_000
