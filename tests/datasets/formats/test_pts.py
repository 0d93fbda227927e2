import math

import numpy as np
import pytest
from helpers import refused, write
from PIL import Image

from ert.datasets import Dataset, load_dataset, write_dataset
from ert.datasets.formats.pts import read_pts_folder


def pts(points: str = "1 2\n3.5 4\n", n_points: int = 2) -> str:
    return f"version: 1\nn_points: {n_points}\n{{\n{points}}}\n"


def test_pts_folder_counts_from_0_and_sorts_naturally(tmp_path):
    for name in ("b10", "b9", "a/z"):
        write(tmp_path / f"{name}.pts", pts())
        write(tmp_path / f"{name}.jpg", "")
    write(tmp_path / "alone.jpg", "")
    write(tmp_path / "._b9.pts", b"\0\1")
    annotations = list(read_pts_folder(tmp_path))
    assert [a.file.relative_to(tmp_path).as_posix() for a in annotations] == ["a/z.jpg", "b9.jpg", "b10.jpg"]
    assert annotations[0].landmarks == {"0": (0, 1), "1": (2.5, 3)}
    assert annotations[0].box is None
    assert annotations[0].where == str(tmp_path / "a" / "z.pts")


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".png", ".bmp", ".tif", ".TIFF", ".webp"])
def test_pts_image_suffixes(tmp_path, suffix):
    write(tmp_path / "a.v1.PTS", pts())
    image = write(tmp_path / f"a.v1{suffix}", "")
    assert [annotation.file for annotation in read_pts_folder(tmp_path)] == [image]


def test_pts_with_several_images_takes_the_first_in_the_alphabet(tmp_path):
    for name in ("a.pts", "a.png", "a.jpg", "a.tif"):
        write(tmp_path / name, pts())
    assert [annotation.file.name for annotation in read_pts_folder(tmp_path)] == ["a.jpg"]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + pts(),
        pts().replace("\n", "\r\n"),
        "\n\nversion:1\n\nn_points:  2 \n{\n\n 1\t2 \n3.5   4\n\n}\n\n",
        "version : 1.0\nn_points : 2\n{\n1 2\n3.5 4\n}",
        pts().replace("\n", "\r"),
        "# mine\nVERSION: 2\nN_POINTS: 2 {\n1 2 # nose\n3.5 4 } # annotator 3\n",
        "n_points = 2\n{ 1, 2\n3.5, 4 }\n",
        "version: 1\nn_points: 2\n1 2\n3.5 4\n",
        "{\n1 2\n3.5 4\n}\n",
        "2\n1 2\n3.5 4\n",
        "1,2\n3.5,4\n",
        "1,0 2,0\n3,5 4,0\n\x1a",
        "1\t2\t1\n3.5\t4\t0.5\n",
    ],
)
def test_pts_spellings(tmp_path, content):
    write(tmp_path / "a.pts", content)
    write(tmp_path / "a.png", "")
    (annotation,) = read_pts_folder(tmp_path)
    assert annotation.landmarks == {"0": (0, 1), "1": (2.5, 3)}
    assert annotation.notes == (("the third column is not kept",) if "0.5" in content else ())


def test_pts_missing_point(tmp_path):
    write(tmp_path / "a.pts", pts("nan NaN\n3 4\n"))
    write(tmp_path / "a.png", "")
    (annotation,) = read_pts_folder(tmp_path)
    assert all(math.isnan(value) for value in annotation.landmarks["0"])
    assert annotation.landmarks["1"] == (2, 3)


def test_pts_numbers_that_are_missing_are_an_option(tmp_path):
    write(tmp_path / "a.pts", pts("0 0\n-1 -1\n", 2))
    write(tmp_path / "a.png", "")
    (annotation,) = read_pts_folder(tmp_path, missing=[-1])
    assert annotation.landmarks["0"] == (-1, -1)
    assert math.isnan(annotation.landmarks["1"][0])
    (annotation,) = read_pts_folder(tmp_path, missing=[])
    assert annotation.landmarks == {"0": (-1, -1), "1": (-2, -2)}


