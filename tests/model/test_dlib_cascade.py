"""Running dlib's cascades: against a slow twin, and against dlib itself where it is installed."""

from dataclasses import replace

import numpy as np
import pytest
from builders import likely_cascade
from reference import naive

import ert
from ert import InputError
from ert._core.images import to_gray
from ert.model.dlib_cascade import check_dlib_cascade, compact, expand
from ert.model.geometry import INITS

BOXES = [(10.0, 12.0, 40.0, 40.0), (-8.0, -5.0, 40.0, 30.0), (30.0, 20.0, 60.0, 70.0)]


def test_prediction_matches_the_slow_twin():
    agreed = 0
    for seed in range(30):
        cascade = likely_cascade(seed)
        image = np.random.default_rng(seed).integers(0, 256, (60, 70), dtype=np.uint8)
        box = BOXES[seed % 3]
        shape = cascade.predict_face(image, box, INITS[:1], "rgb", "dlib")[0]
        expected = naive.predict_dlib(image, box, cascade) * [box[2] - 1, box[3] - 1] + box[:2]
        # A position on the border of two pixels may fall to either in single precision.
        agreed += np.allclose(shape, expected, atol=1e-3)
    assert agreed >= 27


def test_colors_become_gray_pixel_by_pixel():
    cascade = likely_cascade(1)
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    for gray_weights in ("luma", "dlib"):
        expected = cascade.predict_face(to_gray(image, "rgb", gray_weights), BOXES[0], INITS[:1], "rgb", gray_weights)
        assert np.array_equal(cascade.predict_face(image, BOXES[0], INITS[:1], "rgb", gray_weights), expected)
        assert np.array_equal(
            cascade.predict_face(image[..., ::-1], BOXES[0], INITS[:1], "bgr", gray_weights), expected
        )


def test_compact_leaves_are_nearly_the_same():
    cascade = likely_cascade(2)
    small = compact(cascade)
    check_dlib_cascade(small)
    assert small.leaves.dtype == np.int8
    assert compact(small) is small
    np.testing.assert_allclose(expand(small).leaves, cascade.leaves, atol=1e-5)
    image = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
    one, other = (each.predict_face(image, BOXES[0], INITS[:1], "rgb", "dlib") for each in (cascade, small))
    np.testing.assert_allclose(one, other, atol=0.01)


@pytest.mark.parametrize(
    ("name", "value"),
    [("pairs", 30), ("anchors", 5), ("scales", np.nan), ("thresholds", np.inf), ("mean_shape", 51), ("deltas", -51)],
)
def test_arrays_that_lead_outside_are_refused(name, value):
    cascade = compact(likely_cascade(0))
    cascade.arrays()[name].flat[0] = value
    with pytest.raises(InputError, match=name):
        check_dlib_cascade(cascade)


def test_dlib_itself_predicts_the_same_pixels(tmp_path):
    """A small predictor trained by dlib on drawn faces: the same whole pixels on all of them."""
    dlib = pytest.importorskip("dlib")
    from ert.datasets.synthetic import synthetic_faces

    images, boxes, landmarks = synthetic_faces(60, seed=4, size=120)
    boxes = boxes.round()
    rectangles = [dlib.rectangle(int(b[0]), int(b[1]), int(b[0] + b[2]) - 1, int(b[1] + b[3]) - 1) for b in boxes]
    objects = [
        [dlib.full_object_detection(place, [dlib.point(round(x), round(y)) for x, y in shape])]
        for place, shape in zip(rectangles, landmarks, strict=True)
    ]
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level, options.oversampling_amount = 4, 40, 5
    theirs = dlib.train_shape_predictor(list(images), objects, options)
    theirs.save(str(tmp_path / "theirs.dat"))
    ours = ert.load(tmp_path / "theirs.dat")
    ours.save(tmp_path / "ours.dat")
    assert (tmp_path / "ours.dat").read_bytes() == (tmp_path / "theirs.dat").read_bytes()
    again = dlib.shape_predictor(str(tmp_path / "ours.dat"))
    predicted = np.floor(ours.predict(list(zip(images, boxes, strict=True))) + 0.5)
    for image, place, shape in zip(images, rectangles, predicted, strict=True):
        for predictor in (theirs, again):
            assert [(point.x, point.y) for point in predictor(image, place).parts()] == [tuple(xy) for xy in shape]
    color = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    shape = np.floor(ours.predict([(color, boxes[0])])[0] + 0.5)
    assert [(point.x, point.y) for point in theirs(color, rectangles[0]).parts()] == [tuple(xy) for xy in shape]


def test_of_a_view_only_what_is_near_the_box_is_copied():
    cascade = likely_cascade(3)
    image = np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8)
    read_only = np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    for box in ((150.0, 120.0, 40.0, 30.0), (-20.0, 280.0, 40.0, 40.0), (380.0, -5.0, 60.0, 20.0)):
        expected = cascade.predict_face(image, box, INITS, "rgb", "dlib")
        assert np.array_equal(cascade.predict_face(read_only, box, INITS, "rgb", "dlib"), expected)


def test_compact_leaves_have_no_more_directions_than_there_are():
    cascade = likely_cascade(4)
    rng = np.random.default_rng(0)
    shape = cascade.leaves.shape
    few = rng.normal(0, 0.01, (*shape[:-1], 2)) @ rng.normal(0, 1, (2, shape[-1]))
    small = compact(replace(cascade, leaves=few.astype(np.float32)))
    assert small.leaves.shape[-1] == 4
    np.testing.assert_allclose(expand(small).leaves, few, atol=1e-5)
