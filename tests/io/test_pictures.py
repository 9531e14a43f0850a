import pytest

from latentode.io.pictures import write_picture
from tests.io.full_disk import little_room


def test_a_full_disk_leaves_the_picture_that_was_there(tmp_path):
    from matplotlib.figure import Figure

    path = tmp_path / "a.png"
    path.write_text("as it was")
    with little_room(), pytest.raises(OSError, match="no existing file was changed"):
        write_picture(Figure(), path)
    assert path.read_text() == "as it was"


@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a", b"\x89PNG")]
)
def test_a_picture_has_the_format_of_its_suffix(tmp_path, name, begin):
    from matplotlib.figure import Figure

    write_picture(Figure(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begin)
