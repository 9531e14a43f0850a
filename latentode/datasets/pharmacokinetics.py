"""Drug concentrations after doses."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.datasets._generation import RandomState, as_generator

Floats = NDArray[np.float64]

LEAST_SAMPLES = 3
"""Concentrations measured of each subject at least."""


class Pharmacokinetics(NamedTuple):
    """The tables that :func:`make_pharmacokinetics` returns and describes."""

    data: pd.DataFrame
    truth: pd.DataFrame
    parameters: pd.DataFrame


def make_pharmacokinetics(
    n_series: int = 60,
    n_days: float = 5.0,
    *,
    compartments: int = 1,
    route: str = "oral",
    mean_gap: float = 4.0,
    between_subjects: float = 0.3,
    proportional_noise: float = 0.1,
    additive_noise: float = 0.02,
    random_state: RandomState = None,
) -> Pharmacokinetics:
    r"""Simulate drug concentrations in blood: one or two compartments, after irregular doses.

    The amounts in the gut, in the central and in the peripheral compartment follow

    .. math::

        \dot a_0 = -k_a a_0, \quad
        \dot a_1 = k_a a_0 - (k_e + k_{12}) a_1 + k_{21} a_2, \quad
        \dot a_2 = k_{12} a_1 - k_{21} a_2,

    with the rates of elimination :math:`k_e = CL / V` and of exchange :math:`k_{12} = Q / V`, :math:`k_{21} = Q / V_2`,
    where :math:`Q = 0` for one compartment. An oral dose is added to :math:`a_0`, an intravenous one to :math:`a_1`;
    the concentration is :math:`a_1 / V`. Subjects differ in all parameters (lognormal). Doses are given about every 12
    hours, some are missed, and their size changes once in a while. The solution is exact, a sum of exponentials.

    Parameters
    ----------
    n_series : int, default=60
        The number of subjects.
    n_days : float, default=5.0
        Days of each.
    compartments : {1, 2}, default=1
        With 2, the drug is exchanged with a peripheral compartment.
    route : {"oral", "intravenous"}, default="oral"
        How doses are given.
    mean_gap : float, default=4.0
        Mean number of hours between two measurements, whose times are uniform; at least three of each subject.
    between_subjects : float, default=0.3
        Standard deviation of the logarithm of each parameter.
    proportional_noise, additive_noise : float, default=0.1, 0.02
        Standard deviations of the two parts of the noise: as a share of the concentration, and in mg/l. Measured
        concentrations are not negative.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        The only source of randomness.

    Returns
    -------
    data : pandas.DataFrame
        A row per measurement and per dose, in the order of time: ``id``, ``time`` (hours), ``concentration`` (mg/l, NaN
        in rows of doses), ``dose`` (mg, NaN in rows of measurements).
    truth : pandas.DataFrame
        The same rows with the concentration without noise, just before the dose in rows of doses.
    parameters : pandas.DataFrame
        A row per subject: ``id``, ``ka`` (1/h), ``clearance``, ``exchange`` (l/h), ``volume``, ``peripheral`` (l).

    Raises
    ------
    ValueError
        If a size or the mean gap is not positive, a noise is negative, or the model is none of those above.

    References
    ----------
    Gibaldi & Perrier (1982), Pharmacokinetics, chapters 1 to 3.

    Examples
    --------
    >>> from latentode.datasets import make_pharmacokinetics
    >>> data, truth, parameters = make_pharmacokinetics(n_series=3, random_state=0)
    >>> data.columns.tolist()
    ['id', 'time', 'concentration', 'dose']
    """
    _check(n_series, n_days, compartments, route, mean_gap, (between_subjects, proportional_noise, additive_noise))
    rng = as_generator(random_state)
    typical = {"ka": 1.0, "clearance": 4.0, "exchange": 3.0 * (compartments == 2), "volume": 40.0, "peripheral": 60.0}
    subjects = pd.DataFrame({"id": np.arange(n_series)}).assign(
        **{name: value * rng.lognormal(0.0, between_subjects, n_series) for name, value in typical.items()}
    )
    rows = []
    for subject in subjects.to_dict("records"):
        given_at, amounts = _doses(24 * n_days, rng)
        times = _sampling_times(24 * n_days, mean_gap, rng)
        both = np.concatenate([times, given_at])
        clean = concentrations(subject, route, given_at, amounts, both)
        scale = np.hypot(proportional_noise * clean[: len(times)], additive_noise)
        noisy = np.maximum(clean[: len(times)] + scale * rng.standard_normal(len(times)), 0.0)
        columns = {
            "id": subject["id"],
            "time": both,
            "concentration": np.concatenate([noisy, np.full(len(given_at), np.nan)]),
            "dose": np.concatenate([np.full(len(times), np.nan), amounts]),
            "clean": clean,
        }
        rows.append(pd.DataFrame(columns).sort_values("time", kind="stable"))
    data = pd.concat(rows, ignore_index=True).astype({"id": int})
    truth = data.assign(concentration=data["clean"]).drop(columns="clean")
    return Pharmacokinetics(data.drop(columns="clean"), truth, subjects)


def concentrations(
    subject: Mapping[Any, float], route: str, given_at: Floats, amounts: Floats, times: Floats
) -> Floats:
    """The concentration of a subject at some times, each dose acting strictly after its time.

    Parameters
    ----------
    subject : mapping of str to float
        ``ka``, ``clearance``, ``exchange``, ``volume``, ``peripheral``.
    route : {"oral", "intravenous"}
        How doses are given.
    given_at, amounts : array of float
        (dose,).
    times : array of float
        (time,).
    """
    rates = _rates(subject)
    values, vectors = np.linalg.eig(rates)
    start = np.array([1.0, 0.0, 0.0] if route == "oral" else [0.0, 1.0, 0.0])
    weights = vectors[1] * np.linalg.solve(vectors, start)  # of each exponential, in the amount of the centre
    since = times[:, None] - given_at
    response = (np.exp(np.maximum(since, 0.0)[..., None] * values) @ weights).real
    amount: Floats = np.where(since > 0, response, 0.0) @ amounts
    return amount / subject["volume"]


def _rates(subject: Mapping[Any, float]) -> Floats:
    """(compartment, compartment), the matrix of the linear equations of gut, centre and periphery."""
    volume, periphery = subject["volume"], subject["peripheral"]
    ka, out = subject["ka"], subject["clearance"] / volume
    there, back = subject["exchange"] / volume, subject["exchange"] / periphery
    return np.array([[-ka, 0.0, 0.0], [ka, -(out + there), back], [0.0, there, -back]])


def _doses(hours: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Times and amounts: about every twelve hours, one in seven is missed, one in four changes the amount."""
    planned = np.arange(rng.uniform(0.0, 6.0), hours, 12.0)
    given_at = planned + rng.uniform(0.0, 2.0, len(planned))
    steps = np.where(rng.random(len(planned)) < 0.25, rng.choice([-0.5, 0.5], len(planned)), 0.0)
    amounts = 100.0 * 2 ** np.clip(np.cumsum(steps) + rng.choice([-0.5, 0.0, 0.5]), -1.0, 1.0)
    taken = (rng.random(len(planned)) > 1 / 7) & (given_at < hours)
    return given_at[taken], amounts[taken]


def _sampling_times(hours: float, mean_gap: float, rng: np.random.Generator) -> Floats:
    n = max(LEAST_SAMPLES, int(rng.poisson(hours / mean_gap)))
    return np.sort(rng.uniform(0.0, hours, n))


def _check(
    n_series: int, n_days: float, compartments: int, route: str, mean_gap: float, errors: tuple[float, ...]
) -> None:
    if n_series < 1:
        raise ValueError(f"n_series={n_series}: must be at least 1")
    for name, size in (("n_days", n_days), ("mean_gap", mean_gap)):
        if not size > 0:
            raise ValueError(f"{name}={size}: must be positive")
    if compartments not in (1, 2):
        raise ValueError(f"compartments={compartments!r}: must be 1 or 2")
    if route not in ("oral", "intravenous"):
        raise ValueError(f"route={route!r}: must be oral or intravenous")
    for name, error in zip(("between_subjects", "proportional_noise", "additive_noise"), errors, strict=True):
        if error < 0:
            raise ValueError(f"{name}={error}: must not be negative")
