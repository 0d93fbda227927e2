"""Augmentation of training crops: warps towards the shapes of other objects, light and camera, occlusion.

Crops are arrays (columns, rows): the first index is x.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.types import Floats, Pixels
from ert._kernels import Workers
from ert.model.geometry import box_to_image, image_to_box
from ert.model.procrustes import as_complex, move_onto
from ert.training.crops import BLOCK_SIZE, Crops
from ert.training.exchange import ALONE, Exchange
from ert.training.parameters import Options

# Ranges: sigma of the blur in sides of the box; the share of the landmarks' rectangle that a block covers.
_BLUR_SIGMA = 0.01, 0.05
_COVERED_SHARE = 0.08, 0.35
# Largest logarithm of the aspect ratio of a block relative to that of the rectangle.
_MAX_LOG_STRETCH = 0.3

# Light: gamma, a gradient across the crop (of logarithms), contrast and brightness (of levels from 0 to 1). Camera:
# blur, noise of gray levels, a share of the resolution, JPEG. Each with its probability.
_LIGHT_PROBABILITY, _CAMERA_PROBABILITY = 0.5, 0.3
_LOG_GAMMA_SD, _LOG_GRADIENT, _CONTRAST, _MAX_BRIGHTNESS = 0.35, (0.2, 1.0), (0.5, 1.3), 0.12
_BLUR_PIXELS, _NOISE_LEVELS, _RESOLUTION, _JPEG_QUALITY = (0.4, 1.5), (2, 12), (0.3, 0.8), (20, 70)
# How far an object is warped to the shape of another: 1 is all the way.
WARP_RANGE = 0.3, 1.0
# Regularization of thin plates, in squares of the size of the landmarks: close landmarks cannot fold the image.
STIFFNESS = 0.1
# Landmarks that a thin plate is fitted to at most: its time grows with their cube.
MAX_CONTROL_POINTS = 128
# Pixels between the places at which a thin plate is computed; linear interpolation in between.
_GRID_STEP_PIXELS = 8
# Objects that are tried as the target of a warp, until the image does not fold.
_MAX_TARGETS = 3
_TOLERANCE_PIXELS, _MAX_ITERATIONS = 0.02, 30
# As in `ert._kernels.crop`.
_MAX_GAIN = 16.0
# Warps that enlarge or shrink areas somewhere by more than this are dropped.
_MAX_AREA_FACTOR = 8.0


def augment_crops(
    crops: Crops,
    shapes: Floats,
    options: Options,
    *,
    targets: npt.NDArray[np.intp],
    min_contrast: float,
    n_threads: int,
    start: int = 0,
) -> Floats:
    """Warp some objects towards the shapes of others, and change the light of some, in place.

    `shapes` (n_objects, n_landmarks, 2) are in box coordinates, NaN where missing; those of `targets` are what others
    are warped towards. Crops are those of all objects, or of some from `start` on. Return the shapes after it.
    """
    from threadpoolctl import threadpool_limits

    result = shapes.copy()
    draws = np.random.default_rng([options.random_state, 3]).random((len(shapes), 2)) < (options.warp, options.lighting)

    def change(i: int) -> None:
        # A generator for each object: the number of threads changes nothing.
        rng = np.random.default_rng([options.random_state, 3, i])
        crop, transform = crops.crop(i - start), crops.transforms[[i - start]]
        warped, lit = draws[i]
        if warped:
            (landmarks,) = box_to_image(shapes[[i]], transform)
            for target in _draw_targets(landmarks, shapes, targets, rng):
                if (found := warp_crop(crop, landmarks, target)) is not None:
                    crop[:], landmarks = found
                    (result[i],) = image_to_box(landmarks[None], transform)
                    break
        if lit:
            crop[:] = stretch(relight(crop, rng), min_contrast)

    def change_block(first: int) -> None:
        for i in range(first, min(first + BLOCK_SIZE, start + len(crops))):
            if draws[i].any():
                change(i)
        crops.release()

    # One thread of linear algebra: their number may change the last bit.
    with threadpool_limits(1), Workers(n_threads) as workers:
        list(workers.map(change_block, range(start, start + len(crops), BLOCK_SIZE)))
    return result


def _draw_targets(
    landmarks: Floats, shapes: Floats, targets: npt.NDArray[np.intp], rng: np.random.Generator
) -> Iterator[Floats]:
    """Yield shapes a random part of the way from landmarks to other objects, which are moved onto them."""
    for _ in range(_MAX_TARGETS):
        other = move_onto(as_complex(shapes[[rng.choice(targets)]]), as_complex(landmarks))[0]
        yield landmarks + rng.uniform(*WARP_RANGE) * (np.column_stack([other.real, other.imag]) - landmarks)


def warp_crop(crop: Pixels, landmarks: Floats, target: Floats) -> tuple[Pixels, Floats] | None:
    """Warp a crop smoothly so that its landmarks (n_landmarks, 2) move towards a target.

    Return the crop and its landmarks, which are where the warp moved them; None where the image would fold. Landmarks
    that are NaN in either do not drive the warp.
    """
    from scipy.ndimage import map_coordinates

    known = np.flatnonzero(~np.isnan(landmarks + target).any(axis=1))
    known = known[np.linspace(0, len(known) - 1, min(len(known), MAX_CONTROL_POINTS)).astype(int)]
    if len(known) < 3:
        return None
    # The thin plate maps back, from pixels of the result to the displacement of those of the crop.
    plate = ThinPlate(target[known], landmarks[known] - target[known])
    axes = [np.append(np.arange(0, size - 1, _GRID_STEP_PIXELS), size - 1.0) for size in crop.shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    sources = grid + plate(grid.reshape(-1, 2)).reshape(grid.shape)
    across = np.diff(sources, axis=0)[:, :-1] / np.diff(axes[0])[:, None, None]
    down = np.diff(sources, axis=1)[:-1] / np.diff(axes[1])[:, None]
    areas = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    # What folds in the background does not matter.
    low, high = np.nanmin(target, axis=0), np.nanmax(target, axis=0)
    near = [(axis[1:] > low[k]) & (axis[:-1] < high[k]) for k, axis in enumerate(axes)]
    areas = areas[np.ix_(*near)]
    if not areas.size or not (areas.min() > 1 / _MAX_AREA_FACTOR and areas.max() < _MAX_AREA_FACTOR):
        return None
    moved = landmarks.copy()
    for _ in range(_MAX_ITERATIONS):
        step = moved + plate(moved) - landmarks
        moved -= step
        if np.nanmax(np.abs(step)) < _TOLERANCE_PIXELS:
            break
    else:
        return None
    columns, rows = (_interpolation(axis, size) for axis, size in zip(axes, crop.shape, strict=True))
    places = [columns @ sources[..., k] @ rows.T for k in (0, 1)]
    warped = np.rint(map_coordinates(crop.astype(np.float32), places, order=1, mode="nearest"))
    return warped.astype(np.uint8), moved


class ThinPlate:
    """A smooth function of the plane with given values (n, 2) at points (n, 2), nearly (Bookstein, 1989)."""

    def __init__(self, points: Floats, values: Floats) -> None:
        self._center = points.mean(axis=0)
        self._size = float(np.sqrt(((points - self._center) ** 2).sum(axis=1).mean())) or 1.0
        self._points = (points - self._center) / self._size
        n = len(points)
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _bending(self._points, self._points) + STIFFNESS * np.eye(n)
        system[:n, n] = system[n, :n] = 1
        system[:n, n + 1 :], system[n + 1 :, :n] = self._points, self._points.T
        self._weights = np.linalg.lstsq(system, np.vstack([values, np.zeros((3, 2))]), rcond=None)[0]

    def __call__(self, places: Floats) -> Floats:
        """Return the values (m, 2) at places (m, 2)."""
        placed = (places - self._center) / self._size
        n = len(self._points)
        plane = self._weights[n] + placed @ self._weights[n + 1 :]
        values: Floats = _bending(placed, self._points) @ self._weights[:n] + plane
        return values


def _bending(a: Floats, b: Floats) -> Floats:
    squares = (a[:, None, 0] - b[:, 0]) ** 2 + (a[:, None, 1] - b[:, 1]) ** 2
    result: Floats = squares * np.log(squares + 1e-12)
    return result


def _interpolation(axis: Floats, size: int) -> Floats:
    """Return the matrix (size, len(axis)) that interpolates values at an axis linearly to 0, 1, ..., size - 1."""
    return np.stack([np.interp(np.arange(size), axis, row) for row in np.eye(len(axis))], axis=1)


def relight(crop: Pixels, rng: np.random.Generator) -> Pixels:
    """Change the light of a crop, and take it with a worse camera: each change has its probability."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    levels = crop / 255.0
    if rng.random() < _LIGHT_PROBABILITY:
        levels = levels ** np.exp(rng.normal(0, _LOG_GAMMA_SD))
    if rng.random() < _LIGHT_PROBABILITY:
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(*_LOG_GRADIENT)
        x, y = (np.linspace(-0.5, 0.5, size) for size in crop.shape)
        levels = levels * np.exp(strength * (np.cos(angle) * x[:, None] + np.sin(angle) * y))
    if rng.random() < _LIGHT_PROBABILITY:
        levels = (levels - 0.5) * rng.uniform(*_CONTRAST) + 0.5 + rng.uniform(-_MAX_BRIGHTNESS, _MAX_BRIGHTNESS)
    levels *= 255
    if rng.random() < _CAMERA_PROBABILITY:
        levels = gaussian_filter(levels, rng.uniform(*_BLUR_PIXELS))
    if rng.random() < _CAMERA_PROBABILITY:
        levels = levels + rng.normal(0, rng.uniform(*_NOISE_LEVELS), crop.shape)
    result = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    if rng.random() < _CAMERA_PROBABILITY:
        image, share = Image.fromarray(result), rng.uniform(*_RESOLUTION)
        small = image.resize([max(1, round(share * size)) for size in image.size], Image.Resampling.BOX)
        result = np.array(small.resize(image.size, Image.Resampling.BILINEAR))
    if rng.random() < _CAMERA_PROBABILITY:
        file = io.BytesIO()
        Image.fromarray(result).save(file, "jpeg", quality=int(rng.integers(*_JPEG_QUALITY)))
        result = np.array(Image.open(file))
    return result


