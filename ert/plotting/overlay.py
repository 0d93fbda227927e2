"""Landmarks and boxes over an image in matplotlib axes."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.images import ImageLike, read_image
from ert._core.types import Floats, Pixels
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS
from ert.plotting.charts import require_plot_packages
from ert.plotting.landmarks import check_boxes, check_shapes
from ert.plotting.strokes import OUTLINE, POINT_COLOR, REGION_COLORS, smooth_curves

_HEIGHT = 6.0  # inches
_OUTLINE = tuple(level / 255 for level in OUTLINE)


def show(image: ImageLike, faces: Any = (), *, boxes: ArrayLike | None = None, ax: Any = None) -> Any:
    """Show an image with the boxes and landmarks of faces in matplotlib axes.

    Parameters
    ----------
    image : (rows, columns) or (rows, columns, 3) uint8 array, or path-like
        Gray or RGB.
    faces : sequence of faces, or (n, n_landmarks, 2) array-like
        Objects with ``landmarks`` (x and y in pixels; NaN landmarks are not drawn) and ``box`` (left, top,
        width, height), such as those that :func:`ert.align` returns; or landmarks alone. A single face or
        (n_landmarks, 2) array will do.
    boxes : (n, 4) array-like, optional
        Boxes to draw in addition to those of the faces.
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure, which is not registered with pyplot.

    Returns
    -------
    matplotlib.axes.Axes
        Data coordinates are pixels of the image. A notebook displays the axes of a new figure as a picture.

    Raises
    ------
    InputError
        When an argument does not have the described type or shape, or matplotlib is not installed.

    Examples
    --------
    >>> image = ert.sample_image()
    >>> axes = ert.plotting.show(image, ert.align(image))
    """
    require_plot_packages("show", "matplotlib")
    from matplotlib.patches import Rectangle

    pixels = read_image(image, "image")
    listed = [faces] if hasattr(faces, "landmarks") else faces
    if not isinstance(listed, np.ndarray):
        listed = list(listed)
        if listed and hasattr(listed[0], "landmarks"):
            boxes = [*(face.box for face in listed), *check_boxes(boxes)]
            listed = [face.landmarks for face in listed]
    shapes = check_shapes(listed)
    ax = _new_axes(pixels) if ax is None else ax
    ax.imshow(pixels, cmap="gray" if pixels.ndim == 2 else None, vmin=0, vmax=255)
    ax.set_axis_off()
    # Shapes and boxes beyond the border must not change the view.
    ax.set_autoscale_on(False)
    for left, top, width, height in check_boxes(boxes):
        for color, line_width in ((_OUTLINE, 3.0), ("white", 1.5)):
            ax.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, ec=color, lw=line_width))
    for shape in shapes:
        _draw_shape(ax, shape)
    return ax


def _new_axes(image: Pixels) -> Any:
    from matplotlib.figure import Figure

    rows, columns = image.shape[:2]
    figure = Figure(figsize=(min(_HEIGHT * columns / rows, 2 * _HEIGHT), _HEIGHT), layout="constrained")
    axes = figure.add_subplot()

    def png() -> bytes:
        data = BytesIO()
        figure.savefig(data, format="png")
        return data.getvalue()

    # Notebooks display figures of pyplot only.
    vars(axes)["_repr_png_"] = png
    return axes


def _draw_shape(ax: Any, shape: Floats) -> None:
    colors = np.full(len(shape), POINT_COLOR, object)
    for region, numbers in FACE68_REGIONS.items() if len(shape) == 68 else ():
        colors[list(numbers)] = REGION_COLORS[region]
        for curve in smooth_curves(shape, numbers, region in FACE68_CLOSED):
            ax.plot(*curve.T, color=_OUTLINE, linewidth=2.4, alpha=0.5)
            ax.plot(*curve.T, color=REGION_COLORS[region], linewidth=1)
    ax.scatter(*shape.T, s=9, c=colors.tolist(), edgecolors=[_OUTLINE], linewidths=0.5, zorder=3)
