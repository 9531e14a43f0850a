"""The pages say what is true: their Python runs, their links lead somewhere, every page is in a contents list."""

import re
import runpy
import warnings
from dataclasses import fields
from pathlib import Path

import pytest

from latentode.estimators import defaults
from latentode.estimators.settings import LIMITS, Settings
from latentode.training import TrainingConfig

pytestmark = pytest.mark.usefixtures("roughly_stacked")

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SHORT = ["covariates", "data", "forecasting", "inputs", "interop", "pipelines", "quickstart", "saving", "uncertainty"]


def of_few_steps(n_steps, **options):
    return TrainingConfig(n_steps=min(n_steps, 5), **options)


@pytest.mark.parametrize("name", SHORT)
def test_the_python_of_a_page_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(defaults, "N_MODELS", 1)  # of several each takes as long
    monkeypatch.setattr(defaults, "TrainingConfig", of_few_steps)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{name}.md").read_text("utf-8"), re.S)
    assert blocks
    space: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            exec(compile(block, f"{name}.md", "exec"), space)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_parameter_and_every_choice_is_on_the_page_of_choices():
    page, solver = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("choosing", "solver"))
    for field in fields(Settings):
        assert re.search(rf"[`(]{field.name}[`=]", page), field.name
        for choice in getattr(LIMITS.get(field.name), "choices", ()):
            assert f'"{choice}"' in page or (field.name == "method" and f"`{choice}`" in solver), (field.name, choice)


def test_every_page_is_in_the_contents():
    listed = (DOCS / "index.md").read_text("utf-8").splitlines()
    assert {p.stem for p in PAGES} - {"index"} <= set(listed)


def test_the_picture_of_the_floors_is_that_of_the_import_contracts():
    drawn = runpy.run_path(str(DOCS / "floors.py"))["picture"]()
    assert (DOCS / "images" / "floors.svg").read_text() == drawn
