import math
import os

import numpy as np
import pytest
from helpers import raise_faults, refused, write
from PIL import Image

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
        ("image,p0x,p0y,p1x,p1y", ["p0", "p1"]),
        ("image,LM0_X,LM0_Y,LM1_X,LM1_Y", ["LM0", "LM1"]),
        ("image,x00,y00,x01,y01", ["0", "1"]),
        ("image,007_x,007_y,x_nose,y_nose", ["007", "nose"]),
        ("image,eyeX,eyeY,nose-x,nose-y", ["eye", "nose"]),
        ("image,x0,y0,x1,y1,", ["0", "1"]),
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


@pytest.mark.parametrize("extra", [("", ""), (",object", ",1"), (",std_nose_x,species", ",0.5,melanogaster")])
def test_csv_of_predictions_keeps_any_name(tmp_path, extra):
    """After x_ and y_ comes the name as it is, and columns that users add are passed over."""
    write(tmp_path / "a.jpg", "")
    header = f"image,specimen{extra[0]},x_nose_x,y_nose_x,x_0,y_0,x_00,y_00"
    path = write(tmp_path / "t.csv", f"{header}\na.jpg,no 1{extra[1]},1,2,3,4,5,6\n")
    (annotation,) = read_csv(path)
    assert annotation.landmarks == {"nose_x": (1, 2), "0": (3, 4), "00": (5, 6)}
    assert annotation.id == "no 1"
    write(path, "image,specimen,x_a,y_b\na.jpg,b,1,2\n")
    refused(read_csv(path), f"{path}:1: no column 'y_a', expected x and y of each landmark")


def test_csv_of_predictions_without_an_object(tmp_path):
    write(tmp_path / "a.jpg", "")
    header = "image,specimen,object,left,top,width,height,x_a,y_a"
    path = write(tmp_path / "t.csv", f"{header}\na.jpg,a,,,,,,,\na.jpg,b,1,1,2,3,4,5,6\n")
    dataset = load_dataset(path)
    assert dataset.ids == ("b",)
    assert [each.text for each in dataset.skipped] == [f"{path}:2: no landmarks"]
    write(path, f"{header}\na.jpg,a,1,,,,,5,6\n")
    refused(read_csv(path), f"{path}:2: column 'left' is '', expected a number of pixels")


def test_csv_with_a_row_for_each_landmark(tmp_path):
    write(tmp_path / "a.jpg", "")
    rows = ["a.jpg,s,1,nose,1,2,0.5", "a.jpg,s,1,tip,,,0.5", "a.jpg,s,2,nose,3,4,", "a.jpg,s,2,tip,5,6,"]
    path = write(tmp_path / "t.csv", "\n".join(["image,specimen,object,landmark,x,y,scale", *rows]) + "\n")
    one, two = read_csv(path)
    assert one.landmarks["nose"] == (1, 2)
    assert math.isnan(one.landmarks["tip"][0])
    assert (one.id, one.scale, one.where) == ("s", 0.5, f"{path}:2")
    assert two.landmarks == {"nose": (3, 4), "tip": (5, 6)}
    assert (two.scale, two.where) == (None, f"{path}:4")
    # Without names of specimens, and with decimal commas.
    write(path, "image;landmark;x;y\na.jpg;1;1,5;2\na.jpg;2;3;4,25\n")
    (annotation,) = read_csv(path)
    assert annotation.landmarks == {"1": (1.5, 2), "2": (3, 4.25)}


@pytest.mark.parametrize(
    ("rows", "fragments"),
    [
        ("a.jpg,s,a,1,2\na.jpg,s,a,3,4\n", [":3: duplicate landmark 'a' of an object"]),
        ("a.jpg,s,a,1,two\n", [":2: y is 'two', expected a number"]),
        ("b.jpg,s,a,1,2\n", [":2: image 'b.jpg' not found"]),
        ("a.jpg,s,a,1\n", [":2: 4 cells, expected 5"]),
    ],
)
def test_csv_with_a_row_for_each_landmark_refuses(tmp_path, rows, fragments):
    write(tmp_path / "a.jpg", "")
    refused(read_csv(write(tmp_path / "t.csv", "image,specimen,landmark,x,y\n" + rows)), *fragments)


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


