"""The package costs nothing until it is used."""

import subprocess
import sys

CODE = """
import sys, time
before = time.process_time()
import latentode
dir(latentode), latentode.__version__
spent = time.process_time() - before
heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'lightning', 'matplotlib'} & set(sys.modules)
assert not heavy, heavy
assert spent < 0.3, spent
"""


def test_importing_it_loads_nothing_heavy_and_takes_no_time():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
