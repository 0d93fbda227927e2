import math

import numpy as np
import pytest
from helpers import SHARED, refused_at, write_with_image

from ert._core.images import image_size
from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats.tem import read_tem_folder

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")


def test_tem_reads_the_points_and_ignores_the_lines(tmp_path):
    write_with_image(tmp_path / "b.tem", "2\r\n1.5\t2\r\n-3\t4\r\n1\r\n0\r\n2\r\n0 1\r\n")
    write_with_image(tmp_path / "a" / "z.TEM", "2\n5 6\nnan\tnan")
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
        ("1\n1\t2\n", 1, "1 landmark, expected 2 as in"),
        ("2\n1\t2\n3\t4\n\n5\t6\n1\n", 5, r"expected no more than 2 points, found '5\t6'"),
    ],
)
def test_tem_refuses(tmp_path, content, line, message):
    write_with_image(tmp_path / "a.tem", "2\n1 2\n3 4\n")
    path = write_with_image(tmp_path / "b.tem", content)
    refused_at(read_tem_folder(tmp_path), f"{path}:{line}: ", message)


@needs_shared
@pytest.mark.parametrize(
    ("part", "n", "n_points"),
    [("neutral_front", 102, 189), ("canada", 40, 189), ("composite", 10, 189), ("lisa", 4, 106), ("zoom", 4, 83)],
)
def test_real_webmorph(part, n, n_points):
    data = load_dataset(SHARED / "webmorph" / part)
    assert data.landmarks.shape == (n, n_points, 2)
    for file, shape in zip(data.files, data.landmarks, strict=True):
        size = image_size(file)
        assert ((shape > -2) & (shape < (size[0] + 2, size[1] + 2))).all()
    # Points 0 and 1 of webmorph's default 189 are the pupils, which are side by side.
    eyes = data.landmarks[:, :2]
    assert n_points != 189 or (abs(eyes[:, 0, 1] - eyes[:, 1, 1]) < 0.2 * abs(eyes[:, 0, 0] - eyes[:, 1, 0])).all()


def test_tem_written_and_read_again(three, tmp_path):
    one_each, folder = three.subset([1, 2]), tmp_path / "tem"
    assert write_dataset(one_each, folder, "tem")[1:] == [
        "boxes are dropped: the format has none",
        "landmark names are dropped: the format numbers landmarks",
        "missing landmarks are written as nan, which webmorph itself cannot read",
    ]
    assert (folder / "a 1.tem").read_text() == "3\n5\t6\nnan\tnan\n9\t9\n0\n"
    again = load_dataset(folder, image_folder=tmp_path)
    assert (again.files, again.landmark_names) == (one_each.files, ("0", "1", "2"))
    np.testing.assert_array_equal(again.landmarks, one_each.landmarks)