@pytest.mark.parametrize(
    "text",
    [
        "image;x0;y0;x1;y1\na.jpg;1,5;2,0;3,25;4\n",
        "sep=;\nimage;x0;y0;x1;y1\na.jpg;1,5;2;3.25;4\n",
        "image\tx0\ty0\tx1\ty1\na.jpg\t1.5\t2\t3.25\t4\n",
        "sep=\t\nimage\tx0\ty0\tx1\ty1\na.jpg\t1.5\t2\t3.25\t4\n",
        'image, x0, y0, x1, y1\n"a.jpg", "1,5", 2, "3,25", 4\n',
        "image,x0,y0,x1,y1,\na.jpg,1.5,2,3.25,4,\n,,,,,\n\n",
        "image,x0,y0,x1,y1\ra.jpg,1.5,2,3.25,4\r\x1a",
        "x0,y0,x1,y1,image\n1.5,2,3.25,4,a.jpg\n",
        ",image,x0,y0,x1,y1\n0,a.jpg,1.5,2,3.25,4\n",
        "Unnamed: 0,File Name,x0,y0,x1,y1\n0,a.jpg,1.5,2,3.25,4\n",
        "id,image,x0,y0,x1,y1\n7,a.jpg,1.5,2,3.25,4\n",
        "image,label,x0,y0,x1,y1\na.jpg,fish,1.5,2,3.25,4\n",
        "filename,width,height,class,x0,y0,x1,y1\na.jpg,30,20,fish,1.5,2,3.25,4\n",
        "name,tag,x00,y00,x01,y01\na,0x0000,1.5,2,3.25,4\n",
        "image,x0,y0,0_likelihood,x1,y1,1_likelihood\na.jpg,1.5,2,0.9,3.25,4,1\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_csv_tables_of_other_programs(tmp_path, text, encoding):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", text.encode(encoding))
    (annotation,) = raise_faults(read_csv(path))
    assert annotation.landmarks == {"0": (1.5, 2), "1": (3.25, 4)}
    assert (annotation.file, annotation.box) == (tmp_path / "a.jpg", None)


def test_csv_of_one_landmark_and_with_a_tie_of_marks(tmp_path):
    write(tmp_path / "a.jpg", "")
    (annotation,) = read_csv(write(tmp_path / "t.csv", "image,x,y\na.jpg,1,2\n"))
    assert annotation.landmarks == {"0": (1, 2)}
    (annotation,) = read_csv(write(tmp_path / "t.csv", "image,a;b_x,a;b_y\n\n\na.jpg,1,2\n"))
    assert annotation.landmarks == {"a;b": (1, 2)}
    assert annotation.where.endswith("t.csv:4")


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("x,y,w,h", "1,2,30,40"),
        ("x,y,width,height", "1,2,30,40"),
        ("xmin,ymin,xmax,ymax", "1,2,31,42"),
        ("X_min,Y_min,X_max,Y_max", "1,2,31,42"),
        ("left,top,right,bottom", "1,2,31,42"),
        ("bbox_x,bbox_y,bbox_w,bbox_h", "1,2,30,40"),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", "1,2,31,42"),
        ("rect_left,rect_top,rect_width,rect_height", "1,2,30,40"),
    ],
)
def test_csv_names_of_boxes(tmp_path, columns, cells):
    write(tmp_path / "a.jpg", "")
    (annotation,) = read_csv(write(tmp_path / "t.csv", f"image,x0,y0,{columns}\na.jpg,5,6,{cells}\n"))
    assert annotation.box == (1, 2, 30, 40)
    assert annotation.landmarks == {"0": (5, 6)}


def test_csv_landmark_named_box_beside_the_box(tmp_path):
    write(tmp_path / "a.jpg", "")
    columns = "box_left,box_top,box_width,box_height,box_x,box_y"
    (annotation,) = read_csv(write(tmp_path / "t.csv", f"image,{columns}\na.jpg,1,2,30,40,5,6\n"))
    assert annotation.box == (1, 2, 30, 40)
    assert annotation.landmarks == {"box": (5, 6)}


def test_csv_words_for_missing_landmarks(tmp_path):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", "image,x0,y0,x1,y1,x2,y2\na.jpg,1,2,NA,#N/A,None,7\n")
    (annotation,) = read_csv(path)
    assert annotation.landmarks["0"] == (1, 2)
    assert all(math.isnan(annotation.landmarks[name][0]) for name in "12")
    assert annotation.notes == ("landmarks with x or y only are missing",)


def test_csv_numbers_that_are_missing_are_an_option(tmp_path):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", "image,x0,y0,x1,y1,x2,y2\na.jpg,0,0,-1,-1,5,6\n")
    (annotation,) = read_csv(path, missing=[-1])
    assert annotation.landmarks["0"] == (0, 0)
    assert math.isnan(annotation.landmarks["1"][0])
    (annotation,) = read_csv(path, missing=[])
    assert annotation.landmarks == {"0": (0, 0), "1": (-1, -1), "2": (5, 6)}
    (annotation,) = read_csv(write(path, "name,tag,x00,y00,x01,y01\na,0x0000,0,0,3,4\n"))
    assert math.isnan(annotation.landmarks["0"][0])
    assert annotation.landmarks["1"] == (3, 4)


