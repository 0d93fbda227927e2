from dataclasses import replace

import numpy as np
import pytest
from drawn import draw, scattered_photo, standard_photos
from PIL import Image
from web.javascript import run_javascript

import ert
from ert._core.images import to_gray
from ert.inference.gradients import filter_windows, gradient_histograms
from ert.inference.locator import locate_objects
from ert.training.locator import fit_locator

LOCATE = """
const model = await loadModel(new Uint8Array(readFileSync(given.model)), "drawn.ert");
answer(images.map((image) => locateObjects(model, image, given.options).map((found) => {
  return { ...found, landmarks: model.predict(image, found.box, { roll: found.roll }) };
})));
"""
IMPORTS = {"ert.js": "loadModel", "locator.js": "locateObjects"}


@pytest.fixture(scope="module")
def model():
    photos, shapes = standard_photos(12, np.random.default_rng(0))
    locator = fit_locator(photos, shapes)
    boxes, rolls = locator.poses(shapes)
    model = ert.ShapePredictor(n_stages=5, n_trees=30, learning_rate=0.2, n_inits=10, n_jobs=1)
    model.fit(list(zip(photos, boxes, strict=True)), shapes, rolls=rolls)
    model.fitted_ = replace(model.fitted_, locator=locator, box_source="learned")
    return model


@pytest.fixture
def locate(model, tmp_path):
    """Return a function that finds the objects of photos in JavaScript."""

    def found(photos, **options):
        model.save(tmp_path / "drawn.ert")
        given = {"model": str(tmp_path / "drawn.ert"), "options": options}
        return run_javascript(tmp_path, LOCATE, photos, given, IMPORTS)

    return found


def assert_same(model, photo, found, expected):
    assert len(found) == len(expected)
    for one, (box, roll, confidence) in zip(found, expected, strict=True):
        assert one["box"] == pytest.approx(box, abs=1e-6)
        assert one["roll"] == pytest.approx(roll, abs=1e-6)
        assert one["confidence"] == pytest.approx(confidence, abs=2e-6)
        landmarks = model.predict([(photo, box)], rolls=[roll])[0]
        assert one["landmarks"] == pytest.approx(landmarks.ravel(), abs=0.01)


def test_objects_are_found_where_python_finds_them(model, locate):
    rng = np.random.default_rng(1)
    photos = [scattered_photo(rng)[0] for _ in range(3)]
    # An object where objects usually lie, one in a photo that is reduced first, and in one of two colors.
    photos += [standard_photos(1, rng)[0][0], np.kron(photos[0], np.ones((4, 4), np.uint8))]
    for photo, found in zip(photos, locate(photos), strict=True):
        assert_same(model, photo, found, locate_objects(model.fitted_.locator, photo))
        assert len(found) == 1


def test_several_objects_are_found(model, locate):
    photo, _ = scattered_photo(np.random.default_rng(2), 3, size=(450, 200))
    options = {"max_objects": 6, "min_confidence": 0.5}
    (found,) = locate([photo], maxObjects=6, minConfidence=0.5)
    assert len(found) == 3
    assert_same(model, photo, found, locate_objects(model.fitted_.locator, photo, **options))


def test_photos_without_the_object_and_tiny_ones(model, locate):
    rng = np.random.default_rng(3)
    photos = [draw([], (200, 130), rng), np.full((1, 1), 7, np.uint8), np.full((3, 90), 7, np.uint8)]
    for photo, found in zip(photos, locate(photos), strict=True):
        assert_same(model, photo, found, locate_objects(model.fitted_.locator, photo))
    assert locate(photos[:1], minConfidence=0.5) == [[]]


def test_color_is_converted_to_gray_as_the_model_does(model, locate):
    photo, _ = scattered_photo(np.random.default_rng(4))
    color = np.dstack([photo, photo[::-1], photo[:, ::-1], np.full_like(photo, 255)])
    ((one,), (other,)) = locate([color, to_gray(color[..., :3])])
    assert one == other


def test_a_model_without_a_locator_is_refused(model, tmp_path):
    script = """
const model = await loadModel(new Uint8Array(readFileSync(given)), "plain.ert");
try { locateObjects(model, images[0]); } catch (error) { answer(error.message); }
"""
    plain = ert.ShapePredictor()
    plain.fitted_ = replace(model.fitted_, locator=None, box_source="given")
    plain.save(tmp_path / "plain.ert")
    image = np.zeros((9, 9), np.uint8)
    text = run_javascript(tmp_path, script, [image], str(tmp_path / "plain.ert"), IMPORTS)
    assert text == "model: expected one with a locator"


def test_histograms_and_filters_are_those_of_python(tmp_path):
    rng = np.random.default_rng(5)
    smooth = np.array(Image.fromarray(rng.integers(0, 256, (9, 12), np.uint8)).resize((86, 59)))
    filters = rng.normal(0, 1, (3, 5, 7, 8)).astype(np.float32)
    offsets = np.array([0.5, 0, -0.5], np.float32)
    script = """
const [filters, offsets] = given.map((numbers) => Float32Array.from(numbers));
const histograms = gradientHistograms(images[0]);
answer({ histograms, found: lastOf(bestFilters(histograms, filters, offsets, 5, 7)) });
"""
    given = [filters.ravel().tolist(), offsets.tolist()]
    result = run_javascript(
        tmp_path,
        script,
        [smooth],
        given,
        {"internal/gradients.js": "gradientHistograms, bestFilters", "internal/steps.js": "lastOf"},
    )
    expected = gradient_histograms(smooth)
    assert result["histograms"]["data"] == pytest.approx(expected.ravel(), abs=1e-5)
    scores = filter_windows(expected, filters) + offsets
    assert result["found"]["scores"] == pytest.approx(scores.max(axis=2).ravel(), abs=1e-4)
    assert np.array_equal(result["found"]["best"], scores.argmax(axis=2).ravel())
    assert [result["found"]["nDown"], result["found"]["nAcross"]] == list(scores.shape[:2])
