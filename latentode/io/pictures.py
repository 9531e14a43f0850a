"""Pictures in files."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from latentode.io.atomic import write_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_picture"]


def write_picture(figure: "Figure", path: Path) -> None:
    """Write a figure in the format of the file name's suffix.

    Raises
    ------
    ValueError
        When matplotlib does not know the format.
    OSError
        When the file cannot be written. An existing file is unchanged.
    """
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix.removeprefix(".") or None)
    write_out(path, content.getvalue())
