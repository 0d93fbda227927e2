import math
from dataclasses import replace

import numpy as np
import pytest
from builders import BOX, CENTER, likely_cascade, random_cascade, rotated
from helpers import small_predictor
from PIL import Image

import ert
from ert import InputError
from ert.inference.rotated import Surroundings, candidate_rolls, locate_rotated, roll_of, rotation
from ert.metrics import nme
from ert.model.cropping import MAX_PIXELS, CropSpec, largest_working_size
from ert.model.geometry import ONE_INIT


@pytest.fixture(scope="module")
def photo():
    return ert.load_image(ert.sample_image())


@pytest.fixture(scope="module")
def face68():
    return ert.load("face68")


@pytest.fixture(scope="module")
def upright(face68, photo):
    """The shape that two passes find in the picture as it is."""
    return face68.predict([(photo, BOX)], max_roll=0)[0]


@pytest.mark.parametrize("roll", [-170, -120, -45, 20, 30, 75, 135])
def test_points_turn_with_the_picture(face68, photo, upright, roll):
    image, expected = rotated(photo, BOX, upright, roll)
    for options in ({"max_roll": 180}, {"rolls": roll}, {"rolls": [roll + 12], "max_roll": 20}):
        found = face68.predict([(image, BOX)], **options)
        assert nme(expected[None], found, "inter-ocular")[0] < 2.5
    if abs(roll) <= 45:
        found = face68.predict([(image, BOX)], max_roll=45)
        assert nme(expected[None], found, "inter-ocular")[0] < 2.5
    # As it was before: without being told, the model does not find them.
    if abs(roll) >= 75:
        assert nme(expected[None], face68.predict([(image, BOX)]), "inter-ocular")[0] > 15


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_quarter_turns_of_the_array(face68, photo, upright, quarter):
    # np.rot90 turns counterclockwise: the first axis, y, becomes the reversed x.
    image = np.ascontiguousarray(np.rot90(photo, quarter))
    place, box_centre = upright, CENTER
    size = np.array(photo.shape[1::-1])
    for _ in range(quarter):
        place = np.stack([place[:, 1], size[0] - 1 - place[:, 0]], axis=1)
        box_centre = np.array([box_centre[1], size[0] - 1 - box_centre[0]])
        size = size[::-1]
    box = (*(box_centre - 48.5), 98.0, 98.0)
    found = face68.predict([(image, box)], max_roll=180)
    assert nme(place[None], found, "inter-ocular")[0] < 1
    known = face68.predict([(image, box)], rolls=-90 * quarter)
    single = face68.predict([(photo, BOX)])[0]
    for _ in range(quarter):
        single = np.stack([single[:, 1], 511 - single[:, 0]], axis=1)
    # The same pixels, but for Pillow's rounding.
    assert nme(single[None], known, "inter-ocular")[0] < 1.5


def test_an_upright_roll_is_the_plain_prediction(face68, photo):
    np.testing.assert_allclose(face68.predict([(photo, BOX)], rolls=0), face68.predict([(photo, BOX)]), atol=0.01)


@pytest.mark.parametrize("name", ["face5", "synthetic", "smoothed", "dlib"])
def test_any_model_locates_rotated_objects(name, faces, photo, upright):
    X, y = faces
    if name == "face5":
        model = ert.load(name)
        X = [(photo, BOX)]
    else:
        params = {"smoothed": {"blur": 1.0}, "dlib": {"kind": "dlib", "gray_weights": "dlib"}}.get(name, {"blur": 0.0})
        model = small_predictor(n_stages=4, shift_jitter=0.05, roll_jitter=6.0, **params).fit(X, y)
        X = X[:20]
    expected = model.predict(X, rolls=0)
    for roll in (-100.0, 140.0):
        pairs = [rotated(image, box, shape, roll) for (image, box), shape in zip(X, expected, strict=True)]
        turned_faces = [(image, box) for (image, _), (_, box) in zip(pairs, X, strict=True)]
        found = model.predict(turned_faces, rolls=roll)
        truth = np.array([shape for _, shape in pairs])
        lengths = np.array([box[2] for _, box in X])
        assert np.median(nme(truth, found, lengths)) < 1.5
        assert np.median(nme(truth, model.predict(turned_faces), lengths)) > 15


def test_boxes_that_are_not_square(faces, small_model):
    # The transform of a wide box is the square one with its center and the mean of its sides.
    (image, (left, top, width, height)), shift = faces[0][0], 9.0
    wide = (left - shift, top + shift, width + 2 * shift, height - 2 * shift)
    square = small_model.predict([(image, (left, top, width, height))], max_roll=0)
    np.testing.assert_allclose(small_model.predict([(image, wide)], max_roll=0), square, atol=1e-3)