def stretch(crop: Pixels, min_contrast: float) -> Pixels:
    """Stretch the gray levels of a crop with little contrast, as crops are when they are cut."""
    contrast = crop.std()
    if contrast >= min_contrast:
        return crop
    gain = min_contrast / max(contrast, min_contrast / _MAX_GAIN)
    levels: Floats = np.clip(128 + gain * (crop - crop.mean()), 0, 255)
    return np.rint(levels).astype(np.uint8)


def occlude_crops(
    crops: Crops,
    shapes: Floats,
    probability: float,
    random_state: int,
    own: slice | None = None,
    exchange: Exchange = ALONE,
) -> npt.NDArray[np.intp]:
    """Blur some crops, and cover parts of others by a gray block or by a block of another crop.

    Each object is changed with the given probability, in one of the three ways. `shapes` (n_objects, n_landmarks,
    2) are in box coordinates, NaN where missing. Crops are those of all objects, or of those that are `own`. Return the
    indices of the objects that have been changed.
    """
    rng = np.random.default_rng([random_state, 2])
    n = len(shapes)
    own = slice(0, n) if own is None else own
    chosen = np.flatnonzero(rng.random(n) < probability)
    sizes, transforms = exchange.join(crops.places[:, 1:]), exchange.join(crops.transforms)
    starts = exchange.join(np.array([own.start]))

    def find(i: int) -> tuple[Pixels, int]:
        """Return a crop, of which only the size is right where it is another part's, and the part that has it."""
        rank = int(np.searchsorted(starts, i, side="right")) - 1
        if rank == exchange.rank:
            return crops.crop(i - own.start), rank
        return np.broadcast_to(np.uint8(0), sizes[i]), rank

    for i in chosen.tolist():
        (crop, rank), way = find(i), rng.integers(3)
        is_own = rank == exchange.rank
        if way == 0:
            side = float(np.sqrt(abs(np.linalg.det(transforms[i, :4].reshape(2, 2)))))
            sigma = side * rng.uniform(*_BLUR_SIGMA)
            if is_own:
                _blur(crop, sigma)
            continue
        (landmarks,) = box_to_image(shapes[i : i + 1], transforms[i : i + 1])
        covered = _block(crop, landmarks, rng)
        if way == 1:
            block: Any = rng.integers(256)
        else:
            other, source = find(int(rng.integers(n)))
            across, down = (
                (start + np.arange(n)) % size
                for start, n, size in zip(rng.integers(other.shape), covered.shape, other.shape, strict=True)
            )
            block = exchange.copy(other[across[:, None], down], source, rank)
        if is_own:
            covered[:] = block
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
