"""The landmarks of many photographs."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import write
from PIL import Image
from threadpoolctl import threadpool_info, threadpool_limits

import ert
from ert._core.exceptions import InputError
from ert.pipeline.inputs import Inputs
from ert.pipeline.predict import choose_request, predict_photos
from ert.pipeline.sources import Found


@pytest.fixture
def learned_model(whole_model, monkeypatch):
    """A model whose objects are found by a function; in dark images there are none."""
    model = ert.ShapePredictor(**whole_model.get_params())
    model.fitted_ = replace(whole_model.fitted_, box_source="learned")

    def find(model, image, *, box_from=None, detector="auto", max_objects=1):
        if not image.any():
            return []
        found = [Found(np.array((5.0, 5, 80, 80)), 20.0, 0.9), Found(np.array((20.0, 20, 60, 60)), 0.0, 0.4)]
        return found[:max_objects]

    monkeypatch.setattr("ert.pipeline.predict.find_objects", find)
    return model


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_predictions_are_those_of_the_whole_images(whole_model, photos, n_jobs):
    found = list(ert.predict(whole_model, photos, n_jobs=n_jobs))
    assert [each.specimen for each in found] == [f"wing{i}" for i in range(12)]
    for each in found:
        image = ert.load_image(each.image)
        box = (0, 0, *image.shape[1::-1])
        assert each.box.tolist() == list(box)
        np.testing.assert_array_equal(each.landmarks, whole_model.predict([(image, box)])[0])
        assert (each.roll, each.confidence, each.std, each.number) == (0, None, None, 1)
        assert each.image_size == image.shape[1::-1]
        assert each.landmark_names == whole_model.landmark_names_
    assert repr(found[0]).startswith("Prediction('wing0': 5 landmarks, box")


def test_an_array_or_a_single_file_will_do(whole_model, photos):
    with Image.open(photos / "wing1.png") as picture:
        arrays = (np.zeros((40, 30, 3), np.uint8), picture)
        assert [each.specimen for each in ert.predict(whole_model, arrays)] == ["0", "1"]
    file = photos / "wing0.png"
    (of_file,) = ert.predict(whole_model, file)
    (of_array,) = ert.predict(whole_model, ert.load_image(file))
    np.testing.assert_array_equal(of_file.landmarks, of_array.landmarks)


def test_rolls_and_confidence_of_the_locator(learned_model, photos):
    file = photos / "wing0.png"
    (one,) = ert.predict(learned_model, file)
    assert (one.roll, one.confidence) == (20, 0.9)
    expected = learned_model.predict([(file, (5, 5, 80, 80))], rolls=20.0)[0]
    np.testing.assert_array_equal(one.landmarks, expected)
    both = list(ert.predict(learned_model, file, max_objects=5, min_confidence=0.1))
    assert [(each.number, each.specimen, each.confidence) for each in both] == [(1, "wing0", 0.9), (2, "wing0", 0.4)]
    # Of several objects only likely ones, where nothing else is said.
    assert len(list(ert.predict(learned_model, file, max_objects=5))) == 1
    assert list(ert.predict(learned_model, np.zeros((40, 40), np.uint8))) == []


def test_the_threads_of_a_locator_have_no_threads_of_their_own(learned_model, photos):
    def look(image, photo):
        used.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    used = set()
    inputs = Inputs().add([photos])
    options = {"mode": "fast", "max_objects": None, "min_confidence": None}
    request = choose_request(learned_model, inputs, box_from="whole", boxes_given=False, **options)
    with threadpool_limits(2):
        list(predict_photos(request._replace(box_from="learned", look=look), inputs.items.values(), 2))
        assert used <= {1}
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {2}


def test_where_a_locator_is_not_sure_there_is_nothing(learned_model, photos, monkeypatch):
    find = lambda *_, **options: [Found(np.array((5.0, 5, 80, 80)), 0.0, 0.05)]  # noqa: E731
    monkeypatch.setattr("ert.pipeline.predict.find_objects", find)
    assert list(ert.predict(learned_model, photos / "wing0.png")) == []
    (found,) = ert.predict(learned_model, photos / "wing0.png", min_confidence=0)
    assert found.confidence == 0.05


def test_all_faces_of_an_image_are_taken(whole_model, photos):
    options = {"box_from": "face", "detector": lambda image: [(5, 5, 60, 60), (0, 0, 90, 90)]}
    found = list(ert.predict(whole_model, photos / "wing0.png", **options))
    assert [each.box[2] for each in found] == [90, 60]
    assert len(list(ert.predict(whole_model, photos / "wing0.png", max_objects=1, **options))) == 1


def test_confidence_and_standard_errors(confident_model, faces):
    image, box = faces[0][0]
    (found,) = ert.predict(confident_model, image, boxes=box)
    landmarks, std = confident_model.predict([(image, box)], return_std=True)
    np.testing.assert_array_equal(found.landmarks, landmarks[0])
    np.testing.assert_array_equal(found.std, std[0])
    assert found.confidence == confident_model.assess([(image, box)], landmarks).confidence[0]


def test_given_boxes_are_used_where_the_model_was_trained_on_such(whole_model, photos, tmp_path):
    table = write(
        tmp_path / "a.csv",
        "image,left,top,width,height,x0,y0,id\nwing1.png,10,10,70,70,5,6,a\nwing1.png,5,5,80,80,5,6,b\n",
    )
    options = {"image_folder": photos}
    (whole,) = ert.predict(whole_model, table, **options)
    assert whole.box.tolist() == [0, 0, 96, 96]
    given = list(ert.predict(whole_model, table, box_from="given", **options))
    assert [(each.box.tolist(), each.specimen, each.number) for each in given] == [
        ([10, 10, 70, 70], "a", 1),
        ([5, 5, 80, 80], "b", 2),
    ]
    model = ert.ShapePredictor(**whole_model.get_params())
    model.fitted_ = replace(whole_model.fitted_, box_source="given")
    assert len(list(ert.predict(model, table, **options))) == 2
    with pytest.raises(InputError, match=r"trained on boxes that were given.*--box-from whole for a .dat file"):
        ert.predict(model, photos)
    with pytest.raises(InputError, match=r"wing0.png: no box is given for this image"):
        list(ert.predict(model, [photos / "wing0.png", table], **options))


def test_a_bad_image_is_an_error_or_is_passed_over(whole_model, photos, tmp_path):
    bad = write(tmp_path / "bad.jpg", b"")
    images = [photos / "wing0.png", bad, photos / "wing1.png"]
    results = ert.predict(whole_model, images)
    assert next(results).specimen == "wing0"
    with pytest.raises(InputError, match=r"bad.jpg: is empty"):
        next(results)
    assert len(list(ert.predict(whole_model, images, on_error="skip"))) == 2
    lines = []
    assert len(list(ert.predict(whole_model, [*images, tmp_path / "no.csv"], on_error=lines.append))) == 2
    assert "no.csv: no such file" in lines[0]
    assert "bad.jpg: is empty" in lines[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": []}, "none found, expected at least one"),
        ({"mode": "best"}, "mode='best'"),
        ({"max_objects": 0}, "max_objects=0: expected at least 1"),
        ({"min_confidence": 2}, "expected 0 to 1"),
        ({"min_confidence": 0.5}, "the model has no confidence model"),
        ({"box_from": "around"}, "box_from='around'"),
        ({"box_from": "given"}, "no image has a box, expected boxes or annotations with boxes"),
        ({"images": 5}, "images"),
        ({"images": [5]}, "expected a numpy array"),
        ({"boxes": 5}, "expected left, top, width, height, or the boxes of 12 images"),
        ({"boxes": [5] * 12}, r"boxes\[0\]: expected a box of 4 numbers"),
        ({"boxes": (1, 2, 0, 4)}, r"boxes\[0\]: a box of 0 x 4 pixels"),
        ({"on_error": "stop"}, "on_error='stop'"),
        ({"n_jobs": 0}, "n_jobs=0"),
    ],
)
def test_options_are_checked_at_once(whole_model, photos, options, message):
    with pytest.raises(InputError, match=message):
        ert.predict(whole_model, **{"images": photos} | options)


def test_align_names_predict_for_a_model_that_is_not_for_faces(whole_model, photos):
    with pytest.raises(InputError, match=r"not trained on faces: ert.predict finds its objects"):
        ert.align(photos / "wing0.png", whole_model)
    assert len(ert.align(photos / "wing0.png", whole_model, boxes=[(0, 0, 96, 96)])) == 1
