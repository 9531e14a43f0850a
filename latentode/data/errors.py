"""What data can get wrong: one error and one warning, both written for the person who brought the frame."""

import numpy as np

__all__ = ["DataError", "DataWarning", "shown"]


class DataError(ValueError):
    """A frame that cannot be used as it is; the message says what is wrong, where, and what to do."""


class DataWarning(UserWarning):
    """A frame that was used, but not all of it as given; the message counts what was changed."""


def shown(value: object) -> str:
    """A value as a person wrote it: ``8``, not ``np.int64(8)``; the beginning of a long one."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 100 else f"{text[:97]}..."
