"""The style of all charts and drawings: colors, dashes and fonts; a chart as SVG or as an image file."""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, one_line
from ert._core.files import write_atomically
from ert._core.types import StrPath

# From the palette of Okabe and Ito, which color-blind readers can distinguish: darker colors for charts on
# white, two lighter ones for landmarks on photographs.
CHART_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
PHOTO_COLORS = ("#56b4e9", "#e69f00")
TRUTH = "#ffffff"
# Curves also differ without color.
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
INK, MUTED, GRID = "#1c1f24", "#565c66", "#dfe3e8"

_RC_PARAMS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "lines.linewidth": 2,
    # The same chart gives the same bytes, and its text stays text.
    "svg.fonttype": "none",
    "svg.hashsalt": "ert",
    # A $ in a file name starts no formula.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
_DPI = 200


def require_plot_packages(what: str, *packages: str) -> None:
    """Raise an InputError that names what to install if one of the packages is missing; `what` needs them."""
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise InputError(
                f'{what}: needs {package}, which is not installed: pip install "ert-landmarks[plot]"'
            ) from None


def check_chart_file(path: StrPath) -> None:
    """Raise an InputError, before long work, if matplotlib is missing or does not write such files."""
    require_plot_packages(str(path), "matplotlib")
    from matplotlib.backend_bases import FigureCanvasBase

    if Path(path).suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise InputError(f"{path}: unknown suffix {Path(path).suffix!r}, expected .png, .pdf or .svg")


@dataclass(frozen=True)
class Chart:
    """A chart, drawn by matplotlib; notebooks display it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Not registered with pyplot, so that nothing has to be closed.
    description : str
        What the chart shows, as its alternative text.
    tooltips : dict of str to str
        Texts of marks in the SVG, by the `gid` of their artists.
    """

    figure: Any
    description: str
    tooltips: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        width, height = self.figure.get_size_inches()
        return f"Chart({width:g} x {height:g} in: {one_line(self.description, 100)})"

    def svg(self) -> str:
        """Return the chart as an ``<svg>`` element: the same chart gives the same text."""
        buffer = StringIO()
        with chart_style():
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
        for gid, tooltip in self.tooltips.items():
            text = text.replace(f'<g id="{gid}">', f"<g><title>{_escaped(tooltip)}</title>")
        # A page has several charts: ids that nothing refers to would be duplicates.
        referred = set(re.findall(r"#([\w.-]+)", text))
        text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referred else "", text)
        text = text.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
        label = _escaped(self.description)
        head, body = text.split(">", 1)
        return f'{head} role="img" aria-label="{label}">\n<title>{label}</title>{body.rstrip()}'

    def _repr_svg_(self) -> str:
        return self.svg()

    def save(self, path: StrPath) -> None:
        """Write the chart as ``.png``, ``.svg``, ``.pdf`` or another type that matplotlib writes.

        Raises
        ------
        InputError
            When the suffix is unknown or the file cannot be written.
        """
        check_chart_file(path)
        with write_atomically(path) as temporary, chart_style():
            if Path(path).suffix.lower() == ".svg":
                temporary.write_text(self.svg() + "\n", encoding="utf-8")
            else:
                self.figure.savefig(temporary, dpi=_DPI)


@contextmanager
def chart_style() -> Iterator[None]:
    """Within this context matplotlib draws and writes in the style of all charts."""
    require_plot_packages("a chart", "matplotlib")
    from matplotlib import rc_context

    with rc_context(_RC_PARAMS), warnings.catch_warnings():
        # The font may lack a character of a file name.
        warnings.filterwarnings("ignore", "Glyph")
        yield


def new_axes(width: float = 4.4, height: float = 2.95) -> Any:
    """Return the axes of a new figure of a size in inches; call it within `chart_style`.

    By default the figure is so small that its text stays readable when a phone scales it to its screen.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def finish_chart(axes: Any, description: str, tooltips: Mapping[str, str] | None = None) -> Chart:
    """Return the chart of axes that are drawn completely; call it within `chart_style`."""
    figure = axes.figure
    # The layout is computed once: at another resolution it would differ by fractions of a pixel.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return Chart(figure, description, tooltips or {})


def _escaped(text: str) -> str:
    return escape(one_line(text))
