"""How the site is built: ``make docs``. Warnings are errors."""

import latentode

project = "latentode"
author = "The latentode developers"
copyright = author
release = version = latentode.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"

html_title = "latentode"
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navbar_center": [],  # twenty pages have no room there: the sidebar lists them
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
}
html_sidebars = {"**": ["contents.html"]}
html_static_path = ["_static"]
html_css_files = ["latentode.css"]
html_show_sourcelink = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(quickstart|predict_with_dask)\.py",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,  # pages of no use to a reader, which a search found
    "abort_on_example_error": True,
}


def _skip_foreign(app, what, name, obj, skip, options):
    """Leave out what a class has of torch, scikit-learn or Python: their pages describe it."""
    home = getattr(getattr(obj, "fget", obj), "__module__", None)
    return True if isinstance(home, str) and not home.startswith("latentode") else None


def setup(app):
    app.connect("autodoc-skip-member", _skip_foreign)
