from dataclasses import replace

import numpy as np
import pytest
from drawn import standard_photos
from helpers import small_predictor

import ert
from ert import InputError
from ert.model.fitted import read_fitted, write_fitted
from ert.model.geometry import box_to_image, box_transforms, rotate_transforms
from ert.model.locator import Locator, check_locator, poses_of
from ert.training.locator import fit_locator, mean_box


@pytest.fixture(scope="module")
def fitted_with_locator():
    photos, shapes = standard_photos(6, np.random.default_rng(0))
    locator = fit_locator(photos, shapes)
    boxes, rolls = locator.poses(shapes)
    model = small_predictor(n_jobs=1).fit(list(zip(photos, boxes, strict=True)), shapes, rolls=rolls)
    return replace(model.fitted_, locator=locator, box_source="learned")


def test_poses_carry_the_mean_shape_onto_landmarks():
    rng = np.random.default_rng(1)
    shape, sides = mean_box(rng.normal(0, 1, (1, 7, 2)) + rng.normal(0, 0.05, (9, 7, 2)))
    boxes, rolls = rng.uniform(50, 90, (20, 2)), rng.uniform(-180, 180, 20)
    lengths = rng.uniform(20, 60, (20, 1)) * sides
    boxes = np.hstack([boxes, lengths + 1])
    landmarks = box_to_image(np.tile(shape, (20, 1, 1)), rotate_transforms(box_transforms(boxes), rolls))
    found, angles = poses_of(landmarks, shape, sides)
    assert np.allclose(found, boxes)
    assert np.allclose(angles, rolls)
    # Two landmarks are enough, one is not.
    landmarks[:, 2:] = np.nan
    assert np.allclose(poses_of(landmarks, shape, sides)[0], boxes)
    landmarks[:, 1] = np.nan
    assert np.isnan(poses_of(landmarks, shape, sides)[0]).all()
    assert np.isnan(poses_of(landmarks, shape, sides)[1]).all()


def test_the_box_lies_around_the_upright_mean_shape():
    outline = np.array([(0.0, 0.0), (30, 0), (30, 10), (0, 10)])
    shape, sides = mean_box(np.stack([outline, outline + 5, 1.1 * outline]))
    assert np.allclose(shape, [(-0.25, 0.25), (1.25, 0.25), (1.25, 0.75), (-0.25, 0.75)])
    assert np.allclose(sides, [1.5, 0.5])
    # Landmarks on a line have a box too.
    assert mean_box(np.stack([outline[:2], outline[:2] + 3]))[1] == pytest.approx([1.6, 0.4])
    boxes, rolls = poses_of(outline[None], shape, sides)
    assert boxes[0] == pytest.approx([0, 0, 31, 11])
    assert rolls[0] == pytest.approx(0)


def test_a_locator_is_kept_in_the_model_file(fitted_with_locator, tmp_path):
    for compress in (False, True):
        write_fitted(tmp_path / "model.ert", fitted_with_locator, compress)
        restored = read_fitted(tmp_path / "model.ert").locator
        expected = fitted_with_locator.locator.arrays()
        assert restored.arrays().keys() == expected.keys()
        assert all(np.array_equal(array, expected[name]) for name, array in restored.arrays().items())
        assert restored.header() == fitted_with_locator.locator.header()
    assert sum(array.nbytes for array in expected.values()) < 500_000
    assert ert.load(tmp_path / "model.ert").box_source_ == "learned"
    write_fitted(tmp_path / "plain.ert", replace(fitted_with_locator, locator=None))
    assert read_fitted(tmp_path / "plain.ert").locator is None


def test_a_locator_of_other_landmarks_is_refused(fitted_with_locator, tmp_path):
    other = replace(fitted_with_locator.locator, shape=fitted_with_locator.locator.shape[:-1])
    write_fitted(tmp_path / "model.ert", replace(fitted_with_locator, locator=other))
    with pytest.raises(InputError, match="a locator of 5 landmarks, expected 6"):
        ert.load(tmp_path / "model.ert")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("shape", np.zeros((1, 2), np.float32), "1 landmark, expected 2"),
        ("shape", np.full((6, 2), np.nan, np.float32), "not finite"),
        ("shape", np.full((6, 2), 1e9, np.float32), "shape has the number 1e.09"),
        ("filters", np.zeros((99, 2, 2, 8), np.float32), "99 filters"),
        ("filters", np.zeros((5, 2, 99, 8), np.float32), "99 x 2 cells"),
        ("filters", np.zeros((5, 2, 2, 7), np.float32), "filters has shape"),
        ("offsets", np.zeros(3, np.float32), "offsets has shape"),
        ("rolls", np.full(5, 1e6, np.float32), "rolls has the number"),
        ("pixels", 0.0, "pixels=0.0"),
        ("pixels", "large", "pixels='large'"),
        ("pixels", True, "pixels=True"),
        ("sides", np.array([1.5, 1.5]), "expected a mean of 1"),
        ("relative_sides", np.array([1e-9, 1.0]), "relative_sides has the number 1e-09"),
        ("relative_sides", np.array([1.0, 0.5]), "expected increasing"),
        ("confidence_weights", np.array([np.nan, 0.5]), "not finite"),
    ],
)
def test_locators_that_cannot_be_right_are_refused(fitted_with_locator, name, value, message):
    with pytest.raises(InputError, match=message):
        check_locator(replace(fitted_with_locator.locator, **{name: value}))


def test_a_cascade_of_something_else_is_refused(fitted_with_locator):
    locator: Locator = fitted_with_locator.locator
    with pytest.raises(InputError, match="a cascade of 6 landmarks, expected 4 corners"):
        check_locator(replace(locator, cascade=fitted_with_locator.cascade))
