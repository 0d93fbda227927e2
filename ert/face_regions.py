"""The parts of a face by name: jaw, brows, nose, eyes and lips."""

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.errors import InputError
from ert.shapes import FACE68_REGIONS

__all__ = ["FACE_REGIONS", "check_face", "regions"]

_OF_68 = FACE68_REGIONS

FACE_REGIONS = MappingProxyType(
    {
        "face68": MappingProxyType(
            {
                "jaw": _OF_68["jaw"],
                "right_brow": _OF_68["right_brow"],
                "left_brow": _OF_68["left_brow"],
                "nose": range(_OF_68["nose_bridge"].start, _OF_68["nostrils"].stop),
                "right_eye": _OF_68["right_eye"],
                "left_eye": _OF_68["left_eye"],
                "outer_lips": _OF_68["outer_lips"],
                "inner_lips": _OF_68["inner_lips"],
            }
        ),
        "face5": MappingProxyType({"left_eye": range(0, 2), "right_eye": range(2, 4), "nose": range(4, 5)}),
    }
)
"""For each scheme the numbers of each region's landmarks; right and left are the subject's."""

_COUNTS = {68: "face68", 5: "face5"}


def regions(landmarks: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Return the landmarks of faces by region.

    **Right and left are the subject's own**: in a picture that is not mirrored the right eye is on the left.

    Parameters
    ----------
    landmarks : (..., 68, 2) or (..., 5, 2) array-like
        The 68 points in iBUG order, or the five of `face5` (dlib's: left eye, right eye, nose), of one face
        or of many.

    Returns
    -------
    dict of str to (..., n, 2) float64 array
        Every landmark is in one region. Of 68 points: ``jaw`` (17, from the subject's right ear to the left
        one), ``right_brow`` and ``left_brow`` (5, from left to right in the picture), ``nose`` (9: four down
        the bridge, five along the nostrils), ``right_eye`` and ``left_eye`` (6, clockwise in the picture from
        its left corner), ``outer_lips`` (12) and ``inner_lips`` (8, both clockwise from the corner that is on
        the left of the picture). Of 5 points: ``left_eye`` and ``right_eye`` (outer corner, inner corner),
        ``nose`` (its base).

    Raises
    ------
    InputError
        When there are neither 68 nor 5 points.

    Examples
    --------
    >>> face = ert.align(ert.sample_image())[0]
    >>> ert.regions(face.landmarks)["right_eye"].shape
    (6, 2)
    """
    points = check_face(landmarks, 68, 5)
    scheme = FACE_REGIONS[_COUNTS[points.shape[-2]]]
    return {name: points[..., list(numbers), :] for name, numbers in scheme.items()}


def check_face(landmarks: Any, *counts: int, many: bool = True) -> NDArray[np.float64]:
    """Return landmarks of faces as float64.

    Parameters
    ----------
    landmarks : (..., n, 2) array-like
        x, y; NaN where a landmark is missing.
    *counts : int
        The values of n that will do; none means any.
    many : bool
        Whether there may be leading dimensions.

    Raises
    ------
    InputError
        When they are of another shape, no numbers, or infinite.
    """
    try:
        points = np.asarray(landmarks, np.float64)
    except (TypeError, ValueError):
        raise InputError("landmarks: expected an array of numbers, x and y of each") from None
    if points.ndim < 2 or points.shape[-1] != 2 or (points.ndim > 2 and not many):
        expected = "(..., n_landmarks, 2)" if many else "(n_landmarks, 2), those of one face"
        raise InputError(f"landmarks: array of shape {points.shape}, expected {expected}")
    if counts and points.shape[-2] not in counts:
        known = " or ".join(map(str, counts))
        raise InputError(f"landmarks: {points.shape[-2]} points, expected the {known} points of a face")
    if np.isinf(points).any():
        raise InputError("landmarks: an infinite number, expected finite ones, or NaN for a missing landmark")
    return points
