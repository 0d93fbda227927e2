import csv
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import SHARED
from PIL import Image

from ert._core.exceptions import InputError
from ert._core.threads import map_in_threads
from ert.faces import detection
from ert.faces.detection import detect_faces

DATA = SHARED / "300w"
HAS_HAAR = detection._haar_file() is not None
needs_haar = pytest.mark.skipif(not HAS_HAAR, reason="this OpenCV has no Haar cascades")
DETECTORS = [pytest.param("haar", marks=needs_haar), "lbp"]

# The face of the astronaut, from the brows to the chin.
FACE = np.array((175.0, 65.0, 100.0, 100.0))


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(autouse=True)
def _fresh_detectors():
    loaded = detection._idle_haar_cascades, detection._lbp_cascade, detection._dlib_detector, detection._yunet_detector
    for detector in loaded:
        detector.cache_clear()
    yield
    for detector in loaded:
        detector.cache_clear()


def near_the_face(box, scale=1.0):
    return np.abs(box - scale * FACE).max() < 0.12 * scale * FACE[2]


class TestCascades:
    @pytest.mark.parametrize("detector", DETECTORS)
    def test_finds_the_face_once(self, astronaut, detector):
        boxes = detect_faces(astronaut, detector)
        assert boxes.dtype == np.float64
        assert near_the_face(boxes[0])
        assert sum(near_the_face(box) for box in boxes) == 1

    @pytest.mark.parametrize("detector", DETECTORS)
    def test_channel_order_is_respected(self, astronaut, detector):
        np.testing.assert_array_equal(
            detect_faces(astronaut[..., ::-1], detector, channel_order="bgr"), detect_faces(astronaut, detector)
        )

    @pytest.mark.parametrize("detector", DETECTORS)
    def test_a_large_photograph_is_searched_at_its_own_coordinates(self, astronaut, detector):
        part = Image.fromarray(astronaut[:300])
        large = np.asarray(part.resize((5 * 512, 5 * 300), Image.Resampling.BICUBIC))
        assert near_the_face(detect_faces(large, detector)[0], scale=5)

    @pytest.mark.parametrize("detector", DETECTORS)
    @pytest.mark.parametrize("shape", [(1, 1), (23, 40), (24, 24), (36, 36), (24, 3000, 3), (3000, 1)])
    def test_tiny_and_empty_images_have_no_face(self, detector, shape):
        boxes = detect_faces(np.full(shape, 200, np.uint8), detector)
        assert boxes.shape == (0, 4)
        assert boxes.dtype == np.float64

    def test_largest_first(self, astronaut):
        canvas = np.zeros((300, 460), np.uint8)
        face = Image.fromarray(astronaut[20:220, 120:320]).convert("L")
        canvas[50:150, 20:120] = face.resize((100, 100))
        canvas[50:250, 200:400] = face
        widths = detect_faces(canvas, "lbp")[:, 2]
        assert len(widths) == 2
        assert 1.6 < widths[0] / widths[1] < 2.4

    def test_a_file_is_read(self, astronaut, tmp_path):
        path = tmp_path / "a.png"
        Image.fromarray(astronaut).save(path)
        expected = detect_faces(astronaut, "lbp")
        np.testing.assert_array_equal(detect_faces(path, "lbp"), expected)
        np.testing.assert_array_equal(detect_faces(str(path), "lbp", channel_order="bgr"), expected)

    def test_threads_agree(self, astronaut):
        expected = detect_faces(astronaut)
        with ThreadPoolExecutor(4) as pool:
            for boxes in pool.map(detect_faces, [astronaut] * 6):
                np.testing.assert_array_equal(boxes, expected)


