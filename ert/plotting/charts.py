"""Charts: error distributions, errors by stage and by landmark, calibration; and the style of all of them.

Without matplotlib all of them raise an :class:`ert.InputError` that names what to install.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.exceptions import InputError, one_line
from ert._core.files import write_atomically
from ert._core.types import StrPath
from ert.metrics import auc, ced
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS

# From the palette of Okabe and Ito, which color-blind readers can distinguish; curves also differ without color.
CHART_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_INK, _MUTED = "#1c1f24", "#565c66"

_RC_PARAMS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": _INK,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 9,
    "grid.color": "#dfe3e8",
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "lines.linewidth": 2,
    # The same chart gives the same bytes, and its text stays text.
    "svg.fonttype": "none",
    "svg.hashsalt": "ert",
    # A $ in a file name starts no formula.
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}

# More names would cover each other.
_MAX_NAMED_LANDMARKS = 40
# Circles of landmark errors are magnified by one of these factors.
_MAGNIFICATIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
# Largest radius, as a fraction of the shape's size: drawn to scale in this range, else as near to the target.
_MIN_RADIUS, _TARGET_RADIUS, _MAX_RADIUS = 0.012, 0.05, 0.08


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
        with _chart_style():
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
        for gid, tooltip in self.tooltips.items():
            text = text.replace(f'<g id="{gid}">', f"<g><title>{_escaped(tooltip)}</title>")
        # A page has several charts: ids that nothing refers to would be duplicates.
        referred = set(re.findall(r"#([\w.-]+)", text))
        text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referred else "", text)
        text = text.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
        head, body = text.split(">", 1)
        label = _escaped(self.description)
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
        with write_atomically(path, "chart") as temporary, _chart_style():
            if Path(path).suffix.lower() == ".svg":
                temporary.write_text(self.svg() + "\n", encoding="utf-8")
            else:
                self.figure.savefig(temporary, dpi=200)


@contextmanager
def _chart_style() -> Iterator[None]:
    """Within this context matplotlib draws and writes in the style of all charts."""
    require_plot_packages("a chart", "matplotlib")
    from matplotlib import rc_context

    with rc_context(_RC_PARAMS), warnings.catch_warnings():
        # The font may lack a character of a file name.
        warnings.filterwarnings("ignore", "Glyph")
        yield


def _new_axes(width: float = 4.4, height: float = 2.95) -> Any:
    """Return the axes of a new figure of a size in inches; call it within `_chart_style`.

    By default the figure is so small that its text stays readable when a phone scales it to its screen.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def _finish_chart(axes: Any, description: str, tooltips: Mapping[str, str] | None = None) -> Chart:
    """Return the chart of axes that are drawn completely; call it within `_chart_style`."""
    figure = axes.figure
    # The layout is computed once: at another resolution it would differ by fractions of a pixel.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return Chart(figure, description, tooltips or {})


def _escaped(text: str) -> str:
    return escape(one_line(text))


def x_limit(curves: Sequence[ArrayLike]) -> float:
    """Return a round number above nearly all errors: the few largest would flatten the curves of an axis.

    Infinite errors are ignored.
    """
    arrays = [np.asarray(errors, float) for errors in curves]
    finite = [errors[np.isfinite(errors)] for errors in arrays]
    finite = [errors for errors in finite if len(errors)] or [np.zeros(1)]
    largest_median = max(float(np.median(errors)) for errors in finite)
    wanted = 1.1 * min(float(np.percentile(np.concatenate(finite), 98)), 4 * largest_median)
    return _round_up(wanted)


def _round_up(wanted: float) -> float:
    wanted = wanted or 1.0
    power = 10.0 ** np.floor(np.log10(wanted))
    steps = power * np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10])
    return float(steps[np.searchsorted(steps, wanted * (1 - 1e-9))])


