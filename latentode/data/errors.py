"""What data can get wrong: one error and one warning, both written for the person who brought the frame."""

__all__ = ["DataError", "DataWarning"]


class DataError(ValueError):
    """A frame that cannot be used as it is; the message says what is wrong, where, and what to do."""


class DataWarning(UserWarning):
    """A frame that was used, but not all of it as given; the message counts what was changed."""
