"""The version of the package, importable from any floor."""

__version__ = "0.1.0.dev0"
