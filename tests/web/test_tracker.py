import re
from dataclasses import replace

import numpy as np
import pytest
from drawn import draw, place
from PIL import Image
from web.javascript import run_javascript
from web.node import WEB
from web.test_locator import model as drawn_model  # noqa: F401  a fixture

import ert
from ert._core.images import to_gray
from ert.tracking.smoothing import ShapeSmoother
from ert.web.lbp import face_cascade

TRACK = """
const model = await loadModel(new Uint8Array(readFileSync(given.model)), "model.ert");
const detector = given.cascade ? new FaceDetector(given.cascade) : null;
const tracker = new Tracker(model, { ...given.options, detector });
answer(images.map((image, i) => tracker.update(image, given.times ? given.times[i] : i / 30)));
"""
IMPORTS = {"ert.js": "loadModel", "faces.js": "FaceDetector", "tracker.js": "Tracker"}
FRAME = 240, 200
# The part of the sample photo that shows the face.
FACE = slice(45, 195), slice(150, 310)


@pytest.fixture(scope="module")
def face():
    return to_gray(ert.load_image(ert.sample_image()))[FACE]


@pytest.fixture(scope="module")
def model():
    return ert.load("face68")


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "face68.ert"
    model.save(file)
    return str(file)


@pytest.fixture
def track(model, model_file, tmp_path):
    """Return a function that tracks faces, or the objects of another model, in JavaScript."""

    def run(frames, tracked=model, times=None, cascade=None, **options):
        file = model_file
        if tracked is model:
            cascade = face_cascade()
        else:
            file = str(tmp_path / "other.ert")
            tracked.save(file)
        given = {"model": file, "options": options, "times": times, "cascade": cascade}
        return run_javascript(tmp_path, TRACK, frames, given, IMPORTS)

    return run


