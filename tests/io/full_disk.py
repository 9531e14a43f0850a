"""A disk that is nearly full."""

import contextlib

import pytest


@contextlib.contextmanager
def little_room():
    """Within the block no file can hold more than some bytes, as on a disk that is nearly full."""
    resource = pytest.importorskip("resource")  # there is none on Windows
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
