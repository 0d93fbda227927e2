import pickle
import time

import numpy as np
import pytest
from PIL import Image
from turned import turned_faces

import ert
from ert import InputError
from ert.datasets import write_dataset
from ert.faces import Faces


def boxes_of(image):
    return [(10.0, 12.0, 60.0, 60.0), (30.0, 20.0, 50.0, 50.0)]


def test_faces_have_the_boxes_of_the_detector_and_the_landmarks_of_the_model(small_model):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    faces = ert.align(image, small_model, detector=boxes_of)
    assert [tuple(face.box) for face in faces] == boxes_of(image)
    expected = small_model.predict([(image, box) for box in boxes_of(image)])
    assert np.array_equal([face.landmarks for face in faces], expected)
    given = ert.align(image, small_model, boxes=boxes_of(image)[1:])
    assert np.array_equal(given[0].landmarks, expected[1])


def test_files_are_rgb_and_arrays_have_a_channel_order(small_model, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    expected = ert.align(image, small_model, detector=boxes_of)[0].landmarks
    for photo, channel_order in ((path, "rgb"), (str(path), "bgr"), (image[..., ::-1], "bgr")):
        face = ert.align(photo, small_model, detector=boxes_of, channel_order=channel_order)[0]
        assert np.array_equal(face.landmarks, expected)


def test_no_face_gives_no_faces(small_model):
    assert ert.align(np.zeros((40, 40), np.uint8), small_model) == []
    assert ert.align(np.zeros((40, 40), np.uint8), small_model, boxes=[]) == []


def test_models_are_loaded_from_files(small_model, tmp_path):
    image = np.zeros((96, 96), np.uint8)
    small_model.save(tmp_path / "model.ert")
    by_file = ert.align(image, tmp_path / "model.ert", detector=boxes_of)
    assert np.array_equal(by_file[0].landmarks, ert.align(image, small_model, detector=boxes_of)[0].landmarks)


def test_bad_input_is_named(small_model, tmp_path):
    image = np.zeros((40, 40), np.uint8)
    with pytest.raises(InputError, match=r"image, boxes\[1\]: a box of 0 x 5 pixels"):
        ert.align(image, small_model, boxes=[(5, 5, 9, 9), (1, 1, 0, 5)])
    with pytest.raises(InputError, match=r"nothing\.png: no such file"):
        ert.align(tmp_path / "nothing.png", small_model)
    with pytest.raises(InputError, match="image: float64 pixels"):
        ert.align(image / 255, small_model)


def test_the_bundled_model_finds_the_astronaut():
    faces = ert.align(ert.sample_image())
    assert len(faces) == 1
    left, top, width, height = faces[0].box
    assert left < 224 < left + width
    assert top < 115 < top + height
    shape = faces[0].landmarks
    assert shape.shape == (68, 2)
    # Pupils and the tip of the nose, measured in the image.
    for indices, place in (([*range(36, 42)], (203.5, 101)), ([*range(42, 48)], (246, 103.5)), ([30], (225, 127))):
        assert np.linalg.norm(shape[indices].mean(axis=0) - place) < 3


def test_modes(small_model):
    image = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    box = boxes_of(image)[0]
    for mode in ("accurate", ert.PredictionMode(n_inits=3)):
        (face,) = ert.align(image, small_model, boxes=[box], mode=mode)
        assert np.array_equal(face.landmarks, small_model.predict([(image, box)], mode)[0])
    with pytest.raises(InputError, match="mode='best'"):
        ert.align(image, small_model, boxes=[box], mode="best")


class TestOtherImages:
    """Images of Pillow, lists of images, and objects of a dataset."""

    @pytest.fixture
    def photo(self):
        return np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8)

    def test_an_image_of_pillow(self, small_model, photo):
        expected = ert.align(photo, small_model, detector=boxes_of)
        image = Image.fromarray(photo)
        for order in ("rgb", "bgr"):
            faces = ert.align(image, small_model, detector=boxes_of, channel_order=order)
            assert np.array_equal(faces[1].landmarks, expected[1].landmarks)
            assert faces[0].channel_order == "rgb"
            assert faces.plot() is not None

    def test_the_detector_gets_its_pixels(self, photo):
        seen = []

        def detector(image):
            seen.append(image)
            return boxes_of(image)

        ert.detect_faces(Image.fromarray(photo), detector)
        assert np.array_equal(seen[0], photo)

    def test_a_list(self, small_model, photo, tmp_path):
        Image.fromarray(photo).save(tmp_path / "photo.png")
        images = [photo, Image.fromarray(photo), tmp_path / "photo.png", str(tmp_path / "photo.png")]
        expected = ert.align(photo, small_model, detector=boxes_of)
        for given in (images, tuple(images)):
            lists = ert.align(given, small_model, detector=boxes_of)
            assert [len(faces) for faces in lists] == [2] * 4
            assert all(np.array_equal(faces[1].landmarks, expected[1].landmarks) for faces in lists)
        boxes = [boxes_of(photo), [], boxes_of(photo)[:1], boxes_of(photo)[1:]]
        assert [len(faces) for faces in ert.align(images, small_model, boxes=boxes)] == [2, 0, 1, 1]
        assert ert.align([], small_model) == []

    def test_a_list_names_what_is_wrong(self, small_model, photo, tmp_path):
        with pytest.raises(InputError, match=r"lost\.png: no such file"):
            ert.align([photo, tmp_path / "lost.png"], small_model, detector=boxes_of)
        with pytest.raises(InputError, match=r"image\[1\]: float64 pixels"):
            ert.align([photo, photo / 255.0], small_model, detector=boxes_of)
        with pytest.raises(InputError, match="boxes of 1 image, expected those of 2"):
            ert.align([photo, photo], small_model, boxes=[boxes_of(photo)])

    @pytest.mark.parametrize("orientation", [1, 3, 6])
    def test_an_object_of_a_dataset(self, small_model, tmp_path, orientation):
        write_dataset(turned_faces(tmp_path / "faces", 3, [orientation]), tmp_path / "faces.xml")
        dataset = ert.load_dataset(tmp_path / "faces.xml")
        faces = ert.align(dataset[1], small_model)
        assert np.array_equal(faces[0].box, dataset.boxes[1])
        assert np.array_equal([faces[0].landmarks], small_model.predict([dataset[1]]))
        copy = pickle.loads(pickle.dumps(faces[0]))
        assert np.array_equal(Faces([copy])._image(), ert.load_image(dataset.files[1]))
        assert np.array_equal(Faces([copy])._image().shape, (64, 56))


