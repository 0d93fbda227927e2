import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from web.javascript import run_javascript

import ert
from ert._core.images import to_gray
from ert.faces.detection import detect_scored_faces, reduce_image
from ert.web.lbp import CASCADE_SOURCE, face_cascade

FACES = {"faces.js": "FaceDetector"}
DETECT = (
    "const d = new FaceDetector(given.cascade); answer(images.map((image) => d.detectScored(image, given.options)));"
)


@pytest.fixture(scope="module")
def photo():
    return to_gray(ert.load_image(ert.sample_image()))


def detect(folder, images, **options):
    found = run_javascript(folder, DETECT, images, {"cascade": face_cascade(), "options": options}, FACES)
    return [(np.array([face["box"] for face in faces]).reshape(-1, 4), [f["score"] for f in faces]) for faces in found]


def copy_of(photo, width, height):
    return np.array(Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR))


def test_cascade_is_that_of_scikit_image():
    from skimage.data import lbp_frontal_face_cascade_filename

    cascade = face_cascade()
    assert cascade["window"] == [24, 24]
    assert cascade["source"] == CASCADE_SOURCE
    assert [len(cascade["features"]), len(cascade["stages"])] == [136, 20]
    decisions = [decision for stage in cascade["stages"] for decision in stage["decisions"]]
    assert all(len(decision) == 11 and 0 <= decision[0] < 136 for decision in decisions)
    root = ET.parse(lbp_frontal_face_cascade_filename()).getroot()
    assert len(decisions) == len(root.findall(".//internalNodes"))
    first = [float(number) for number in root.findtext(".//leafValues").split()]
    assert decisions[0][9:] == pytest.approx(first, abs=1e-9)
    assert len(json.dumps(cascade)) < 25_000


def test_faces_are_those_of_python(tmp_path, photo):
    # Sums of so few pixels are exact in single precision, in which scikit-image adds.
    face = photo[50:190, 140:300]
    pictures = [face, face[:, ::-1], copy_of(face, 100, 88), copy_of(face, 220, 190)]
    for (boxes, scores), picture in zip(detect(tmp_path, pictures), pictures, strict=True):
        expected, expected_scores = detect_scored_faces(np.ascontiguousarray(picture), "lbp")
        assert boxes == pytest.approx(expected, abs=1e-9)
        assert scores == pytest.approx(expected_scores)
    assert len(expected) == 1


def test_photos_are_reduced_as_in_python(tmp_path, photo):
    large = copy_of(photo, 3 * photo.shape[1], 3 * photo.shape[0])
    (own, _), (reduced, _) = detect(tmp_path, [large, reduce_image(large, 300)], maxSide=300)
    assert len(own) >= 1
    scale = np.tile(np.array(large.shape[1::-1]) / reduce_image(large, 300).shape[1::-1], 2)
    assert own == pytest.approx(reduced * scale)


def test_a_coarse_search_finds_the_same_faces(tmp_path, photo):
    ((boxes, scores),) = detect(tmp_path, [photo])
    ((coarse, coarse_scores),) = detect(tmp_path, [photo], coarse=True, minWindows=2)
    assert len(boxes) == 1
    assert coarse[0] == pytest.approx(boxes[0], abs=0.06 * boxes[0, 2])
    # Not all windows are found, but those that agree are a part of all.
    assert coarse_scores[0] <= scores[0] + 1


def test_nothing_is_found_in_plain_or_tiny_images(tmp_path):
    plain = [np.full((60, 80), 128, np.uint8), np.zeros((20, 30), np.uint8), np.zeros((1, 1), np.uint8)]
    assert [len(boxes) for boxes, _ in detect(tmp_path, plain)] == [0, 0, 0]


@pytest.mark.parametrize(("filter_", "name"), [(Image.Resampling.BOX, "box"), (Image.Resampling.BILINEAR, "bilinear")])
def test_images_are_resized_as_by_pillow(tmp_path, filter_, name):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (37, 53), np.uint8)
    sizes = [(53, 37), (20, 37), (53, 11), (26, 18), (7, 90), (1, 1), (120, 80)]
    script = f'answer(given.map(([w, h]) => resize(images[0], w, h, "{name}").data));'
    found = run_javascript(tmp_path, script, [picture], sizes, {"internal/resize.js": "resize"})
    for size, pixels in zip(sizes, found, strict=True):
        assert np.array_equal(np.ravel(Image.fromarray(picture).resize(size, filter_)), pixels)


def test_images_are_reduced_as_by_pillow(tmp_path):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (37, 53), np.uint8), np.full((9, 7), 255, np.uint8)]
    factors = [(1, 1), (2, 2), (3, 3), (2, 3), (5, 4), (7, 7)]
    script = "answer(images.map((image) => given.map((factors) => reduce(image, ...factors).data)));"
    found = run_javascript(tmp_path, script, pictures, factors, {"internal/resize.js": "reduce"})
    for picture, rows in zip(pictures, found, strict=True):
        for factor, pixels in zip(factors, rows, strict=True):
            assert np.array_equal(np.ravel(Image.fromarray(picture).reduce(factor)), pixels)


def test_images_are_resized_in_two_steps_as_by_pillow(tmp_path):
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (211, 307), np.uint8)
    cases = [(30, 20, 306.4, 210.2), (100, 80, 307, 211), (70, 48, 300.7, 206.2), (40, 27, 307, 207.3)]
    script = "answer(given.map(([w, h, ...part]) => resizeInTwoSteps(images[0], w, h, part).data));"
    found = run_javascript(tmp_path, script, [picture], cases, {"internal/resize.js": "resizeInTwoSteps"})
    for (width, height, right, bottom), pixels in zip(cases, found, strict=True):
        box = 0, 0, right, bottom
        expected = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
        assert np.array_equal(np.ravel(expected), pixels)
