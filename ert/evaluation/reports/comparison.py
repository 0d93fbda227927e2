"""Pictures of a comparison: error distributions, and the objects on which the models differ most."""

from collections.abc import Sequence

import numpy as np

from ert._core.images import load_image
from ert._core.types import Floats, Pixels, StrPath
from ert.datasets.dataset import Dataset
from ert.evaluation.comparison import Comparison, most_different
from ert.metrics import normalizer_text
from ert.plotting.charts import check_chart_file, plot_ced
from ert.plotting.landmarks import PHOTO_COLORS, TRUTH, contact_sheet, object_thumbnail, save_image, shortened

_THUMBNAIL_SIZE = 420
_N_COLUMNS = 4
_PLOT_SIZE = (6.4, 4.3)  # inches


def plot_errors(path: StrPath, comparison: Comparison, names: Sequence[str], title: str) -> None:
    """Write a plot of the error distributions of both models, in a format that matplotlib writes.

    Raises
    ------
    InputError
        When matplotlib is not installed, the suffix is unknown, or the file cannot be written.
    """
    check_chart_file(path)
    errors = dict(zip(names, comparison.errors, strict=True))
    x_label = f"mean error of an object (% of the {normalizer_text(comparison.normalizer)})"
    plot_ced(errors, x_label=x_label, title=title, size=_PLOT_SIZE).save(path)


def draw_most_different(
    path: StrPath, dataset: Dataset, shapes: Floats, comparison: Comparison, names: Sequence[str], n: int = 12
) -> None:
    """Write a contact sheet of the objects on which the models differ most, with both shapes and the truth.

    Parameters
    ----------
    path : path-like
        ``.png`` or another image format.
    dataset : Dataset
    shapes : (2, n, n_landmarks, 2) float64 array
        Landmarks of both models on the dataset.
    comparison : Comparison
    names : sequence of str
        Names of the two models.
    n : int
        Maximum number of objects.

    Raises
    ------
    InputError
        When an image cannot be read, or the file cannot be written.
    """
    chosen = most_different(comparison, n)
    thumbnails = [_thumbnail(dataset, shapes, comparison, int(i)) for i in chosen]
    captions = [shortened(dataset.files[i].name) for i in chosen]
    sheet = contact_sheet(thumbnails, _N_COLUMNS, captions, tile_size=_THUMBNAIL_SIZE)
    head = f"{len(chosen)} of {len(dataset)} objects, those on which the models differ most"
    save_image(path, np.vstack([_legend(sheet.shape[1], head, names, comparison.normalizer), sheet]))


def _thumbnail(dataset: Dataset, shapes: Floats, comparison: Comparison, i: int) -> Pixels:
    from PIL import Image, ImageDraw, ImageFont

    drawn = [dataset.landmarks[i], *shapes[:, i]]
    colors = [TRUTH, *PHOTO_COLORS]
    thumbnail = object_thumbnail(load_image(dataset.files[i]), dataset.boxes[i], drawn, colors, 2 * _THUMBNAIL_SIZE)
    picture = Image.fromarray(thumbnail)
    pen = ImageDraw.Draw(picture)
    scale = max(picture.size) / _THUMBNAIL_SIZE
    font = ImageFont.load_default(23 * scale)
    for which, color in enumerate(PHOTO_COLORS):
        place = (8 * scale, picture.height - (34 - 27 * which) * scale)
        text = f"{'AB'[which]} {comparison.errors[which, i]:.2f} %"
        pen.text(place, text, color, font, anchor="lb", stroke_width=round(2 * scale), stroke_fill="#080e1c")
    return np.array(picture, np.uint8)


def _legend(width: int, head: str, names: Sequence[str], normalizer: str) -> Pixels:
    """Draw the legend of the colors; long lines are written smaller."""
    from PIL import Image, ImageDraw, ImageFont

    left, line = 16, 32
    texts = [
        (head, "#ffffff"),
        *zip(names, PHOTO_COLORS, strict=True),
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
