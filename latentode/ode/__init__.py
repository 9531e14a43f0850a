"""Differentiable solving of ordinary differential equations, for batches of irregular series."""

from latentode.ode.errors import CoarseGridWarning, SolveError
from latentode.ode.field import AnalyticField, FieldGradients, Tape
from latentode.ode.methods import METHODS
from latentode.ode.solve import Solution, Stats, solve

__all__ = [
    "METHODS",
    "AnalyticField",
    "CoarseGridWarning",
    "FieldGradients",
    "Solution",
    "SolveError",
    "Stats",
    "Tape",
    "solve",
]
