"""Models in the browser: the ES modules that run them, and pages of one file."""

from ert.web.export import export_page

__all__ = ["export_page"]