def frame_with(picture, x, y, rng):
    frame = np.full(FRAME[::-1], 110.0)
    frame[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return np.clip(np.rint(frame + rng.normal(0, 2, frame.shape)), 0, 255).astype(np.uint8)


def empty_frame(rng):
    return frame_with(np.empty((0, 0)), 0, 0, rng)


def points(found):
    return np.array(found["landmarks"]).reshape(-1, 2)


@pytest.mark.parametrize("use_std", [False, True])
def test_smoothing_is_that_of_python(tmp_path, use_std):
    rng = np.random.default_rng(0)
    mean = rng.normal(0.5, 0.3, (7, 2))
    angles, steps = np.linspace(0, 0.4, 25), np.linspace(0, 60, 25)
    turns = [50 * np.array([(np.cos(a), -np.sin(a)), (np.sin(a), np.cos(a))]) for a in angles]
    shapes = [mean @ turn.T + (100 + step, 80) for turn, step in zip(turns, steps, strict=True)]
    shapes = np.array(shapes) + rng.normal(0, 0.5, (25, 7, 2))
    std = rng.uniform(0.2, 3, 7) if use_std else None
    seconds = rng.uniform(0.01, 0.1, 25)
    smoother = ShapeSmoother(shapes[0], mean)
    expected = []
    for k in range(1, 25):
        coasting = k in (8, 9, 17)
        expected.append(smoother.coast(seconds[k]) if coasting else smoother.update(shapes[k], seconds[k], std))
        expected.append(smoother.predict(0.05))
    script = """
const smoother = new ShapeSmoother(given.shapes[0], given.mean);
answer(given.shapes.slice(1).flatMap((shape, i) => {
  const seconds = given.seconds[i + 1], coasting = [8, 9, 17].includes(i + 1);
  const found = coasting ? smoother.coast(seconds) : smoother.update(shape, seconds, given.std);
  return [found, smoother.predict(0.05)];
}));
"""
    given = {
        "shapes": shapes.reshape(25, -1).tolist(),
        "mean": mean.ravel().tolist(),
        "seconds": seconds.tolist(),
        "std": None if std is None else std.tolist(),
    }
    found = run_javascript(tmp_path, script, [], given, {"internal/smoothing.js": "ShapeSmoother"})
    assert np.array(found) == pytest.approx(np.reshape(expected, (48, -1)), abs=1e-9)


def test_a_face_keeps_its_id_while_it_moves(track, model, face):
    rng = np.random.default_rng(1)
    frames = [frame_with(face, 10 + 2 * k, 20 + k, rng) for k in range(20)]
    shown = track(frames)
    assert [[each["id"] for each in objects] for objects in shown] == [[0]] * 20
    assert min(objects[0]["confidence"] for objects in shown) > 0.9
    landmarks = np.array([points(objects[0]) for objects in shown])
    moved = np.column_stack([2 * np.arange(20), np.arange(20)])[:, None]
    resting = landmarks - moved
    assert np.abs(resting - resting.mean(axis=0)).max() < 2.5
    assert len(shown[-1][0]["std"]) == len(landmarks[-1])
    left, top, width, height = shown[-1][0]["box"]
    expected = model.predict([(frames[-1], (left, top, width, height))], "accurate")[0]
    assert np.hypot(*(landmarks[-1] - expected).T).mean() < 1.5


def test_smoothing_steadies_a_face_at_rest(track, face):
    rng = np.random.default_rng(2)
    frames = [frame_with(face, 40, 30, rng) for _ in range(20)]

    def wander(**options):
        landmarks = np.array([points(objects[0]) for objects in track(frames, **options)])[8:]
        return landmarks.std(axis=0).mean()

    assert wander() < 0.6 * wander(smooth=False)


def test_a_lost_face_is_found_again_with_its_id(track, face):
    rng = np.random.default_rng(3)
    there, gone = [[frame_with(face, 40, 30, rng) for _ in range(6)] for _ in range(2)]
    gone = [empty_frame(rng) for _ in range(8)]
    shown = track([*there, *gone, *[frame_with(face, 52, 30, rng) for _ in range(8)]], searchEvery=0.1)
    ids = [[each["id"] for each in objects] for objects in shown]
    # Once more where it is expected, with a low confidence.
    assert ids[:7] == [[0]] * 7
    assert ids[7:14] == [[]] * 7
    assert ids[-1] == [0]
    assert shown[6][0]["confidence"] <= 0.25
    assert np.hypot(*(points(shown[-1][0]) - points(shown[5][0]) - (12, 0)).T).mean() < 2


def test_tilted_faces_are_found(track, model_file, face, tmp_path):
    rng = np.random.default_rng(7)
    frame = frame_with(face, 40, 30, rng)
    rolls = (-40, 40)
    tilted = [
        np.array(Image.fromarray(frame).rotate(-roll, Image.Resampling.BILINEAR, fillcolor=110)) for roll in rolls
    ]
    script = """
const model = await loadModel(new Uint8Array(readFileSync(given.model)), "face68.ert");
const observer = new Observer(model), detector = new FaceDetector(given.cascade);
const find = (options) => images.map((image) => observeFaces(observer, detector, image, options));
const found = images.map((image) => findFaces(model, detector, image)
  .map((face) => ({ ...face, landmarks: model.predict(image, face.box, { roll: face.roll }) })));
answer([found, find({ rolls: [0], minConfidence: 0.9 })]);
"""
    imports = {"ert.js": "loadModel", "faces.js": "FaceDetector", "observe.js": "Observer, findFaces, observeFaces"}
    given = {"model": model_file, "cascade": face_cascade()}
    found, upright = run_javascript(tmp_path, script, [frame, *tilted], given, imports)
    assert [len(faces) for faces in found] == [1, 1, 1]
    assert [len(faces) for faces in upright] == [1, 0, 0]
    first = found[0][0]
    for roll, (tilted_face,) in zip(rolls, found[1:], strict=True):
        assert tilted_face["confidence"] > 0.9
        assert tilted_face["roll"] == pytest.approx(roll + first["roll"], abs=6)
        turn = np.exp(1j * np.deg2rad(roll))
        middle = np.array(FRAME) / 2 - 0.5
        moved = (points(first) - middle) @ (1, 1j) * turn
        expected = np.column_stack([moved.real, moved.imag]) + middle
        assert np.hypot(*(points(tilted_face) - expected).T).mean() < 2.5
    # In video, the rolls are tried in turn.
    shown = track([tilted[1]] * 4, searchEvery=0)
    assert [len(objects) for objects in shown] == [0, 0, 1, 1]


def test_a_face_that_comes_back_too_late_is_new(track, face):
    rng = np.random.default_rng(4)
    frames = [frame_with(face, 40, 30, rng), empty_frame(rng), empty_frame(rng), frame_with(face, 40, 30, rng)]
    shown = track(frames, times=[0, 0.1, 3, 6], patience=1, searchEvery=0.1)
    assert [[each["id"] for each in objects] for objects in shown] == [[0], [0], [], [1]]


def test_color_frames_and_the_most_objects(track, face):
    rng = np.random.default_rng(5)
    small = face[::2, ::2]
    gray = frame_with(np.hstack([small, small]), 10, 30, rng)
    color = np.dstack([gray, gray, gray, np.full_like(gray, 255)])
    assert [len(track([frame])[0]) for frame in (gray, color)] == [2, 2]
    (objects,) = track([color], maxObjects=1)
    assert [each["id"] for each in objects] == [0]


def test_a_model_without_confidence_tracks_faces_whose_landmarks_agree(track, model, face):
    rng = np.random.default_rng(8)
    plain = ert.ShapePredictor()
    plain.fitted_ = replace(model.fitted_, confidence_model=None, confidence_summary={})
    frames = [frame_with(face, 40, 30, rng) for _ in range(3)] + [rng.integers(0, 256, FRAME[::-1], np.uint8)] * 3
    shown = track(frames, plain, cascade=face_cascade())
    assert [len(objects) for objects in shown] == [1, 1, 1, 1, 0, 0]
    assert [objects[0]["confidence"] > 0.5 for objects in shown[:4]] == [True, True, True, False]


def test_an_object_that_leaves_the_image_is_lost(track, drawn_model):  # noqa: F811
    rng = np.random.default_rng(9)
    objects = [draw([place(x, 75, 60, 5)], (200, 150), rng) for x in (60, 40, 20, 0, -20, -40, -60)]
    shown = track(objects, drawn_model, maxObjects=1)
    assert len(shown[0]) == 1
    assert shown[-1] == []


def test_objects_of_a_locator_are_tracked(track, drawn_model):  # noqa: F811
    rng = np.random.default_rng(6)
    shapes = [place(90 + 2 * k, 80 + k, 60, 10 + k) for k in range(10)]
    frames = [draw([shape], (200, 150), rng) for shape in shapes]
    shown = track(frames, drawn_model, maxObjects=1)
    assert [[each["id"] for each in objects] for objects in shown] == [[0]] * 10
    for objects, shape in zip(shown, shapes, strict=True):
        assert np.hypot(*(points(objects[0]) - shape).T).mean() < 5
    assert shown[-1][0]["roll"] == pytest.approx(19, abs=6)
    (nothing,) = track([draw([], (200, 150), rng)], drawn_model)
    assert nothing == []
    # Several objects are searched for in the whole photo, here over some frames.
    shapes = [place(90 + k / 4, 80, 60, 10) for k in range(60)]
    found = track([draw([shape], (200, 150), rng) for shape in shapes], drawn_model, maxObjects=2, searchSteps=1)
    first = next((i for i, objects in enumerate(found) if objects), len(found))
    assert 2 <= first < 50
    for objects, shape in list(zip(found, shapes, strict=True))[first:]:
        assert np.hypot(*(points(objects[0]) - shape).T).mean() < 5


def test_errors_of_a_tracker(model_file, tmp_path):
    script = """
const model = await loadModel(new Uint8Array(readFileSync(given)), "model.ert");
const errors = [], attempt = (work) => { try { work(); } catch (error) { errors.push(error.message); } };
attempt(() => new Tracker(model));
const tracker = new Tracker(model, { detector: { detect: () => [] } });
tracker.update(images[0], 1);
for (const seconds of [1, 0.5, NaN]) attempt(() => tracker.update(images[0], seconds));
answer(errors);
"""
    image = np.zeros((40, 40), np.uint8)
    errors = run_javascript(tmp_path, script, [image], model_file, IMPORTS)
    assert errors[0] == "Tracker: expected a detector of faces, or a model with a locator"
    assert errors[1] == "seconds: 1 after 1, expected increasing times"
    assert len(errors) == 4


def test_types_describe_what_the_modules_have():
    for name in ("faces", "locator", "observe", "tracker"):
        module, types = (WEB / f"{name}.js").read_text(), (WEB / f"{name}.d.ts").read_text()
        described = re.findall(r"^export (class|function) (\w+)", types, re.MULTILINE)
        assert described
        for kind, what in described:
            assert f"export {kind} {what}" in module
        for option in re.findall(r"^  (\w+)\?:", types, re.MULTILINE):
            assert f"[{option}]" in module or name == "locator"


def test_a_search_is_spread_over_frames(track, face):
    """A step a frame: the face is found a little later, where it is by then; frames of another size end a search."""
    frames = [moved(face, 2 * i) for i in range(40)]
    at_once, spread = track(frames), track(frames, searchSteps=1)
    first = next(i for i, found in enumerate(spread) if found)
    assert at_once[0]
    assert 2 <= first <= 30
    for one, other in zip(at_once[first + 5 :], spread[first + 5 :], strict=True):
        assert len(one) == len(other) == 1
        assert np.abs(np.subtract(one[0]["landmarks"], other[0]["landmarks"])).mean() < 1
    turned = [np.ascontiguousarray(frame[:, 40:]) for frame in frames]
    found = track(frames[: first - 1] + turned, searchSteps=1)
    assert not any(found[: first + 1])
    assert found[-1]


def moved(face, pixels):
    """A frame in which a face is so far to the right."""
    frame = np.full((FRAME[1], FRAME[0]), 128, np.uint8)
    frame[20 : 20 + face.shape[0], 40 + pixels // 4 : 40 + pixels // 4 + face.shape[1]] = face
    return frame