def plot_ced(
    errors: Mapping[str, ArrayLike],
    *,
    x_label: str = "normalized mean error (%)",
    title: str = "",
    failure_limit: float = 8.0,
    x_end: float | None = None,
    size: tuple[float, float] = (4.4, 2.95),
) -> Chart:
    """Plot cumulative error distributions: the percentage of objects with at most a given error.

    Parameters
    ----------
    errors : dict of str to (n,) array-like
        Errors in percent, usually :func:`ert.metrics.nme`, by the label of the curve; at most four curves. A
        legend with the mean and the AUC of each is drawn for several curves.
    x_label, title : str
        Texts of the chart.
    failure_limit : float
        Errors above it are failures, marked by a dotted line; the AUC is that up to it.
    x_end : float, optional
        End of the x axis; see `x_limit` for the default.
    size : (float, float)
        Width and height in inches.

    Returns
    -------
    Chart

    Examples
    --------
    >>> ert.plotting.plot_ced({"face68": [2.9, 3.4, 8.8], "dlib": [4.0, 4.4, 12.5]}).save("errors.svg")
    """
    curves = {one_line(name, 60): np.asarray(values, float) for name, values in errors.items()}
    end = x_limit([*curves.values()]) if x_end is None else x_end
    summaries = []
    with _chart_style():
        axes = _new_axes(*size)
        for number, (name, values) in enumerate(curves.items()):
            x, fractions = ced(values, np.linspace(0, end, 401))
            mean, area = float(np.mean(values)), auc(values, failure_limit)
            summary = f"mean {mean:.2f} %, AUC at {failure_limit:g} % {area:.3f}"
            summaries.append(f"{name}: {summary}" if name else summary)
            axes.plot(x, 100 * fractions, label=f"{name}\n{summary}", **_line_style(number))
        if end > failure_limit:
            line = axes.axvline(failure_limit, color=_MUTED, linewidth=1, linestyle=":")
            line.set_label(f"failures above {failure_limit:g} %")
            if len(errors) == 1:
                # SVG drops a space at the beginning: an offset keeps the text off the line.
                place = {"xytext": (3, 0), "textcoords": "offset points"}
                axes.annotate("failures", (failure_limit, 4), color=_MUTED, fontsize=9, **place)
        axes.set(xlim=(0, end), ylim=(0, 100), ylabel="objects (%)")
        axes.set(xlabel=one_line(x_label), title=one_line(title, 80))
        if len(errors) > 1:
            axes.legend(loc="lower right", framealpha=0.95, labelspacing=0.8)
        return _finish_chart(axes, f"Cumulative error distribution; {'; '.join(summaries)}")


def _line_style(number: int) -> dict[str, Any]:
    return {"color": CHART_COLORS[number], "linestyle": _DASHES[number]}


