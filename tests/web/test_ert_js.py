"""ert.js finds the landmarks of Python: models of every kind and size, at boxes and in images of every kind."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import likely_cascade
from fuzz.models import add_confidence, add_members, as_ert
from web.node import Jobs

import ert
from ert.inference.mode import PredictionMode
from ert.model.dlib_format import write_dlib_file
from ert.model.ert_format import read_model_file, write_model_file

PIXELS = 0.01
MODELS = Path(ert.__file__).parent / "_core" / "data" / "models"
BOXES = [
    (20.0, 15.0, 40.0, 40.0),
    (-8.0, -5.0, 40.3, 30.1),
    (30.0, 20.0, 60.0, 70.0),
    (1.0, 2.0, 3.0, 2.5),
    (-150.0, -120.0, 300.0, 280.0),
    (5.0, 5.0, 1.2, 90.0),
    (33.3, 41.7, 17.9, 60.2),
]
ACCURATE = {"nInits": 7, "nPasses": 3, "flip": True, "restart": False}


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    """The header of a model, to be changed."""
    folder = tmp_path_factory.mktemp("header")
    write_dlib_file(folder / "x.dat", likely_cascade(3))
    ert.load(folder / "x.dat").save(folder / "x.ert")
    return read_model_file(folder / "x.ert")[0]


@pytest.fixture(scope="module")
def images():
    """Gray and color, of noise and smooth, and one that is larger than any crop."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:90, :110]
    smooth = (127 + 60 * np.sin(x / 9) * np.cos(y / 7) + 40 * np.sin((x + y) / 15)).astype(np.uint8)
    return [
        smooth,
        np.stack([smooth, smooth[::-1], smooth[:, ::-1]], axis=2),
        rng.integers(0, 256, (60, 70), dtype=np.uint8),
        rng.integers(0, 256, (60, 70, 3), dtype=np.uint8),
        (100 + smooth // 20).astype(np.uint8),
    ]


def model_of(path, header, arrays):
    write_model_file(path, header, arrays)
    return ert.load(path)


def sampled(jobs, model, path, images, **options):
    """Ask for predictions in all boxes, in one image each."""
    for number, box in enumerate(BOXES):
        jobs.add(model, path, images[number % len(images)], box, **options)


SIZES = [
    {"leaf_type": np.int8, "depth": 1, "n_components": 1, "n_landmarks": 1, "n_pixels": 2},
    {"leaf_type": np.int8, "depth": 4, "n_components": 32, "n_landmarks": 68, "n_trees": 100, "n_pixels": 128},
    {"leaf_type": np.int8, "depth": 4, "n_components": 33, "n_landmarks": 9, "n_trees": 600, "n_pixels": 513},
    {"leaf_type": np.int16, "depth": 5, "n_components": 7, "n_landmarks": 5, "n_trees": 33},
    {"leaf_type": np.int16, "depth": 2, "n_components": 48, "n_landmarks": 24, "together": 3, "n_stages": 7},
    {"leaf_type": np.int8, "depth": 10, "n_components": 5, "n_landmarks": 3, "n_trees": 3, "together": 2},
]


@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"depth{sizes['depth']}-{sizes['n_components']}")
def test_landmarks_of_any_size_of_model_are_those_of_python(sizes, header, images, tmp_path):
    jobs, rng = Jobs(tmp_path), np.random.default_rng(7)
    # Reduced and smoothed crops, small and large, stretched or not; gray in both ways.
    for blur, size, contrast, gray in ((0.0, 24, 0.0, "luma"), (1.3, 40, 40.0, "dlib"), (0.0, 9, 40.0, "luma")):
        changed, arrays = as_ert(header, rng, **sizes)
        changed["crop_spec"] |= {"blur": blur, "working_size": size, "min_contrast": contrast}
        changed["params"]["gray_weights"] = gray
        path = tmp_path / f"{size}.ert"
        sampled(jobs, model_of(path, changed, arrays), path, images)
    assert max(found["landmarks"] for found in jobs.differences()) < PIXELS


def test_several_initializations_mirror_images_passes_and_rolls(header, images, tmp_path):
    jobs, rng = Jobs(tmp_path), np.random.default_rng(8)
    for kind, blur in (("ert", 0.0), ("ert", 1.0), ("dlib", 0.0), ("compact", 0.0)):
        path = tmp_path / f"{kind}{blur}.ert"
        if kind == "ert":
            changed, arrays = as_ert(header, rng, 5, np.int8)
            changed["crop_spec"]["blur"] = blur
        else:
            write_dlib_file(tmp_path / "x.dat", likely_cascade(4))
            model = ert.load(tmp_path / "x.dat")
            (model.compact() if kind == "compact" else model).save(path)
            changed, arrays = read_model_file(path)
        changed["mirror_map"] = changed["params"]["mirror"] = [1, 0, 2, 4, 3]
        model = model_of(path, changed, arrays)
        sampled(jobs, model, path, images, mode="accurate")
        sampled(jobs, model, path, images, mode=PredictionMode(7, 3, True, False), node_mode=ACCURATE)
        for roll in (20.0, -90.0, 181.5):
            sampled(jobs, model, path, images, roll=roll)
        sampled(jobs, model, path, images, mode="accurate", roll=-7.0)
    assert max(found["landmarks"] for found in jobs.differences()) < PIXELS


