"""A mixed-effects Gaussian process: what a series does without its other channels, in closed form."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch, Prediction
from latentode.nn.channel_series import ChannelSeries, Points, by_channel, queries_by_channel
from latentode.nn.impulse_filters import ImpulseFeatures
from latentode.nn.own_periods import RANK, OwnPeriods, WhiteHistory

__all__ = ["Evidence", "GaussianProcess"]

CELLS = 150_000
"""Entries of the covariance matrices that are held at a time: those of a million take 1.6 times as long for each."""

JITTER = 1e-6
"""Least variance of the noise, in scaled units: keeps covariance matrices positive definite."""

LARGEST_LOG_VARIANCE, LARGEST_LOG_LENGTH, LONGEST_WALK = 12.0, 20.0, 1e4
"""Bounds, in scaled units, spans and durations, within which the least noise is not lost in rounding."""

VAGUE = 10.0
"""Prior variance of the population's level."""

N_KNOTS = 8
"""Knots of the curve of the population over the time since the start of a series."""

BEYOND = 0.5
"""Random slopes go on for so many durations before the start and after the usual end of a series, and no farther."""

VARIANCES = {
    "level": 0.3,
    "slope": 0.1,
    "given": 0.03,
    "walk": 0.1,
    "drift": 0.3,
    "smooth": 0.1,
    "rotation": 0.1,
    "noise": 0.02,
    "population_curve": 0.1,
    "population_given": 0.1,
}
"""Initial variances, in scaled units, where a channel has a variance of about 1."""

SIZE = 0.1
"""Initial variance of the size of a series' response to impulses, over that of the population."""

SINUSOID = 0.3
"""Initial variance of the coefficients of sinusoids with a period of their own."""


@dataclass(frozen=True)
class Evidence:
    """What a population of series says of the parameters.

    Parameters
    ----------
    log_likelihood : Tensor
        (channel,), of all observations, the fixed effects integrated out.
    n_values : int
        Observations.
    precision : Tensor
        (channel, effect, effect), of the posterior of the fixed effects.
    shift : Tensor
        (channel, effect), the precision times the posterior mean.
    counts : Tensor
        (channel, 1 + frequency), in how many series there is no sinusoid and one of each frequency; empty for a process
        without sinusoids.
    """

    log_likelihood: Tensor
    n_values: int
    precision: Tensor
    shift: Tensor
    counts: Tensor


