import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import refused, refused_at

from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats.coco import read_coco

DATA = {
    "images": [{"id": 5, "file_name": "a.jpg", "width": 9, "height": 9}, {"id": "b", "file_name": "b.jpg"}],
    "categories": [{"id": 1, "keypoints": ["nose", "chin"]}, {"id": 2, "name": "unnamed"}],
    "annotations": [
        {"image_id": 5, "category_id": 1, "bbox": [1, 2.5, 3, 4], "keypoints": [1, 2.5, 2, -3, 4, 1]},
        {"image_id": 5, "category_id": 1, "keypoints": [1, 2, 2, 7, 8, 0], "num_keypoints": 1},
        {"image_id": "b", "category_id": 2, "keypoints": [0, 0, 2.0]},
    ],
}


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def write(folder: Path, data) -> Path:
    path = folder / "x.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def changed(*keys, to):
    data = copy.deepcopy(DATA)
    target = data
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = to
    return data


def test_objects_of_images(folder):
    path = write(folder, DATA)
    first, second, third = read_coco(path)
    assert (first.file, second.file, third.file) == (folder / "a.jpg", folder / "a.jpg", folder / "b.jpg")
    assert (first.box, second.box) == ((1, 2.5, 3, 4), None)
    assert first.landmarks == {"nose": (1, 2.5), "chin": (-3, 4)}
    assert second.landmarks["nose"] == (1, 2)
    assert all(math.isnan(value) for value in second.landmarks["chin"])
    assert third.landmarks == {"0": (0, 0)}
    assert first.where == f"{path}: annotations[0]"


def test_lists_may_come_in_any_order(folder):
    forward = list(read_coco(write(folder, DATA)))
    backwards = list(read_coco(write(folder, dict(reversed({"info": {}, **DATA, "licenses": [1]}.items())))))
    assert str(backwards) == str(forward)


def test_numbers_keep_their_digits_and_ids_their_size(folder):
    data = json.loads(json.dumps(DATA).replace('"image_id": 5', f'"image_id": {2**90}'))
    data["images"][0]["id"] = 2**90
    data["annotations"][0]["keypoints"][0] = 0.1 + 0.2
    first, *_ = read_coco(write(folder, data))
    assert first.landmarks["nose"][0] == 0.1 + 0.2


@pytest.mark.parametrize("what", ["iscrowd", "num_keypoints"])
def test_skips_annotations_without_points(folder, what):
    data = changed("annotations", 0, what, to=int(what == "iscrowd"))
    data["images"].append({"id": 9, "file_name": "absent.jpg"})
    with_landmarks = [annotation for annotation in read_coco(write(folder, data)) if annotation.landmarks]
    assert len(with_landmarks) == 2


def test_images_in_another_folder(folder):
    (folder / "labels").mkdir()
    path = write(folder / "labels", DATA)
    refused(read_coco(path), "annotations[0]: image 'a.jpg' not found")
    assert len(list(read_coco(path, image_folder=folder))) == 3


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        ("", ":1", "invalid JSON: Expecting value (column 1)"),
        ('{"images": [],\n"x"}', ":2", "invalid JSON"),
        ("[" * 100000, "", "nested too deep"),
        ("9" * 5000, "", "a number with too many digits"),
        ("[]", "", "no list of images, expected COCO keypoints"),
        ({"images": []}, "", "no list of categories"),
        (json.dumps(DATA)[:-1] + ', "images": []}', "", "duplicate key 'images'"),
        (json.dumps(DATA, indent=0)[:-2] + "\n]", ":69", "invalid JSON: Expecting ',' delimiter"),
        (json.dumps(DATA) + "\nx", ":2", "invalid JSON: Extra data"),
        ('{"images": [],\n"annotations": [\n1 2', ":3", "invalid JSON: Expecting ',' delimiter"),
        (changed("annotations", to=None), "", "no list of annotations"),
        (changed("images", 1, to=3), "", "images[1] is 3, expected an object"),
        (changed("images", 1, "id", to=5), "", "images[1]: duplicate id 5"),
        (changed("images", 1, "id", to=[]), "", "images[1]: id is a list of 0"),
        (changed("images", 0, "file_name", to=""), "", "images[0]: file_name is '', expected a name"),
        (changed("images", 0, "file_name", to="no\n.jpg"), "", r"annotations[0]: image 'no\n.jpg' not found"),
        (changed("categories", 0, "keypoints", to=[1]), "", "categories[0]: keypoints are a list of 1"),
        (changed("categories", 0, "keypoints", to=["a", "a"]), "", "duplicate keypoint 'a'"),
        (
            changed("annotations", 1, "image_id", to=6),
            "",
            "annotations[1]: image_id is 6, expected an id of the images",
        ),
        (changed("annotations", 1, "category_id", to={}), "", "category_id is an object, expected an id of the cat"),
        (changed("annotations", 0, "bbox", to=[1, 2, 3]), "", "annotations[0]: bbox is a list of 3"),
        (changed("annotations", 0, "bbox", to=[1, 2, 3, "4"]), "", "a number of bbox is '4'"),
        (changed("annotations", 0, "keypoints", to=[1, 2, 2, 3]), "", "keypoints are a list of 4, expected x, y"),
        (changed("annotations", 0, "keypoints", to={}), "", "keypoints are an object"),
        (changed("annotations", 0, "keypoints", to=[1, 2, 2]), "", "1 keypoints, expected 2 as in the category"),
        (changed("annotations", 0, "keypoints", 2, to=3), "", "v of 'nose' is 3, expected 0, 1 or 2"),
        (changed("annotations", 0, "keypoints", 2, to=True), "", "v of 'nose' is True"),
        (changed("annotations", 0, "keypoints", 3, to=float("nan")), "", "x of 'chin' is nan, expected a number"),
        (changed("annotations", 0, "keypoints", 4, to=10**400), "", "y of 'chin' is a number too large"),
        (changed("annotations", 0, "keypoints", 4, to=False), "", "y of 'chin' is False"),
    ],
)
def test_refuses(folder, data, place, message):
    path = write(folder, data)
    refused_at(read_coco(path), f"{path}{place}: ", message)


def test_coco_written_and_read_again(three, tmp_path):
    path = tmp_path / "out.json"
    assert write_dataset(three, path) == []
    text = json.loads(path.read_text())
    assert [(image["id"], image["width"], image["height"]) for image in text["images"]] == [(1, 50, 40), (2, 51, 43)]
    assert text["annotations"][1]["keypoints"] == [5, 6, 2, 0, 0, 0, 9, 9, 2]
    assert text["annotations"][1]["num_keypoints"] == 2
    again = load_dataset(path)
    assert (again.files, again.landmark_names) == (three.files, three.landmark_names)
    np.testing.assert_array_equal(again.landmarks, three.landmarks)
    np.testing.assert_array_equal(again.boxes, three.boxes)


@pytest.mark.parametrize(
    "attributes", [{"id": 3, "scale": 10**400}, {"id": None, "scale": True}, {"scale": -1}, [1], {}, "x"]
)
def test_coco_attributes_that_are_no_id_or_scale_are_ignored(folder, attributes):
    annotation, *_ = read_coco(write(folder, changed("annotations", 0, "attributes", to=attributes)))
    assert (annotation.id, annotation.scale) == (None, None)
