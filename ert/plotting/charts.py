"""Drawings in SVG, written by hand: curves in axes, and the error of each landmark on the mean shape."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import one_line
from ert.metrics import ced
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS

__all__ = [
    "ON_PAPER",
    "Curve",
    "ced_curve",
    "landmark_map",
    "line_chart",
    "reliability_chart",
    "stage_chart",
    "x_limit",
]


# Of the palette of Okabe and Ito, which color-blind readers tell apart; the darker pair for white paper.
ON_PAPER = ("#0072b2", "#d55e00")
DASHES = ("", "7 3")

# A drawing is this wide in units of its own: on a narrow screen its text is still large enough to read.
_WIDTH = 420
_HEIGHT = 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 12, 46
_INK, _QUIET, _GRID = "#1c1f24", "#565c66", "#dfe3e8"
_TEXT = 'font-family="system-ui, Arial, sans-serif" font-size="13"'
# From light to dark as matplotlib's cividis is turned round: of even steps in lightness for every eye.
_SHADES = ("#fee838", "#bcaf6f", "#7c7b78", "#424e6c", "#00224e")


class Curve(NamedTuple):
    """A line in a chart."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def x_limit(errors: NDArray[np.float64]) -> float:
    """Return a round number that nearly all errors lie below: the few worst would press the curves flat.

    Parameters
    ----------
    errors : (n,) or (n_curves, n) array

    Returns
    -------
    float
    """
    medians = np.median(errors, axis=-1)
    return _round_up(1.1 * min(float(np.percentile(errors, 98)), 4 * float(medians.max())))


def _round_up(wanted: float) -> float:
    wanted = wanted or 1.0
    power = 10.0 ** np.floor(np.log10(wanted))
    steps = power * np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10])
    return float(steps[np.searchsorted(steps, wanted * (1 - 1e-9))])


def ced_curve(label: str, errors: ArrayLike, end: float) -> Curve:
    """Return the cumulative distribution of errors, in percent of the objects, from 0 to `end`."""
    thresholds, fractions = ced(errors, np.linspace(0, end, 401))
    return Curve(label, thresholds, 100 * fractions)