def test_pts_written_points_are_never_taken_for_missing_ones(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    points = np.array([[[-1.0, -1], [-2, -2], [3, 4]]])
    data = Dataset([tmp_path / "a.png"], np.ones((1, 4)), points, ("0", "1", "2"), "corner")
    write_dataset(data, tmp_path, "pts")
    np.testing.assert_allclose(load_dataset(tmp_path).landmarks, points, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", (":1", "expected 'n_points:' and points, found the end of the file")),
        ("version: 1\n{\n", (":3", "expected '}' after 0 points, found the end of the file")),
        ("version: 1\n{\n}\n", (":4", "expected 'n_points:' and points")),
        ("version: 1\nn_points: many\n", (":2", "found 'n_points: many'")),
        ("version: 1\nn_points: 0\n{\n}\n", (":2", "found 'n_points: 0'")),
        ("version: 1\nn_points: 2\n1 2\n3 4\n}\n", (":5", "expected '{' before the points, found '}' only")),
        ("version: 1\nn_points: 2\n1 2\n3 4\n5 6\n", (":5", "expected no more than 2 points, found '5 6'")),
        ("1 2\nn_points: 2\n3 4\n", (":2", "expected x and y of a point, found 'n_points: 2'")),
        ("version: 1\nversion: 1\n", (":2", "expected x and y of a point, found 'version: 1'")),
        (pts("1 2\n{\n"), (":5", "expected x and y of a point, found '{'")),
        (pts("1 2\n3 4 1\n"), (":5", "found '3 4 1'")),
        ("1 2 3 4\n", (":1", "expected x and y of point 1, found '1 2 3 4'")),
        ("some text\n1 2\n", (":1", "x is 'some'")),
        (pts("1,500 2\n2 2\n"), (":4", "x is '1,500', expected a decimal point")),
        (pts("0 0\n2 2\n"), (":4", "x and y are 0: give --missing=0")),
        (pts("1 2\n-1.0 -1\n"), (":5", "x and y are -1: give --missing=-1")),
        (pts(n_points=3), (":7", "expected x and y of point 3 of 3, found '}'")),
        (pts(n_points=1), (":5", "expected '}' after 1 points, found '3.5 4'")),
        ("version: 1\nn_points: 2\n{\n1 2\n3 4\n", (":6", "expected '}' after 2 points, found the end")),
        ("version: 1\nn_points: 2\n{\n1 2\n", (":5", "point 2 of 2, found the end of the file")),
        (pts("1 2\n3\n"), (":5", "expected x and y of point 2 of 2, found '3'")),
        (pts("1 2\n3 4 5\n"), (":5", "found '3 4 5'")),
        (pts("1 2\n3 four\n"), (":5", "y is 'four'")),
        (pts("1 2\ninf 4\n"), (":5", "x is 'inf'")),
        (pts("1 2\nnan 4\n"), (":5", "x is 'nan'")),
        (pts() + "5 6\n", (":7", "expected the end of the file, found '5 6'")),
        (b"version: 1\nn_points: \xff\n", (":2", "found 'n_points: ÿ'")),
        (b"version: 1\n\0\n", (":2", "not text")),
    ],
)
def test_pts_refuses(tmp_path, content, fragments):
    path = write(tmp_path / "a.pts", content)
    write(tmp_path / "a.jpg", "")
    refused(read_pts_folder(tmp_path), f"{path}{fragments[0]}", *fragments)


def test_pts_refuses_another_number_of_points(tmp_path):
    for name, content in (("a", pts()), ("b", pts("1 2\n", 1))):
        write(tmp_path / f"{name}.pts", content)
        write(tmp_path / f"{name}.jpg", "")
    refused(read_pts_folder(tmp_path), "b.pts:2: 1 landmark, expected 2 as in", "a.pts")


def test_pts_refuses_a_file_without_image_and_an_empty_folder(tmp_path):
    refused(read_pts_folder(tmp_path), str(tmp_path), "found none")
    refused(read_pts_folder(tmp_path / "no"), "cannot be read")
    write(tmp_path / "a.pts", pts())
    write(tmp_path / "b.jpg", "")
    write(tmp_path / "below" / "a.jpg", "")
    refused(read_pts_folder(tmp_path), "a.pts: no image beside it")


def test_pts_written_and_read_again(three, tmp_path):
    one_each, folder = three.subset([0, 2]), tmp_path / "pts"
    assert write_dataset(one_each, folder, "pts") == [
        "2 images are not beside their .pts files: readers need the image folder",
        "boxes are dropped: the format has none",
        "landmark names are dropped: the format numbers landmarks",
    ]
    assert (folder / "a 1.pts").read_text() == "version: 1\nn_points: 3\n{\n2.25 3\n4 5\n6 8\n}\n"
    (note, *_) = write_dataset(one_each.subset([0]), tmp_path / "one", "pts")
    assert note == "1 image is not beside its .pts file: readers need the image folder"
    again = load_dataset(folder, image_folder=tmp_path)
    assert (again.files, again.landmark_names) == (one_each.files, ("0", "1", "2"))
    np.testing.assert_array_equal(again.landmarks, one_each.landmarks)
