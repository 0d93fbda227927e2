"""A comparison in pictures: the error curves of both models, and the faces on which they differ most."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.images import load_image
from ert.datasets.dataset import Dataset
from ert.evaluation.comparison import Comparison, most_different
from ert.metrics import normalizer_text
from ert.plotting.charts import ON_PAPER, ced_curve, x_limit
from ert.plotting.landmarks import contact_sheet, save_image
from ert.plotting.thumbnails import ON_PHOTOS, TRUTH, object_thumbnail, shortened

__all__ = [
    "check_plot_file",
    "draw_most_different",
    "plot_errors",
]


_DASHES = ("-", (0, (5, 1.5)))

_TILE = 420
_COLUMNS = 4


def check_plot_file(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that a plot can be made and that the file's suffix is one of its kinds.

    Raises
    ------
    InputError
        When matplotlib is not installed, or the suffix is unknown.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise InputError(f"{path}: a plot needs matplotlib: pip install matplotlib") from None
    kinds = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in kinds:
        raise InputError(f"{path}: unknown suffix {Path(path).suffix!r}, expected .png, .pdf or .svg")


def plot_errors(
    path: str | os.PathLike[str], comparison: Comparison, names: Sequence[str], title: str
) -> None:
    """Write a plot of the cumulative error distributions of both models.

    Parameters
    ----------
    path : path-like
        `.png`, `.pdf`, `.svg` or another kind that matplotlib writes.
    comparison : Comparison
    names : sequence of str
        Of the two models.
    title : str

    Raises
    ------
    InputError
        When matplotlib is not installed, the suffix is unknown, or the file cannot be written.
    """
    check_plot_file(path)
    from matplotlib.figure import Figure

    limit = x_limit(comparison.errors)
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for which, name in enumerate(names):
        summary = comparison.figures["ab"[which]]
        label = f"{name}\nmean {summary['mean']:.2f} %, AUC at 8 % {summary['auc_8']:.3f}"
        curve = ced_curve(label, comparison.errors[which], limit)
        style: Any = _DASHES[which]
        axes.plot(curve.x, curve.y, color=ON_PAPER[which], linestyle=style, linewidth=2, label=label)
    if limit > 8:
        axes.axvline(8, color="#777777", linewidth=1, linestyle=":", label="8 %: beyond it a failure")
    axes.set(xlim=(0, limit), ylim=(0, 100), ylabel="objects with at most this error (%)")
    axes.set_xlabel(f"mean error of an object (% of the {normalizer_text(comparison.normalizer)})")
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(loc="lower right", framealpha=0.95, fontsize=9, labelspacing=0.8)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a file's name is no formula
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=160)


def draw_most_different(
    path: str | os.PathLike[str],
    dataset: Dataset,
    shapes: npt.NDArray[np.float64],
    comparison: Comparison,
    names: Sequence[str],
    n: int = 12,
) -> None:
    """Write a picture of the faces on which the models are farthest apart, with both shapes and the truth.

    Parameters
    ----------
    path : path-like
        `.png` or another kind of image.
    dataset : Dataset
    shapes : (2, n_objects, n_landmarks, 2) float64 array
        Landmarks of both models on the dataset.
    comparison : Comparison
    names : sequence of str
        Of the two models.
    n : int
        How many faces, at most.

    Raises
    ------
    InputError
        When an image cannot be read, or the file cannot be written.
    """
    chosen = most_different(comparison, n)
    thumbnails = [_tile(dataset, shapes, comparison, int(i)) for i in chosen]
    captions = [shortened(dataset.files[i].name) for i in chosen]
    sheet = contact_sheet(thumbnails, _COLUMNS, captions, tile_size=_TILE)
    head = f"{len(chosen)} of {len(dataset)} objects, those where the two differ most"
    save_image(path, np.vstack([_legend(sheet.shape[1], head, names, comparison.normalizer), sheet]))


def _tile(
    dataset: Dataset, shapes: npt.NDArray[np.float64], comparison: Comparison, i: int
) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    drawn = [dataset.landmarks[i], *shapes[:, i]]
    colors = [TRUTH, *ON_PHOTOS]
    thumbnail = object_thumbnail(load_image(dataset.files[i]), dataset.boxes[i], drawn, colors, 2 * _TILE)
    picture = Image.fromarray(thumbnail)
    pen = ImageDraw.Draw(picture)
    scale = max(picture.size) / _TILE
    font = ImageFont.load_default(23 * scale)
    for which, color in enumerate(ON_PHOTOS):
        place = (8 * scale, picture.height - (34 - 27 * which) * scale)
        text = f"{'AB'[which]} {comparison.errors[which, i]:.2f} %"
        pen.text(place, text, color, font, anchor="lb", stroke_width=round(2 * scale), stroke_fill="#080e1c")
    return np.array(picture, np.uint8)


def _legend(width: int, head: str, names: Sequence[str], normalizer: str) -> npt.NDArray[np.uint8]:
    """Draw what the colors mean; lines that are too long are set smaller."""
    from PIL import Image, ImageDraw, ImageFont

    left, line = 16, 32
    texts = [
        (head, "#ffffff"),
        *zip(names, ON_PHOTOS, strict=True),
        (f"truth; errors in % of the {normalizer_text(normalizer)}", TRUTH),
    ]
    picture = Image.new("RGB", (width, line * len(texts) + 14), "#16181d")
    pen = ImageDraw.Draw(picture)
    for number, (text, color) in enumerate(texts):
        middle = 8 + line * number + line / 2
        indent = 0 if number == 0 else 44
        if indent:
            pen.line((left, middle, left + 34, middle), color, 4)
            pen.ellipse((left + 11, middle - 6, left + 23, middle + 6), color)
        size = 23.0
        while pen.textlength(text, ImageFont.load_default(size)) > width - indent - 2 * left and size > 9:
            size -= 1
        pen.text((left + indent, middle), text, color, ImageFont.load_default(size), anchor="lm")
    return np.array(picture, np.uint8)
