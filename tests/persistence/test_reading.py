import os

import pytest

from latentode import load
from latentode.persistence.reading import read_whole
from tests.estimators.tiny import quick, rename_weights, waves


@pytest.mark.parametrize("bomb", ["[" + "[]," * 2_000_000 + "[]]", '{"a":' * 2_000_000])
def test_a_config_of_many_lists_is_refused_before_it_is_read(spoilt, bomb):
    text = (spoilt / "config.json").read_text()
    (spoilt / "config.json").write_text(text.replace('"history": {', f'"history": {bomb}, "x": {{', 1))
    with pytest.raises(ValueError, match=r"not a readable forecaster: config\.json holds 2\d* brackets"):
        load(spoilt)


@pytest.mark.parametrize(("name", "size"), [("config.json", 2**26), ("weights.safetensors", 2**40)])
def test_files_larger_than_such_a_model_are_not_read(spoilt, name, size):
    os.truncate(spoilt / name, size)  # holes: the disk holds none of it
    with pytest.raises(ValueError, match=rf"not a readable forecaster: {name} has {size} bytes, more than"):
        load(spoilt)


def test_without_a_series_weights_are_as_large_as_their_sizes_say(tmp_path):
    quick(max_steps=1).fit(waves(3, 6)).save(tmp_path / "model", include_history=False)
    assert load(tmp_path / "model").panel_.n_series == 0
    weights = rename_weights(tmp_path / "model") / "weights.safetensors"
    os.truncate(weights, weights.stat().st_size + 2**20)
    with pytest.raises(ValueError, match=r"weights\.safetensors has \d+ bytes, more than"):
        load(tmp_path / "model")


def test_what_does_not_fit_into_memory_is_refused_like_any_other(spoilt):
    class Full:
        def __init__(self, file):
            self.name, self.fileno = file.name, file.fileno

        def read(self):
            raise MemoryError

    with (
        (spoilt / "config.json").open("rb") as file,
        pytest.raises(ValueError, match=r"config\.json has \d+ bytes, more than fit into memory"),
    ):
        read_whole(Full(file), 10**6)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_link_that_leads_out_of_the_directory_is_not_followed(spoilt, tmp_path, name):
    (tmp_path / "elsewhere").write_bytes((spoilt / name).read_bytes())
    (spoilt / name).unlink()
    (spoilt / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=rf"{name} is a link that leads out"):
        load(spoilt)


def test_a_directory_that_is_a_link_is_read(saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    assert load(tmp_path / "link").channels_ == ("x", "y")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_a_pipe_is_not_waited_for(spoilt):
    (spoilt / "config.json").unlink()
    os.mkfifo(spoilt / "config.json")
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        load(spoilt)
