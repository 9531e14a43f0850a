"""The problem of a solve, and how the solver is set up for it in one direction of time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import cast

import torch
from torch import Tensor

from latentode.ode.control_paths import ControlPath
from latentode.ode.field import AnalyticField, Field, PlainTape, RecordedTape, Tape, called, is_analytic, parameters_of
from latentode.ode.field_inputs import FieldInputs
from latentode.ode.implicit import Jacobian, StageJacobian, StageSolver, jacobian_of
from latentode.ode.independent import IndependentLoop
from latentode.ode.loop import Evaluate, IntegrationLoop
from latentode.ode.methods import METHODS, Method
from latentode.ode.step_size import AdaptiveSteps, Controller, FixedSteps, GivenSteps, SharedSteps
from latentode.ode.steps import AcceptedSteps, Segments, StageBuffer, StageTime

__all__ = ["ADJOINTS", "Problem", "SolverSetup", "Steps", "check_choice"]

ADJOINTS = ("autograd", "backsolve", "checkpointed", "continuous", "discrete")
CONTROLLERS = {"I": AdaptiveSteps.I, "PI": AdaptiveSteps.PI, "PID": AdaptiveSteps.PID}
DEFAULT_STEPS = 6

Steps = int | Sequence[float] | None


@dataclass(frozen=True)
class Problem:
    """What is solved, and how: arguments of :func:`latentode.ode.solve`.

    Raises
    ------
    ValueError
        If options are unknown, or do not fit each other.
    """

    field: Field
    args: tuple[Tensor, ...]
    control: ControlPath | None
    method_name: str
    n_steps: Steps
    n_steps_back: Steps
    rtol: float
    atol: float
    controller: str
    independent: bool
    adjoint: str
    max_steps: int
    min_step: float
    compile: bool

    def __post_init__(self) -> None:
        """Raise if options do not fit each other."""
        check_choice("method", self.method_name, sorted(METHODS))
        check_choice("adjoint", self.adjoint, ADJOINTS)
        check_choice("controller", self.controller, tuple(CONTROLLERS))
        implicit = self.method.implicit
        if implicit and self.adjoint in ("backsolve", "continuous"):
            raise ValueError(
                f'adjoint="{self.adjoint}" solves a new equation by explicit steps, which a stiff field makes unstable:'
                f' with {self.method.name} use "discrete", "checkpointed" or "autograd"'
            )
        compilable = self.adjoint in ("autograd", "discrete") and self.control is None and not implicit
        if self.compile and not compilable:
            raise ValueError(
                "compile=True is for explicit methods without a control, with the discrete adjoint: "
                f"not for method={self.method.name!r}, adjoint={self.adjoint!r} or a control"
            )
        if self.independent and self.adjoint == "checkpointed":
            raise ValueError(
                "with independent=True use another adjoint than checkpointed, which needs the same steps for all series"
            )

    @cached_property
    def method(self) -> Method:
        """The method of that name."""
        return METHODS[self.method_name]

    @cached_property
    def analytic(self) -> bool:
        """Whether the field brings its own derivatives."""
        return is_analytic(self.field)

    @cached_property
    def leaves(self) -> tuple[Tensor, ...]:
        """Everything that may receive a gradient besides state and times: parameters, args, the control's tensors."""
        return (*parameters_of(self.field), *self.args, *(self.control.tensors if self.control else ()))

    def split(self, leaves: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        """Split leaves into parameters, args and the control's tensors."""
        end = len(leaves) - (len(self.control.tensors) if self.control else 0)
        begin = end - len(self.args)
        return leaves[:begin], leaves[begin:end], leaves[end:]

    def choose_steps(self, spans: Tensor, *, back: bool) -> Controller:
        """Return the steps the caller chose for one direction, or those the method is made for.

        Parameters
        ----------
        spans : Tensor
            (segment, series, 1)
        back : bool
            Whether the direction is the one of ``t_back``.
        """
        steps, n_segments = self.n_steps_back if back else self.n_steps, len(spans)
        if steps is None and self.method.adaptive:
            return AdaptiveSteps(
                self.method.tableau.error_order, CONTROLLERS[self.controller], self.rtol, self.atol, self.max_steps,
                self.min_step,
            )  # fmt: skip
        steps = DEFAULT_STEPS if steps is None else steps
        if not isinstance(steps, int):
            if n_segments > 1:
                raise ValueError("n_steps must be a number where there are jump or step times: those are nodes already")
            return GivenSteps(tuple(steps))
        if steps < 1:
            raise ValueError(f"n_steps must be at least 1, not {steps}")
        if n_segments == 1:
            return FixedSteps(steps)
        # By the largest share of its span that any series spends in each segment.
        lengths = spans.detach().abs()
        return SharedSteps.among((lengths / lengths.sum(0, keepdim=True)).amax(1).flatten(), steps)

    def one_batch(self, n_segments: Sequence[int]) -> bool:
        """Return whether both directions can be solved as rows of one batch: the fewer operators, the faster."""
        if len(n_segments) < 2 or self.n_steps != self.n_steps_back or not self.analytic or self.compile:
            return False
        in_one_pass = self.adjoint in ("discrete", "autograd") and not self.independent and not self.method.implicit
        return in_one_pass and set(n_segments) == {1}

    def jacobian(self, t: Tensor, u: Tensor | None, z: Tensor, args: Sequence[Tensor]) -> Tensor:
        """Return df/dz, (row, latent, latent)."""
        return jacobian_of(lambda z: called(self.field, t, u, z, args), z)


@dataclass(frozen=True)
class SolverSetup:
    """How the problem is solved in one direction of time, or in both as rows of one batch.

    Parameters
    ----------
    problem : Problem
        What is solved.
    segments : Segments
        The segments of time of every row.
    controller : Controller
        What chooses the steps.
    clock : Tensor
        (series, time): the queries, on the clock.
    queried, outside : Tensor
        (series, time): where there is a query in this direction, and where it lies beyond the segments.
    back : bool
        Whether the direction is the one of ``t_back``.
    rows : Tensor, optional
        (series, time): the row each query reads, where every series has two rows. None if row i is series i.
    """

    problem: Problem
    segments: Segments
    controller: Controller
    clock: Tensor
    queried: Tensor
    outside: Tensor
    back: bool = False
    rows: Tensor | None = None

    @property
    def n_steps(self) -> int | None:
        """The number of equal steps; None for any other grid."""
        return self.controller.n_steps if isinstance(self.controller, FixedSteps) else None

    @property
    def copies(self) -> int:
        """How many rows every series has."""
        return 1 if self.rows is None else 2

    def equal_steps(self) -> AcceptedSteps:
        """Return the steps of a grid of equal steps, with every slope evaluated."""
        if self.n_steps is None:
            raise RuntimeError("the steps are not equal")
        return AcceptedSteps.equal(self.problem.method, self.segments, self.n_steps)

    def on(self, start: Tensor, span: Tensor) -> "SolverSetup":
        """Return the same setup with other tensors for the segments."""
        return replace(self, segments=Segments(start, span, self.segments.jumps))

    def tape(self, leaves: Sequence[Tensor], z0: Tensor, *, record: bool, expects_gradient: bool = False) -> Tape:
        """Return a tape of the field for one pass; with ``record`` there will be a backward sweep."""
        field = self.problem.field
        parameters, args, _ = self.problem.split(leaves)
        if self.problem.analytic:
            return cast(AnalyticField, field).tape(args, z0, copies=self.copies, record=record)
        if record:
            return RecordedTape(field, parameters, args)
        return PlainTape(field, parameters, args, expects_gradient=expects_gradient)

    def inputs(self, leaves: Sequence[Tensor], dtype: torch.dtype) -> FieldInputs:
        """Return what gives the field its time and its control."""
        control, copies = self.problem.control, self.copies
        make = (lambda tensors: control.with_tensors(*tensors).repeat(copies)) if control is not None else None
        return FieldInputs(self.segments, self.n_steps, make, self.problem.split(leaves)[2], dtype)

    def inputs_of(self, tape: Tape, leaves: Sequence[Tensor], dtype: torch.dtype) -> FieldInputs | None:
        """Return the inputs of a tape, or None if its field reads neither time nor control."""
        needed = tape.reads_time or self.problem.control is not None or self.problem.method.implicit
        return self.inputs(leaves, dtype) if needed else None

    def loop(
        self, tape: Tape, inputs: FieldInputs | None, z0: Tensor, leaves: Sequence[Tensor], *,
        controller: Controller | None = None, clock: float = 0.0, taken: int = 0,
    ) -> IntegrationLoop:  # fmt: skip
        """Return a loop that evaluates the field on a tape, and writes stages in place.

        With a ``controller`` of its own it continues at ``clock``, where ``taken`` steps have been taken.
        """
        reads = inputs if tape.reads_time or self.problem.control is not None else None

        def evaluate(buffer: StageBuffer, slot: int, when: StageTime, z: Tensor) -> Tensor:
            slope = buffer.slope_at(slot)
            t, u = (None, None) if reads is None else reads(when)
            tape.evaluate(slot, t, u, z, slope)
            return slope

        new_buffer = partial(StageBuffer, like=z0, reserve_tape=tape.reserve)
        return self._loop(evaluate, new_buffer, inputs, z0, leaves, controller, clock, taken, differentiable=False)

    def autograd_loop(self, z0: Tensor, leaves: Sequence[Tensor]) -> IntegrationLoop:
        """Return a loop whose operations autograd records."""
        problem, inputs, n = self.problem, self.inputs(leaves, z0.dtype), self.copies
        args = [arg.repeat(n, *[1] * (arg.dim() - 1)) if n > 1 else arg for arg in problem.args]

        def evaluate(buffer: StageBuffer, slot: int, when: StageTime, z: Tensor) -> Tensor:
            buffer.states[slot] = z
            # The field gets the same numbers as another tensor, which it may make trainable, and without gradients its
            # slope is copied, because it may write the next one to the same memory.
            slope = called(problem.field, *inputs(when), z.view_as(z), args)
            slope = buffer.slopes[slot] = slope.to(z.dtype, copy=not slope.requires_grad)
            return slope

        return self._loop(
            evaluate, partial(StageBuffer, like=None), inputs, z0, leaves, None, 0.0, 0, differentiable=True
        )

    def slot_jacobian(
        self, steps: AcceptedSteps, states: Tensor, inputs: FieldInputs | None, leaves: Sequence[Tensor]
    ) -> StageJacobian | None:
        """Return, for an implicit method, a function that returns df/dz of a slot."""
        if inputs is None or not self.problem.method.implicit:
            return None
        args = self.problem.split(leaves)[1]
        times, controls = inputs.at_slots(inputs.slot_times(steps))

        def of_slot(slot: int) -> Tensor:
            return self.problem.jacobian(times[slot], None if controls is None else controls[slot], states[slot], args)

        return of_slot

    def _loop(
        self, evaluate: Evaluate, new_buffer: Callable[[int], StageBuffer], inputs: FieldInputs | None, z0: Tensor,
        leaves: Sequence[Tensor], controller: Controller | None, clock: float, taken: int, *, differentiable: bool,
    ) -> IntegrationLoop:  # fmt: skip
        problem, implicit = self.problem, None
        if inputs is not None and problem.method.implicit:
            args: Sequence[Tensor] = problem.split(leaves)[1]
            jacobian: Jacobian = problem.jacobian
            adaptive = isinstance(self.controller, AdaptiveSteps)
            implicit = StageSolver(
                evaluate, inputs, lambda t, u, z: jacobian(t, u, z, args), problem.method.tableau.diagonal,
                (problem.rtol, problem.atol) if adaptive else None, differentiable=differentiable,
            )  # fmt: skip
        # Without rows no row would ever move on, and the independent loop would not end.
        independent = problem.independent and isinstance(self.controller, AdaptiveSteps) and len(z0) > 0
        kind = IndependentLoop if independent and controller is None else IntegrationLoop
        return kind(
            problem.method, self.segments, controller or self.controller, z0, evaluate, new_buffer=new_buffer,
            implicit=implicit, clock=clock, taken=taken,
        )  # fmt: skip


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise a ValueError if an option has none of its possible values."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
