"""What holds for all tests: the threads they take, and what there is to collect."""

import os
from importlib.util import find_spec

# Workers that run side by side share the cores: with all of them each, torch's threads would wait for one another
# most of the time. It is read when torch is loaded, so it stands here, before any test is collected.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(share, 1)))

# Modules whose library is not installed have no doctests to collect.
collect_ignore = [] if find_spec("sktime") else ["latentode/sktime.py"]
