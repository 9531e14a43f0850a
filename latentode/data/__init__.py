"""Frames to arrays and back: which column is what, times as numbers, panels, scaling."""

from latentode.data.covariates import Coding, ColumnCoding, Covariates, covariates_from_rows, static_of_series
from latentode.data.errors import DataError, DataWarning
from latentode.data.growing import GrowingPanel
from latentode.data.panel import Panel, Treatment, panel_from_frame, series_codes, values_of
from latentode.data.parquet import is_stored, read_parquet
from latentode.data.ragged import pad, slices
from latentode.data.reshaping import from_events, from_wide
from latentode.data.scaling import ChannelScaler
from latentode.data.schema import Schema
from latentode.data.schema_inference import infer_keys, infer_schema
from latentode.data.seasons import Seasons, find_seasons
from latentode.data.time_axis import TimeAxis
from latentode.data.timed_rows import TimedRows

__all__ = [
    "ChannelScaler",
    "Coding",
    "ColumnCoding",
    "Covariates",
    "DataError",
    "DataWarning",
    "GrowingPanel",
    "Panel",
    "Schema",
    "Seasons",
    "TimeAxis",
    "TimedRows",
    "Treatment",
    "covariates_from_rows",
    "find_seasons",
    "from_events",
    "from_wide",
    "infer_keys",
    "infer_schema",
    "is_stored",
    "pad",
    "panel_from_frame",
    "read_parquet",
    "series_codes",
    "slices",
    "static_of_series",
    "values_of",
]
