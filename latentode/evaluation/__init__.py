"""How good is a forecast? Metrics, one table of scores, and the naive forecasters a model must beat."""

from latentode.evaluation._baseline import Baseline
from latentode.evaluation.baselines import (
    ConstantVelocity,
    LastValue,
    LinearInterpolation,
    LinearTrend,
    PopulationMean,
    SeriesMean,
)
from latentode.evaluation.metrics import coverage, crps_quantiles, crps_samples, interval_width, mae, rmse
from latentode.evaluation.scores import score_table

__all__ = [
    "Baseline",
    "ConstantVelocity",
    "LastValue",
    "LinearInterpolation",
    "LinearTrend",
    "PopulationMean",
    "SeriesMean",
    "coverage",
    "crps_quantiles",
    "crps_samples",
    "interval_width",
    "mae",
    "rmse",
    "score_table",
]
