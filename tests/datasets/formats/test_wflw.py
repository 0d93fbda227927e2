import pytest
from helpers import raise_faults, refused, write
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats.wflw import read_wflw

FACE = "1 2 3.5 4 0 1 10 12 0 1 0 0 0 0 11--Meeting/a.jpg\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "WFLW_images" / "11--Meeting").mkdir(parents=True)
    Image.new("L", (30, 20)).save(tmp_path / "WFLW_images" / "11--Meeting" / "a.jpg")
    return tmp_path


def test_lists_with_boxes_and_attributes(folder):
    path = write(folder / "list_98pt.txt", FACE + "\n" + FACE.replace("1 2", "5 6", 1))
    first, second = raise_faults(read_wflw(path))
    assert first.landmarks == {"0": (1, 2), "1": (3.5, 4)}
    assert first.box == (0, 1, 10, 11)
    assert first.file == folder / "WFLW_images" / "11--Meeting" / "a.jpg"
    assert second.landmarks["0"] == (5, 6)
    data = load_dataset(path, image_folder=folder / "WFLW_images")
    assert (data.name, len(data), data.landmark_names) == ("list_98pt", 2, ("0", "1"))


def test_lists_without_boxes(folder):
    points = " ".join(f"{i}.5 {i + 1}" for i in range(98))
    (annotation,) = raise_faults(read_wflw(write(folder / "list.txt", f"{points} 11--Meeting/a.jpg\n")))
    assert len(annotation.landmarks) == 98
    assert annotation.landmarks["97"] == (97.5, 98)
    assert annotation.box is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected landmarks and an image"),
        ("some text\n", ":1: 0 numbers, expected x and y of landmarks"),
        ("1 2 3 a.jpg\n", ":1: 3 numbers"),
        ("1 2\n", ":1: 2 words, expected 2 numbers and the image"),
        (FACE + FACE.replace("1 2 ", "1 ", 1), ":2: "),
        (FACE + FACE.replace("0 1 0 0", "0 2 0 0"), ":2: '0 1 10 12 0 2 0 0 0 0', expected a box and six attributes"),
        (FACE + FACE.replace("1 2", "1 two", 1), ":2: y of 0 is 'two'"),
        (FACE.replace("1 2", "0 0", 1), ":1: x of 0 and y of 0 are 0"),
        (FACE.replace("a.jpg", "b.jpg"), ":1: image '11--Meeting/b.jpg' not found"),
    ],
)
def test_refuses(folder, text, message):
    refused(read_wflw(write(folder / "list.txt", text)), f"list.txt{message}")


def test_lists_are_not_written(folder):
    data = load_dataset(write(folder / "list.txt", FACE))
    with pytest.raises(InputError, match="expected a file ending in"):
        write_dataset(data, folder / "out.txt")
