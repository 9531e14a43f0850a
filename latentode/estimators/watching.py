"""A fit as the callbacks of scikit-learn (1.9 and later) see it: a task, and a task within for every look at it."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import pandas as pd

from latentode.estimators.fitting import FittedModel

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9 there are none

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks, so there is no ``set_callbacks``."""

    def with_callbacks(method: Any) -> Any:
        """The method itself."""
        return method


__all__ = ["CallbackSupportMixin", "Watch", "watched"]

P = ParamSpec("P")
T = TypeVar("T")


def watched(method: Callable[P, T]) -> Callable[P, T]:
    """Let the callbacks of an estimator put away what they hold when its method ends, however it ends."""
    return cast(Callable[P, T], with_callbacks(method))


class Watch:
    """Tells the callbacks of an estimator of one fit.

    Parameters
    ----------
    estimator : LatentODEForecaster
        Whose fit it is.
    X, y : DataFrame
        What it learns from, and the channels of it.
    metadata : mapping
        What came with it, such as weights.
    learned : callable
        The attributes that an estimator has after a fit, from what was fitted.
    """

    def __init__(
        self,
        estimator: Any,
        X: pd.DataFrame,
        y: pd.DataFrame,
        metadata: Mapping[str, Any],
        learned: Callable[[FittedModel], Mapping[str, Any]],
    ) -> None:
        self.estimator, self.learned = estimator, learned
        self.given = {"X": X, "y": y, "metadata": dict(metadata)}
        self.task: Any = None

    def begin(self, n_looks: int) -> None:
        """Training begins; there will be so many looks at most."""
        if hasattr(self.estimator, "_init_callback_context"):
            self.task = self.estimator._init_callback_context(max_subtasks=n_looks)
            self.task.call_on_fit_task_begin(estimator=self.estimator, **self.given)

    def look(self, fitted: Callable[[], FittedModel]) -> bool:
        """A look at the held-out part; whether a callback wants to stop.

        A callback that asks for a fitted estimator gets one that knows of no more than was learned from, so that its
        ``score`` on all the data asks what was held out.
        """
        if self.task is None:
            return False
        step = self.task.subcontext(task_name="look")
        step.call_on_fit_task_begin(estimator=self.estimator, **self.given)
        return bool(
            step.call_on_fit_task_end(
                estimator=self.estimator, **self.given, reconstruction_attributes=lambda: self.learned(fitted())
            )
        )

    def end(self) -> None:
        """Training is over; there is no score to take, since all is known now."""
        if self.task is not None:
            self.task.call_on_fit_task_end(estimator=self.estimator, **self.given)
