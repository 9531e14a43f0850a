"""Hyper-parameters to search over with optuna. The defaults adapt to the data without a search."""

from typing import Any, Protocol

__all__ = ["Trial", "suggest"]


class Trial(Protocol):
    """The interface of a trial: three methods of :class:`optuna.trial.Trial`."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number between two others."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """A whole number between two others."""


def suggest(trial: Trial) -> dict[str, Any]:
    """Parameters of a :class:`~latentode.LatentODEForecaster` worth searching over, drawn by a trial.

    Parameters
    ----------
    trial : Trial
        Of optuna (``pip install latentode[tune]``), or anything with its ``suggest_...`` methods.

    Returns
    -------
    dict
        Parameters by name, for ``LatentODEForecaster(**suggest(trial))``.

    Examples
    --------
    Score by series that no fit of the search has seen, and keep other series for the end:

    >>> import optuna  # doctest: +SKIP
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> def objective(trial):
    ...     forecaster = LatentODEForecaster(**suggest(trial), horizon="30D", random_state=0)
    ...     return cross_val_score(forecaster, X, y, groups=X["id"], cv=GroupKFold(3)).mean()
    >>> optuna.create_study(direction="maximize").optimize(objective, n_trials=20)  # doctest: +SKIP
    """
    dynamics = trial.suggest_categorical("dynamics", ["mixed", "mlp", "linear"])
    return {
        "dynamics": dynamics,
        "decoder": trial.suggest_categorical("decoder", ["skip", "mlp"]),
        "latent_dim": trial.suggest_int("latent_dim", 8, 32, step=4),
        "hidden_dim": trial.suggest_int("hidden_dim", 32, 128, step=32),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True),
    }