def test_csv_of_several_labels_asks_for_one(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    rows = "a.png,cat,1,2,3,4\na.png,dog,5,6,8,8\n"
    path = write(tmp_path / "t.csv", f"image,label,x0,y0,x1,y1\n{rows}")
    with pytest.raises(InputError, match=r"several values of label: 'cat' \(1 object\), 'dog' \(1 object\)"):
        load_dataset(path)
    assert load_dataset(path, label="dog").landmarks.tolist() == [[[5, 6], [8, 8]]]


@pytest.mark.parametrize(
    "names", [[f"{axis}{i}" for i in range(50_000) for axis in "xy"], list(map(str, range(100_000)))]
)
def test_csv_of_100_000_columns(tmp_path, names):
    write(tmp_path / "a.jpg", "")
    cells = ",".join(map(str, range(1, 100_001)))
    (annotation,) = read_csv(write(tmp_path / "t.csv", f"image,{','.join(names)}\na.jpg,{cells}\n"))
    assert len(annotation.landmarks) == 50_000
    assert list(annotation.landmarks.values())[-1] == (99_999, 100_000)


def test_csv_written_points_are_never_taken_for_missing_ones(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    points = np.array([[[0.0, 0], [-1, -1], [-999, -999], [3, 4]]])
    data = Dataset([tmp_path / "a.png"], np.ones((1, 4)), points, ("0", "1", "2", "3"), "corner")
    write_dataset(data, tmp_path / "t.csv")
    np.testing.assert_allclose(load_dataset(tmp_path / "t.csv").landmarks, points, rtol=0, atol=2e-6)


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
        (b"image,x0,y0\na.jpg,1,2\n\xe4.jpg,1,2\n", (":3", "image 'ä.jpg' not found")),
        (b"image,x0,y0\na.jpg,1,2\n\x81.jpg,1,2\n", (":3", "bytes that are not text")),
        ("x0,y0\n1,2\n", (":1", "no column of the image")),
        ("a.jpg,1,2,3,4\na.jpg,5,6,7,8\n", (":1", "an image in the first row, expected a header above it")),
        ("a.jpg,1.5,2.5\na.jpg,5,6\n", (":1", "an image in the first row")),
        ("a.jpg,5,5\na.jpg,5,6\n", (":1", "an image in the first row")),
        ("x0,y0,file,path\n1,2,a.jpg,a.jpg\n", (":1", "columns 'file' and 'path', expected one")),
        ("image,x0,y0,eye_score\na.jpg,1,2,3\n", (":1", "column 'eye_score', expected a landmark 'eye'")),
        ("image,x0,y0,bbox_x\na.jpg,1,2,3\n", (":1", "landmark 'bbox' has x only")),
        ("image,x0,y0,xmin,ymin,xmax,ymax,x,y,w,h\na.jpg" + ",1" * 10, (":1", "columns of several boxes")),
        ("image,x0,y0\na.jpg,0,0\n", (":2", "column 'x0' and column 'y0' are 0: give --missing=0")),
        ("image,x0,y0\na.jpg,-1,-1.0\n", (":2", "are -1: give --missing=-1")),
        ("image;x0;y0\na.jpg;1,500;2\n", (":2", "column 'x0' is '1,500', expected a decimal point")),
        ("image;x0;y0\na.jpg;1.000,5;2\n", (":2", "column 'x0' is '1.000,5'")),
        ("image,x0,y0\na.jpg,36,34,52,66\n", (":2", "5 cells, expected 3")),
        ("image,a;b_x,a;b_y\na;b;c.jpg,1,2\n", (":1", "cells may be separated by ',' or ';'")),
        ("image,x0,y0,scale\na.jpg,1,2,big\n", (":2", "column 'scale' is 'big', expected a number above 0")),
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


def test_rows_of_another_length_are_faults_of_these_rows(tmp_path):
    for name in "abc":
        Image.new("L", (80, 60)).save(tmp_path / f"{name}.png")
    table = tmp_path / "x.csv"
    table.write_text("image,x0,y0\na.png,1,2\nb.png,3\nb.png,3,4,5\nc.png,6,7,\nc.png,6,q\n")
    with pytest.raises(
        InputError, match=r"x\.csv:3: 2 cells, expected 3 as in the header; ert dataset check lists all"
    ):
        load_dataset(table)
    dataset = load_dataset(table, skip_bad=True)
    assert dataset.landmarks[:, 0].tolist() == [[1, 2], [6, 7]]
    assert [skipped.text.split(": ")[0] for skipped in dataset.skipped] == [f"{table}:{line}" for line in (3, 4, 6)]
