import tomllib
from pathlib import Path

from packaging.version import Version

import latentode
from latentode._version import __version__

ROOT = Path(__file__).parents[1]


def test_the_version_is_the_one_the_package_is_built_with():
    built_from = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["version"]["path"]
    assert (ROOT / built_from).samefile(latentode._version.__file__)
    assert latentode.__version__ == __version__


def test_the_version_is_one_that_installers_order():
    assert str(Version(__version__)) == __version__
