"""Eyes of faces in images closed: the skin between brow and upper lid is stretched down over them."""

import numpy as np
from numpy.typing import ArrayLike

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.images import check_image
from ert._core.types import Floats, Pixels
from ert.faces.regions import check_face
from ert.model.schemes import FACE68_REGIONS

_EYES = (("right_eye", "right_brow"), ("left_eye", "left_brow"))
# In widths of the eye: where the lids meet above the lower one, as a share of the opening; the gap that is annotated in
# shut eyes; how far below the lower lid the skin moves with it; the least skin above the upper lid that is stretched.
_MEETING, _GAP, _BELOW, _MIN_ABOVE = 0.15, 0.04, 0.4, 0.15
# Lids are rounder than a parabola.
_ROUNDNESS = 0.8
# Share of the way from the upper lid to the brow that is stretched: the rest is the brow's hair.
_TO_BROW = 0.7
# Half-width in widths of the eye, and darkness, of the line of lashes where shut lids meet.
_LASHES, _LASH_DARKNESS = 0.04, 0.25


@checked_arguments
def close_eyes(image: Pixels, landmarks: ArrayLike, closed: float = 1.0) -> tuple[Pixels, Floats]:
    """Close the eyes of a face, wholly or in part.

    The skin between the brow and the upper lid is stretched down over the eye, so that nothing of the iris remains in
    an eye that is shut, and the skin below rises a little. For training data, in which shut eyes are rare, and for
    tests of what counts blinks.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
    landmarks : (68, 2) array-like
        In iBUG order, x, y in pixels. An eye of which a landmark is NaN, or whose brow is, stays as it is.
    closed : float
        From 0, which leaves the eyes as they are, to 1, shut.

    Returns
    -------
    image : uint8 array, of the shape of `image`
    landmarks : (68, 2) float64 array

    Raises
    ------
    InputError
        When there are not 68 landmarks or an argument is invalid.
    """
    image = check_image(image).copy()
    points = check_face(landmarks, 68, many=False).copy()
    if not 0 <= closed <= 1:
        raise InputError(f"closed={closed!r}: expected 0 to 1")
    for eye, brow in _EYES:
        corners = list(FACE68_REGIONS[eye])
        points[corners] = _close(image, points[corners], points[list(FACE68_REGIONS[brow])], float(closed))
    return image, points


def _close(image: Pixels, eye: Floats, brow: Floats, closed: float) -> Floats:
    """Close an eye in an image in place, and return its landmarks (6, 2), clockwise from the corner on its left."""
    from scipy.ndimage import map_coordinates

    axis = eye[3] - eye[0]
    width = np.hypot(*axis)
    if not width > 0 or np.isnan(eye).any() or np.isnan(brow).any() or not closed:
        return eye
    # Coordinates of the eye: along the line from corner to corner, and down from it, in its widths.
    frame = np.array([axis, (-axis[1], axis[0])]) / width**2
    placed, hairs = (eye - eye[0]) @ frame.T, (brow - eye[0]) @ frame.T
    upper, lower = _Lid(*placed[1:3]), _Lid(*placed[[5, 4]])

    low, high = np.minimum(brow.min(axis=0), eye.min(axis=0)), eye.max(axis=0)
    low, high = low - 0.5 * width, high + (0.5 + _BELOW) * width
    columns, rows = (np.arange(max(int(low[k]), 0), min(int(high[k]) + 1, image.shape[1 - k])) for k in (0, 1))
    if not len(columns) or not len(rows):
        return eye
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1)
    along, down = np.moveaxis((pixels - eye[0]) @ frame.T, -1, 0)

    top, bottom = upper(along), np.maximum(lower(along), upper(along))
    opening = bottom - top
    # The edges of the lids after closing: shut, both are where they meet.
    edge, rim = top + closed * (1 - _MEETING) * opening, bottom - closed * _MEETING * opening
    hair = np.interp(along, *hairs[np.argsort(hairs[:, 0])].T)
    ceiling = np.minimum(top - _MIN_ABOVE, top + _TO_BROW * (hair - top))
    floor = bottom + _BELOW
    above = np.clip((down - ceiling) / (edge - ceiling), 0, 1)
    below = np.clip((floor - down) / (floor - rim), 0, 1)
    # What is seen at each pixel: skin from above the upper lid, or the eye and the skin below it. Half a pixel keeps
    # interpolation from mixing in what the lid covers.
    half = 0.5 / width
    skin = np.where(above > 0, ceiling + above * (top - half - ceiling), down)
    shut = rim - edge < 2 * half
    rest = np.where((below > 0) & (shut | (down > rim)), floor - below * (floor - half - bottom), down)
    # A pixel on the edge of the lid is a mixture of both.
    share = np.clip((edge - down) * width + 0.5, 0, 1)
    changed = np.abs(np.where(share > 0, skin, down) - down) + np.abs(np.where(share < 1, rest, down) - down) > 0
    shade = 1 - closed * _LASH_DARKNESS * np.exp(-(((down - edge) / _LASHES) ** 2)) * (opening > 0.05)
    downward = np.array([-axis[1], axis[0]])
    places = [(pixels + (source - down)[..., None] * downward)[changed].T[::-1] for source in (skin, rest)]
    part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    for index in np.ndindex(image.shape[2:]):
        levels = image[..., *index].astype(np.float64)
        lid, eyeball = (map_coordinates(levels, place, order=1, mode="nearest") for place in places)
        mixed = share[changed] * lid + (1 - share[changed]) * eyeball
        part[..., *index][changed] = np.rint(mixed * shade[changed])
    moved = eye.copy()
    for lid, numbers, share in ((upper, (1, 2), closed * (1 - _MEETING)), (lower, (5, 4), 1 - closed * _MEETING)):
        at = placed[list(numbers), 0]
        gap = lower(at) - upper(at)
        # Annotators leave a small gap between shut lids.
        rest = np.maximum(np.minimum(_GAP, gap) - (1 - closed) * gap, 0) / 2
        where = upper(at) + share * gap + (-rest if lid is upper else rest)
        moved[list(numbers)] = eye[0] + np.column_stack([at, where]) @ np.array([axis, (-axis[1], axis[0])])
    return moved


class _Lid:
    """The edge of a lid between the corners of the eye, through two points, in coordinates of the eye."""

    def __init__(self, first: Floats, second: Floats) -> None:
        along, down = np.transpose([first, second])
        heights = down / np.clip(along * (1 - along), 0.05, None) ** _ROUNDNESS
        # Near one another, as in a profile, they do not tell more than a mean height.
        self._slope = np.diff(heights)[0] / np.diff(along)[0] if np.diff(along)[0] > 0.1 else 0.0
        self._middle, self._height = along.mean(), heights.mean()

    def __call__(self, along: Floats) -> Floats:
        arch = np.clip(along * (1 - along), 0, None) ** _ROUNDNESS
        result: Floats = arch * (self._height + self._slope * (np.clip(along, 0, 1) - self._middle))
        return result
