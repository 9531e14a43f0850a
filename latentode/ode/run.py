"""One pass over the route, forward: with a tape and in place, or with operations autograd sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.control import AdaptiveSteps, Controller, FixedSteps
from latentode.ode.drive import Drive, MakeControl
from latentode.ode.field import Tape
from latentode.ode.implicit import Jacobian, StageJacobian, StageSolver, accuracy_of
from latentode.ode.independent import IndependentMarch
from latentode.ode.ledger import Ledger
from latentode.ode.methods import Method
from latentode.ode.path import Path
from latentode.ode.route import Moment, Route
from latentode.ode.stepping import Course, March, Tolerance

__all__ = ["Plan", "Record", "TapedRun", "run_plain"]


@dataclass
class Plan:
    """Everything one solve needs besides tensors that receive gradients.

    Parameters
    ----------
    method, controller, tolerance
        How to step.
    tape : callable
        Makes a tape from (parameters, args, record).
    jacobian : callable, optional
        For implicit methods: df/dz from (t, u, z, args).
    make_control : callable, optional
        Makes the control's path of every row from its tensors.
    n_parameters, n_args : int
        How the leaves, which end with the control's tensors, are told apart.
    jumps : bool
        Whether the field may jump between the pieces of the route.
    independent : bool
        Whether every row steps by an error of its own.
    """

    method: Method
    controller: Controller
    tolerance: Tolerance
    tape: Callable[[Sequence[Tensor], Sequence[Tensor], bool], Tape]
    jacobian: Jacobian | None
    make_control: MakeControl | None
    n_parameters: int
    n_args: int
    jumps: bool = False
    independent: bool = False

    def split(self, leaves: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        """Tell parameters, args and the control's tensors apart."""
        a, b = self.n_parameters, self.n_parameters + self.n_args
        return leaves[:a], leaves[a:b], leaves[b:]

    def tape_of(self, leaves: Sequence[Tensor], record: bool) -> Tape:
        """A tape for one pass."""
        parameters, args, _ = self.split(leaves)
        return self.tape(parameters, args, record)

    def drive(self, route: Route, leaves: Sequence[Tensor], dtype: torch.dtype) -> Drive:
        """What tells the time and the control along the route."""
        n_steps = self.controller.n_steps if isinstance(self.controller, FixedSteps) else None
        return Drive(route, n_steps, self.make_control, self.split(leaves)[2], dtype)

    def march(self, course: Course, z0: Tensor) -> March:
        """The loop that steps as was asked."""
        if self.independent and isinstance(self.controller, AdaptiveSteps) and len(z0):  # no row gets on where none is
            return IndependentMarch(course, self.controller, z0)
        return March(course, self.controller, z0)

    def course(
        self,
        evaluate: Callable[[int, Moment, Tensor], Tensor],
        ledger: Callable[[], Ledger],
        drive: Drive,
        args: Sequence[Tensor],
        *,
        differentiable: bool,
    ) -> Course:
        """What the loop is told."""
        jacobian, stages = self.jacobian, None
        if jacobian is not None:
            accuracy = accuracy_of(self.tolerance.rtol, self.tolerance.atol, adaptive=self.controller.adaptive)
            gamma = self.method.tableau.diagonal
            stages = StageSolver(
                evaluate, ledger, drive, lambda t, u, z: jacobian(t, u, z, args), gamma, accuracy,
                differentiable=differentiable,
            )  # fmt: skip
        return Course(evaluate, drive.route, self.method, self.tolerance, self.method.uses_end_slope, implicit=stages)

    def trim(self, path: Path) -> None:
        """Forget the last slope where only the step's error was read off it."""
        if not self.method.uses_end_slope:
            path.n_slots = path.first[-1] + path.stages

    def first_slots(self) -> int:
        """How many slots to begin with."""
        steps = self.controller.n_steps if isinstance(self.controller, FixedSteps) else 8
        return steps * self.method.tableau.stages + 1


@dataclass
class Record:
    """What a pass left: its stages by slot, and where it stepped."""

    ledger: Ledger
    path: Path


class _Taped:
    """What the loop evaluates: a field on a tape, entered in a ledger.

    It knows nothing of the loop, so that nothing outlives its use in a cycle of references.
    """

    def __init__(self, plan: Plan, tape: Tape, drive: Drive, z0: Tensor) -> None:
        self.tape, self.drive, self.z0 = tape, drive, z0
        self.reads = tape.reads_time or plan.make_control is not None
        self.ledger: Ledger

    def evaluate(self, slot: int, moment: Moment, z: Tensor) -> Tensor:
        """Write the slope of a slot."""
        slope = self.ledger.slope_buffer(slot)
        t, u = self.drive(moment) if self.reads else (None, None)
        self.tape.evaluate(slot, t, u, z, slope)
        return slope

    def begin(self, n_slots: int) -> None:
        """Write to a new ledger."""
        self.ledger = Ledger(n_slots, self.z0)
        self.tape.reserve(n_slots)

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots."""
        self.ledger.reserve(n_slots)
        self.tape.reserve(n_slots)


class TapedRun:
    """A pass that may pause: ``advance`` takes so many steps and leaves them in a ledger of their own.

    With a ``controller`` of its own it goes on from ``clock``, where ``begun`` steps have been taken.
    """

    def __init__(
        self, plan: Plan, tape: Tape, z0: Tensor, route: Route, leaves: Sequence[Tensor],
        *, controller: Controller | None = None, clock: float = 0.0, begun: int = 0,
    ) -> None:  # fmt: skip
        self.plan, self.z0, self.args = plan, z0, plan.split(leaves)[1]
        self.drive = plan.drive(route, leaves, z0.dtype)
        taped = self.taped = _Taped(plan, tape, self.drive, z0)
        course = plan.course(taped.evaluate, lambda: taped.ledger, self.drive, self.args, differentiable=False)
        self.march = March(course, controller, z0, clock, begun) if controller else plan.march(course, z0)

    def advance(self, most: int | None = None) -> Record:
        """Take the steps to the end, or ``most`` of them."""
        self.taped.begin(self.plan.first_slots() if most is None else most * self.plan.method.tableau.stages + 1)
        path = self.march.advance(self.taped.ledger, most, self.taped.reserve)
        self.plan.trim(path)
        return Record(self.taped.ledger, path)

    def jacobian_of_slot(self, record: Record) -> StageJacobian | None:
        """For implicit methods, what returns df/dz of a slot of the record."""
        jacobian = self.plan.jacobian
        if jacobian is None:
            return None
        given = self.drive.given(self.drive.times(record.path, self.plan.method.tableau.c))
        states, _ = record.ledger.stacked(record.path.n_slots)

        def of_slot(slot: int) -> Tensor:
            t, u = given
            return jacobian(t[slot], None if u is None else u[slot], states[slot], self.args)

        return of_slot


def run_plain(
    plan: Plan,
    called: Callable[[Tensor, Tensor | None, Tensor], Tensor],
    z0: Tensor,
    route: Route,
    leaves: Sequence[Tensor],
) -> Record:
    """Take all steps with operations autograd sees."""
    ledger, drive = Ledger(plan.first_slots(), None), plan.drive(route, leaves, z0.dtype)

    def evaluate(slot: int, moment: Moment, z: Tensor) -> Tensor:
        ledger.states[slot] = z
        slope = ledger.slopes[slot] = called(*drive(moment), z).to(z.dtype)
        return slope

    course = plan.course(evaluate, lambda: ledger, drive, plan.split(leaves)[1], differentiable=True)
    path = plan.march(course, z0).advance(ledger, reserve=ledger.reserve)
    plan.trim(path)
    return Record(ledger, path)