def test_a_large_image_in_color_reads_like_a_small_one(face68, photo, upright):
    large = np.array(Image.fromarray(photo).resize((2048, 2048), Image.Resampling.BICUBIC))
    found = face68.predict([(large, tuple(4 * number for number in BOX))], max_roll=45)[0]
    assert nme(upright[None], ((found + 0.5) / 4 - 0.5)[None], "inter-ocular")[0] < 2
    bgr = face68.predict([(photo[..., ::-1], BOX)], max_roll=0, channel_order="bgr")[0]
    np.testing.assert_array_equal(bgr, upright)


def test_objects_keep_their_own_rolls_on_any_number_of_threads(face68, photo, upright):
    rolls = [0.0, 90.0, -60.0]
    pairs = [rotated(photo, BOX, upright, roll) for roll in rolls]
    X = [(image, BOX) for image, _ in pairs]
    found = face68.predict(X, rolls=rolls)
    assert (nme(np.array([shape for _, shape in pairs]), found, "inter-ocular") < 2.5).all()
    np.testing.assert_array_equal(found, face68.predict(X, rolls=np.array(rolls), n_jobs=2))
    around = face68.predict(X, max_roll=180)
    np.testing.assert_array_equal(around, face68.predict(X, max_roll=180, n_jobs=2))
    assert face68.predict([], max_roll=45).shape == (0, 68, 2)


def test_surroundings_turn_about_the_pose(face68, photo):
    surroundings = Surroundings(face68.cascade_, photo, BOX, "rgb", "luma")
    np.testing.assert_allclose(surroundings.to_image(surroundings.middle), CENTER)
    pose = surroundings.given(70.0)._replace(scale=1.1, place=surroundings.middle + [5, 0])
    mean = (face68.cascade_.mean_shape - 0.5) * surroundings.sides
    shape = (1.1 * mean) @ rotation(70).T + pose.place
    for again, expected in zip(surroundings.redraw(shape), pose, strict=True):
        np.testing.assert_allclose(again, expected, rtol=1e-4)
    # However far off a shape is, the box stays near.
    lost = surroundings.redraw(9 * shape + 1000)
    assert math.dist(lost.place, surroundings.middle) == pytest.approx(0.3 * surroundings.side)
    assert lost.scale == 1.25


@pytest.mark.parametrize(("max_roll", "n"), [(0, 1), (15, 1), (16, 3), (45, 3), (46, 5), (90, 7), (180, 13)])
def test_some_candidate_is_near_every_roll(max_roll, n):
    candidates = candidate_rolls(max_roll)
    assert len(candidates) == n
    assert 0 in candidates
    asked = np.linspace(-max_roll, max_roll, 361)
    assert np.abs(asked[:, None] - candidates).min(axis=1).max() <= 15 + 1e-9


def test_the_roll_of_a_shape():
    mean = np.random.default_rng(0).uniform(size=(7, 2))
    angles = np.array([-179.0, -90.0, 0.0, 33.0, 179.0])
    shapes = [3 * mean @ rotation(angle).T + 50 for angle in angles]
    np.testing.assert_allclose(roll_of(shapes, mean), angles, atol=1e-9)
    assert roll_of(np.empty((0, 7, 2)), mean).shape == (0,)
    # To the right and down: clockwise where y points down.
    assert roll_of([[[0, 0], [1, 1]]], [[0, 0], [1, 0]])[0] == pytest.approx(45)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rolls": [1.0, 2.0]}, r"rolls: array of shape \(2,\), expected 1 finite number"),
        ({"rolls": [math.nan]}, r"rolls: number 0 is nan"),
        ({"rolls": math.inf}, r"rolls: number 0 is inf"),
        ({"rolls": "left"}, r"rolls: 'left', expected"),
        ({"max_roll": 181}, r"max_roll=181: expected degrees from 0 to 180"),
        ({"max_roll": -1}, r"max_roll=-1"),
        ({"max_roll": math.nan}, r"max_roll=nan"),
        ({"max_roll": "all"}, r"max_roll='all'"),
    ],
)
def test_bad_input_is_named(face68, photo, options, message):
    with pytest.raises(InputError, match=message):
        face68.predict([(photo, BOX)], **options)


def test_surroundings_of_any_model_are_bounded():
    """Crops of forty boxes, and pixels read fifty sides away: what is around the box is read at a lower resolution."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 70), dtype=np.uint8)
    wide = replace(random_cascade(rng), crop_spec=CropSpec(np.array([-20.0, -20, 20, 20]), 99, 2.5))
    far = likely_cascade(0)
    far.deltas[0, 0] = 49
    for cascade in (wide, far):
        for box in ((10.0, 12.0, 40.0, 40.0), (-200.0, -100.0, 600.0, 300.0)):
            surroundings = Surroundings(cascade, image, box, "rgb", "luma")
            assert surroundings.pixels.size <= MAX_PIXELS
            found = locate_rotated(cascade, image, box, 30.0, ONE_INIT, "rgb", "luma")
            assert np.isfinite(found).all()
    assert largest_working_size(1.0) == 2665
    assert CropSpec(np.array([0.0, 0, 1, 1]), 2665, 0.0).shape == (4000, 4000)
    assert largest_working_size(1e9) == 1
