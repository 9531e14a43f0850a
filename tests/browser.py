"""A page in headless Chromium: how wide it is, and what it reports."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")

QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--v=0"),
]

PROBE = """
<script>addEventListener("load", () => {
  const root = document.documentElement;
  parent.postMessage([innerWidth, Math.max(root.scrollWidth, document.body.scrollWidth), root.clientWidth].join(), "*");
})</script>
"""
FRAME = """<!doctype html><link rel="icon" href="data:,"><title>none</title>
<script>addEventListener("message", e => document.title = e.data)</script>
<iframe src="{name}" style="width: {width}px; height: 900px; border: 0"></iframe>
"""


class Shown(NamedTuple):
    """A page as a browser laid it out."""

    width: int
    content: int
    room: int
    console: list[str]


def show(page: Path, width: int, scratch: Path) -> Shown:
    """Lay out a page in a window this wide.

    Chromium has no window below 500 pixels, so the page stands in a frame. A copy of it, which reports its width, lies
    beside it for the moment.
    """
    copy, frame = page.with_name(f"probed_{page.name}"), page.with_name(f"frame_of_{page.name}")
    copy.write_text(page.read_text("utf-8") + PROBE, "utf-8")
    frame.write_text(FRAME.format(name=copy.name, width=width), "utf-8")
    command = ["chromium", *QUIET, f"--user-data-dir={scratch / 'profile'}", f"--window-size={width + 40},1000"]
    command += ["--virtual-time-budget=10000", "--dump-dom", frame.as_uri()]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    finally:
        copy.unlink()
        frame.unlink()
    reported = re.findall(r"<title>(\d+),(\d+),(\d+)</title>", ran.stdout)
    assert reported, ran.stdout[:500]
    return Shown(*map(int, reported[0]), re.findall(r"CONSOLE.*", ran.stderr))
