"""Augmentation of training crops by blur and occlusion, for a model that copes with both."""

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert.model.geometry import frame_to_image
from ert.training.crops import Crops

# Ranges: sigma of the blur in sides of the box; the share of the landmarks' rectangle that a block covers.
_BLUR_SIGMA = 0.01, 0.05
_COVERED_SHARE = 0.08, 0.35
# Largest logarithm of the aspect ratio of a block relative to that of the rectangle.
_MAX_LOG_STRETCH = 0.3


def occlude_crops(crops: Crops, shapes: Floats, probability: float, random_state: int) -> npt.NDArray[np.intp]:
    """Blur some crops, and cover parts of others by a gray block or by a block of another crop.

    Parameters
    ----------
    crops : Crops
        Rewritten.
    shapes : float array (n_objects, n_landmarks, 2)
        In box coordinates; NaN where missing.
    probability : float
        That an object is changed, in each of the three ways with the same probability.
    random_state : int

    Returns
    -------
    int array
        The objects whose crops have been changed.
    """
    rng = np.random.default_rng([random_state, 2])
    chosen = np.flatnonzero(rng.random(len(crops)) < probability)
    for i in chosen.tolist():
        crop, way = crops.crop(i), rng.integers(3)
        if way == 0:
            side = float(np.sqrt(abs(np.linalg.det(crops.transforms[i, :4].reshape(2, 2)))))
            _blur(crop, side * rng.uniform(*_BLUR_SIGMA))
            continue
        (landmarks,) = frame_to_image(shapes[i : i + 1], crops.transforms[i : i + 1])
        covered = _block(crop, landmarks, rng)
        if way == 1:
            covered[:] = rng.integers(256)
        else:
            other = crops.crop(int(rng.integers(len(crops))))
            across, down = (
                (start + np.arange(n)) % size
                for start, n, size in zip(rng.integers(other.shape), covered.shape, other.shape, strict=True)
            )
            covered[:] = other[across[:, None], down]
    crops.release()
    return chosen


def _blur(crop: Pixels, sigma: float) -> None:
    from scipy.ndimage import gaussian_filter

    crop[:] = np.rint(gaussian_filter(crop.astype(np.float64), sigma, mode="nearest"))


def _block(crop: Pixels, landmarks: Floats, rng: np.random.Generator) -> Pixels:
    """Return a random part of the landmarks' rectangle, clipped to the crop, as a view."""
    low, high = np.nanmin(landmarks, axis=0), np.nanmax(landmarks, axis=0)
    stretch = np.exp(rng.uniform(-_MAX_LOG_STRETCH, _MAX_LOG_STRETCH))
    size = np.sqrt(rng.uniform(*_COVERED_SHARE)) * (high - low) * (stretch, 1 / stretch)
    first = low + rng.random(2) * (high - low - size)
    left, top = np.clip(np.rint(first), 0, crop.shape).astype(int)
    right, bottom = np.clip(np.rint(first + size), 0, crop.shape).astype(int)
    return crop[left:right, top:bottom]
