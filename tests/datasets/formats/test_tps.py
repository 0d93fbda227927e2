import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED, raise_faults
from PIL import Image

from ert._core.exceptions import InputError
from ert._core.images import image_size
from ert.datasets import Dataset, load_dataset, mirror_dataset, write_dataset
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
    path = write(folder, "LM=3\n0 0\n1.5 19\n-2 1\nIMAGE=a.png\nID=0\n")
    (annotation,) = read_tps(path)
    assert annotation.landmarks == {"0": (0, 19), "1": (1.5, 0), "2": (-2, 18)}
    assert (annotation.file, annotation.box, annotation.where) == (folder / "a.png", None, f"{path}:1")


def test_spellings(folder):
    text = "\ufefflm = 2\r\n\r\n 1. 2.\r\n3.5\t14\r\nImage= a.png \r\nscale=0.017\r\nCURVES=0\r\nCOMMENT=a=b\r\n"
    first, second = read_tps(write(folder, text + TWO + "VARIABLES=x\n"))
    assert first.landmarks == second.landmarks == {"0": (1, 17), "1": (3.5, 5)}
    assert second.where.endswith("x.tps:9")


@pytest.mark.parametrize("missing", ["-1 -1", "-1. -1.", "NA NA", "nan nan", "-999 -999", "-5 -7", "N/A none"])
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
        ("LM\n1 2\n", 1, "LM is ''"),
        ("LM=2\n1 2\nIMAGE=a.png\n", 3, "expected x and y of landmark 2 of 2, found 'IMAGE=a.png'"),
        ("LM=2\n1 2\n", 1, "landmark 2 of 2, found the end of the specimen"),
        ("LM=2\n1 2\n3 4 5\n", 3, "found '3 4 5'"),
        ("LM=1\n1 two\nIMAGE=a.png\n", 2, "y is 'two'"),
        ("LM=1\n1,500 2\nIMAGE=a.png\n", 2, "x is '1,500', expected a decimal point"),
        ("LM=2\n1,5 2\n3,4\nIMAGE=a.png\n", 3, "'3,4', expected two numbers with decimal commas"),
        ("LM=1\n1.234,5 2\nIMAGE=a.png\n", 2, "x is '1.234,5'"),
        ("LM=1\n1_0 2\nIMAGE=a.png\n", 2, "x is '1_0'"),
        ("LM=1\nNA 2\nIMAGE=a.png\n", 2, "x is 'NA'"),
        ("LM=1\n1 2\n", 1, "without IMAGE="),
        ("LM=1\n1 2\nLM=1\n1 2\nIMAGE=a.png\n", 1, "without IMAGE="),
        (TWO + "IMAGE=a.png\n", 5, "expected one IMAGE=name per specimen"),
        ("LM=1\n1 2\nIMAGE=\n", 1, "without IMAGE="),
        ("LM=1\n1 2\nID=b\n", 1, "without IMAGE=, expected the name of its image; its ID 'b' is not"),
        (TWO + "CURVES=1\nPOINTS=2\n1 2\nID=3\n", 8, "expected x and y of point 2 of 2, found 'ID=3'"),
        (TWO + "CURVES=1\nPOINTS=x\n", 6, "POINTS is 'x', expected the number"),
        ("LM=0\nCURVES=1\nPOINTS=1\n1 2\nIMAGE=a.png\n", 1, "no landmarks, but points of curves: --curves=as-land"),
        ("LM3=1\n1 2 3\n", 1, "'LM3=1', expected landmarks of an image, with x and y only"),
        (TWO + "1 2\n", 5, "'1 2', expected one of LM=, IMAGE="),
        (TWO + "ID=3\nID=4\n", 6, "'ID=4', expected one ID= per specimen"),
        (TWO + "SCALE=2\nSCALE=0,2\n", 6, "'SCALE=0,2', expected one SCALE= per specimen"),
        (TWO + "AGE=2\n", 5, "'AGE=2', expected one of LM=, IMAGE=, ID=, SCALE="),
        (TWO + "LM=1\n1 2\nIMAGE=a.png\n", 5, "1 landmark, expected 2 as in"),
        (TWO.replace("a.png", "b.png"), 1, "image 'b.png' not found"),
        ("LM=1\n\x001 2\n", 2, "not text"),
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


