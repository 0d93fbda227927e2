"""Measures of eyes and mouth from the 68 points of a face."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert.face_regions import check_face
from ert.shapes import FACE68_REGIONS

__all__ = ["eye_aspect_ratio", "lengths", "mouth_opening", "zero_to_nan"]

Floats = NDArray[np.float64]

_EYES = np.array([FACE68_REGIONS["right_eye"], FACE68_REGIONS["left_eye"]])


def eye_aspect_ratio(landmarks: ArrayLike) -> Floats:
    """Tell how far eyes are open: the mean gap between the lids over the width of the eye.

    About 0.3 for most open eyes and below 0.15 for shut ones, but people and cameras differ, and so do
    models: `face68`, which learnt from few shut eyes, finds about 0.2 for them. The ratio depends neither on
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
