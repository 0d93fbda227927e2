"""Configuration of the documentation: sphinx-build -W -b html docs docs/_build.

It documents the `ert` that is installed.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from gallery_examples import COPIES, copy_examples, section_folders  # noqa: E402

import ert  # noqa: E402

project = "ert"
author = "the ert-landmarks developers"
version = release = ert.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "generated/examples"]
templates_path = ["_templates"]
nitpicky = False  # types in docstrings are prose: "float array (n, n_landmarks, 2)"

html_theme = "pydata_sphinx_theme"
html_title = f"ert {release}"
html_favicon = "favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages at the top that have no pages below them.
html_sidebars = {"index": [], "start": [], "dlib": []}
copyright = author

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The pages of the API follow each public module's `__all__`.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autosummary_context = {"top_level": ert.__all__}  # documented once, on the page of `ert`
autodoc_typehints = "none"
numpydoc_show_class_members = False
# Checked for everything on the pages of the API; checks that need no import are in pyproject.toml.
numpydoc_validation_checks = {
    "GL08",  # no docstring
    "PR02",  # a documented parameter that the signature does not have
    "PR03",  # parameters in another order than in the signature
}
# Overloaded as in dlib: its signature is `*args`.
numpydoc_validation_exclude = {r"compat\.dlib\.test_shape_predictor$"}

copy_examples()
sphinx_gallery_conf = {
    "examples_dirs": str(COPIES),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "image_scrapers": ("gallery_examples.written_pictures",),
    "reset_modules": ("matplotlib", "gallery_examples.set_file"),
    "reset_modules_order": "both",
    "subsection_order": section_folders(),
    "within_subsection_order": "gallery_examples.example_position",
    "download_all_examples": False,
    # Scripts know where they are, and take arguments.
    "notebook_extensions": set(),
    "show_memory": False,
    "min_reported_time": 10**6,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}


def setup(app):
    """Connect what adapts pages of the repository that pages of the site include."""
    from repository_pages import link_to_pages

    app.connect("include-read", link_to_pages)
