"""Noisy spirals of two families, each seen from a random point on."""

import numpy as np
import pandas as pd

from latentode.datasets._generation import RandomState, as_generator, check_sizes, observed_frame

_STOP = 6 * np.pi  # the angle at which both spirals end
_GROWTH = 0.3  # b in r = b * theta
_STEP = _STOP / 499  # the released script lays 500 points on a spiral and cuts out 100 in a row
DURATION = 99 * _STEP


def make_spirals(
    n_series: int = 1000,
    n_points: int = 100,
    noise_std: float = 0.3,
    *,
    irregular: bool = True,
    observed: float = 1.0,
    random_state: RandomState = None,
) -> pd.DataFrame:
    r"""Generate noisy pieces of two-dimensional spirals (Chen et al. 2018, section 5.1).

    Half of the series, by chance, run anticlockwise and outward about (5, 0), with
    :math:`r = 0.3\,\theta`; half run clockwise and outward about (-5, 0), with :math:`r = 15 / \phi` and
    :math:`\phi = 6\pi + 1 - \theta`. In both, the angle :math:`\theta` grows by one per unit of time.
    Each series starts at a random angle, is seen for a fifth of the spiral, and its clock starts at zero:
    nothing but the values tells where on the spiral it is.

    Parameters
    ----------
    n_series : int, default=1000
        The number of series.
    n_points : int, default=100
        The number of observations per series, before any are dropped.
    noise_std : float, default=0.3
        The standard deviation of the Gaussian noise on both channels. With 0 and the same `random_state`, the
        result is the truth behind the noisy values.
    irregular : bool, default=True
        Draw each series' times at random. With False all series share an even grid.
    observed : float, default=1.0
        The fraction of records to keep, drawn at random in every series. The paper's experiment is
        ``irregular=False`` with 0.3, 0.5 or 1.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        The only source of randomness.

    Returns
    -------
    pandas.DataFrame
        A row per series and time, sorted, with the columns ``id``, ``time``, ``x`` and ``y``.

    Raises
    ------
    ValueError
        If a size is not positive, a fraction not in (0, 1], or the noise negative.

    References
    ----------
    Chen, R. T. Q., Rubanova, Y., Bettencourt, J. and Duvenaud, D. (2018). Neural ordinary differential
    equations. NeurIPS. The constants are those of the script released with torchdiffeq
    (``examples/latent_ode.py``), which draws the start from a grid where this draws it from the interval the
    grid covers.

    Examples
    --------
    >>> from latentode.datasets import make_spirals
    >>> spirals = make_spirals(n_series=3, n_points=10, observed=0.5, random_state=0)
    >>> spirals.groupby("id").size().tolist()
    [5, 5, 5]
    """
    check_sizes(n_series, n_points, observed)
    if noise_std < 0:
        raise ValueError(f"noise_std={noise_std}: a standard deviation is not negative")
    rng = as_generator(random_state)
    if irregular:
        times = np.sort(rng.uniform(0, DURATION, (n_series, n_points)), axis=1)
    else:
        times = np.tile(np.linspace(0, DURATION, n_points), (n_series, 1))
    start = rng.uniform(100 * _STEP, 400 * _STEP, (n_series, 1))  # clear of both ends, as in the script
    anticlockwise = rng.random((n_series, 1)) < 0.5

    theta = start + times
    angle = np.where(anticlockwise, theta, _STOP + 1 - theta)
    radius = np.where(anticlockwise, _GROWTH * theta, 50 * _GROWTH / angle)
    centre = np.where(anticlockwise, 5.0, -5.0)
    noise = noise_std * rng.standard_normal((2, n_series, n_points))
    channels = {
        "x": centre + radius * np.cos(angle) + noise[0],
        "y": radius * np.sin(angle) + noise[1],
    }
    return observed_frame(times, channels, observed, rng)
