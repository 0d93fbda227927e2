import math
import os

import numpy as np
import pytest
from helpers import refused, write

from ert._core.exceptions import InputError
from ert.datasets import Dataset, load_dataset, write_dataset
from ert.datasets.formats.csv import read_boxes, read_csv


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (",0,1,2,3", ["0", "1"]),
        ("id,1,2,3,4", ["0", "1"]),
        ("image,x0,y0,x1,y1", ["0", "1"]),
        ("image,X_1,Y_1,X_2,Y_2", ["1", "2"]),
        ("image,nose_x,nose_y,left eye_x,left eye_y", ["nose", "left eye"]),
        ("image,nose.x,nose.y,p 7 x,p 7 y", ["nose", "p 7"]),
        ('\ufeff"image", x0 ,y0,"x1",y1', ["0", "1"]),
    ],
)
def test_csv_headers(tmp_path, header, names):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", f"{header}\r\na.jpg,1,2.5,-3,4\r\n\r\n")
    (annotation,) = read_csv(path)
    assert list(annotation.landmarks.items()) == list(zip(names, [(1, 2.5), (-3, 4)], strict=True))
    assert (annotation.file, annotation.box) == (tmp_path / "a.jpg", None)
    assert annotation.where == f"{path}:2"


@pytest.mark.parametrize("prefix", ["", "box_", "Box_"])
def test_csv_box_columns_may_be_anywhere(tmp_path, prefix):
    write(tmp_path / "a.jpg", "")
    columns = f"{prefix}height,x0,{prefix}left,y0,{prefix}width,{prefix}top"
    (annotation,) = read_csv(write(tmp_path / "t.csv", f"image,{columns}\na.jpg,40,5,1,6,30,2\n"))
    assert annotation.box == (1, 2, 30, 40)
    assert annotation.landmarks == {"0": (5, 6)}


def test_csv_columns_of_x_and_y_may_be_apart(tmp_path):
    write(tmp_path / "a.jpg", "")
    (annotation,) = read_csv(write(tmp_path / "t.csv", "image,x0,x1,y1,y0\na.jpg,1,2,3,4\n"))
    assert annotation.landmarks == {"0": (1, 4), "1": (2, 3)}


def test_csv_empty_cells_and_nan_are_missing(tmp_path):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", "image,x0,y0,x1,y1,x2,y2\na.jpg,1,2, ,,NaN,nan\n")
    (annotation,) = read_csv(path)
    assert annotation.landmarks["0"] == (1, 2)
    assert all(math.isnan(value) for name in "12" for value in annotation.landmarks[name])


def test_csv_finds_images_beside_it_below_it_or_in_the_image_folder(tmp_path):
    path = write(tmp_path / "set" / "t.csv", "image,x0,y0\na.jpg,1,2\n")
    refused(read_csv(path), "t.csv:2", "image 'a.jpg' not found", str(path.parent))
    below = write(path.parent / "training" / "a.jpg", "")
    write(path.parent / "other" / "b.jpg", "")
    assert [annotation.file for annotation in read_csv(path)] == [below]
    second = write(path.parent / "other" / "a.jpg", "")
    refused(read_csv(path), "t.csv:2", "ambiguous image name 'a.jpg'", str(below), str(second), "give a path")
    beside = write(path.parent / "a.jpg", "")
    assert [annotation.file for annotation in read_csv(path)] == [beside]
    elsewhere = write(tmp_path / "elsewhere" / "a.jpg", "")
    assert [annotation.file for annotation in read_csv(path, image_folder=elsewhere.parent)] == [elsewhere]
    refused(read_csv(path, image_folder=tmp_path), "t.csv:2", f"expected it in {tmp_path}")
    write(path, f"image,x0,y0\n{elsewhere},1,2\n")
    assert [annotation.file for annotation in read_csv(path)] == [elsewhere]


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", (":1", "no landmark columns")),
        ("image\na.jpg\n", (":1", "no landmark columns")),
        ("image,x0,y0\n", (":2", "expected rows below the header")),
        ("image,x0,y0,x1\na.jpg,1,2,3\n", (":1", "landmark '1' has x only")),
        ("image,0,1,2\na.jpg,1,2,3\n", (":1", "landmark '1' has x only")),
        ("image,0,1,3,4\na.jpg,1,2,3,4\n", (":1", "numbered columns out of order")),
        ("image,x0,y0,x0\na.jpg,1,2,3\n", (":1", "duplicate column 'x0'")),
        ("image,x0,y0,X0\na.jpg,1,2,3\n", (":1", "column 'X0', expected one x of '0'")),
        ("image,x0,y0,age\na.jpg,1,2,3\n", (":1", "column 'age', expected a name")),
        ("image,x0,y0,width,top\na.jpg,1,2,3,4\n", (":1", "no column left, height")),
        ("image,left,top,width,height\na.jpg,1,2,3,4\n", (":1", "no landmark columns")),
        ("image,x0,y0\na.jpg,1\n", (":2", "2 cells, expected 3")),
        ("image,x0,y0\na.jpg,1,2\na.jpg,1,2,3\n", (":3", "4 cells, expected 3")),
        ("image,x0,y0\na.jpg,1,two\n", (":2", "column 'y0' is 'two'")),
        ("image,x0,y0\na.jpg,1,inf\n", (":2", "column 'y0' is 'inf'")),
        ("image,x0,y0\na.jpg,,2\n", (":2", "column 'x0' is ''")),
        ("image,x0,y0\n,1,2\n", (":2", "image '' not found")),
        ("image,x0,y0,left,top,width,height\na.jpg,1,2,1,1,,1\n", (":2", "column 'width' is ''")),
        (b"image,x0,y0\na.jpg,1,2\n\xe4.jpg,1,2\n", (":3", "not UTF-8")),
        ('image,x0,y0\na.jpg,1,"2\n', (":2", "invalid CSV")),
        ('image,x0,y0\n"a\nb.jpg",1,2\n', (":3", r"image 'a\nb.jpg' not found")),
        ("image,x0,y0\n" + "a" * 200 + ",1,2\n", (":2", "a" * 57 + "...")),
    ],
)
def test_csv_refuses(tmp_path, content, fragments):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", content)
    refused(read_csv(path), f"{path}{fragments[0]}", *fragments)


