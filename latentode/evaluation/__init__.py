"""How good is a forecast? Metrics, one table of scores, and the naive forecasters a model must beat."""

from latentode.evaluation.backtest import Forecaster, backtest, summarise_backtest
from latentode.evaluation.baseline import Baseline
from latentode.evaluation.baselines import (
    ConstantVelocity,
    LastValue,
    LinearInterpolation,
    LinearTrend,
    PopulationMean,
    SeasonalNaive,
    SeriesMean,
    SplineInterpolation,
)
from latentode.evaluation.joint_scores import energy_score, variogram_score
from latentode.evaluation.metrics import (
    coverage,
    crps_quantiles,
    crps_samples,
    interval_width,
    log_score_quantiles,
    mae,
    mase,
    naive_error,
    rmse,
)
from latentode.evaluation.reliability import coverage_by_lead, pit
from latentode.evaluation.scores import score_table

__all__ = [
    "Baseline",
    "ConstantVelocity",
    "Forecaster",
    "LastValue",
    "LinearInterpolation",
    "LinearTrend",
    "PopulationMean",
    "SeasonalNaive",
    "SeriesMean",
    "SplineInterpolation",
    "backtest",
    "coverage",
    "coverage_by_lead",
    "crps_quantiles",
    "crps_samples",
    "energy_score",
    "interval_width",
    "log_score_quantiles",
    "mae",
    "mase",
    "naive_error",
    "pit",
    "rmse",
    "score_table",
    "summarise_backtest",
    "variogram_score",
]