class TestManyImages:
    @pytest.mark.parametrize("any_roll", [False, True])
    def test_the_number_of_threads_changes_nothing(self, small_model, tmp_path, any_roll):
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(6)]
        for i in (1, 3):
            Image.fromarray(images[i]).save(tmp_path / f"{i}.png")
        # Read when it is used, and here twice.
        photo = Image.open(tmp_path / "3.png")
        given = [images[0], tmp_path / "1.png", photo, photo, (images[4], (10, 12, 60, 60)), images[5]]
        options = {"detector": boxes_of, "any_roll": any_roll}
        one, several = (ert.align(given, small_model, n_jobs=n_jobs, **options) for n_jobs in (1, 3))
        assert [len(faces) for faces in several] == [len(faces) for faces in one]
        for faces, others in zip(one, several, strict=True):
            for face, other in zip(faces, others, strict=True):
                assert np.array_equal(face.landmarks, other.landmarks)
                assert np.array_equal(face.box, other.box)
        assert ert.align([], small_model, n_jobs=3) == []

    def test_the_first_image_that_is_wrong_is_named(self, small_model):
        images = [np.zeros((40, 40), np.uint8)] * 8
        images[5], images[6] = np.zeros(3, np.uint8), np.zeros((40, 40))
        with pytest.raises(InputError, match=r"image\[5\]: array of shape \(3,\)"):
            ert.align(images, small_model, detector=boxes_of, n_jobs=3)
        with pytest.raises(InputError, match="n_jobs=0"):
            ert.align(images, small_model, n_jobs=0)

    def test_a_function_is_called_by_one_thread_at_a_time(self, small_model):
        active, most = [], 0

        def detect(image):
            nonlocal most
            active.append(image)
            most = max(most, len(active))
            time.sleep(0.002)
            active.pop()
            return boxes_of(image)

        assert len(ert.align([np.zeros((96, 96), np.uint8)] * 8, small_model, detector=detect, n_jobs=4)) == 8
        assert most == 1
