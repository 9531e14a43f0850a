"""Callbacks of scikit-learn (1.9 and later): a fit is one task, with a subtask for every validation check."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import pandas as pd

from latentode.estimators.fitting import FittedModel

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has none

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty: this scikit-learn has no callbacks, so there is no ``set_callbacks``."""

    def with_callbacks(method: Any) -> Any:
        """The method itself."""
        return method


__all__ = ["CallbackSupportMixin", "FitMonitor", "runs_callbacks"]

P = ParamSpec("P")
T = TypeVar("T")


def runs_callbacks(method: Callable[P, T]) -> Callable[P, T]:
    """Let the callbacks of an estimator release their resources when its method ends, also by an error."""
    return cast(Callable[P, T], with_callbacks(method))


class FitMonitor:
    """Runs the callbacks of an estimator during one fit.

    Parameters
    ----------
    estimator : LatentODEForecaster
        The estimator that is fitted.
    X, y : DataFrame
        The frame it learns from, and its targets.
    metadata : mapping
        What came with the frame, such as weights.
    fitted_attributes : callable
        The attributes that make a copy of the estimator a fitted one, from a trained model.
    """

    def __init__(
        self,
        estimator: Any,
        X: pd.DataFrame,
        y: pd.DataFrame,
        metadata: Mapping[str, Any],
        fitted_attributes: Callable[[FittedModel], Mapping[str, Any]],
    ) -> None:
        self.estimator, self.fitted_attributes = estimator, fitted_attributes
        self.given = {"X": X, "y": y, "metadata": dict(metadata)}
        self.task: Any = None

    def begin(self, n_checks: int) -> None:
        """Training begins; there will be at most this many validation checks."""
        if hasattr(self.estimator, "_init_callback_context"):
            self.task = self.estimator._init_callback_context(max_subtasks=n_checks)
            self.task.call_on_fit_task_begin(estimator=self.estimator, **self.given)

    def check(self, fitted: Callable[[], FittedModel]) -> bool:
        """Run the callbacks at a validation check; whether one wants training to stop.

        A callback that needs a fitted estimator gets one that knows the training rows only, so that its ``score`` on
        all the data forecasts the held-out rows.
        """
        if self.task is None:
            return False
        step = self.task.subcontext(task_name="check")
        step.call_on_fit_task_begin(estimator=self.estimator, **self.given)
        return bool(
            step.call_on_fit_task_end(
                estimator=self.estimator,
                **self.given,
                reconstruction_attributes=lambda: self.fitted_attributes(fitted()),
            )
        )

    def end(self) -> None:
        """Training has ended. There is nothing to score, since the fitted estimator knows all rows."""
        if self.task is not None:
            self.task.call_on_fit_task_end(estimator=self.estimator, **self.given)
