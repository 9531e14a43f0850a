# Two commands: make demo, make test. Each makes its own .venv first; make install is what they share.
PYTHON ?= python3
PIP_FLAGS ?=
SPHINX_FLAGS ?=
BIN := .venv/bin

.PHONY: install demo test test-slow coverage lint docs clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e ".[dev]"
	touch $@

demo: install
	$(BIN)/latentode demo --out demo

test: install
	$(BIN)/python -m pytest -q -n 2

test-slow: install
	$(BIN)/python -m pytest -q -n 2 -m slow

coverage: install
	$(BIN)/python -m pytest -q -n 2 --cov --cov-report=term-missing:skip-covered

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/house.py

docs: install
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -q $(SPHINX_FLAGS) -b html docs docs/_build

clean:
	rm -rf .venv demo build dist docs/_build docs/gallery docs/generated