@pytest.mark.parametrize(
    "text",
    [
        "LM=2\r1 2\r3.5 14\rIMAGE=a.png\r",
        "LM=2\n1,0 2,0\n3,5 14\nIMAGE=a.png\n",
        "LM=2\n1,2\n3.5,14\nIMAGE=a.png\n",
        "LM=2\n1, 2\n3.5 , 14\nIMAGE=a.png\n",
        "LM=2\n1,0; 2,0\n3,5;14,0\nIMAGE=a.png\n",
        "# drawn by me\nLM=02\n1 2 # tip\n# base\n3.5 14\nIMAGE='a.png'\nSCALE=\n\x1a",
        'lm=2\n1 2\n3.5 14\nimage="a.png"\n\x1a\n',
        "LM=2\n1 2\n3.5 14\nCURVES=1\nPOINTS=2\n5 5\n6 6\nIMAGE=a.png\n",
        "LM=2\n1 2\n3.5 14\nIMAGE=a\nOUTLINES=1\nCHAIN=4\n5 5\n0 1 2 3\n",
        "LM=2\n1 2\n3.5 14\nIMAGE=A.PNG\n",
        "LM=2\n1 2\n3.5 14\nID=a.png\n",
        "LM=2\n1 2\n3.5 14\nIMAGE=\nID=a\n",
    ],
)
def test_files_of_other_programs(folder, text):
    (annotation,) = raise_faults(read_tps(write(folder, text)))
    assert annotation.landmarks == {"0": (1, 17), "1": (3.5, 5)}
    assert annotation.file == folder / "a.png"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(folder, encoding):
    Image.new("L", (30, 20)).save(folder / "Käfer.png")
    (folder / "x.tps").write_bytes("LM=1\n1 2\nIMAGE=Käfer.png\nID=é\n".encode(encoding))
    (annotation,) = raise_faults(read_tps(folder / "x.tps"))
    assert (annotation.file, annotation.id) == (folder / "Käfer.png", "é")


