import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from latentode import load
from latentode.persistence.saving import FORMAT_VERSION
from tests.estimators.keep_model import MODELS, frame
from tests.estimators.tiny import edit_config


@pytest.fixture
def of_format_3(tmp_path):
    return Path(shutil.copytree(MODELS / "format_3", tmp_path / "model"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("encoder", "attention", "encoder='attention'"),
        ("encoder", "bigru", "encoder='bigru'"),
        ("dynamics", "gated", "dynamics='gated'"),
        ("decoder", "heads", "decoder='heads'"),
        ("likelihood", "student_t", "likelihood='student_t'"),
        ("frequencies", [0.5, 1.0], "rhythm=True"),
        ("augment_dim", 2, "augment_dim=2"),
        ("time_aware", True, "time_aware=True"),
        ("time_aware", {"of": [1]}, "time_aware="),
    ],
)
def test_a_model_of_format_3_that_uses_what_is_gone_is_refused_by_name(of_format_3, name, value, said):
    edit_config(of_format_3, lambda c: c["model"].update({name: value}))
    with pytest.raises(ValueError, match=f"trained with {said}.*no longer has; fit it again"):
        load(of_format_3)


def test_a_model_of_format_3_is_saved_in_the_present_format(of_format_3, tmp_path):
    load(of_format_3).save(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["format_version"] == FORMAT_VERSION
    assert "rhythm" not in config["params"]
    assert {column["farthest"] for columns in config["coding"].values() for column in columns} == {8.0}
    pd.testing.assert_frame_equal(
        load(tmp_path / "again").predict(frame()), load(of_format_3).predict(frame()), check_exact=True
    )


def test_a_skip_decoder_that_was_drawn_to_observations_is_the_bridged_one(tmp_path):
    shutil.copytree(MODELS / "format_6", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["model"]["decoder"], config["model"]["bridge"]) == ("skip", True)
    forecaster = load(tmp_path / "model")
    assert forecaster.model_.config.decoder == "bridged"
    assert forecaster.decoder == "skip"  # that of a new fit
