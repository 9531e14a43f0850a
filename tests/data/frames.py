"""A small frame, and the roles of its columns."""

import numpy as np
import pandas as pd

VALUES = {"hr": [71.0, 72.0], "spo2": [0.97, np.nan]}


def frame(**columns):
    return pd.DataFrame({**columns, **VALUES})


def roles(schema):
    return schema.id_col, schema.time_col, schema.target_cols, schema.layout
