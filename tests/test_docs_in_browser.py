"""The built pages in a browser: on a phone and on a desk."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import QUIET, needs_chromium, show

ROOT = Path(__file__).parents[1]
PAGES = ["index", "quickstart", "api", "solver", "generated/latentode.LatentODEForecaster"]
OF_THE_THEME = ("[PST]", "invalid theme mode")
"""Notices that the theme writes by itself; it writes no errors like this."""

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built from a copy: a build writes into its sources."""
    for name in ("sphinx", "myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_gallery"):
        pytest.importorskip(name)
    place = tmp_path_factory.mktemp("site")
    for folder in ("docs", "examples"):
        ignored = shutil.ignore_patterns("_build", "gallery", "generated", "sg_execution_times.rst")
        shutil.copytree(ROOT / folder, place / folder, ignore=ignored)
    command = [sys.executable, "-m", "sphinx", "-q", "-D", "plot_gallery=0", "-b", "html", "docs", "html"]
    subprocess.run(command, cwd=place, check=True, timeout=900)
    return place / "html"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_no_page_scrolls_sideways_or_reports_to_the_console(site, page, width, tmp_path):
    shown = show(site / f"{page}.html", width, tmp_path)
    assert shown.width == width
    assert shown.content <= shown.room
    assert not [line for line in shown.console if not any(own in line for own in OF_THE_THEME)]


def test_a_search_for_forecast_patients_finds_the_quickstart(site, tmp_path):
    address = (site / "search.html").as_uri() + "?q=forecast+patients"
    command = ["chromium", *QUIET, f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000", "--dump-dom", address]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    results = found[found.index('id="search-results"') :]
    assert 'href="quickstart.html"' in results
    assert "sg_execution_times" not in results
