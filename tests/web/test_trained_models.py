"""Models of every kind that training makes: ert.js finds the landmarks of Python, in whatever box and image."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import drawn_dataset, small_predictor
from web.node import Jobs

import ert
from ert.model.fitted import BOX_SOURCES

PIXELS = 0.01
N_BOXES = 12
# The parameters of training that change what is in a file, or how it is read.
KINDS = {
    "plain": {},
    "one stage": {"n_stages": 1, "n_trees": 1, "max_depth": 1, "n_pixels": 2},
    "deep": {"max_depth": 7, "n_trees": 9},
    "words": {"leaf_bits": 16},
    "few components": {"n_components": 3},
    "stages together": {"n_stages": 5, "stages_per_basis": 2, "n_components": 6},
    "averaged": {"n_trees_averaged": 4, "learning_rate": 0.5},
    "of landmarks": {"tree_target": "landmark", "pool_spread": 0.3, "spread_decay": 0.8, "n_pool_candidates": 300},
    "reduced": {"blur": 0.0, "working_size": 20},
    "large and smooth": {"blur": 4.0, "working_size": 150},
    "stretched": {"min_contrast": 60.0},
    "stretched and reduced": {"min_contrast": 127.0, "blur": 0.0},
    "padded": {"padding": 0.5},
    "narrow": {"padding": -0.3},
    "mean of colors": {"gray_weights": "dlib"},
    "bgr": {"channel_order": "bgr"},
    "orientations": {"channels": "gray+orientation", "mirror": [1, 0, 2, 4, 3], "n_pixels": 120},
    "orientations of reduced crops": {"channels": "gray+orientation", "blur": 0.0, "n_members": 2},
    "mirrored": {"mirror": [1, 0, 2, 4, 3]},
    "jittered": {"shift_jitter": 0.1, "scale_jitter": 0.1, "roll_jitter": 20.0, "occlusion": 0.2, "n_shapes_mixed": 2},
    "of dlib": {"kind": "dlib", "gray_weights": "dlib", "padding": 0.1},
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    dataset = drawn_dataset(tmp_path_factory.mktemp("photos"), 12)
    return list(zip(dataset.files, dataset.boxes, strict=True)), dataset.landmarks


def ask(jobs, model, path, rng, **options):
    """Ask for predictions in images of noise and blobs, and in boxes from tiny to far larger than they are."""
    for _ in range(N_BOXES):
        width, height = rng.integers(1, 160, 2)
        shape = (height, width, 3) if rng.random() < 0.6 else (height, width)
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        if rng.random() < 0.5:
            image = (np.cumsum(image, axis=1, dtype=np.int64) // 16 % 256).astype(np.uint8)
        sides = np.maximum(np.exp(rng.uniform(0.3, np.log(9 * max(width, height) + 2), 2)), 1.01)
        left, top = rng.uniform(1.01 - sides, np.array([width, height]) - 1.01)
        box = (float(left), float(top), float(sides[0]), float(sides[1]))
        if max(sides) <= 10 * max(width, height):
            jobs.add(model, path, image, box, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_of_every_kind_are_those_of_python(kind, objects, tmp_path):
    model, jobs, rng = small_predictor(**KINDS[kind]), Jobs(tmp_path), np.random.default_rng(len(kind))
    model.fit(*objects)
    source = BOX_SOURCES[len(kind) % 3]
    model.fitted_ = replace(model.fitted_, box_source=source)
    for name in ("plain.ert", "compressed.ert"):
        model.save(tmp_path / name, compress=name == "compressed.ert")
    # Colors of arrays may be in another order in Python; browsers have one.
    model.set_params(channel_order="rgb")
    ask(jobs, model, tmp_path / "plain.ert", rng)
    loaded = ert.load(tmp_path / "compressed.ert").set_params(channel_order="rgb")
    ask(jobs, loaded, tmp_path / "compressed.ert", rng, mode="accurate")
    ask(jobs, model, tmp_path / "plain.ert", rng, roll=float(rng.uniform(-180, 180)))
    if kind == "of dlib":
        model.compact().save(tmp_path / "compact.ert")
        ask(jobs, ert.load(tmp_path / "compact.ert"), tmp_path / "compact.ert", rng, mode="accurate")
        model.save(tmp_path / "x.dat")
        ask(jobs, ert.load(tmp_path / "x.dat"), tmp_path / "x.dat", rng)
    assert len(jobs.jobs) > N_BOXES
    assert max(found["landmarks"] for found in jobs.differences()) < PIXELS


def test_confidence_of_a_trained_model(objects, tmp_path):
    model, jobs, rng = small_predictor(mirror=[1, 0, 2, 4, 3]), Jobs(tmp_path), np.random.default_rng(6)
    model.fit(*objects)
    model.fit_confidence(*objects)
    model.save(tmp_path / "x.ert")
    for mode in ("fast", "accurate"):
        ask(jobs, model, tmp_path / "x.ert", rng, assess=True, mode=mode)
    found = jobs.differences()
    assert max(one["landmarks"] for one in found) < PIXELS
    assert max(max(one["std"], one["within"], one["confidence"]) for one in found) < 1e-6
