import json
import math
from pathlib import Path

import pytest
from helpers import SHARED

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert.datasets.dataset import dataset_format, load_dataset
from ert.datasets.formats.ljson import read_ljson_folder
from ert.datasets.formats.tem import read_tem_folder

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    path.with_suffix(".jpg").touch()
    return path


def ljson(points, labels=(), version=2):
    data = {"labels": list(labels), "landmarks": {"points": points}}
    return data | {"version": 2} if version == 2 else {"version": 3, "groups": {"LJSON": data}}


def refused(generator, start, message):
    with pytest.raises(InputError) as info:
        list(generator)
    assert str(info.value).startswith(start)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_tem_takes_the_points_and_ignores_the_lines(tmp_path):
    write(tmp_path / "b.tem", "2\r\n1.5\t2\r\n-3\t4\r\n1\r\n0\r\n2\r\n0 1\r\n")
    write(tmp_path / "a" / "z.TEM", "2\n5 6\nnan\tnan")
    first, second = read_tem_folder(tmp_path)
    assert first.file == tmp_path / "a" / "z.jpg"
    assert first.landmarks["0"] == (5, 6)
    assert all(math.isnan(value) for value in first.landmarks["1"])
    assert second.landmarks == {"0": (1.5, 2), "1": (-3, 4)}
    assert (second.box, second.where) == (None, str(tmp_path / "b.tem"))


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "expected the number of points, found ''"),
        ("0\n", 1, "expected the number of points, found '0'"),
        ("²\n", 1, "expected the number of points"),
        ("9999999\n", 1, "expected the number of points"),
        ("2\n1\t2\n", 2, "expected x and y of point 2 of 2, found the end"),
        ("2\n1\t2\n3\n", 3, "expected x and y of point 2 of 2, found '3'"),
        ("2\n1\t2\n3\tx\n", 3, "y is 'x'"),
        ("1\n1\t2\n", 1, "1 points, expected 2 as in"),
        ("2\n1\t2\n3\t4\n\n5\t6\n1\n", 5, r"expected no more than 2 points, found '5\t6'"),
    ],
)
def test_tem_refuses(tmp_path, content, line, message):
    write(tmp_path / "a.tem", "2\n1 2\n3 4\n")
    path = write(tmp_path / "b.tem", content)
    refused(read_tem_folder(tmp_path), f"{path}:{line}: ", message)


@pytest.mark.parametrize("version", [2, 3])
def test_ljson_has_y_before_x_and_null(tmp_path, version):
    labels = [{"label": "nose", "mask": [0]}, {"label": "chin", "mask": [1]}]
    write(tmp_path / "a.ljson", ljson([[1, 2.5], [None, None]], labels, version))
    (annotation,) = read_ljson_folder(tmp_path)
    assert annotation.landmarks["nose"] == (2.5, 1)
    assert all(math.isnan(value) for value in annotation.landmarks["chin"])


@pytest.mark.parametrize(
    "labels",
    [
        [],
        [{"label": "all", "mask": [0, 1]}],
        [{"label": "a", "mask": [0]}],
        [{"label": "a", "mask": [0]}, {"label": "a", "mask": [1]}],
        [{"label": "a", "mask": [0]}, {"label": "b", "mask": [2]}],
        [{"label": "a", "mask": [0]}, {"label": "b", "mask": [1]}, {"label": "c", "mask": [0, 1]}],
        [{"label": "", "mask": [0]}, {"label": "b", "mask": ["1"]}],
        [None, 3],
    ],
)
def test_ljson_labels_of_regions_are_no_names(tmp_path, labels):
    write(tmp_path / "a.ljson", ljson([[1, 2], [3, 4]], labels))
    (annotation,) = read_ljson_folder(tmp_path)
    assert annotation.landmarks == {"0": (2, 1), "1": (4, 3)}


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("{\n", ":2", "not JSON"),
        ("[]", "", "version is None, expected landmarks of version 2 or 3"),
        ({"version": 1, "groups": []}, "", "version is 1"),
        ({"version": 3, "groups": {"a": {}, "b": {}}}, "", "expected an object with one group"),
        ({"version": 3, "groups": {"a": []}}, "", "points are None"),
        ({"version": 2, "landmarks": {"points": []}}, "", "points are a list of 0"),
        (ljson([[1, 2], [1, 2, 3]]), "", "points[1] is a list of 3, expected y, x"),
        (ljson([[1, 2], 3]), "", "points[1] is 3, expected y, x"),
        (ljson([[1, 2], [None, 3]]), "", "points[1]: y is None, expected a number"),
        (ljson([[1, 2], [3, "4"]]), "", "points[1]: x is '4'"),
        (ljson([[1, 2]]), "", "other landmarks than in"),
    ],
)
def test_ljson_refuses(tmp_path, content, place, message):
    write(tmp_path / "a.ljson", ljson([[1, 2], [3, 4]]))
    path = write(tmp_path / "b.ljson", content)
    refused(read_ljson_folder(tmp_path), f"{path}{place}", message)


def test_images_elsewhere(tmp_path):
    path = write(tmp_path / "labels" / "a.tem", "1\n1 2\n")
    image = tmp_path / "images" / "deep" / "a.jpg"
    image.parent.mkdir(parents=True)
    path.with_suffix(".jpg").rename(image)
    refused(read_tem_folder(path.parent), f"{path}: no image beside it", "expected a.jpg")
    (annotation,) = read_tem_folder(path.parent, image_folder=tmp_path / "images")
    assert annotation.file == image
    refused(
        read_tem_folder(path.parent, image_folder=tmp_path / "labels"), f"{path}: no image in", "or below"
    )
    (tmp_path / "images" / "a.png").touch()
    refused(
        read_tem_folder(path.parent, image_folder=tmp_path / "images"), f"{path}: its image may be", "a.png"
    )
    refused(
        read_tem_folder(path.parent, image_folder=tmp_path / "no"), str(tmp_path / "no"), "cannot be read"
    )


def test_folders_of_one_format_only(tmp_path):
    with pytest.raises(
        InputError, match=r"expected \.pts, .tem or .ljson files in this folder or below it, found none"
    ):
        dataset_format(tmp_path)
    write(tmp_path / "a.tem", "1\n1 2\n")
    assert dataset_format(tmp_path) == "tem"
    write(tmp_path / "below" / "b.ljson", ljson([[1, 2]]))
    with pytest.raises(InputError, match=r"holds \.ljson and \.tem files, expected those of one format"):
        load_dataset(tmp_path)


@needs_shared
@pytest.mark.parametrize(
    ("part", "n", "n_points"),
    [
        ("neutral_front", 102, 189),
        ("canada", 40, 189),
        ("composite", 10, 189),
        ("lisa", 4, 106),
        ("zoom", 4, 83),
    ],
)
def test_real_webmorph(part, n, n_points):
    data = load_dataset(SHARED / "webmorph" / part)
    assert data.landmarks.shape == (n, n_points, 2)
    for file, shape in zip(data.files, data.landmarks, strict=True):
        size = image_size(file)
        assert ((shape > -2) & (shape < (size[0] + 2, size[1] + 2))).all()
    # Points 0 and 1 of webmorph's usual 189 are the pupils, which stand side by side.
    eyes = data.landmarks[:, :2]
    assert (
        n_points != 189
        or (abs(eyes[:, 0, 1] - eyes[:, 1, 1]) < 0.2 * abs(eyes[:, 0, 0] - eyes[:, 1, 0])).all()
    )
