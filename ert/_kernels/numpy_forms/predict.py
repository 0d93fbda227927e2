"""A cascade on faces: see :mod:`ert._kernels.predict`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ert._kernels.numpy_forms.crop import CropSpec, cut_crop, square_box
from ert._kernels.numpy_forms.pixels import (
    Basis,
    MeanShape,
    Pixels,
    Trees,
    channels_of,
    pools,
    read_pixels,
    sum_of_leaves,
)
from ert._kernels.start import choice

Box = tuple[float, float, float, float]
Floats = npt.NDArray[np.float64]
# Landmarks stay within this distance of the box, in its sides.
MAX_LANDMARK_SIDES = 100.0


def is_plain(image: Pixels, box: Box, max_box_to_image: int) -> bool:
    """Return whether an image is contiguous, and a box touches it and is not far larger."""
    (left, top, width, height), (rows, columns) = box, image.shape[:2]
    largest = max_box_to_image * max(rows, columns)
    return bool(
        image.flags.c_contiguous
        and min(rows, columns) > 0
        and 1 < width <= largest
        and 1 < height <= largest
        and 1 - width <= left <= columns - 1
        and 1 - height <= top <= rows - 1
    )


class NumpyCascade:
    """A cascade, with the attributes of :class:`ert._kernels.predict.CompiledCascade`."""

    bound = color_part = None

    def __init__(self, arrays: dict[str, npt.NDArray[Any]], crop: CropSpec, stages_per_basis: int) -> None:
        self.crop, self.mean_shape = crop, arrays["mean_shape"]
        self.mean = MeanShape.of(self.mean_shape)
        self.with_maps = "channels" in arrays
        pool = pools(arrays["anchors"], arrays["deltas"], arrays.get("channels"))
        trees = map(Trees.of, arrays["pairs"], arrays["thresholds"], arrays["leaves"])
        bases = (
            Basis.of(scales, arrays["basis"][number // stages_per_basis])
            for number, scales in enumerate(arrays["scales"])
        )
        self.stages = list(zip(pool, trees, bases, strict=True))

    def entry_point(
        self,
        image: Pixels,
        origin: tuple[int, int],
        box: Box,
        max_box_to_image: int,
        inits: Floats,
        mirror_map: npt.NDArray[np.intp],
        bound: None,
        landmarks: Floats,
    ) -> bool:
        """Locate the landmarks of one face in a gray image, see :func:`ert._kernels.predict.predict_face`."""
        if max_box_to_image and not is_plain(image, box, max_box_to_image):
            return False
        choice.count_runs(len(inits))
        x, y, side = square_box(*box)
        crop = cut_crop(image, origin, (x, y, side), self.crop)
        channels = channels_of(crop, with_maps=self.with_maps)
        whole = crop.transform.astype(np.float64)
        for (right, down, scale, mirrored), target in zip(inits.tolist(), landmarks, strict=True):
            shift_x, shift_y = (1 - scale) / 2 + right, (1 - scale) / 2 + down
            to_crop = np.zeros(6, np.float32)
            to_crop[0] = to_crop[3] = whole[0] * scale
            to_crop[4], to_crop[5] = whole[4] + whole[0] * shift_x, whole[5] + whole[0] * shift_y
            if mirrored:
                # u becomes 1 - u.
                to_crop[0] = -to_crop[0]
                to_crop[4] = whole[4] + whole[0] * (1 - shift_x)
            shape = self._run_stages(channels, to_crop).astype(np.float64)
            u, v = shape.clip(-MAX_LANDMARK_SIDES, MAX_LANDMARK_SIDES).T * scale + [[shift_x], [shift_y]]
            place = mirror_map if mirrored else slice(None)
            target[place, 0], target[place, 1] = (1 - u if mirrored else u) * side + x, v * side + y
        return True

    def _run_stages(self, channels: Any, to_crop: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        shape = self.mean_shape
        for pool, trees, basis in self.stages:
            a, b = self.mean.similarity(shape)
            values = read_pixels(channels, to_crop, shape, (a, b), pool)
            dx, dy = basis.product(sum_of_leaves(trees.leaves_of(values))).reshape(-1, 2).T
            shape = np.stack([dx * a + dy * -b, dy * a + dx * b], axis=1) + shape
        return shape


def compile_cascade(arrays: dict[str, npt.NDArray[Any]], crop: CropSpec, stages_per_basis: int) -> NumpyCascade:
    """Lay out a cascade."""
    return NumpyCascade(arrays, crop, stages_per_basis)