class TestChoice:
    @needs_haar
    def test_auto_is_haar_where_opencv_has_it(self, astronaut):
        np.testing.assert_array_equal(detect_faces(astronaut), detect_faces(astronaut, "haar"))

    @pytest.mark.parametrize("missing", ["CascadeClassifier", "data", "file", "module"])
    def test_without_haar_auto_is_lbp(self, astronaut, missing, monkeypatch, tmp_path):
        import cv2

        if missing == "module":
            monkeypatch.setitem(sys.modules, "cv2", None)
        elif missing == "file":
            monkeypatch.setattr(cv2, "data", SimpleNamespace(haarcascades=f"{tmp_path}/"), raising=False)
        else:
            monkeypatch.delattr(cv2, missing, raising=False)
        np.testing.assert_array_equal(detect_faces(astronaut), detect_faces(astronaut, "lbp"))
        with pytest.raises(InputError, match="detector 'haar': needs OpenCV 4"):
            detect_faces(astronaut, "haar")

    @pytest.mark.parametrize(
        ("detector", "module", "message"),
        [
            ("lbp", "skimage.feature", "needs scikit-image"),
            ("dlib", "dlib", "pip install dlib-bin"),
            ("yunet:model.onnx", "cv2", "needs OpenCV"),
        ],
    )
    def test_a_detector_that_is_not_installed(self, detector, module, message, monkeypatch):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(InputError, match=message):
            detect_faces(np.zeros((50, 50), np.uint8), detector)

    @pytest.mark.parametrize("detector", ["Haar", "", "yunet", "yunet:", "haar:x", "mtcnn", None, 3])
    def test_unknown(self, detector):
        with pytest.raises(InputError, match="expected 'auto', 'haar', 'lbp'"):
            detect_faces(np.zeros((5, 5), np.uint8), detector)

    def test_bad_image_or_channels(self, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            detect_faces(tmp_path / "none.jpg")
        with pytest.raises(InputError, match="float64 pixels"):
            detect_faces(np.zeros((5, 5)))
        with pytest.raises(InputError, match="channel_order"):
            detect_faces(np.zeros((5, 5), np.uint8), channel_order="grb")


class TestDlib:
    @pytest.mark.parametrize("channel_order", ["rgb", "bgr"])
    def test_rectangles_become_boxes(self, monkeypatch, channel_order):
        image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
        rectangle = SimpleNamespace(left=lambda: -3, top=lambda: 4, width=lambda: 30, height=lambda: 31)

        class Detector:
            def run(self, seen, upsample, threshold):
                np.testing.assert_array_equal(seen, image)
                assert seen.flags.c_contiguous
                return [rectangle], [1.0], [0]

        monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(get_frontal_face_detector=Detector))
        given = image if channel_order == "rgb" else image[..., ::-1]
        np.testing.assert_array_equal(detect_faces(given, "dlib", channel_order=channel_order), [[-3, 4, 30, 31]])

    def test_the_real_one(self, astronaut):
        pytest.importorskip("dlib")
        boxes = detect_faces(astronaut, "dlib")
        assert sum(near_the_face(box) for box in boxes) == 1


class TestYunet:
    @pytest.mark.parametrize("shape", [(50, 60, 3), (50, 60)])
    def test_rows_become_boxes(self, monkeypatch, tmp_path, shape):
        import cv2

        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        faces = np.zeros((2, 15), np.float32)
        faces[:, :4] = (1, 2, 10, 11), (20, 20, 20.5, 21)
        faces[:, 14] = 0.9, 0.95
        answers = [faces, None]

        class Detector:
            def setInputSize(self, size):  # noqa: N802
                assert size == (60, 50)

            def detect(self, seen):
                gray = np.stack([image] * 3, axis=-1)
                np.testing.assert_array_equal(seen, image[..., ::-1] if image.ndim == 3 else gray)
                return 1, answers.pop(0)

        fake = SimpleNamespace(create=lambda *_: Detector())
        monkeypatch.setattr(cv2, "FaceDetectorYN", fake, raising=False)
        model = tmp_path / "m.onnx"
        model.touch()
        np.testing.assert_array_equal(detect_faces(image, f"yunet:{model}"), [[20, 20, 20.5, 21], [1, 2, 10, 11]])
        assert detect_faces(image, f"yunet:{model}").shape == (0, 4)

    def test_no_such_model(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.onnx: no such file"):
            detect_faces(np.zeros((50, 50, 3), np.uint8), f"yunet:{tmp_path / 'none.onnx'}")

    def test_not_a_model(self, tmp_path):
        model = tmp_path / "m.onnx"
        model.write_text("<html>not found</html>")
        with pytest.raises(InputError, match=r"m\.onnx: OpenCV cannot read this model"):
            detect_faces(np.zeros((50, 50, 3), np.uint8), f"yunet:{model}")


class TestFunctions:
    def test_sees_the_image_and_returns_boxes(self):
        image = np.zeros((5, 6, 3), np.uint8)

        def detector(seen):
            assert seen is image
            return [(1, 2, 3, 4), (0, 0, 6, 5)]

        np.testing.assert_array_equal(detect_faces(image, detector), [(0, 0, 6, 5), (1, 2, 3, 4)])

    @pytest.mark.parametrize("nothing", [[], (), np.empty((0, 4))])
    def test_no_faces(self, nothing):
        assert detect_faces(np.zeros((5, 6), np.uint8), lambda _: nothing).shape == (0, 4)

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            ([1, 2, 3, 4], r"shape \(4,\), expected boxes \(n, 4\)"),
            ([[1, 2, 3]], r"shape \(1, 3\)"),
            ([[1, 2, 3, 4], [1, 2]], "did not return an array of numbers"),
            (None, r"shape \(\)|no array"),
            ("boxes", "did not return an array of numbers"),
            ([[0, 0, 1, 1], [0, 0, 0, 1]], r"box 1 is \[0\.0, 0\.0, 0\.0, 1\.0\]"),
            ([[0, 0, 1, -1]], "box 0"),
            ([[np.nan, 0, 1, 1]], "box 0"),
            ([[0, 0, np.inf, 1]], "box 0"),
        ],
    )
    def test_anything_else_is_refused(self, returned, message):
        with pytest.raises(InputError, match=message):
            detect_faces(np.zeros((5, 6), np.uint8), lambda _: returned)


