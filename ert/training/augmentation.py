"""Crops of training objects made hard to see, so that the model bears what is blurred or partly hidden."""

import numpy as np
import numpy.typing as npt

from ert.model.geometry import frame_to_image
from ert.training.crops import Crops

__all__ = [
    "occlude_crops",
]


# Sigma of the blur in sides of the box; part of the landmarks' rectangle that a block covers.
_BLUR = 0.01, 0.05
_COVERED = 0.08, 0.35
# Logarithm of how much wider or higher than that rectangle's a block's proportions are.
_STRETCH = 0.3


def occlude_crops(
    crops: Crops, shapes: npt.NDArray[np.float64], share: float, random_state: int
) -> npt.NDArray[np.intp]:
    """Blur some crops, cover parts of others by a block that is gray or cut out of another crop.

    Parameters
    ----------
    crops : Crops
        Rewritten.
    shapes : float array (n_objects, n_landmarks, 2)
        In box coordinates; NaN where missing.
    share : float
        Of the objects; a third of them in each way.
    random_state : int

    Returns
    -------
    int array
        The objects whose crops were changed.
    """
    rng = np.random.default_rng([random_state, 2])
    chosen = np.flatnonzero(rng.random(len(crops)) < share)
    for i in chosen.tolist():
        crop, way = crops.crop(i), rng.integers(3)
        if way == 0:
            side = float(np.sqrt(abs(np.linalg.det(crops.frames[i, :4].reshape(2, 2)))))
            _blur(crop, side * rng.uniform(*_BLUR))
            continue
        (landmarks,) = frame_to_image(shapes[i : i + 1], crops.frames[i : i + 1])
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


def _blur(crop: npt.NDArray[np.uint8], sigma: float) -> None:
    from scipy.ndimage import gaussian_filter

    crop[:] = np.rint(gaussian_filter(crop.astype(np.float64), sigma, mode="nearest"))


def _block(
    crop: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return a random part of the landmarks' rectangle, as far as the crop has it."""
    low, high = np.nanmin(landmarks, axis=0), np.nanmax(landmarks, axis=0)
    stretch = np.exp(rng.uniform(-_STRETCH, _STRETCH))
    size = np.sqrt(rng.uniform(*_COVERED)) * (high - low) * (stretch, 1 / stretch)
    first = low + rng.random(2) * (high - low - size)
    left, top = np.clip(np.rint(first), 0, crop.shape).astype(int)
    right, bottom = np.clip(np.rint(first + size), 0, crop.shape).astype(int)
    return crop[left:right, top:bottom]
