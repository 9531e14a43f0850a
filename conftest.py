"""Modules whose library is not installed have no doctests to collect."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("sktime") else ["latentode/sktime.py"]