def plot_stages(history: Sequence[Mapping[str, float]], n_stages: int) -> Chart:
    """Plot the mean error after each stage of a fit.

    Parameters
    ----------
    history : sequence of dict
        ``history_`` of :class:`ert.ShapePredictor`, not empty.
    n_stages : int
        Number of stages of the finished fit: the end of the x axis.

    Returns
    -------
    Chart
    """
    # One line for each member of the model.
    members = [list(entries) for _, entries in groupby(history, key=lambda entry: entry.get("member", 1))]
    last, largest = [], 0.0
    with _chart_style():
        from matplotlib.ticker import MaxNLocator

        axes = _new_axes()
        for number, name in enumerate(("training", "validation")):
            key = f"{name.removesuffix('ing')}_nme"
            if key not in history[0]:
                continue
            for entries in members:
                stages, errors = [entry["stage"] for entry in entries], [entry[key] for entry in entries]
                markers = {"marker": "o", "markersize": 4, "clip_on": False}
                label = name if entries is members[0] else None
                axes.plot(stages, errors, label=label, **markers, **_line_style(number))
                largest = max(largest, *errors)
            last.append(f"{members[0][-1][key]:.2f} % in {name}")
        axes.set(xlim=(0, n_stages), ylim=(0, _round_up(1.05 * largest)))
        axes.set(xlabel="stage", ylabel="mean error (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(last) > 1:
            axes.legend(loc="upper right")
        which = f" of {len(members)} members; the first" if len(members) > 1 else ";"
        stage = members[0][-1]["stage"]
        return _finish_chart(axes, f"Error by stage{which} after stage {stage:.0f}: {' and '.join(last)}")


def plot_learning_curve(curve: Sequence[Mapping[str, Any]]) -> Chart:
    """Plot the error of new photos against the number of training photos.

    Parameters
    ----------
    curve : sequence of dict
        "n_images", "error" in percent, and "interval_95", which may be None; rows without an error are left out.

    Returns
    -------
    Chart
    """
    rows = [row for row in curve if row["error"] is not None]
    numbers, errors = [row["n_images"] for row in rows], [row["error"] for row in rows]
    spans = [row["interval_95"] or (row["error"], row["error"]) for row in rows]
    with _chart_style():
        axes = _new_axes()
        lengths = np.abs(np.array(spans).T - errors) if rows else None
        axes.errorbar(numbers, errors, lengths, marker="o", markersize=4, capsize=3, **_line_style(0))
        # The number of photos doubles from one to the next.
        axes.set_xscale("log")
        axes.set_xticks(numbers, list(map(str, numbers)))
        axes.minorticks_off()
        axes.set(ylim=(0, _round_up(1.05 * max((high for _, high in spans), default=1.0))))
        axes.set(xlabel="training photos", ylabel="error of new photos (%)")
        texts = [f"{error:.2f} % with {number} photos" for number, error in zip(numbers, errors, strict=True)]
        return _finish_chart(axes, f"Learning curve; {', '.join(texts)}")


def plot_reliability(tables: Mapping[str, Sequence[Mapping[str, float]]]) -> Chart:
    """Plot observed frequencies against predicted probabilities: a calibrated model lies on the diagonal.

    Parameters
    ----------
    tables : dict of str to list of dict
        By what was predicted, at most four: bins with their mean "probability", the "share" of events that
        occurred, and "weight", the bin's share of all predictions, which sets the size of its marker.

    Returns
    -------
    Chart
    """
    tooltips, handles = {}, []
    with _chart_style():
        from matplotlib.lines import Line2D

        axes = _new_axes(height=3.3)
        axes.plot([0, 100], [0, 100], color=_MUTED, linewidth=1, linestyle=":")
        for number, (name, table) in enumerate(tables.items()):
            x = [100 * row["probability"] for row in table]
            y = [100 * row["share"] for row in table]
            line = _line_style(number) | {"linewidth": 1.5}
            axes.plot(x, y, **line)
            handles.append(Line2D([], [], marker="o", label=one_line(name, 60), **line))
            marker = {"color": CHART_COLORS[number], "alpha": 0.6, "markeredgewidth": 0, "clip_on": False}
            for i, row in enumerate(table):
                gid = f"bin-{number}-{i}"
                tooltips[gid] = f"{name}: predicted {x[i]:.0f} %, observed {y[i]:.0f} %"
                axes.plot(x[i], y[i], "o", gid=gid, markersize=4 + 14 * row["weight"] ** 0.5, **marker)
        axes.set(xlim=(0, 100), ylim=(0, 100))
        axes.set(xlabel="predicted probability (%)", ylabel="observed frequency (%)")
        axes.legend(handles=handles, loc="lower right")
        return _finish_chart(axes, f"Reliability diagram; {'; '.join(tooltips.values())}", tooltips)


def plot_landmark_errors(
    shape: ArrayLike, errors: ArrayLike, names: Sequence[str], *, length: float, label: str
) -> Chart:
    """Draw the mean error of each landmark as a circle around its position in a shape.

    Radii are true to scale, or magnified by a round factor that the chart then states.

    Parameters
    ----------
    shape : (n_landmarks, 2) array-like
        Landmarks, x to the right and y down.
    errors : (n_landmarks,) array-like
        In percent of `length`; NaN where there is none.
    names : sequence of str
        Names of the landmarks, for tooltips.
    length : float
        The normalizer in the units of `shape`.
    label : str
        Label of the color scale.

    Returns
    -------
    Chart
    """
    points, values = np.array(shape, float), np.array(errors, float)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-values[known], kind="stable")]
    largest = float(values[order[0]]) if len(order) else 0.0
    size = float(np.ptp(points, axis=0).max()) or 1.0
    factor = _magnification(largest / 100 * length / size)
    radii = factor * values / 100 * length
    tooltips = {}
    with _chart_style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.patches import Circle

        colors = ScalarMappable(Normalize(0, largest or 1.0), "cividis_r")
        axes = _new_axes(height=4.6)
        axes.set_axis_off()
        axes.set_aspect("equal")
        for region, numbers in FACE68_REGIONS.items() if len(points) == 68 else ():
            line = [*numbers, numbers[0]] if region in FACE68_CLOSED else [*numbers]
            axes.plot(*points[line].T, color="#b9bec6", linewidth=1, zorder=0.5)
        edge = {"edgecolor": _INK, "linewidth": 0.5, "alpha": 0.9}
        # Small circles over large ones.
        for i in order.tolist():
            gid = f"landmark-{i}"
            tooltips[gid] = f"{names[i]}: {values[i]:.2f} %"
            axes.add_patch(Circle(points[i], radii[i], facecolor=colors.to_rgba(values[i]), gid=gid, **edge))
        axes.plot(*points.T, "o", color=_INK, markersize=1.5, markeredgewidth=0)
        if len(points) <= _MAX_NAMED_LANDMARKS:
            place = {"textcoords": "offset points", "fontsize": 7.5, "color": _INK}
            radius_points = 72 * axes.figure.get_size_inches()[0] * 0.8 / size
            for i in known.tolist():
                offset = min(0.75 * radii[i] * radius_points, 30) + 1
                name = axes.annotate(one_line(names[i], 12), points[i], xytext=(offset, offset), **place)
                name.set_in_layout(False)
        margins = np.nan_to_num(radii)[:, None] + 0.02 * size
        (left, top), (right, bottom) = (points - margins).min(axis=0), (points + margins).max(axis=0)
        axes.set(xlim=(left, right), ylim=(bottom, top))
        scale = "" if factor == 1 else f"; circles magnified {factor:g} times"
        bar = axes.figure.colorbar(colors, ax=axes, location="bottom", shrink=0.9, aspect=40, pad=0.02)
        bar.set_label(one_line(label) + scale)
        bar.outline.set_visible(False)
        worst = f"; the largest is {tooltips[f'landmark-{order[0]}']}" if len(order) else ""
        return _finish_chart(axes, f"Mean error of each landmark on the mean shape{worst}", tooltips)


def _magnification(radius: float) -> float:
    """Return the factor by which circles are magnified, given the largest radius relative to the shape."""
    if not radius or _MIN_RADIUS <= radius <= _MAX_RADIUS:
        return 1
    allowed = [factor for factor in _MAGNIFICATIONS if factor * radius <= _TARGET_RADIUS]
    return max(allowed, default=_MAGNIFICATIONS[0])
