"""Presets: parameters of training chosen from the data, so that a user need not know their names.

"auto" is for any number of objects. The other four change what it chooses: "small" the size of the file, "fast" the
time of training and of prediction, "large" and "accurate" what the model can learn, for more of both. The figures in
the comments are from ``benchmarks/presets.py``: cross-validated errors in % of the diagonal of the landmarks' bounding
rectangle, in boxes that are the whole image unless said otherwise.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, quoted
from ert._core.types import Floats
from ert.model.geometry import box_transforms, image_to_box
from ert.model.procrustes import fit_similarity
from ert.model.schemes import mean_shape
from ert.training.parameters import measure_spread

PRESETS = ("auto", "small", "large", "fast", "accurate")
# Stages help more than trees: cephalograms have an error of 1.12 after 20 stages and 1.09 after 30; 300-W faces (400 to
# train on) 7.38 % of the distance of the pupils for 20 stages of 100 trees, 6.91 of 200, and 6.74 for 40 of 200.
STAGES = {"auto": 30, "small": 15, "fast": 12, "large": 60, "accurate": 60}

# Where boxes come from a detector or a person ("given", "face") or are the image ("whole"), objects scatter in them as
# measured; those of a locator ("learned") are drawn round the landmarks, and scatter by its error at prediction.
SCATTER_OF_LOCATOR = 0.05, 0.05, 5.0
# Jitter is worth it even where objects do not scatter: wings, which scatter by 0.025 / 0.08 / 2 degrees, have an error
# of 0.58 without jitter and 0.42 with the first of these. More than the second loses more than it gains.
MIN_JITTER, MAX_JITTER = (0.05, 0.05, 5.0), (0.1, 0.1, 10.0)
# Trees choose their splits for single landmarks, near them, and ever nearer: the spread of the feature pool, in sides
# of the box, shrinks from the first to the second within two thirds of the stages. Cephalograms: 1.26 with trees for
# shapes and a spread of 0.05; 1.18 with trees for landmarks; 1.14 shrinking to 0.02, 1.13 to 0.01; 1.12 that early.
FIRST_SPREAD, LAST_SPREAD, SHRINKING_SHARE = 0.1, 0.01, 2 / 3
# Trees of a stage for each landmark, within limits: few landmarks would learn slowly, many make the model large.
TREES_PER_LANDMARK, MIN_TREES, MAX_TREES = 5, 100, 200
# Initializations of each object, times the root of the number of objects: few objects need many, and many objects not
# as many each. 10 wings: 0.93 with 40 initializations, 0.58 with 100, 0.54 with 200; 46 wings: 0.385 with 40, 0.36 with
# 80; 400 faces hardly gain from more than 15.
INITS_TIMES_ROOT = 600
MIN_INITS, MAX_INITS = 8, 200
# Pixels per side of the box. An object's image is not enlarged. Cephalograms: 1.162 for 300 and 1.145 for 400.
MIN_WORKING_SIZE, MAX_WORKING_SIZE = 48, 400
# The crops of all objects are in memory while a model is trained.
MAX_CROP_BYTES = 1e9
# A pool of 1024 pixels, of which trial trees select these (cephalograms: 1.24 with as many drawn at once); as many
# split tests as take the time of one; and shorter distances of their pixels than by default.
POOL = {"n_pool_candidates": 1024, "n_pixels": 192, "n_split_tests": 31, "prior_length": 0.05}


def choose_parameters(
    preset: str,
    landmarks: npt.ArrayLike,
    boxes: npt.ArrayLike,
    *,
    box_source: str = "given",
    kind: str = "ert",
    image_sizes: npt.ArrayLike | None = None,
    n_marked: int = 0,
) -> dict[str, Any]:
    """Choose the parameters of a :class:`ert.ShapePredictor` for a dataset.

    Parameters
    ----------
    preset : {"auto", "small", "large", "fast", "accurate"}
        "auto" suits any number of objects. "small" makes smaller files, "fast" trains and predicts in less time;
        "large" has twice the stages, for many objects, and "accurate" twice the initializations too.
    landmarks : float array (n, n_landmarks, 2)
        In image pixels, NaN where missing.
    boxes : float array (n, 4)
        Left, top, width, height in pixels.
    box_source : {"given", "whole", "face", "learned"}
        Where the boxes of new images will come from.
    kind : {"ert", "dlib"}
        As for :class:`ert.ShapePredictor`.
    image_sizes : int array (n, 2), optional
        Columns and rows of each image. Boxes that reach beyond the image do not have more pixels than it.
    n_marked : int
        Further objects that the model is trained on, see :func:`ert.self_train`.

    Returns
    -------
    dict
        Parameters by name; those that are not among them keep their defaults.

    Raises
    ------
    InputError
        When there is no such preset.
    """
    if preset not in PRESETS:
        raise InputError(f"preset={quoted(preset)}: expected one of {', '.join(PRESETS)}")
    shapes, sides = np.asarray(landmarks, np.float64), np.asarray(boxes, np.float64)
    n_objects = max(1, len(shapes) + n_marked)
    scatter = SCATTER_OF_LOCATOR if box_source == "learned" else measure_scatter(shapes, sides)
    jitter = np.clip(np.round(scatter, 3), MIN_JITTER, MAX_JITTER).tolist()
    side = np.median(sides[:, 2:].mean(axis=1)) if len(sides) else MAX_WORKING_SIZE
    if image_sizes is not None and len(sides):
        side = min(side, np.median(np.asarray(image_sizes).mean(axis=1)))
    n_stages = STAGES[preset]
    n_landmarks = shapes.shape[1]
    largest = min(MAX_WORKING_SIZE, np.sqrt(MAX_CROP_BYTES / n_objects))
    spread = max(FIRST_SPREAD, measure_spread(shapes, sides)[2])
    decay = (LAST_SPREAD / spread) ** (1 / (SHRINKING_SHARE * n_stages))
    chosen: dict[str, Any] = {
        "n_stages": n_stages,
        "n_trees": int(np.clip(TREES_PER_LANDMARK * n_landmarks, MIN_TREES, MAX_TREES)),
        "tree_target": "landmark",
        **POOL,
        "pool_spread": round(spread, 3),
        "spread_decay": round(decay, 3),
        "n_inits": int(np.clip(round(INITS_TIMES_ROOT / np.sqrt(n_objects)), MIN_INITS, MAX_INITS)),
        "working_size": int(max(MIN_WORKING_SIZE, min(side, largest))),
        "shift_jitter": jitter[0],
        "scale_jitter": jitter[1],
        "roll_jitter": jitter[2],
    }
    if preset == "small":
        chosen |= {"n_trees": MIN_TREES, "n_components": 24, "stages_per_basis": 3}
    elif preset == "fast":
        chosen |= {"n_trees": MIN_TREES, "n_pixels": 128, "n_inits": max(MIN_INITS, chosen["n_inits"] // 2)}
        chosen["working_size"] = min(chosen["working_size"], MAX_WORKING_SIZE // 2)
    elif preset == "accurate":
        chosen["n_inits"] *= 2
    if kind == "dlib":
        # Pixels are read from the image itself, and a leaf holds the displacements of all landmarks as floats.
        del chosen["working_size"]
        chosen["n_trees"] = MIN_TREES
    return chosen


def measure_scatter(landmarks: Floats, boxes: Floats) -> tuple[float, float, float]:
    """Return how objects scatter in their boxes.

    Returns
    -------
    shift, scale, roll : float
        Standard deviations of the center in sides of the box, of the logarithm of the size, of the rotation in
        degrees. The smallest differences count for nothing where there are fewer than two landmarks or objects.
    """
    if len(landmarks) < 2:
        return 0.0, 0.0, 0.0
    shapes = image_to_box(landmarks, box_transforms(boxes))
    mean = mean_shape(shapes)
    turn, _, center = fit_similarity(mean, np.where(np.isnan(shapes), mean, shapes))
    shift = float(np.hypot(center.real.std(), center.imag.std()) / np.sqrt(2))
    upright = turn[np.abs(turn) > 0]
    if not len(upright):
        return shift, 0.0, 0.0
    return shift, float(np.log(np.abs(upright)).std()), float(np.rad2deg(np.angle(upright)).std())


def explain_choice(
    preset: str, parameters: Mapping[str, Any], landmarks: Floats, boxes: Floats, box_source: str = "given"
) -> str:
    """Return a line that says what a preset has chosen, and from what."""
    where = {"whole": "whole images", "learned": "boxes of the locator", "face": "boxes of the face detector"}
    place = where.get(box_source, "the given boxes")
    if box_source != "learned":
        shift, scale, roll = measure_scatter(landmarks, boxes)
        place += f", in which they vary by {shift:.1%} of the side in place, {scale:.1%} in size, {roll:.1f} degrees"
    values = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return f"preset {preset}: {len(landmarks)} objects of {landmarks.shape[1]} landmarks in {place}: {values}"
