import pandas as pd
import pytest

from latentode.datasets import load_pbc

LABS = ["bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime"]


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    return load_pbc()


def test_there_are_312_patients_and_1945_visits(visits):
    assert visits["id"].nunique() == 312
    assert len(visits) == 1945


def test_the_default_frame_is_ids_times_and_float_labs_only(visits):
    assert list(visits.columns) == ["id", "time", *LABS]
    assert all(visits[lab].dtype == "float64" for lab in LABS)
    assert visits["time"].dtype == "int64"


def test_a_patient_is_seen_once_at_a_time_in_order_from_day_zero(visits):
    assert not visits.duplicated(["id", "time"]).any()
    assert visits.equals(visits.sort_values(["id", "time"], ignore_index=True))
    assert (visits.groupby("id")["time"].min() == 0).all()


def test_missing_labs_stay_missing(visits):
    missing = visits[LABS].isna().sum()
    assert missing.to_dict() == dict.fromkeys(LABS, 0) | {"chol": 821, "alk_phos": 60, "platelet": 73}


def test_known_values_of_the_first_patient_are_unchanged(visits):
    first = visits.iloc[0]
    assert first[LABS].tolist() == [14.5, 261.0, 2.60, 1718.0, 138.0, 190.0, 12.2]


def test_the_survival_outcome_is_given_only_on_request():
    assert not {"futime", "status"} & set(load_pbc(extras=True).columns)
    outcome = load_pbc(outcome=True)
    assert list(outcome.columns) == ["id", "time", *LABS, "futime", "status"]
    assert (outcome["time"] <= outcome["futime"]).all()
    assert outcome.groupby("id")["status"].first().value_counts().to_dict() == {0: 143, 1: 29, 2: 140}


def test_static_columns_are_constant_per_patient():
    frame = load_pbc(extras=True)
    assert len(frame[["id", "age", "sex", "trt"]].drop_duplicates()) == 312
    patients = frame.groupby("id").first()
    assert patients["trt"].value_counts().to_dict() == {"D-penicillamine": 158, "placebo": 154}