def line_chart(
    curves: Sequence[Curve],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_end: float,
    y_end: float,
    mark: tuple[float, str] | None = None,
    dots: bool = False,
) -> str:
    """Draw curves in axes that begin at 0.

    Parameters
    ----------
    curves : sequence of Curve
        At most two; a key tells them apart.
    title : str
        What the drawing shows, for those who do not see it.
    x_label, y_label : str
    x_end, y_end : float
        Where the axes end, above 0; what lies beyond is cut off.
    mark : (x, text), optional
        A dotted line across.
    dots : bool
        Whether to mark the curves' points, which then are whole numbers of `x`.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        right = _LEFT + width * np.asarray(x, float) / x_end
        down = _TOP + height * (1 - np.clip(np.asarray(y, float) / y_end, 0, 1))
        return np.stack([right, down], axis=-1)

    parts = []
    for tick in _ticks(y_end):
        _, y = place(0, tick)
        parts.append(_line((_LEFT, y), (_WIDTH - _RIGHT, y), _INK if tick == 0 else _GRID))
        parts.append(_text(_LEFT - 7, y + 4.5, f"{tick:g}", "end"))
    for tick in _ticks(x_end, whole=dots):
        x, _ = place(tick, 0)
        parts.append(_line((x, _TOP), (x, _TOP + height), _INK if tick == 0 else _GRID))
        # The last number would reach beyond the drawing.
        parts.append(_text(min(x, _WIDTH - 14), _TOP + height + 18, f"{tick:g}", "middle"))
    parts.append(_text(_LEFT + width / 2, _HEIGHT - 8, x_label, "middle"))
    middle = _TOP + height / 2
    parts.append(_text(13, middle, y_label, "middle", f' transform="rotate(-90 13 {middle:g})"'))
    if mark is not None:
        x, _ = place(mark[0], 0)
        parts.append(_line((x, _TOP), (x, _TOP + height), _QUIET, ' stroke-dasharray="2 3"'))
        anchor, shift = ("end", -5) if x > _LEFT + width / 2 else ("start", 5)
        parts.append(_text(x + shift, _TOP + height - 8, mark[1], anchor))
    for number, curve in enumerate(curves):
        here = curve.x <= x_end
        points = place(curve.x[here], curve.y[here])
        parts.append(_polyline(points, ON_PAPER[number], 2.2, DASHES[number]))
        if dots:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ON_PAPER[number]}"/>' for x, y in points
            ]
    if len(curves) > 1:
        parts += _key(curves)
    return _svg(_WIDTH, _HEIGHT, title, parts)


def _ticks(end: float, *, whole: bool = False) -> NDArray[np.float64]:
    """Return four to seven round numbers from 0 to at most `end`."""
    power = 10.0 ** np.floor(np.log10(end))
    step = next(s for s in power * np.array([0.1, 0.2, 0.25, 0.5, 1, 2]) if end / s <= 6)
    step = max(round(step), 1) if whole else step
    return np.arange(0, end * (1 + 1e-9), step)


def _key(curves: Sequence[Curve]) -> list[str]:
    """Tell the curves apart, in the upper right corner: for curves that fall."""
    left = _WIDTH - _RIGHT - 46 - 7.2 * max(len(curve.label) for curve in curves)
    parts = []
    for number, curve in enumerate(curves):
        y = _TOP + 14 + 19 * number
        parts.append(_polyline(np.array([(left, y), (left + 30, y)]), ON_PAPER[number], 2.2, DASHES[number]))
        parts.append(_text(left + 37, y + 4.5, curve.label, "start"))
    return parts


def reliability_chart(tables: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Draw how often comes true what is said to be so probable; what holds its word lies on the diagonal.

    Parameters
    ----------
    tables : dict of str to list of dict
        By what was judged, at most two; of each the tenths as :func:`ert.calibration.reliability` has them.
        The larger a dot, the more it stands for.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    size = _HEIGHT - _TOP - _BOTTOM
    left, width = _LEFT, _WIDTH - _LEFT - _RIGHT
    parts = []
    for tick in np.arange(0, 101, 20):
        x, y = left + width * tick / 100, _TOP + size * (1 - tick / 100)
        color = _INK if tick == 0 else _GRID
        parts += [_line((left, y), (left + width, y), color), _line((x, _TOP), (x, _TOP + size), color)]
        parts += [_text(left - 7, y + 4.5, f"{tick}", "end")]
        parts.append(_text(min(x, _WIDTH - 14), _TOP + size + 18, f"{tick}", "middle"))
    parts.append(_line((left, _TOP + size), (left + width, _TOP), _QUIET, ' stroke-dasharray="2 3"'))
    parts.append(_text(left + width / 2, _HEIGHT - 8, "probability that was told, %", "middle"))
    middle = _TOP + size / 2
    rotated = f' transform="rotate(-90 13 {middle:g})"'
    parts.append(_text(13, middle, "share that came true, %", "middle", rotated))
    said = []
    for number, (label, table) in enumerate(tables.items()):
        color = ON_PAPER[number]
        points = np.array([(row["probability"], row["share"]) for row in table]).reshape(-1, 2)
        placed = np.column_stack([left + width * points[:, 0], _TOP + size * (1 - points[:, 1])])
        parts.append(_polyline(placed, color, 1.6, DASHES[number]))
        for (x, y), row in zip(placed, table, strict=True):
            told = f"{100 * row['probability']:.0f} % told, {100 * row['share']:.0f} % came true"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + 9 * row["weight"] ** 0.5:.1f}" fill="{color}" '
                f'fill-opacity="0.55"><title>{_said(f"{label}: {told}")}</title></circle>'
            )
            said.append(f"{label} {told}")
        key = _TOP + 16 + 19 * number
        parts.append(f'<circle cx="{left + 18}" cy="{key}" r="5" fill="{color}" fill-opacity="0.55"/>')
        parts.append(_text(left + 30, key + 4.5, label, "start"))
    return _svg(_WIDTH, _HEIGHT, f"Reliability: {'; '.join(said)}", parts)


def stage_chart(history: Sequence[dict[str, float]], n_stages: int) -> str:
    """Draw the errors after each stage of a fit.

    Parameters
    ----------
    history : sequence of dict
        As :class:`ert.ShapePredictor` has it, not empty.
    n_stages : int
        Where the axis ends.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    names = {"train_nme": "training", "validation_nme": "validation"}
    stages = np.array([entry["stage"] for entry in history], float)
    curves = [
        Curve(label, stages, np.array([entry[key] for entry in history]))
        for key, label in names.items()
        if key in history[0]
    ]
    last = " and ".join(f"{curve.y[-1]:.2f} % in {curve.label}" for curve in curves)
    largest = max(float(curve.y.max()) for curve in curves)
    return line_chart(
        curves,
        title=f"Error by stage; after stage {stages[-1]:.0f}: {last}",
        x_label="stage",
        y_label="mean error, %",
        x_end=n_stages,
        y_end=_round_up(1.05 * largest),
        dots=True,
    )


