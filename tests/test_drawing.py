import pytest
from matplotlib import cbook
from matplotlib.figure import Figure

from latentode._drawing import as_label


@pytest.mark.parametrize(
    "name", ["$x$ and $\\frac{$", "a_b^c", "_hidden", "\\", "<b>&", "two\nlines", "long " * 40, "\ud800"]
)
def test_a_name_is_drawn_letter_for_letter_and_without_a_warning(name, recwarn):
    ax = Figure(figsize=(4, 3)).add_subplot()
    ax.plot([0, 1], label=as_label(name))
    ax.set(title=as_label(name), xlabel=as_label(name))
    (text,) = ax.legend().get_texts()
    ax.figure.draw_without_rendering()
    assert len(text.get_text()) <= 45
    assert not cbook.is_math_text(text.get_text())
    assert not recwarn.list
