"""Models in the browser: the ES modules that run them, and pages of one file."""

from ert.web.export import export_page
from ert.web.npm import export_npm

__all__ = ["export_npm", "export_page"]
