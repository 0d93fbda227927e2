"""HTML pages from the templates beside this file: self-contained, without scripts or network access."""

from functools import cache
from typing import TYPE_CHECKING, Any

from ert._core.exceptions import one_line
from ert._core.files import write_atomically
from ert._core.types import StrPath
from ert.plotting.charts import require_plot_packages
from ert.plotting.landmarks import data_uri

if TYPE_CHECKING:
    from jinja2 import Environment


def check_report_packages(path: StrPath) -> None:
    """Raise an InputError, before long work, if a package is missing that a report needs."""
    require_plot_packages(str(path), "jinja2", "matplotlib")


def write_page(path: StrPath, template: str, **values: Any) -> None:
    """Render a template and write the page as UTF-8, replacing an existing file atomically.

    Parameters
    ----------
    path : path-like
    template : str
        Name of a file in the folder ``templates``.
    **values
        Variables of the template. Texts may come from anywhere: each is escaped, and shortened to one line.

    Raises
    ------
    InputError
        When the file cannot be written or a package is missing.
    """
    check_report_packages(path)
    text = environment().get_template(template).render(values)
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@cache
def environment() -> "Environment":
    """Return the Jinja2 environment of the templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("ert.evaluation.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: one_line(value) if type(value) is str else value,
    )
    made.filters["data_uri"] = lambda image: Markup(data_uri(image))
    return made
