"""Irregular series to try things on: real ones, bundled or in files a user has, and generators.

Every function returns a long frame as a forecaster takes it: a row per series and time, a column per channel.
"""

from latentode.datasets.airports import load_airports
from latentode.datasets.catchment import make_catchment
from latentode.datasets.pbc import load_pbc
from latentode.datasets.periodic import make_periodic
from latentode.datasets.pharmacokinetics import make_pharmacokinetics
from latentode.datasets.physionet2012 import load_physionet2012
from latentode.datasets.spirals import make_spirals
from latentode.datasets.storms import load_storms
from latentode.datasets.ushcn import load_ushcn

__all__ = [
    "load_airports",
    "load_pbc",
    "load_physionet2012",
    "load_storms",
    "load_ushcn",
    "make_catchment",
    "make_periodic",
    "make_pharmacokinetics",
    "make_spirals",
]
