"""Sinusoids of random frequency and level."""

import numpy as np
import pandas as pd

from latentode.datasets._generation import RandomState, as_generator, check_sizes, observed_frame


def make_periodic(
    n_series: int = 1000,
    n_points: int = 100,
    *,
    frequency: tuple[float, float] = (0.4, 0.8),
    duration: float = 5.0,
    noise_width: float = 0.01,
    shared_times: bool = False,
    observed: float = 1.0,
    random_state: RandomState = None,
) -> pd.DataFrame:
    r"""Generate sinusoids that differ in frequency and level (Rubanova et al. 2019, the toy data).

    Series :math:`i` is :math:`y(t) = \sin(2 \pi f_i t) + c_i`, with :math:`f_i` uniform on `frequency` and
    :math:`c_i` normal with mean 1 and standard deviation 0.1, observed at time 0 and at times drawn uniformly
    up to `duration`.

    Parameters
    ----------
    n_series : int, default=1000
        The number of series.
    n_points : int, default=100
        The number of observations per series, before any are dropped.
    frequency : (float, float), default=(0.4, 0.8)
        The bounds of the frequency, in cycles per unit of time. The default is the released code's; the
        paper's supplement says (0.5, 1.0).
    duration : float, default=5.0
        The end of the interval the times are drawn from.
    noise_width : float, default=0.01
        The noise is uniform on [0, `noise_width`), as released: not centred, and absent at time 0. With 0 and
        the same `random_state`, the result is the truth behind the noisy values.
    shared_times : bool, default=False
        Observe all series at the same times, as the released code does.
    observed : float, default=1.0
        The fraction of records to keep, drawn at random in every series. The paper's experiments are
        ``shared_times=True`` with 0.1, 0.2, 0.3 and 0.5.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        The only source of randomness.

    Returns
    -------
    pandas.DataFrame
        A row per series and time, sorted, with the columns ``id``, ``time`` and ``y``.

    Raises
    ------
    ValueError
        If a size is not positive, a fraction not in (0, 1], or the bounds of the frequency are not in order.

    References
    ----------
    Rubanova, Y., Chen, R. T. Q. and Duvenaud, D. (2019). Latent ordinary differential equations for
    irregularly-sampled time series. NeurIPS. Code released with the paper: ``generate_timeseries.py``.

    Examples
    --------
    >>> from latentode.datasets import make_periodic
    >>> toy = make_periodic(n_series=2, n_points=50, random_state=0)
    >>> toy.shape, toy["time"].min().item()
    ((100, 3), 0.0)
    """
    check_sizes(n_series, n_points, observed)
    low, high = frequency
    if not 0 <= low <= high:
        raise ValueError(f"frequency={frequency}: give the lower bound first, and none below zero")
    for name, width in (("duration", duration), ("noise_width", noise_width)):
        if width < 0:
            raise ValueError(f"{name}={width}: must not be negative")
    rng = as_generator(random_state)
    drawn = rng.uniform(0, duration, (1 if shared_times else n_series, n_points))
    drawn[:, 0] = 0
    times = np.repeat(np.sort(drawn, axis=1), n_series if shared_times else 1, axis=0)
    frequencies = rng.uniform(low, high, (n_series, 1))
    levels = rng.normal(1.0, 0.1, (n_series, 1))

    noise = noise_width * rng.random((n_series, n_points))
    noise[:, 0] = 0
    values = np.sin(2 * np.pi * frequencies * times) + levels + noise
    return observed_frame(times, {"y": values}, observed, rng)
