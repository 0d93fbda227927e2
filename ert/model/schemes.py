"""Landmark schemes: names, mirror maps and regions; mean shapes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError

FACE68_REGIONS: dict[str, range] = {
    # iBUG order; right and left are the subject's, so the right eye is on the left of the picture.
    "jaw": range(0, 17),
    "right_brow": range(17, 22),
    "left_brow": range(22, 27),
    "nose_bridge": range(27, 31),
    "nostrils": range(31, 36),
    "right_eye": range(36, 42),
    "left_eye": range(42, 48),
    "outer_lips": range(48, 60),
    "inner_lips": range(60, 68),
}

# The regions whose last landmark is joined to the first.
FACE68_CLOSED: tuple[str, ...] = ("right_eye", "left_eye", "outer_lips", "inner_lips")

FACE68_MIRROR: tuple[int, ...] = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *range(54, 47, -1),
    *range(59, 54, -1),
    *range(64, 59, -1),
    *range(67, 64, -1),
)

# Of the 68 points those of dlib's 5-point model: corners of the left eye, of the right eye, base of the nose.
FACE5_OF_FACE68: tuple[int, ...] = (45, 42, 36, 39, 33)
FACE5_MIRROR: tuple[int, ...] = (2, 3, 0, 1, 4)

MIRROR_MAPS: dict[str, tuple[int, ...]] = {"face5": FACE5_MIRROR, "face68": FACE68_MIRROR}


def resolve_mirror_map(mirror: str | Sequence[int] | None, n_landmarks: int) -> npt.NDArray[np.intp] | None:
    """Resolve the `mirror` parameter of :class:`ert.ShapePredictor`.

    Parameters
    ----------
    mirror : str, sequence of int or None
        The name of a scheme in `MIRROR_MAPS`, or for each landmark the number of the landmark that takes its
        place in the mirrored image, or None for objects that must not be mirrored.
    n_landmarks : int
        How many landmarks an object has.

    Returns
    -------
    ndarray of int (n_landmarks,) or None

    Raises
    ------
    InputError
        For an unknown scheme, a wrong length, or a map that does not mirror_map landmarks in pairs.
    """
    if mirror is None:
        return None
    if isinstance(mirror, str):
        if mirror not in MIRROR_MAPS:
            raise InputError(f"mirror: no scheme {mirror!r}; known: {', '.join(sorted(MIRROR_MAPS))}")
        mirror = MIRROR_MAPS[mirror]
    mirror_map = np.asarray(mirror)
    if mirror_map.shape != (n_landmarks,):
        raise InputError(f"mirror: a map of {mirror_map.size} landmarks for objects of {n_landmarks}")
    if not np.issubdtype(mirror_map.dtype, np.integer) or not np.array_equal(
        np.sort(mirror_map), np.arange(n_landmarks)
    ):
        raise InputError(f"mirror: expected each number from 0 to {n_landmarks - 1} once")
    if not np.array_equal(mirror_map[mirror_map], np.arange(n_landmarks)):
        odd = int(np.flatnonzero(mirror_map[mirror_map] != np.arange(n_landmarks))[0])
        raise InputError(
            f"mirror: landmark {odd} goes to {mirror_map[odd]}, which goes to {mirror_map[mirror_map[odd]]}, not back"
        )
    return mirror_map.astype(np.intp)


def mirror_shapes(shapes: npt.NDArray[np.float64], mirror_map: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Mirror shapes in the unit square: x becomes 1 - x and the landmarks change places.

    Parameters
    ----------
    shapes : float array (n, n_landmarks, 2)
        In coordinates of the box, where it is the unit square.
    mirror_map : int array (n_landmarks,)
        The mirror map.

    Returns
    -------
    float array (n, n_landmarks, 2)
    """
    mirrored = shapes[:, mirror_map]
    mirrored[:, :, 0] = 1.0 - mirrored[:, :, 0]
    return mirrored


def mean_shape(shapes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average shapes landmark by landmark over the objects that have it.

    Parameters
    ----------
    shapes : float array (n, n_landmarks, 2)
        NaN where a landmark is missing; every landmark is there at least once.

    Returns
    -------
    float array (n_landmarks, 2)
    """
    mean: npt.NDArray[np.float64] = np.nanmean(shapes, axis=0)
    return mean


def check_names(names: Sequence[str] | None, n_landmarks: int) -> tuple[str, ...]:
    """Check that landmark names are as many as the landmarks and all different; by default "0", "1", ..."""
    if names is None:
        return tuple(str(i) for i in range(n_landmarks))
    if len(names) != n_landmarks or len(set(names)) != n_landmarks:
        raise InputError(f"landmark_names: expected {n_landmarks} different names, got {len(names)}")
    return tuple(str(name) for name in names)