def test_members_share_the_initializations(header, images, tmp_path):
    jobs, rng, path = Jobs(tmp_path), np.random.default_rng(11), tmp_path / "x.ert"
    changed, arrays = as_ert(header, rng, 68, np.int8)
    changed["mirror_map"] = list(range(68))
    add_confidence(changed, arrays, rng)
    add_members(changed, arrays, rng)
    model = model_of(path, changed, arrays)
    assert len(model.members_) == 3
    sampled(jobs, model, path, images)
    # Its confidence is low: restarts.
    sampled(jobs, model, path, images, mode="accurate")
    for n_inits in (1, 2, 7):
        node_mode = {"nInits": n_inits, "nPasses": 2, "flip": True}
        sampled(jobs, model, path, images, mode=PredictionMode(n_inits, 2, True), node_mode=node_mode)
    sampled(jobs, model, path, images, mode="accurate", roll=20.0)
    assert max(found["landmarks"] for found in jobs.differences()) < PIXELS


@pytest.mark.parametrize("kind", ["dat", "float", "compact"])
def test_models_of_dlibs_kind(kind, images, tmp_path):
    jobs, path = Jobs(tmp_path), tmp_path / ("x.dat" if kind == "dat" else "x.ert")
    for seed in (3, 4):
        cascade = likely_cascade(seed, n_landmarks=seed + 3)
        write_dlib_file(tmp_path / "x.dat", replace(cascade, leaves=cascade.leaves * seed))
        model = ert.load(tmp_path / "x.dat")
        if kind != "dat":
            (model.compact() if kind == "compact" else model).save(path)
            model = ert.load(path)
        sampled(jobs, model, path.rename(tmp_path / f"{seed}{path.name}"), images)
    assert max(found["landmarks"] for found in jobs.differences()) < PIXELS


@pytest.mark.parametrize("normalizer", [None, "inter-ocular", "inter-pupil", "box", "diagonal"])
def test_confidence_is_that_of_python(normalizer, header, images, tmp_path):
    jobs, rng, path = Jobs(tmp_path), np.random.default_rng(9), tmp_path / "x.ert"
    changed, arrays = as_ert(header, rng, 68, np.int8)
    add_confidence(changed, arrays, rng)
    changed["params"]["normalizer"] = normalizer
    model = model_of(path, changed, arrays)
    sampled(jobs, model, path, images, assess=True)
    # Its confidence is low: restarts.
    sampled(jobs, model, path, images, assess=True, mode="accurate")
    found = jobs.differences()
    assert max(one["landmarks"] for one in found) < PIXELS
    assert max(max(one["std"], one["within"], one["confidence"]) for one in found) < 1e-9


def test_images_of_one_pixel_and_of_millions(header, tmp_path):
    rng, path = np.random.default_rng(10), tmp_path / "x.ert"
    for blur in (0.0, 1.0):
        jobs = Jobs(tmp_path)
        changed, arrays = as_ert(copy.deepcopy(header), rng, 5, np.int8)
        changed["crop_spec"]["blur"] = blur
        model = model_of(path, changed, arrays)
        for shape in ((1, 1), (1, 40), (35, 2), (1, 1, 3), (2, 3, 3)):
            image = rng.integers(0, 256, shape, dtype=np.uint8)
            for box in ((-0.5, -0.5, 2.0, 2.0), (-3.0, -4.0, 9.0, 8.5)):
                jobs.add(model, path, image, box)
        image = rng.integers(0, 256, (1500, 2100), dtype=np.uint8)
        for box in ((700.5, 300.0, 800.0, 700.0), (-900.0, -800.0, 4000.0, 3000.0), (1900.0, 1400.0, 600.0, 500.0)):
            jobs.add(model, path, image, box)
        assert max(found["landmarks"] for found in jobs.differences()) < PIXELS


def test_trained_models_compressed_or_not(small_model, faces, tmp_path):
    jobs = Jobs(tmp_path)
    for model, name in ((small_model, "small"), (ert.load("face68"), "face68")):
        path = tmp_path / f"{name}.ert"
        model.save(path, compress=name == "face68")
        confident = model.confidence_model_ is not None
        for image, box in faces[0][:6]:
            for mode in ("fast", "accurate"):
                jobs.add(model, path, image, box, mode=mode, assess=confident)
            jobs.add(model, path, image, box, roll=15.0)
    assert max(max(found.values()) for found in jobs.differences()) < 1e-6


def test_the_bundled_models(images, tmp_path):
    jobs = Jobs(tmp_path)
    for name in ("face5", "face68-small", "face68"):
        model, path = ert.load(name), MODELS / f"{name}.ert"
        for box in BOXES[:3]:
            jobs.add(model, path, images[1], box, mode="accurate", assess=model.confidence_model_ is not None)
    assert max(max(found.values()) for found in jobs.differences()) < 1e-6
