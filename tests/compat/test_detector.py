"""The interface of dlib's detectors."""

import pickle

import numpy as np
import pytest

import ert
from ert.compat import dlib as ours
from ert.faces.detection import detect_scored_faces


@pytest.fixture(scope="module")
def image():
    return ours.load_rgb_image(ert.sample_image())


def test_the_detector_runs_with_scores(image):
    detector = ours.get_frontal_face_detector()
    assert isinstance(detector, ours.fhog_object_detector)
    rects, scores, indices = detector.run(image, 1, 0.0)
    assert isinstance(rects, ours.rectangles)
    assert rects == detector(image) == detector(image, upsample_num_times=0)
    assert len(rects) == len(scores) == len(indices) > 0
    assert all(type(score) is float and score >= 0 for score in scores)
    assert indices == [0] * len(rects)
    assert ours.fhog_object_detector.run(detector, image, upsample_num_times=0, adjust_threshold=0.0)[0] == rects
    assert len(detector.run(image, 0, scores[0] + 0.1)[0]) < len(rects)
    both = ours.fhog_object_detector.run_multiple([detector, detector], image)
    assert len(both[0]) == 2 * len(rects)
    assert sorted(both[2]) == [0] * len(rects) + [1] * len(rects)
    assert detector.num_detectors == 1
    assert pickle.loads(pickle.dumps(detector))(image) == rects
    with pytest.raises(ours.DlibError, match="this detector is not dlib's"):
        detector.save("detector.svm")


def test_any_detector_can_be_named(image):
    boxes = [(10.2, 20.4, 30, 41), (300, 200, 100, 90)]
    detector = ours.get_frontal_face_detector(lambda image: boxes)
    assert detector(image) == [ours.rectangle(300, 200, 399, 289), ours.rectangle(10, 20, 39, 60)]
    assert detector.run(image)[1] == [0.0, 0.0]
    with pytest.raises(ours.DlibError, match="detector: 'best'"):
        ours.get_frontal_face_detector("best")(image)


def test_scores_are_0_at_the_threshold(image):
    for detector in ("auto", "lbp"):
        boxes, scores = detect_scored_faces(image, detector)
        np.testing.assert_array_equal(boxes, ert.detect_faces(image, detector))
        assert scores.shape == (len(boxes),)
        assert (scores >= 0).all()
        assert scores[0] > 1
    empty = np.full((100, 100), 200, np.uint8)
    assert [each.shape for each in detect_scored_faces(empty)] == [(0, 4), (0,)]


def test_the_detector_of_dlib_can_be_taken(image):
    image = image[40:200, 140:300].copy()
    theirs = pytest.importorskip("dlib")
    detector = ours.get_frontal_face_detector("dlib")
    expected = theirs.get_frontal_face_detector().run(image, 0, -0.2)
    rects, scores, indices = detector.run(image, 0, -0.2)
    assert [str(rect) for rect in rects] == [str(rect) for rect in expected[0]]
    assert isinstance(rects, ours.rectangles)
    assert (scores, indices) == (expected[1], expected[2])
    assert detector.num_detectors == 5
    assert detector.__reduce__() == (type(detector), ())


def test_detectors_that_dlib_trained_are_run(tmp_path):
    theirs = pytest.importorskip("dlib")
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for _ in range(4):
        picture = rng.integers(90, 110, (120, 120), dtype=np.uint8)
        left, top = rng.integers(5, 40, 2).tolist()
        picture[top : top + 70, left : left + 70] = 200
        picture[top + 20 : top + 50, left + 20 : left + 50] = 30
        images.append(picture)
        boxes.append([ours.rectangle(left, top, left + 69, top + 69)])
    options = ours.simple_object_detector_training_options()
    options.num_threads = 1
    options.detection_window_size = 900
    path = str(tmp_path / "squares.svm")
    trained = ours.train_simple_object_detector(images, boxes, options)
    trained.save(path)
    detector, twin = ours.fhog_object_detector(path), theirs.fhog_object_detector(path)
    rects, scores, _ = ours.fhog_object_detector.run(detector, images[0], upsample_num_times=0, adjust_threshold=-2)
    assert [str(rect) for rect in rects] == [str(rect) for rect in twin.run(images[0], 0, -2)[0]]
    assert len(scores) == len(rects) > 0
    assert isinstance(ours.to_dlib([detector])[0], theirs.fhog_object_detector)
    found = ours.test_simple_object_detector(images, boxes, detector)
    assert found.recall == theirs.test_simple_object_detector(images, ours.to_dlib(boxes), twin).recall
    with pytest.raises(ours.DlibError, match="this detector is ert's"):
        ours.test_simple_object_detector(images, boxes, ours.get_frontal_face_detector())
    detector.save(tmp_path / "again.svm")
    again = ours.fhog_object_detector(tmp_path / "again.svm")
    assert again.run(images[0], 0, -2) == detector.run(images[0], 0, -2)
    assert (again.num_detectors, again.detection_window_width) == (twin.num_detectors, twin.detection_window_width)
