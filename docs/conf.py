"""Sphinx configuration: MyST pages, the ecosystem's theme, Diátaxis folders."""

import gc
import sys
from pathlib import Path

from rdaq_ophyd import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# What a build makes stays to its end: to look for garbage in it as often as Python does takes a sixth of the time.
gc.set_threshold(100_000, 50, 1000)

project = "rdaq-ophyd"
author = "the rdaq-ophyd maintainers"
copyright = "2026, the rdaq-ophyd maintainers"  # noqa: A001 Sphinx's name
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "rdaq_docs",
    "rdaq_declared",
    "rdaq_device",
    "rdaq_names",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"secondary_sidebar_items": ["page-toc"], "navigation_with_keys": False}
html_title = "rdaq-ophyd"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
copybutton_prompt_text = r"\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True
# References into other projects are plain names here: no inventory is fetched over the network.
nitpicky = False
