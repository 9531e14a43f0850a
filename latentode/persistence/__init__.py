"""The fitted state of a forecaster, and how it is saved and loaded."""
