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
    "crps_quantiles",
    "crps_samples",
    "interval_width",
    "log_score_quantiles",
    "mae",
    "mase",
    "naive_error",
    "rmse",
    "score_table",
    "summarise_backtest",
]