def test_a_mixture_of_encodings_is_refused(folder):
    (folder / "x.tps").write_bytes(TWO.encode() + "COMMENT=é\n".encode() + "COMMENT=é\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"x\.tps:6: bytes that are not UTF-8 text, as in other lines"):
        list(read_tps(folder / "x.tps"))


def test_specimens_of_zeros_or_without_landmarks_are_left_out(folder):
    path = write(folder, TWO + "LM=2\n0 0\n0 0\nIMAGE=a.png\nLM=0\nIMAGE=a.png\n")
    data = load_dataset(path)
    assert len(data) == 1
    assert [skipped.text for skipped in data.skipped] == [f"{path}:5: no landmarks", f"{path}:9: no landmarks"]


def test_which_numbers_are_missing_is_an_option(folder):
    path = write(folder, "LM=3\n-2 -3\n7 7\n1 2\nIMAGE=a.png\n")
    (as_usual,) = read_tps(path)
    assert [name for name, (x, _) in as_usual.landmarks.items() if math.isnan(x)] == ["0"]
    (none,) = read_tps(path, missing=[])
    assert none.landmarks == {"0": (-2, 22), "1": (7, 12), "2": (1, 17)}
    (sevens,) = read_tps(path, missing=[7.0])
    assert [name for name, (x, _) in sevens.landmarks.items() if math.isnan(x)] == ["1"]


def test_curves_are_passed_over_with_a_note_or_taken_as_landmarks(folder):
    curves = "CURVES=2\nPOINTS=2\n5 5\n6 6\nPOINTS=1\n7 7\n"
    path = write(folder, TWO + curves + TWO.replace("IMAGE", curves + "IMAGE"))
    data = load_dataset(path)
    assert data.landmark_names == ("0", "1")
    note = "points of curves or outlines are passed over; --curves=as-landmarks takes them (2 objects)"
    assert data.notes == (note,)
    taken = load_dataset(path, curves="as-landmarks")
    assert taken.notes == ()
    assert taken.landmark_names == ("0", "1", "2", "3", "4")
    assert taken.landmarks[0].tolist() == taken.landmarks[1].tolist() == [[1, 17], [3.5, 5], [5, 14], [6, 13], [7, 12]]
    with pytest.raises(InputError, match="curves is 'yes', expected None or 'as-landmarks'"):
        load_dataset(path, curves="yes")
    write_dataset(data, folder / "x.csv")
    with pytest.raises(InputError, match=r"curves 'as-landmarks', expected none: only \.tps files have curves"):
        load_dataset(folder / "x.csv", curves="as-landmarks")
    with pytest.raises(InputError, match=r"x\.tps:5: 3 landmarks, expected 2 as in"):
        load_dataset(write(folder, TWO + TWO + "CURVES=1\nPOINTS=1\n1 1\n"), curves="as-landmarks")


def test_scales_and_ids_are_kept_and_written_again(folder):
    path = write(folder, TWO + "ID=f7\nSCALE=0,0123\n" + TWO + "SCALE=none\n" + TWO + "SCALE=-2\nID='a b'\n")
    data = load_dataset(path)
    assert data.ids == ("f7", "", "a b")
    assert data.scales.tolist()[0] == 0.0123
    assert np.isnan(data.scales[1:]).all()
    assert data.notes == ("SCALE= that is no number above 0 is not kept (1 object)",)
    write_dataset(data, folder / "y.tps")
    text = (folder / "y.tps").read_text()
    assert text.count("SCALE=") == text.count("SCALE=0.0123\n") == 1
    assert [line for line in text.splitlines() if line.startswith("ID")] == ["ID=f7", "ID=", "ID=a b"]
    for name in ("z.json", "z.csv"):
        write_dataset(load_dataset(folder / "y.tps"), folder / name)
        again = load_dataset(folder / name)
        assert again.ids == data.ids
        np.testing.assert_array_equal(again.scales, data.scales)
    dropped = ["ids are dropped: the format has none", "scales are dropped: the format has none"]
    assert write_dataset(again, folder / "z.xml")[:2] == dropped
    assert again.subset([2, 0]).ids == ("a b", "f7")
    both = again.subset([0]) + Dataset(again.files[:1], again.boxes[:1], again.landmarks[:1], ("0", "1"), "x")
    assert both.ids == ("f7", "")
    np.testing.assert_array_equal(both.scales, [0.0123, np.nan])
    mirrored = mirror_dataset(again, [30, 30, 30], [1, 0])
    assert (mirrored.ids, mirrored.scales.tolist()[0]) == (again.ids, 0.0123)
    with pytest.raises(InputError, match="2 ids, expected one for each of 3 objects"):
        replace(again, ids=("a", "b"))


def test_objects_of_one_landmark_are_read_again(folder):
    data = Dataset([folder / "a.png"], np.array([[1.0, 2, 3, 4]]), np.array([[[5.0, 6]]]), ("0",), "one")
    write_dataset(data, folder / "y.tps")
    again = load_dataset(folder / "y.tps")
    assert again.landmarks.tolist() == [[[5, 6]]]
    assert again.boxes[:, 2:].tolist() == [[30, 20]]


def test_negative_coordinates_are_written_so_that_they_are_read_again(folder):
    points = np.array([[[-3.0, 25], [4, 5], [np.nan, np.nan]], [[1, 2], [3, 4], [5, 6]]])
    data = Dataset([folder / "a.png"] * 2, np.ones((2, 4)), points, ("0", "1", "2"), "negative")
    write_dataset(data, folder / "y.tps")
    assert (folder / "y.tps").read_text().count("COMMENT=") == 1
    np.testing.assert_array_equal(load_dataset(folder / "y.tps").landmarks, points)


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


def test_faults_of_specimens_do_not_end_the_reading(folder):
    short, odd, three = "LM=2\n1 2\nIMAGE=a.png\n", TWO + "AGE=2\n", "LM3=1\n1 2 3\nIMAGE=a.png\n"
    path = write(folder, TWO + short + odd + three + TWO)
    found = list(read_tps(path))
    assert [annotation.fault is None for annotation in found] == [True, False, False, False, True]
    assert found[1].fault == f"{path}:7: expected x and y of landmark 2 of 2, found 'IMAGE=a.png'"
    assert all(annotation.file.name == "a.png" for annotation in found)
    dataset = load_dataset(path, skip_bad=True)
    assert (len(dataset), [skipped.kind for skipped in dataset.skipped]) == (2, ["invalid annotation"] * 3)
