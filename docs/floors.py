"""Draws the floors of the package from the import contracts: ``python docs/floors.py`` writes images/floors.svg."""

import tomllib
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT, GAP, MARGIN = 760, 44, 10, 12
BOX = '<rect x="{x:.0f}" y="{y}" width="{w:.0f}" height="{h}" rx="5" fill="#e8f0f7" stroke="#0072B2"/>'
TEXT = (
    '<text x="{x:.0f}" y="{y}" text-anchor="middle" font-family="sans-serif" font-size="14" fill="#222">{name}</text>'
)


def floors() -> list[list[str]]:
    """The packages and modules of each floor, from the top."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    contract = next(c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [[part.strip().removeprefix("latentode.") for part in layer.split("|")] for layer in contract["layers"]]


def picture() -> str:
    """The floors as an SVG, a row for each."""
    rows = floors()
    parts = []
    for k, row in enumerate(rows):
        y, width = MARGIN + k * (HEIGHT + GAP), (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        for j, name in enumerate(row):
            x = MARGIN + j * (width + GAP)
            parts.append(BOX.format(x=x, y=y, w=width, h=HEIGHT))
            parts.append(TEXT.format(x=x + width / 2, y=y + HEIGHT / 2 + 5, name=name))
    height = 2 * MARGIN + len(rows) * (HEIGHT + GAP) - GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, "<title>The floors of latentode</title>", *parts, "</svg>", ""])


if __name__ == "__main__":
    (HERE / "images" / "floors.svg").write_text(picture())
