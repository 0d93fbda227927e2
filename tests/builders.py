"""Random and small inputs that several test modules share."""

from dataclasses import replace

import numpy as np
from PIL import Image

from ert.inference.rotated import rotation
from ert.model.cascade import Cascade, check_cascade
from ert.model.cropping import CropSpec
from ert.model.dlib_cascade import DlibCascade
from ert.training.parameters import Options

N_LANDMARKS, N_PIXELS, N_COMPONENTS = 6, 30, 5


def random_cascade(rng, depth=3, dtype=np.int8):
    n_stages, n_trees, n_splits = 3, 8, 2**depth - 1
    cascade = Cascade(
        mean_shape=rng.random((N_LANDMARKS, 2)).astype(np.float32),
        crop_spec=CropSpec(np.array([-0.2, -0.2, 1.2, 1.2]), 40, 1.0),
        anchors=rng.integers(0, N_LANDMARKS, (n_stages, N_PIXELS)).astype(np.uint16),
        deltas=rng.normal(0, 0.1, (n_stages, N_PIXELS, 2)).astype(np.float32),
        pairs=rng.integers(0, N_PIXELS, (n_stages, n_trees, n_splits, 2)).astype(np.uint16),
        thresholds=rng.integers(-90, 90, (n_stages, n_trees, n_splits)).astype(np.int16),
        leaves=rng.integers(-99, 99, (n_stages, n_trees, n_splits + 1, N_COMPONENTS)).astype(dtype),
        scales=rng.uniform(0, 2e-6, (n_stages, N_COMPONENTS)).astype(np.float32),
        basis=rng.integers(-127, 128, (n_stages, N_COMPONENTS, 2 * N_LANDMARKS)).astype(np.int8),
    )
    check_cascade(cascade)
    return cascade


def random_dlib_cascade(seed, n_landmarks=5, n_stages=2, n_trees=3, depth=2, n_pixels=20):
    rng = np.random.default_rng(seed)
    n_splits = 2**depth - 1

    def floats(*shape):
        # Numbers of many sizes, zeros and whole numbers among them: their lengths in the file differ.
        values = rng.normal(0, 1, shape) * 10.0 ** rng.integers(-12, 6, shape)
        return np.where(rng.random(shape) < 0.2, rng.integers(-3, 3, shape) * 64, values).astype(np.float32)

    return DlibCascade(
        mean_shape=floats(n_landmarks, 2).clip(-40, 40),
        anchors=rng.integers(0, n_landmarks, (n_stages, n_pixels)).astype(np.uint16),
        deltas=floats(n_stages, n_pixels, 2).clip(-40, 40),
        pairs=rng.integers(0, n_pixels, (n_stages, n_trees, n_splits, 2)).astype(np.uint16),
        thresholds=floats(n_stages, n_trees, n_splits),
        leaves=floats(n_stages, n_trees, n_splits + 1, 2 * n_landmarks),
        scales=np.empty((n_stages, 0), np.float32),
        basis=np.empty((n_stages, 0, 2 * n_landmarks), np.int16),
    )


def likely_cascade(seed, **sizes):
    """A cascade whose numbers are of the size that real ones have."""
    rng = np.random.default_rng(seed)
    cascade = random_dlib_cascade(seed, n_stages=3, n_trees=6, depth=3, n_pixels=30, **sizes)
    return replace(
        cascade,
        mean_shape=rng.random(cascade.mean_shape.shape).astype(np.float32),
        deltas=rng.normal(0, 0.1, cascade.deltas.shape).astype(np.float32),
        thresholds=rng.uniform(-60, 60, cascade.thresholds.shape).astype(np.float32),
        leaves=rng.normal(0, 0.01, cascade.leaves.shape).astype(np.float32),
    )


def small_options(**changes):
    plain = {
        "kind": "ert",
        "n_trees": 20,
        "max_depth": 3,
        "learning_rate": 0.1,
        "n_trees_averaged": 1,
        "n_pixels": 80,
        "n_pool_candidates": 0,
        "n_split_tests": 10,
        "prior_length": 0.1,
        "padding": 0.0,
        "pool_spread": 0.0,
        "spread_decay": 1.0,
        "tree_target": "shape",
        "channels": "gray",
        "stages_per_basis": 1,
        "n_components": 20,
        "leaf_bits": 8,
        "n_inits": 3,
        "n_shapes_mixed": 2,
        "shift_jitter": 0.05,
        "scale_jitter": 0.05,
        "roll_jitter": 5.0,
        "occlusion": 0.0,
        "warp": 0.0,
        "lighting": 0.0,
        "random_state": 0,
    }
    return Options(**(plain | changes))


BOX = (176.0, 65.0, 98.0, 98.0)


CENTER = np.array([224.5, 113.5])


def rotated(image, box, shape, roll):
    """Turn image, box and shape about the box's center, clockwise, within the image's frame."""
    center = np.array(box[:2]) + (np.array(box[2:]) - 1) / 2
    back = rotation(-roll)
    start = center + 0.5 - back @ (center + 0.5)
    matrix = (*back[0], start[0], *back[1], start[1])
    copy = Image.fromarray(image).transform(
        image.shape[1::-1], Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.array(copy), (shape - center) @ rotation(roll).T + center