def test_csv_refuses_a_missing_file(tmp_path):
    refused(read_csv(tmp_path / "no.csv"), "no.csv: no such file")


# --- tables of boxes ---

BOXES = "split,image,my_left,my_top,my_width,my_height,left,top,width,height\ntrain,in/a.jpg,1,2,3,4,5,6,7.5,8\n"


def test_boxes_with_and_without_prefix(tmp_path):
    path = write(tmp_path / "boxes.csv", BOXES)
    image = (tmp_path / "in" / "a.jpg").resolve()
    assert read_boxes(f"{path}:my") == {image: ((1, 2, 3, 4), "train")}
    for spec in (f"{path}:", f"{path}"):
        assert read_boxes(spec) == {image: ((5, 6, 7.5, 8), "train")}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no colons in names")
def test_boxes_of_a_path_with_colons(tmp_path):
    path = write(tmp_path / "a:my" / "boxes:my", BOXES)
    assert [box for box, _ in read_boxes(f"{path}").values()] == [(5, 6, 7.5, 8)]
    assert [box for box, _ in read_boxes(f"{path}:my").values()] == [(1, 2, 3, 4)]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_boxes_without_split_through_a_link(tmp_path):
    write(tmp_path / "real" / "a.jpg", "")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = write(tmp_path / "boxes.csv", "image,left,top,width,height\nlink/../link/a.jpg,1,2,3,4\n")
    assert read_boxes(str(path)) == {(tmp_path / "real" / "a.jpg").resolve(): ((1, 2, 3, 4), None)}


@pytest.mark.parametrize(
    ("prefix", "content", "fragments"),
    [
        (":haar", BOXES, (":1", "no column haar_left, haar_top, haar_width, haar_height", "my_left left")),
        ("", "file,left,top,width,height\na,1,1,1,1\n", (":1", "no column image")),
        ("", "image,left,top,width\na,1,1,1\n", (":1", "no column height")),
        ("", "image,left,top,width,height\na,1,b,1,1\n", (":2", "top is 'b'")),
        ("", "image,left,top,width,height\na,1,,1,1\n", (":2", "top is ''")),
        ("", "image,left,top,width,height\na,nan,1,1,1\n", (":2", "left is 'nan'")),
        ("", "image,left,top,width,height\na,1,1,inf,1\n", (":2", "width is 'inf'")),
        ("", "image,left,top,width,height\na,1,1,1,1\nb,1,1,0,1\n", (":3", "0 wide and 1 high")),
        ("", "image,left,top,width,height\na,1,1,1,-2\n", (":2", "1 wide and -2 high")),
        ("", "image,left,top,width,height\na,1,1,1,1\n./a,1,1,1,1\n", (":3", "duplicate image './a'")),
        ("", "image,left,top,width,height\n", (":2", "expected rows")),
        ("", "image,a\x07left,top,width,height\na,1,1,1,1\n", (":1", r"box columns found: a\x07left")),
    ],
)
def test_boxes_refuses(tmp_path, prefix, content, fragments):
    path = write(tmp_path / "boxes.csv", content)
    with pytest.raises(InputError) as info:
        read_boxes(f"{path}{prefix}")
    for fragment in (f"{path}{fragments[0]}", *fragments):
        assert fragment in str(info.value)


@pytest.mark.parametrize("spec", ["no.csv", "no.csv:dlib", ":dlib", "", "."])
def test_boxes_refuses_a_missing_file(spec):
    with pytest.raises(InputError, match="no such box file, expected CSV or CSV:PREFIX"):
        read_boxes(spec)


def test_csv_written_and_read_again(three, tmp_path):
    path = tmp_path / "out.csv"
    assert write_dataset(three, path) == []
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image,left,top,width,height,nose_x,nose_y,chin_x,chin_y,ear_x,ear_y"
    assert lines[2] == "a 1.png,1,2,30,40,5,6,,,9,9"
    again = load_dataset(path)
    assert (again.files, again.landmark_names) == (three.files, three.landmark_names)
    np.testing.assert_array_equal(again.landmarks, three.landmarks)
    np.testing.assert_array_equal(again.boxes, three.boxes)


def test_csv_written_with_landmarks_whose_names_look_like_a_box(three, tmp_path):
    odd = Dataset(three.files, three.boxes, three.landmarks, ("box_left", "7", "boxer"), "odd")
    write_dataset(odd, tmp_path / "out.csv")
    assert load_dataset(tmp_path / "out.csv").landmark_names == odd.landmark_names
