"""How Sphinx makes the documentation site."""

from imagefactory import __version__

project = "Image Factory"
version = release = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Image Factory {__version__}"
html_copy_source = False
html_show_sphinx = False