class GaussianProcess(nn.Module):
    """A Gaussian process with fixed and random effects, for each channel by itself.

    A channel is the sum of

    - fixed effects, the same in all series: a level, a curve over the time since the start of the series, and linear
      effects of what is known beforehand (seasons, known covariates, static features, what is left of impulses);
    - random effects, different in each series: a level, a slope, linear effects of what is known beforehand, and how
      large its whole response to impulses is, over the population's (the volume in which a dose is diluted);
    - a random walk, and three stationary processes: an Ornstein-Uhlenbeck process, which forgets; a smooth one with a
      Matern-3/2 covariance; and a rotation with a period, which has its own phase and amplitude in each series;
    - a sinusoid whose period differs between series, where the data have one
      (:class:`~latentode.nn.own_periods.OwnPeriods`);
    - noise of the measurement.

    Its mean falls back from the last values to the level of the series and from there to that of the population, as
    fast as the data say, and its variance grows accordingly.

    Parameters
    ----------
    n_channels, n_given : int
        Channels, and features known beforehand.
    usual_gap : float
        The median gap between rows, in spans.
    duration : float
        The usual duration of a series, in spans.
    n_impulses : int
        Kinds of impulses, whose remains over :class:`~latentode.nn.impulse_filters.ImpulseFeatures` are known too: a
        combination of them is the response of a compartment model to doses.
    impulse_gap : float
        The typical time between two impulses of a series, in spans.
    n_frequencies : int
        Frequencies of a sinusoid of which each series has its own; 0 for none.

    References
    ----------
    Laird & Ware (1982), Random-effects models for longitudinal data. Rasmussen & Williams (2006), Gaussian processes
    for machine learning, sections 2.7 (fixed effects) and 4.2 (covariances).

    Examples
    --------
    >>> import torch
    >>> process = GaussianProcess(n_channels=1, n_given=0, usual_gap=0.1, duration=1.0)
    >>> batch = Batch(
    ...     times=torch.tensor([[-0.5, 0.0]]),
    ...     values=torch.ones(1, 2, 1),
    ...     mask=torch.ones(1, 2, 1),
    ...     lengths=torch.tensor([2]),
    ...     query_times=torch.tensor([[0.01, 0.9]]),
    ... )
    >>> scale = process(batch).scale
    >>> bool(scale[0, 0, 0] < scale[0, 1, 0])
    True
    """

    effects: Tensor
    effects_covariance: Tensor
    n_draws = 1

    def __init__(
        self,
        n_channels: int,
        n_given: int,
        usual_gap: float,
        duration: float,
        n_impulses: int = 0,
        impulse_gap: float = 1.0,
        n_frequencies: int = 0,
    ) -> None:
        super().__init__()
        self.periods = OwnPeriods(n_channels, n_frequencies, duration) if n_frequencies else None
        self.n_channels, self.n_given, self.n_impulses = n_channels, n_given, n_impulses
        self.usual_gap, self.duration, self.impulse_gap = usual_gap, duration, impulse_gap
        self.impulses = ImpulseFeatures(n_impulses, usual_gap, impulse_gap) if n_impulses else None
        self.n_features = n_given + (self.impulses.n_features if self.impulses else 0)
        lengths = {
            "drift": max(4 * usual_gap, 0.3),
            "smooth": max(2 * usual_gap, 0.3),
            "period": duration,
            "rotation": duration,
        }
        more = ({"size": SIZE} if n_impulses else {}) | ({"sinusoid": SINUSOID} if n_frequencies else {})
        self.log_variances = _logarithms(VARIANCES | more, n_channels)
        self.log_lengths = _logarithms(lengths, n_channels)
        n_effects = 1 + N_KNOTS + self.n_features
        self.register_buffer("effects", torch.zeros(n_channels, n_effects))
        self.register_buffer("effects_covariance", torch.zeros(n_channels, n_effects, n_effects))

    def forward(self, batch: Batch) -> Prediction:
        """Mean and standard deviation of a value at every query, noise included.

        Parameters
        ----------
        batch : Batch
            Histories and queries.

        Returns
        -------
        Prediction
            Of (series, query, channel). Queries do not depend on one another.
        """
        batch = self.with_features(batch)
        histories, queries = by_channel(batch), queries_by_channel(batch)
        mean, variance = torch.empty_like(queries.times), torch.empty_like(queries.times)
        with torch.no_grad():
            for which, history in histories.chunks(CELLS, least=self._least(queries)):
                mean[which], variance[which] = self._conditioned(history, queries.take(which))
        shape = len(batch.times), batch.mask.shape[2], queries.times.shape[1]
        mean, scale = (x.reshape(shape).mT.to(batch.values.dtype) for x in (mean, variance.sqrt()))
        return Prediction(mean, scale)

    @property
    def n_frequencies(self) -> int:
        """Frequencies of sinusoids with a period of their own."""
        return 0 if self.periods is None else self.periods.frequencies.shape[1]

    def with_features(self, batch: Batch) -> Batch:
        """A batch that holds all the features of its rows and queries, impulses too."""
        return batch if self.impulses is None else self.impulses.beside(batch)

    def correlations(self, batch: Batch) -> Tensor:
        """How values at the queries go together given the history, (series, channel, query, query), noise included.

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        """
        batch = self.with_features(batch)
        histories, queries = by_channel(batch), queries_by_channel(batch)
        n_queries = queries.times.shape[1]
        found = queries.times.new_empty(len(queries.times), n_queries, n_queries)
        with torch.no_grad():
            for which, history in histories.chunks(CELLS, least=max(n_queries, self._least(queries))):
                found[which] = self._correlated(history, queries.take(which))
        return found.reshape(len(batch.times), batch.mask.shape[2], n_queries, n_queries)

    def evidence(self, population: list[ChannelSeries]) -> Evidence:
        """What series say of the parameters, differentiable in them.

        Parameters
        ----------
        population : list of ChannelSeries
            In chunks.
        """
        prior = self._prior_variances()
        # Sinusoids make the density another function of the effects than a normal one: it is expanded about the last
        # mean (Laplace's method), to which one step of the EM algorithm leads at a time. Otherwise 0 is as good.
        about = torch.zeros_like(prior) if self.periods is None else self.effects.double()
        precision, shift = torch.diag_embed(1 / prior), -about / prior
        log_likelihood, n_values = -0.5 * (prior.log() + about.square() / prior).sum(1), 0
        counts = prior.new_zeros(0) if self.periods is None else torch.zeros_like(self.periods.prior).double()
        for series in population:
            lower = self._cholesky(series)
            design, values = self._design(series), torch.where(series.observed, series.values, 0.0)
            design = torch.where(series.observed[..., None], design, 0.0)
            white = torch.linalg.solve_triangular(lower, torch.cat([design, values[..., None]], -1), upper=False)
            design = white[..., :-1]
            rest = white[..., -1:] - design @ about[series.channel][..., None]
            density = -0.5 * rest.square().sum((1, 2)) - lower.diagonal(dim1=1, dim2=2).log().sum(1)
            density = density - 0.5 * math.log(2 * math.pi) * series.counts
            known, gained = design.mT @ design, (design.mT @ rest)[..., 0]
            if self.periods is not None:
                history = WhiteHistory(series, lower, rest[..., 0], self._of("sinusoid", series.channel))
                added, shares = self.periods.evidence(history)
                with torch.no_grad():
                    less = self.periods.explained(history, shares, design)
                known, gained = known.detach() - less[0], gained.detach() - less[1]
                density = density + added
                counts = counts.index_add(0, series.channel, shares.detach())
            log_likelihood = log_likelihood.index_add(0, series.channel, density)
            precision = precision.index_add(0, series.channel, known)
            shift = shift.index_add(0, series.channel, gained)
            n_values += int(series.counts.sum())
        # Integrating the effects out: a Gaussian integral around their posterior mean.
        lower = torch.linalg.cholesky(precision)
        explained = torch.linalg.solve_triangular(lower, shift[..., None], upper=False)
        log_likelihood = log_likelihood + 0.5 * explained.square().sum((1, 2))
        log_likelihood = log_likelihood - lower.diagonal(dim1=1, dim2=2).log().sum(1)
        shift = shift + (precision @ about[..., None])[..., 0]
        return Evidence(log_likelihood, n_values, precision, shift, counts)

    def know_effects(self, evidence: Evidence) -> None:
        """Keep the posterior of the fixed effects."""
        with torch.no_grad():
            covariance = torch.cholesky_inverse(torch.linalg.cholesky(evidence.precision))
            self.effects.copy_((covariance @ evidence.shift[..., None])[..., 0])
            self.effects_covariance.copy_(covariance)

    def _least(self, queries: Points) -> int:
        """Rows of a square matrix as large as what sinusoids need for the queries of a pair."""
        return 1 if self.periods is None else math.isqrt(RANK * queries.times.shape[1]) + 1

    def _conditioned(self, history: ChannelSeries, queries: Points) -> tuple[Tensor, Tensor]:
        """Mean and variance at the queries, (pair, query), given the history."""
        mean, weights, unexplained, root = self._given(history, queries)
        # The fixed effects are not known exactly where there are few series.
        covariance = self.effects_covariance.double()[history.channel]
        variance = (
            self._variance(queries) - weights.square().sum(1) + ((unexplained @ covariance) * unexplained).sum(-1)
        )
        return mean, (variance + root.square().sum(-1)).clamp(min=JITTER)

    def _correlated(self, history: ChannelSeries, queries: Points) -> Tensor:
        """Correlations of values at the queries, (pair, query, query), given the history."""
        _, weights, unexplained, root = self._given(history, queries)
        effects = unexplained @ self.effects_covariance.double()[history.channel] @ unexplained.mT
        covariance = self._covariance(queries, queries) - weights.mT @ weights + effects + root @ root.mT
        same = queries.times[:, :, None] == queries.times[:, None]  # one measurement, queried twice
        covariance = covariance + (self._of("noise", queries.channel)[:, None, None] + JITTER) * same
        deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=JITTER).sqrt()
        return covariance / (deviation[:, :, None] * deviation[:, None])

    def _given(self, history: ChannelSeries, queries: Points) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the history says of the queries.

        The mean, the whitened covariance with it, the effects it leaves open, and a root of the sinusoids' covariance.
        """
        lower = self._cholesky(history)
        effects = self.effects.double()[history.channel][..., None]
        design, query_design = self._design(history), self._design(queries)
        rest = torch.where(history.observed, history.values - (design @ effects)[..., 0], 0.0)
        design = torch.where(history.observed[..., None], design, 0.0)
        between = torch.where(history.observed[..., None], self._covariance(history, queries), 0.0)
        n_queries = between.shape[2]
        white = torch.linalg.solve_triangular(lower, torch.cat([between, design, rest[..., None]], -1), upper=False)
        weights, design, rest = white[..., :n_queries], white[..., n_queries:-1], white[..., -1:]
        mean = (query_design @ effects + weights.mT @ rest)[..., 0]
        root = mean.new_zeros(*mean.shape, 0)
        if self.periods is not None:
            white = WhiteHistory(history, lower, rest[..., 0], self._of("sinusoid", history.channel))
            more, root = self.periods(white, queries, weights)
            mean = mean + more
        return mean, weights, query_design - weights.mT @ design, root

    def _cholesky(self, series: ChannelSeries) -> Tensor:
        """The lower factor of the covariance of the observations; padding has the unit matrix."""
        both = series.observed[:, :, None] & series.observed[:, None]
        covariance = torch.where(both, self._covariance(series, series), 0.0)
        noise = self._of("noise", series.channel)[:, None] + JITTER
        lower: Tensor = torch.linalg.cholesky(covariance + torch.diag_embed(torch.where(series.observed, noise, 1.0)))
        return lower

    def _covariance(self, a: Points, b: Points) -> Tensor:
        """Of the random effects and processes at some points, (pair, point of a, point of b)."""
        apart = (a.times[:, :, None] - b.times[:, None]).abs()

        def of(name: str) -> Tensor:
            return self._of(name, a.channel)[:, None, None]

        def fading(name: str, rate: float = 1.0) -> Tensor:
            return apart * (-rate / self._length(name, a.channel)[:, None, None])

        # Added in place: memory takes longer than arithmetic.
        covariance = torch.addcmul(of("level"), of("slope") * self._slope(a)[:, :, None], self._slope(b)[:, None])
        covariance.addcmul_(of("walk"), torch.minimum(self._walked(a)[:, :, None], self._walked(b)[:, None]))
        covariance.addcmul_(of("drift"), fading("drift").exp_())
        smooth = fading("smooth", math.sqrt(3))
        covariance.addcmul_(of("smooth") * (1 - smooth), smooth.exp())
        turn = fading("period", 2 * math.pi)
        covariance.addcmul_(of("rotation") * turn.cos(), fading("rotation").exp_())
        if self.impulses is not None:
            covariance.addcmul_(of("size") * self._response(a)[:, :, None], self._response(b)[:, None])
        return covariance + of("given") * (a.given @ b.given.mT) if self.n_features else covariance

    def _response(self, points: Points) -> Tensor:
        """The population's response to the impulses, (pair, point)."""
        assert self.impulses is not None
        features, begin = self.impulses.n_features, 1 + N_KNOTS
        effects = self.effects.double()[points.channel, begin : begin + features]
        return (points.given[..., :features] @ effects[..., None])[..., 0]

    def _variance(self, points: Points) -> Tensor:
        """Of a value at some points, (pair, point), noise included."""
        level, slope, walk, given, *stationary = (
            self._of(name, points.channel)[:, None]
            for name in ("level", "slope", "walk", "given", "drift", "smooth", "rotation", "noise")
        )
        variance = level + slope * self._slope(points).square() + walk * self._walked(points) + sum(stationary) + JITTER
        if self.impulses is not None:
            variance = variance + self._of("size", points.channel)[:, None] * self._response(points).square()
        return variance + given * points.given.square().sum(-1)

    def _walked(self, points: Points) -> Tensor:
        """How far a random walk has come, as a variance: 0 at the start, 1 after the usual duration."""
        return (points.since / self.duration).clamp(0.0, LONGEST_WALK)

    def _slope(self, points: Points) -> Tensor:
        """Time since the start for random slopes, -1/2 to 1/2 over the usual duration."""
        return (points.since / self.duration).clamp(-BEYOND, 1 + BEYOND) - 0.5

    def _design(self, points: Points) -> Tensor:
        """Features of the fixed effects, (pair, point, effect): the level, the curve, and what is known beforehand."""
        knots = torch.linspace(0.0, 1.0, N_KNOTS, dtype=torch.float64)
        place = (points.since / self.duration).clamp(0.0, 1.0)
        curve = (1 - (N_KNOTS - 1) * (place[..., None] - knots).abs()).clamp(min=0.0)  # linear between the knots
        return torch.cat([torch.ones_like(place)[..., None], curve, points.given], dim=-1)

    def _prior_variances(self) -> Tensor:
        """Of the fixed effects, (channel, effect)."""
        curve, given = (self._by_channel(self.log_variances[f"population_{name}"]) for name in ("curve", "given"))
        parts = [torch.full_like(curve, VAGUE)[:, None], curve[:, None].expand(-1, N_KNOTS)]
        return torch.cat([*parts, given[:, None].expand(-1, self.n_features)], dim=1)

    def _of(self, name: str, channel: Tensor) -> Tensor:
        """A variance, (pair,)."""
        return self._by_channel(self.log_variances[name].clamp(max=LARGEST_LOG_VARIANCE))[channel]

    def _length(self, name: str, channel: Tensor) -> Tensor:
        """A time scale in spans, (pair,)."""
        return self._by_channel(self.log_lengths[name].clamp(-LARGEST_LOG_LENGTH, LARGEST_LOG_LENGTH))[channel]

    @staticmethod
    def _by_channel(logarithms: Tensor) -> Tensor:
        return logarithms.double().exp()


def _logarithms(initial: dict[str, float], n_channels: int) -> nn.ParameterDict:
    return nn.ParameterDict({k: nn.Parameter(torch.full((n_channels,), math.log(v))) for k, v in initial.items()})
