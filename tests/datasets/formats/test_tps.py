import math
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED, raise_faults
from PIL import Image

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats.tps import read_tps

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")

TWO = "LM=2\n1 2\n3.5 14\nIMAGE=a.png\n"


@pytest.fixture
def folder(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "x.tps").write_bytes(text.encode())
    return folder / "x.tps"


def test_y_is_counted_from_the_bottom_row(folder):
    path = write(folder, "LM=3\n0 0\n1.5 19\n-2 -1\nIMAGE=a.png\nID=0\n")
    (annotation,) = read_tps(path)
    assert annotation.landmarks == {"0": (0, 19), "1": (1.5, 0), "2": (-2, 20)}
    assert (annotation.file, annotation.box, annotation.where) == (folder / "a.png", None, f"{path}:1")


def test_spellings(folder):
    text = "\ufefflm = 2\r\n\r\n 1. 2.\r\n3.5\t14\r\nImage= a.png \r\nscale=0.017\r\nCURVES=0\r\nCOMMENT=a=b\r\n"
    first, second = read_tps(write(folder, text + TWO + "VARIABLES=x\n"))
    assert first.landmarks == second.landmarks == {"0": (1, 17), "1": (3.5, 5)}
    assert second.where.endswith("x.tps:9")


@pytest.mark.parametrize("missing", ["-1 -1", "-1. -1.", "NA NA", "nan nan"])
def test_missing_landmarks(folder, missing):
    (annotation,) = read_tps(write(folder, TWO.replace("1 2", missing)))
    assert all(math.isnan(value) for value in annotation.landmarks["0"])
    assert annotation.landmarks["1"] == (3.5, 5)


def test_images_in_another_folder(folder):
    (folder / "labels").mkdir()
    path = write(folder / "labels", TWO)
    with pytest.raises(InputError, match=r"x.tps:1: image 'a.png' not found"):
        list(raise_faults(read_tps(path)))
    assert [annotation.file for annotation in read_tps(path, image_folder=folder)] == [folder / "a.png"]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "expected 'LM=' and a number, found the end of the file"),
        ("IMAGE=a.png\n", 1, "expected 'LM=' and a number, found 'IMAGE=a.png'"),
        ("LM=two\n", 1, "LM is 'two', expected the number of landmarks"),
        ("LM=0\nIMAGE=a.png\n", 1, "LM is '0'"),
        ("LM\n1 2\n", 1, "LM is ''"),
        ("LM=2\n1 2\nIMAGE=a.png\n", 3, "expected x and y of landmark 2 of 2, found 'IMAGE=a.png'"),
        ("LM=2\n1 2\n", 1, "landmark 2 of 2, found the end of the file"),
        ("LM=2\n1 2\n3 4 5\n", 3, "found '3 4 5'"),
        ("LM=1\n1 two\nIMAGE=a.png\n", 2, "y is 'two'"),
        ("LM=1\n1,5 2\nIMAGE=a.png\n", 2, "x is '1,5'"),
        ("LM=1\nNA 2\nIMAGE=a.png\n", 2, "x is 'nan'"),
        ("LM=1\n1 2\n", 1, "without IMAGE="),
        ("LM=1\n1 2\nLM=1\n1 2\nIMAGE=a.png\n", 1, "without IMAGE="),
        (TWO + "IMAGE=a.png\n", 5, "expected one IMAGE=name per specimen"),
        ("LM=1\n1 2\nIMAGE=\n", 3, "expected one IMAGE=name per specimen"),
        (TWO + "CURVES=1\nPOINTS=2\n1 2\n3 4\n", 5, "'CURVES=1', expected landmarks only"),
        (TWO + "POINTS=2\n", 5, "'POINTS=2', expected landmarks only"),
        (TWO + "OUTLINES=1\n", 5, "expected landmarks only"),
        ("LM3=1\n1 2 3\n", 1, "'LM3=1', expected landmarks only"),
        (TWO + "1 2\n", 5, "'1 2', expected one of LM=, IMAGE="),
        (TWO + "AGE=2\n", 5, "'AGE=2', expected one of LM=, IMAGE=, ID=, SCALE="),
        (TWO + "LM=1\n1 2\nIMAGE=a.png\n", 5, "LM is 1, expected 2 as in"),
        (TWO.replace("a.png", "b.png"), 1, "image 'b.png' not found"),
        ("LM=1\n\x001 2\n", 2, "not UTF-8"),
    ],
)
def test_refuses(folder, content, line, message):
    path = write(folder, content)
    with pytest.raises(InputError) as info:
        list(raise_faults(read_tps(path)))
    assert str(info.value).startswith(f"{path}:{line}: ")
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_refuses_an_image_that_cannot_be_read(folder):
    (folder / "a.png").write_text("text")
    with pytest.raises(InputError, match=r"a\.png: is not an image"):
        list(raise_faults(read_tps(write(folder, TWO))))


def inside(dataset) -> np.ndarray:
    sizes = np.array([image_size(file) for file in dataset.files])
    return ((dataset.landmarks >= 0) & (dataset.landmarks <= sizes[:, None] - 1)).all()


@needs_shared
def test_real_wings():
    wings = SHARED / "wings"
    data = load_dataset(wings / "landmark-examples" / "tps-example.tps", image_folder=wings / "image-examples")
    assert data.landmarks.shape == (58, 12, 2)
    assert inside(data)
    # A vein meets the wing's lower edge at landmark 0, its upper edge at 3.
    assert (data.landmarks[:, 0, 1] > data.landmarks[:, 3, 1] + 100).all()
    first = data.landmarks[data.files.index(wings / "image-examples" / "63001.jpg")]
    assert first[0].tolist() == [290, 480 - 1 - 108]


@needs_shared
@pytest.mark.parametrize(("part", "n"), [("train", 166), ("test", 20)])
def test_real_shells(part, n):
    data = load_dataset(SHARED / "shells" / f"{part}.tps", image_folder=SHARED / "shells" / part)
    assert data.landmarks.shape == (n, 15, 2)
    assert inside(data)
    # The tip of the shell is above its opening.
    assert (data.landmarks[:, 0, 1] < data.landmarks[:, 8, 1]).all()


def test_tps_written_and_read_again(three, tmp_path):
    path = tmp_path / "out.tps"
    assert write_dataset(three, path) == [
        "boxes are dropped: the format has none",
        "landmark names are dropped: the format numbers landmarks",
    ]
    text = path.read_text()
    # The images have 40 and 43 rows.
    assert text.splitlines()[:4] == ["LM=3", "1.25 37", "3 35", "5 32"]
    assert "5 33\n-1 -1\n9 30\n" in text
    assert "-7 34\n9.5 32\n1 40\n" in text
    again = load_dataset(path)
    assert (again.files, again.landmark_names) == (three.files, ("0", "1", "2"))
    np.testing.assert_array_equal(again.landmarks, three.landmarks)


def test_tps_keeps_a_landmark_that_would_look_like_a_missing_one(three, tmp_path):
    three.landmarks[0, 0] = -1, 40
    write_dataset(three, tmp_path / "out.tps")
    again = load_dataset(tmp_path / "out.tps")
    np.testing.assert_allclose(again.landmarks[0, 0], (-1, 40), atol=2e-4)
