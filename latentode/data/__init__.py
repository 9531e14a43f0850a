"""Frames to arrays and back: which column is what, times as numbers, panels, scaling."""

from latentode.data.errors import DataError, DataWarning
from latentode.data.panel import Panel, Treatment, panel_from_frame, values_of
from latentode.data.ragged import pad, slices
from latentode.data.scaling import ChannelScaler
from latentode.data.schema import Schema, infer_schema
from latentode.data.seasons import Seasons, find_seasons
from latentode.data.time_axis import TimeAxis

__all__ = [
    "ChannelScaler",
    "DataError",
    "DataWarning",
    "Panel",
    "Schema",
    "Seasons",
    "TimeAxis",
    "Treatment",
    "find_seasons",
    "infer_schema",
    "pad",
    "panel_from_frame",
    "slices",
    "values_of",
]
