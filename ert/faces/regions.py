"""The parts of a face by name: jaw, brows, nose, eyes and lips."""

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.model.schemes import FACE68_REGIONS

__all__ = [
    "FACE_REGIONS",
    "check_face",
    "eye_aspect_ratio",
    "lengths",
    "mouth_opening",
    "regions",
    "zero_to_nan",
]


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


_EYES = np.array([FACE68_REGIONS["right_eye"], FACE68_REGIONS["left_eye"]])


def eye_aspect_ratio(landmarks: ArrayLike) -> Floats:
    """Tell how far eyes are open: the mean gap between the lids over the width of the eye.

    About 0.3 for most open eyes and below 0.15 for shut ones, but people and cameras differ, and so do
    models: `face68`, which learned from few shut eyes, finds about 0.2 for them. The ratio depends neither on
    the size of the face in the picture nor on roll; turned to a side an eye looks narrower, so that it grows.

    Parameters
    ----------
    landmarks : (..., 68, 2) array-like
        In iBUG order, of one face or of many; NaN = missing.

    Returns
    -------
    (..., 2) float64 array
        Of the right and of the left eye, the subject's. NaN where a landmark of the eye is missing, or its
        corners coincide.

    Raises
    ------
    InputError
        When there are not 68 points.

    References
    ----------
    T. Soukupova and J. Cech, Real-Time Eye Blink Detection using Facial Landmarks, 21st Computer Vision
    Winter Workshop, 2016: ratio (1), and 0.2 as the usual limit between shut and open.
    """
    eyes = check_face(landmarks, 68)[..., _EYES, :]
    gaps = lengths(eyes[..., [1, 2], :] - eyes[..., [5, 4], :]).mean(axis=-1)
    ratio: Floats = gaps / zero_to_nan(lengths(eyes[..., 3, :] - eyes[..., 0, :]))
    return ratio


def mouth_opening(landmarks: ArrayLike) -> Floats:
    """Tell how far mouths are open: the gap between the middles of the inner lips over the mouth's width.

    It depends neither on the size of the face in the picture nor on roll.

    Parameters
    ----------
    landmarks : (..., 68, 2) array-like
        In iBUG order, of one face or of many; NaN = missing.

    Returns
    -------
    (...) float64 array
        0 when shut, about 0.5 in a yawn. NaN where one of the four landmarks is missing, or the corners
        coincide.

    Raises
    ------
    InputError
        When there are not 68 points.
    """
    points = check_face(landmarks, 68)
    gap = lengths(points[..., 66, :] - points[..., 62, :])
    opening: Floats = gap / zero_to_nan(lengths(points[..., 54, :] - points[..., 48, :]))
    return opening


def lengths(vectors: Floats) -> Floats:
    """Return the lengths of vectors (..., 2)."""
    measured: Floats = np.hypot(vectors[..., 0], vectors[..., 1])
    return measured


def zero_to_nan(measured: Floats) -> Floats:
    """Make of lengths of zero, which nothing can be divided by, missing ones."""
    return np.where(measured > 0, measured, np.nan)
