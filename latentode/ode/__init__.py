"""Differentiable solving of ordinary differential equations, for batches of irregular series."""

from latentode.ode.block import ODEBlock
from latentode.ode.control_paths import ControlPath, CubicSpline, PiecewiseConstant, PiecewiseLinear
from latentode.ode.event import EventSolution, solve_event
from latentode.ode.failures import CoarseGridWarning, NotCompiledWarning, SolveError
from latentode.ode.field import AnalyticField, FieldGradients, Tape
from latentode.ode.methods import METHODS
from latentode.ode.solution import Solution, Stats
from latentode.ode.solve import solve
from latentode.ode.torchdiffeq.odeint import odeint, odeint_adjoint, odeint_event

__all__ = [
    "METHODS",
    "AnalyticField",
    "CoarseGridWarning",
    "ControlPath",
    "CubicSpline",
    "EventSolution",
    "FieldGradients",
    "NotCompiledWarning",
    "ODEBlock",
    "PiecewiseConstant",
    "PiecewiseLinear",
    "Solution",
    "SolveError",
    "Stats",
    "Tape",
    "odeint",
    "odeint_adjoint",
    "odeint_event",
    "solve",
    "solve_event",
]
