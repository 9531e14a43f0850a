"""What holds for all tests: the threads they take, and what there is to collect."""

import gc
import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

# Workers that run side by side share the cores: with all of them each, torch's threads would wait for one another
# most of the time. It is read when torch is loaded, so it stands here, before any test is collected.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))

# Modules whose library is not installed have no doctests to collect.
collect_ignore = [] if find_spec("sktime") else ["latentode/sktime.py"]

# What is imported and collected stays to the end. The garbage collector need not go through it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage: the collector works, and only on what the tests themselves make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _examples_stack_roughly(request: pytest.FixtureRequest) -> Iterator[None]:
    """What an example of a docstring fits is to be seen soon, and need not be good."""
    if not request.node.nodeid.startswith("latentode/"):
        yield
        return
    from tests.estimators.tiny import rough_stacking

    with rough_stacking():
        yield


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Use two threads of torch in this process; they do not come along when it is forked."""
    import torch  # not before the number of threads is set

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.rand(1_000_000).sigmoid()
    yield
    torch.set_num_threads(before)
