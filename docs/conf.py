"""Sphinx configuration of the site; ``python -m sphinx -W docs docs/_build/html`` builds it."""

import shutil
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import reference_pages  # noqa: E402
import required  # noqa: E402
from sphinx.errors import ConfigError  # noqa: E402

import aniso  # noqa: E402

project = "aniso"
author = "the aniso developers"
version = release = aniso.__version__
html_show_copyright = False

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
if missing := required.sentence(
    dict.fromkeys(
        ("myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_design", "sphinx_gallery"),
        "docs",
    )
    | {"torch": "torch"}  # of the gallery
):
    raise ConfigError(missing)
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "gallery"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# pages of the folder figures are included in docs/figures, and link to tables beside them
for table in (HERE.parent / "figures").glob("*.csv"):
    shutil.copy(table, HERE / "figures")
# the pages of formulas go from their title to entries of the third level
suppress_warnings = ["myst.header", "config.cache", "autosummary.import_cycle"]

autosummary_generate = True
# objects are documented under the package that offers them, whatever module they live in
autosummary_ignore_module_all = False
autosummary_context = {"offered": reference_pages.offered_classes()}
numpydoc_show_class_members = False
autodoc_typehints = "none"  # docstrings state the types, with shapes

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "min_reported_time": 60,
    "default_thumb_file": None,
    "thumbnail_size": (480, 320),
}
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

html_theme = "pydata_sphinx_theme"
html_title = "aniso"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["aniso.css"]
html_context = {"default_mode": "auto", "packages": ["aniso", *reference_pages.PACKAGES]}
# nine hundred pages of one name each: a list of all of them beside each would take minutes
html_sidebars = {"reference/generated/*": ["packages"]}
html_sidebars |= {page: [] for page in ("index", "beside", "benchmarks", "data")}
html_theme_options = {
    "navigation_depth": 2,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": {"**": ["page-toc"]},
}

reference_pages.write(HERE / "reference")
