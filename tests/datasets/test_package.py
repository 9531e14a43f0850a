import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code: str, *, cwd: Path, path: Path) -> str:
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": str(path)}
    return subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def test_the_datasets_need_no_torch(tmp_path):
    code = "import sys, latentode.datasets as d; d.load_pbc(); print('torch' in sys.modules)"
    assert run(code, cwd=tmp_path, path=ROOT).strip() == "False"


def test_a_wheel_carries_the_data(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("latentode-*.whl")
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = (
        "import latentode.datasets as d; print(d.__file__, len(d.load_pbc()), len(d.load_storms()), "
        "d._files.find('pbc', 'pbc.csv.gz'))"
    )
    home, visits, records, found = run(code, cwd=tmp_path, path=unpacked).split()
    assert Path(home).is_relative_to(unpacked)
    assert (visits, records) == ("1945", "19513")
    assert Path(found) == unpacked / "latentode" / "datasets" / "files" / "pbc" / "pbc.csv.gz"
