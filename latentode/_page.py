"""What the report's page is made of: tables, pictures, durations in words, and the page around them."""

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from latentode._drawing import three_digits
from latentode.data import TimeAxis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TEMPLATE", "counted", "duration_in_words", "escaped", "image", "image_axes", "images", "table", "time_text"]

WIDTH = 4.4
"""Inches of a picture: on a phone some 75 pixels each, with which a label can be read; side by side on a wide page."""

_UNITS = (("second", 1.0), ("minute", 60.0), ("hour", 3_600.0), ("day", 86_400.0))
_YEAR = 365.2425 * 86_400.0


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table that scrolls within its card."""
    top = "".join(f"<th>{escaped(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escaped(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def image_axes(height: float) -> "Axes":
    """The axes of a new picture."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained").add_subplot()


def image(figure: Any, alt: str) -> str:
    """A figure, held in the page itself."""
    kept = io.BytesIO()
    figure.savefig(kept, format="png", dpi=120)
    data = base64.b64encode(kept.getvalue()).decode()
    return f'<img alt="{escaped(alt)}" src="data:image/png;base64,{data}">'


def images(parts: Sequence[str]) -> str:
    """Images side by side, or one below the other where the page is narrow."""
    return f'<div class="images">{"".join(parts)}</div>'


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: 1 channel, 2 channels."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration_in_words(axis: TimeAxis, length: float) -> str:
    """A duration to three digits, in the largest unit it fills: "3.2 days"."""
    if not np.isfinite(length):
        return "none"
    if axis.kind == "number":
        return f"{length:.4g}"
    if length >= 2 * _YEAR:
        return f"{three_digits(length / _YEAR)} years"
    # What rounds to a whole unit is that unit: 59.99 minutes are an hour.
    name, unit = next((u for u in reversed(_UNITS) if length >= 0.9995 * u[1]), _UNITS[0])
    text = three_digits(length / unit)
    return f"{text} {name}" if text == "1" else f"{text} {name}s"


def time_text(axis: TimeAxis, time: Any) -> str:
    """A time of the data: dates to the second, and without a clock at midnight."""
    if isinstance(time, pd.Timestamp):
        near = time.round("s")
        return f"{near:%Y-%m-%d}" if near == near.normalize() else str(near)
    if isinstance(time, pd.Timedelta):
        return duration_in_words(axis, time.total_seconds())
    return f"{time:.6g}" if isinstance(time, float) else str(time)


def escaped(text: str) -> str:
    """Text that is no markup."""
    return html.escape(text, quote=True)


TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>latentode: {title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1d1d1f; --faint: #6e6e73; --line: #d8d8dc; --paper: #fbfbfd; --card: #fff; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #ececee; --faint: #9a9aa0; --line: #3a3a3e; --paper: #161618; --card: #1f1f22; }}
  img {{ filter: invert(.92) hue-rotate(180deg); }} }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }}
main {{ max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 5rem; }}
h1 {{ font-size: 1.6rem; margin: .5rem 0 0; overflow-wrap: anywhere; }} h2 {{ font-size: 1.15rem; margin: 0 0 .75rem; }}
h3 {{ font-size: 1rem; margin: 1rem 0 .25rem; }}
nav {{ color: var(--faint); margin-bottom: 1.5rem; }}
nav a {{ color: #0072b2; text-decoration: none; margin-right: 1rem; display: inline-block; }}
section {{ background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.3rem;
  margin-bottom: 1.1rem; }}
.images {{ display: flex; flex-wrap: wrap; gap: .5rem 1rem; }}
img {{ width: 28rem; max-width: 100%; height: auto; background: #fff; border-radius: 6px; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; }}
th, td {{ padding: .22rem .8rem; text-align: right; white-space: nowrap; }}
th {{ font-weight: 600; color: var(--faint); }} td:first-child, th:first-child {{ text-align: left; }}
thead th {{ border-bottom: 1px solid var(--line); }}
.facts th, .facts td {{ text-align: left; vertical-align: top; white-space: normal; overflow-wrap: break-word; }}
.key span {{ display: inline-block; margin-right: 1rem; }}
.key i {{ display: inline-block; width: .7em; height: .7em; margin-right: .4em; box-sizing: border-box; }}
.note {{ border-left: 3px solid #d55e00; padding-left: .8rem; }} .faint {{ color: var(--faint); }}
select {{ font: inherit; max-width: min(18rem, 100%); }}
@media (max-width: 34rem) {{
  main {{ padding: 1rem .6rem 3rem; }} section {{ padding: .9rem .7rem; }} th, td {{ padding: .22rem .5rem; }} }}
</style></head><body><main>
<h1>{title}</h1>
<nav>{links}</nav>
{body}
</main><script>
const which = document.getElementById("which");
const show = () => document.querySelectorAll(".forecast").forEach(f => f.hidden = f.id !== which.value);
which.addEventListener("change", show); show();
</script></body></html>
"""