def landmark_map(
    shape: ArrayLike, errors: ArrayLike, names: Sequence[str], *, length: float, label: str
) -> str:
    """Draw each landmark's mean error round its place in a shape.

    Radii are true to scale, or a round number of times as large, and then the drawing says so.

    Parameters
    ----------
    shape : (n_landmarks, 2) array-like
        x to the right, y down.
    errors : (n_landmarks,) array-like
        In percent of `length`; NaN where there is none.
    names : sequence of str
        Of the landmarks, for those who point at them.
    length : float
        The normalizer in the units of the shape.
    label : str
        What stands below the scale of the colors.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    points, values = np.array(shape, float), np.array(errors, float)
    known = np.flatnonzero(np.isfinite(values))
    largest = float(values[known].max()) if len(known) else 0.0
    size = float(np.ptp(points, axis=0).max()) or 1.0
    times = _magnification(largest / 100 * length / size)
    reach = times * np.nan_to_num(values) / 100 * length
    low, high = (points - reach[:, None]).min(axis=0), (points + reach[:, None]).max(axis=0)
    extent = np.maximum(high - low, 1e-9)
    # A long thin shape is as high as it is wide at most.
    scale = (_WIDTH - 24) / max(extent)
    left = (_WIDTH - scale * extent[0]) / 2
    placed = (points - low) * scale + (left, 12)
    height = scale * extent[1] + 24
    parts = []
    if len(points) == 68:
        for name, region in FACE68_REGIONS.items():
            line = [*region, region[0]] if name in FACE68_CLOSED else [*region]
            parts.append(_polyline(placed[line], "#b9bec6", 1.2))
    for i in known[np.argsort(-values[known], kind="stable")]:
        x, y = placed[i]
        said = f"<title>{_said(names[i])}: {values[i]:.2f} %</title>"
        color = _shade(values[i] / largest if largest else 0.0)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{max(reach[i] * scale, 2):.1f}" fill="{color}" '
            f'fill-opacity="0.9" stroke="#222" stroke-width="0.6">{said}</circle>'
        )
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.1" fill="#111"/>' for x, y in placed]
    shown = "" if times == 1 else f"; circles {times:g} times as large"
    parts += _scale_bar(height, largest, label + shown)
    worst = ""
    if len(known):
        first = int(known[values[known].argmax()])
        worst = f"; the largest is that of {names[first]}, {values[first]:.2f} %"
    return _svg(_WIDTH, height + 52, f"Mean error of each landmark on the mean shape{worst}", parts)


def _magnification(largest: float) -> float:
    """Choose how many times as large circles are drawn, of the largest radius as a part of the shape."""
    if not largest or 0.012 <= largest <= 0.08:
        return 1
    steps = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100])
    first_beyond = int(np.searchsorted(steps, 0.05 / largest, side="right"))
    return float(steps[max(first_beyond - 1, 0)])


def _scale_bar(top: float, largest: float, label: str) -> list[str]:
    left, width, steps = 30.0, _WIDTH - 60.0, 60
    parts = [
        f'<rect x="{left + i * width / steps:.1f}" y="{top:.1f}" width="{width / steps + 0.4:.1f}" '
        f'height="10" fill="{_shade(i / (steps - 1))}"/>'
        for i in range(steps)
    ]
    ends = ((left, "0"), (left + width, f"{largest:.2f}"))
    parts += [_text(x, top + 26, text, "middle") for x, text in ends]
    parts.append(_text(_WIDTH / 2, top + 44, label, "middle"))
    return parts


def _shade(part: float) -> str:
    """Return the color of a number from 0 to 1."""
    stops = np.linspace(0, 1, len(_SHADES))
    levels = np.array([[int(shade[i : i + 2], 16) for i in (1, 3, 5)] for shade in _SHADES])
    return "#" + "".join(f"{round(float(np.interp(part, stops, levels[:, k]))):02x}" for k in range(3))


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    said = _said(title)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:.0f}" '
        f'viewBox="0 0 {width:g} {height:.0f}" role="img" aria-label="{said}" {_TEXT} fill="{_INK}">\n'
        f"<title>{said}</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>'
    )


def _said(text: str) -> str:
    return escape(one_line(text))


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{_said(text)}</text>'


def _line(start: tuple[float, float], end: tuple[float, float], color: str, more: str = "") -> str:
    (a, b), (c, d) = start, end
    return f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" stroke="{color}"{more}/>'


def _polyline(points: NDArray[np.float64], color: str, width: float, dashes: str = "") -> str:
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{listed}" fill="none" stroke="{color}" stroke-width="{width}" '
        f'stroke-linejoin="round"{dashed}/>'
    )
