"""Irregular series to try things on: real ones, bundled with the package, and generators.

Every function returns a long frame as a forecaster takes it: a row per series and time, a column per channel.
"""

from latentode.datasets.pbc import load_pbc
from latentode.datasets.periodic import make_periodic
from latentode.datasets.spirals import make_spirals
from latentode.datasets.storms import load_storms

__all__ = ["load_pbc", "load_storms", "make_periodic", "make_spirals"]
