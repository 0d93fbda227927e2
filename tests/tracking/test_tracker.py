import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import ert
from ert import InputError, Tracker

SIZE = 320, 240
# The face of the sample image: center and box in its pixels.
MIDDLE, FACE_BOX = (225, 115), (176, 65, 98, 98)
RATE = 30


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(ert.load_image(ert.sample_image())).convert("L")


@pytest.fixture(scope="module")
def model():
    return ert.load("face68")


@pytest.fixture(scope="module")
def truth(model, photo):
    return model.predict([(np.array(photo), FACE_BOX)])[0]


def view(photo, places, rng=None, light=1.0):
    """Return a gray frame with the face at places (x, y, scale, degrees)."""
    frame = np.full(SIZE[::-1], 110, np.float64)
    for x, y, scale, degrees in places:
        angle = np.deg2rad(degrees)
        turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))]) / scale
        offset = np.add(MIDDLE, 0.5) - turn @ (x + 0.5, y + 0.5)
        matrix = (*turn[0], offset[0], *turn[1], offset[1])
        copy = photo.transform(SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        across, down = np.meshgrid(np.arange(SIZE[0]) - x, np.arange(SIZE[1]) - y)
        head = np.hypot(across, down) < 75 * scale
        frame[head] = np.array(copy, np.float64)[head] * light
    if rng is not None:
        frame += rng.normal(0, 3, frame.shape)
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def moved(truth, x, y, scale, degrees):
    angle = np.deg2rad(degrees)
    turn = scale * np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return (truth - MIDDLE) @ turn.T + (x, y)


def boxes_at(places):
    """Return the boxes of a detector."""
    return [(x - 49 * scale, y - 50 * scale, 98 * scale, 98 * scale) for x, y, scale, _ in places]


class Scene:
    """Frames of faces at places, and a detector that returns their boxes."""

    def __init__(self, photo):
        self.photo, self.places, self.calls = photo, [], 0
        self.rng = np.random.default_rng(0)

    def detect(self, image):
        self.calls += 1
        return boxes_at(self.places)

    def frame(self, *places, light=1.0):
        self.places = places
        return view(self.photo, places, self.rng, light)


@pytest.fixture
def scene(photo):
    return Scene(photo)


def test_a_moving_face_keeps_its_id(scene, model, truth):
    tracker = Tracker(model, detector=scene.detect, detect_every=1.0)
    errors = []
    for k in range(60):
        t = k / RATE
        place = (160 + 50 * np.sin(4 * t), 120 + 10 * np.sin(7 * t), 1 + 0.15 * np.sin(3 * t), 20 * np.sin(3 * t))
        (face,) = tracker.update(scene.frame(place, light=1 - 0.3 * np.sin(5 * t)), t)
        assert face.id == 0
        assert face.age == pytest.approx(t)
        assert face.confidence > 0.5
        errors.append(np.linalg.norm(face.landmarks - moved(truth, *place), axis=1).mean())
        assert abs(face.roll - place[3]) < 7
        left, top, width, height = face.box
        assert left < place[0] < left + width
        assert top < place[1] < top + height
    assert np.mean(errors) < 2
    # Once per second.
    assert scene.calls == 2


def test_still_faces_are_steadier_than_frame_by_frame(scene, model):
    steady, raw = Tracker(model, detector=scene.detect), Tracker(model, detector=scene.detect, smooth=False)
    shapes = {steady: [], raw: []}
    for _ in range(40):
        frame = scene.frame((160, 120, 1, 0))
        for tracker, found in shapes.items():
            found.append(tracker.update(frame)[0].landmarks)
    steps = {tracker: np.abs(np.diff(found[10:], axis=0)).mean() for tracker, found in shapes.items()}
    assert steps[steady] < steps[raw] / 4


def test_a_vanished_face_is_lost_within_three_frames(scene, model):
    tracker = Tracker(model, detector=scene.detect)
    for _ in range(10):
        assert len(tracker.update(scene.frame((160, 120, 1, 0)))) == 1
    before = scene.calls
    shown = [tracker.update(scene.frame()) for _ in range(40)]
    assert all(face.confidence <= tracker.min_confidence for faces in shown for face in faces)
    assert not any(shown[2:])
    # Immediately, and then not in every frame.
    assert 4 <= scene.calls - before <= 10


def test_an_occluded_face_gets_its_id_back(scene, model):
    tracker = Tracker(model, detector=scene.detect)
    for _ in range(10):
        tracker.update(scene.frame((140, 120, 1, 0)))
    for _ in range(10):
        tracker.update(scene.frame())
    for _ in range(10):
        faces = tracker.update(scene.frame((180, 120, 1, 0)))
    assert [face.id for face in faces] == [0]
    for _ in range(40):
        tracker.update(scene.frame())
    for _ in range(10):
        faces = tracker.update(scene.frame((180, 120, 1, 0)))
    assert [face.id for face in faces] == [1]


def test_a_different_appearance_gets_a_new_id(scene, model):
    tracker = Tracker(model, detector=scene.detect)
    ramp = np.clip((np.arange(SIZE[0]) - 90) / 140, 0.15, 1)[None]

    def update(light):
        return tracker.update((scene.frame((160, 120, 1, 0)) * light).astype(np.uint8))

    for _ in range(10):
        (face,) = update(ramp)
    assert face.id == 0
    # The light suddenly comes from the other side.
    shown = [update(ramp[:, ::-1]) for _ in range(30)]
    assert all(face.confidence <= 0.3 for faces in shown for face in faces if face.id == 0)
    assert not any(face.id == 0 for faces in shown[1:] for face in faces)
    assert [face.id for face in shown[-1]] == [1]


def test_two_faces_keep_their_ids(scene, model):
    tracker = Tracker(model, detector=scene.detect)
    for k in range(50):
        one, other = (80 + k, 70, 0.8, 0), (240 - k, 170, 0.8, 0)
        faces = tracker.update(scene.frame(one, other))
        assert [face.id for face in faces] == [0, 1]
        centers = [face.landmarks.mean(axis=0) for face in faces]
        if k == 0:
            first = centers[0][0] < 160
        for (x, y, *_), center in zip((one, other) if first else (other, one), centers, strict=True):
            assert np.hypot(*(center - (x, y + 10))) < 15


def test_two_tracks_on_one_face_become_one(scene, model):
    tracker = Tracker(model, detector=scene.detect, detect_every=0.1)
    for k in range(30):
        # The second moves behind the first and stays there.
        places = [(max(240 - 5 * k, 120), 120, 0.8, 0), (120, 120, 0.8, 0)]
        faces = tracker.update(scene.frame(*places))
        scene.places = places[1:]
    assert len(faces) == 1


def test_max_faces(scene, model):
    tracker = Tracker(model, detector=scene.detect, max_faces=1)
    faces = tracker.update(scene.frame((80, 120, 0.7, 0), (230, 120, 0.9, 0)))
    assert [face.id for face in faces] == [0]
    assert faces[0].landmarks.mean(axis=0)[0] > 160


def test_false_detections_are_rejected(scene, model):
    tracker = Tracker(model, detector=lambda image: [(20, 20, 60, 60)])
    assert tracker.update(np.random.default_rng(0).integers(90, 130, SIZE[::-1]).astype(np.uint8)) == []


def test_colors_and_large_frames(photo, model, truth):
    gray = view(photo, [(160, 120, 1, 0)])
    wide = np.full((480, 1280, 3), 110, np.uint8)
    wide[100:340, 600:920] = gray[..., None]
    seen = []

    def detector(image):
        seen.append(image.shape)
        scale = image.shape[1] / 1280
        return np.array([(600 + 160 - 49, 100 + 120 - 50, 98, 98)]) * scale

    (face,) = Tracker(model, detector=detector, channel_order="bgr").update(wide)
    assert seen == [(120, 320, 3)]
    expected = moved(truth, 760, 220, 1, 0)
    assert np.linalg.norm(face.landmarks - expected, axis=1).mean() < 2


def test_while_no_face_is_found_every_other_copy_is_larger(model):
    sides = []

    def detector(image):
        sides.append(max(image.shape))
        return []

    tracker = Tracker(model, detector=detector, detect_size=100, search_every=0.0)
    blank = np.full(SIZE[::-1], 110, np.uint8)
    for _ in range(4):
        tracker.update(blank)
    assert sides == [100, 200, 100, 200]


def test_the_confidence_model_is_used(scene, model):
    class Assessed(ert.ShapePredictor):
        confidence_model_ = "any"
        confidence = 0.9

        def assess(self, X, landmarks, *, channel_order=None, n_jobs=1):
            return SimpleNamespace(std=np.full(landmarks.shape[:2], 1.5), confidence=np.array([self.confidence]))

    assessed = Assessed()
    assessed.fitted_ = model.fitted_
    tracker = Tracker(assessed, detector=scene.detect)
    frame = scene.frame((160, 120, 1, 0))
    (face,) = tracker.update(frame)
    assert face.confidence == 0.9
    assert (face.std == 1.5).all()
    # A new face needs more.
    assessed.confidence = 0.1
    for _ in range(3):
        assert [face.confidence for face in tracker.update(frame)] == [0.1]
    assessed.confidence = 0.05
    assert [face.confidence for face in tracker.update(frame)] == [0.05]
    assert tracker.update(frame) == []


def test_dlibs_models_track_too(scene, faces):
    from helpers import small_predictor

    small = small_predictor(kind="dlib", gray_weights="dlib", n_stages=5, n_trees=100).fit(*faces)
    image, box = faces[0][0]
    tracker = Tracker(small, detector=lambda _: [box], min_confidence=0)
    for _ in range(3):
        (face,) = tracker.update(image)
    assert np.linalg.norm(face.landmarks - faces[1][0], axis=1).mean() < 0.1 * box[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detect_every": -1}, "detect_every: -1"),
        ({"search_every": np.nan}, "search_every: nan"),
        ({"detect_size": 0}, "detect_size: 0"),
        ({"patience": np.inf}, "patience, rate: inf"),
        ({"rate": 0}, "patience, rate: 1.0, 0"),
        ({"min_confidence": 1}, "min_confidence: 1"),
        ({"max_faces": 0}, "max_faces: 0"),
        ({"channel_order": "grb"}, "channel_order: 'grb'"),
        ({"model": "nonesuch"}, "nonesuch"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        Tracker(**options)


def test_time_goes_forward(scene, model):
    tracker = Tracker(model, detector=scene.detect)
    tracker.update(scene.frame(), 1.0)
    tracker.update(scene.frame(), 1.5)
    tracker.update(scene.frame())
    with pytest.raises(InputError, match="increasing times"):
        tracker.update(scene.frame(), 1.5)
    tracker.reset()
    tracker.update(scene.frame(), 0.0)


def test_low_frame_rates(scene, model):
    tracker = Tracker(model, detector=scene.detect)
    for second in range(0, 20, 4):
        (face,) = tracker.update(scene.frame((140 + second, 120, 1, 0)), second)
        assert face.id == 0
        assert abs(face.landmarks.mean(axis=0)[0] - (140 + second)) < 6


def test_a_model_of_one_landmark(faces):
    from helpers import small_predictor

    one = small_predictor(n_stages=1, n_trees=10).fit(faces[0], faces[1][:, :1])
    with pytest.raises(InputError, match="1 landmark, which has no size"):
        Tracker(one)


def test_invalid_frames(model):
    with pytest.raises(InputError, match="frame"):
        Tracker(model).update(np.zeros((3, 3), np.float32))


def test_reprs_are_short(scene, model):
    tracker = Tracker(model, detector="haar")
    assert repr(tracker) == "Tracker(68 landmarks, detector='haar', faces: 0 tracked, 0 lost, 0 in all)"
    tracker = Tracker(model, detector=scene.detect)
    (face,) = tracker.update(scene.frame((160, 120, 1, 0)))
    assert repr(tracker).endswith("faces: 1 tracked, 0 lost, 1 in all)")
    expected = r"TrackedFace\(id=0, 68 landmarks, box \d+ x \d+ at \(\d+, \d+\), confidence [01]\.\d\d, age 0\.00 s\)"
    assert re.fullmatch(expected, repr(face))


def test_frames_of_pillow_are_rgb_whatever_the_order_of_arrays():
    photo = Image.fromarray(ert.load_image(ert.sample_image()))
    found = [ert.Tracker(channel_order=order).update(photo)[0].landmarks for order in ("rgb", "bgr")]
    expected = ert.Tracker().update(np.asarray(photo))[0].landmarks
    assert np.array_equal(found, [expected, expected])
