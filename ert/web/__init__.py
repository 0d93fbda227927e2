"""Models in the browser: the ES modules that run them, and pages of one file.

>>> import ert
>>> n_bytes = ert.web.export_page("face5", "faces.html")  # opens by a double click
>>> ert.web.export_npm("face5", "npm")
"""

from ert.web.export import export_page
from ert.web.npm import export_npm

__all__ = ["export_npm", "export_page"]