class TestMerging:
    def test_windows_that_agree_are_averaged(self):
        windows = np.array([(10, 10, 40, 40), (12, 10, 40, 40), (11, 13, 40, 40), (200, 0, 40, 40)], float)
        boxes, scores = detection._merge_windows(windows, min_windows=3)
        assert scores == [3, 3, 3]
        np.testing.assert_allclose(boxes, [(11, 11, 40, 40)] * 3)
        assert detection._merge_windows(windows, min_windows=4) == ([], [])

    def test_the_best_of_overlapping_boxes_stays(self):
        boxes = np.array([(0, 0, 100, 100), (30, 30, 20, 20), (5, 5, 100, 100), (90, 90, 100, 100)], float)
        np.testing.assert_array_equal(detection.keep_best(boxes, np.array([2.0, 9.0, 3.0, 1.0])), [1, 3])
        np.testing.assert_array_equal(detection.keep_best(boxes, np.array([2.0, 1.0, 3.0, 1.0])), [2, 3])
        assert detection.keep_best(boxes[:0], np.empty(0)).tolist() == []


@needs_haar
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/300w")
def test_lbp_draws_boxes_like_haar():
    with (DATA / "boxes.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "train"][::200]
    offsets, sizes = [], []
    for row in rows:
        haar = detect_faces(DATA / row["image"], "haar")
        lbp = detect_faces(DATA / row["image"], "lbp")
        if len(haar) and len(lbp):
            offsets.append((lbp[0, :2] + lbp[0, 2:] / 2 - haar[0, :2] - haar[0, 2:] / 2) / haar[0, 2])
            sizes.append(lbp[0, 2] / haar[0, 2])
    assert len(sizes) > 0.7 * len(rows)
    np.testing.assert_allclose(np.median(offsets, axis=0), 0, atol=0.03)
    assert np.median(sizes) == pytest.approx(1, abs=0.06)


def test_lbp_draws_the_same_boxes_in_whatever_order_threads_find_windows(astronaut, monkeypatch):
    expected = detection.detect_faces(astronaut, "lbp")
    cascade = detection._lbp_cascade()
    rng = np.random.default_rng(0)

    def shuffled(**options):
        found = cascade.detect_multi_scale(**options)
        return [found[i] for i in rng.permutation(len(found))]

    monkeypatch.setattr(detection, "_lbp_cascade", lambda: SimpleNamespace(detect_multi_scale=shuffled))
    for _ in range(5):
        for one, other in zip(expected, detection.detect_faces(astronaut, "lbp"), strict=True):
            np.testing.assert_array_equal(one, other)


def test_one_thread_at_a_time_looks_for_opencv(astronaut, monkeypatch):
    """While a thread imports cv2, it lacks its parts for another, which would take it for OpenCV 5."""
    find, locked = detection._haar_file, []

    def watched():
        locked.append(detection._DETECTOR_LOCK.locked())
        return find()

    monkeypatch.setattr(detection, "_haar_file", watched)
    detection.detect_faces(astronaut)
    assert locked
    assert all(locked)


@needs_haar
def test_threads_find_the_same_faces_with_cascades_of_their_own(astronaut):
    import cv2

    images = [np.ascontiguousarray(astronaut[k : k + 220, 100:330]) for k in range(0, 48, 8)]
    expected, before, n_threads = [detect_faces(image) for image in images], cv2.getNumThreads(), []

    def detect(image):
        found = detect_faces(image)
        with detection._one_opencv_thread():
            n_threads.append(cv2.getNumThreads())
        return found

    for one, other in zip(expected, map_in_threads(detect, images, 3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(n_threads) == {1}
    assert cv2.getNumThreads() == before
    assert not detection._opencv_users
    assert 1 <= len(detection._idle_haar_cascades()) <= 3


def test_haar_draws_the_same_boxes_in_whatever_order_threads_find_them(monkeypatch):
    boxes, counts = np.array([(40, 40, 50, 50), (10, 10, 50, 50), (60, 60, 50, 50), (62, 62, 50, 50)]), np.full(4, 9)
    rng, results = np.random.default_rng(0), []
    for _ in range(5):
        order = rng.permutation(4)
        found = boxes[order], counts[order]
        cascade = SimpleNamespace(detectMultiScale2=lambda gray, found=found, **options: found)
        monkeypatch.setattr(detection, "_idle_haar_cascades", lambda cascade=cascade: deque([cascade]))
        results.append(detect_faces(np.zeros((120, 120), np.uint8), "haar"))
    assert len(results[0]) == 3
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
