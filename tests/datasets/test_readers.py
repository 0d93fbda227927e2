import math
import os
import tracemalloc
from pathlib import Path

import pytest

from ert._core.exceptions import InputError
from ert.datasets.formats import imglab as imglab_reader
from ert.datasets.formats.csv import read_boxes, read_csv
from ert.datasets.formats.imglab import read_imglab
from ert.datasets.formats.pts import read_pts_folder
from ert.datasets.parsing import natural_key

BOX = "<box top='2' left='1' width='30.5' height='40'>"
PART = "<part name='a' x='3' y='4.5'/>"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def imglab(folder: Path, images: str, encoding: str = "UTF-8", before: str = "") -> Path:
    """Write labels.xml, whose images begin in line 3."""
    head = f"<?xml version='1.0' encoding='{encoding}'?>{before}\n<dataset><images>\n"
    return write(folder / "labels.xml", f"{head}{images}\n</images></dataset>\n".encode(encoding))


def pts(points: str = "1 2\n3.5 4\n", n_points: int = 2) -> str:
    return f"version: 1\nn_points: {n_points}\n{{\n{points}}}\n"


def refused(generator, *fragments: str) -> None:
    with pytest.raises(InputError) as info:
        list(generator)
    message = str(info.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


def test_natural_key_sorts_numbers_by_value_and_never_fails():
    names = ["10", "2", "nose", "1", "01", "p10", "p9", "", "9" * 5000, "p9b"]
    expected = ["", "01", "1", "2", "10", "9" * 5000, "nose", "p9", "p9b", "p10"]
    assert sorted(names, key=natural_key) == expected


# --- imglab XML ---


def test_imglab_gives_every_box_of_every_image(tmp_path):
    write(tmp_path / "faces" / "one.jpg", "")
    write(tmp_path / "two.jpg", "")
    path = imglab(
        tmp_path,
        f"<image file='faces/one.jpg' width='9' height='9'>\n{BOX}{PART}<part name='b' x='-1' y='0'/></box>\n"
        "<box top='0' left='0' width='5' height='6'><label/><part y='8' x='7' name='b'/></box></image>\n"
        f"<image file='two.jpg'><!-- note -->{BOX}</box></image>",
    )
    first, second, third = read_imglab(path)
    assert first.file == tmp_path / "faces" / "one.jpg"
    assert first.box == (1, 2, 30.5, 40)
    assert first.landmarks == {"a": (3, 4.5), "b": (-1, 0)}
    assert first.where == f"{path}:4: box 1 of {str(first.file)!r}"
    assert second.file == first.file
    assert second.box == (0, 0, 5, 6)
    assert second.landmarks == {"b": (7, 8)}
    assert "labels.xml:5: box 2 of" in second.where
    assert third.file == tmp_path / "two.jpg"
    assert third.landmarks == {}


def test_imglab_passes_over_ignored_boxes_and_images_without_boxes(tmp_path):
    write(tmp_path / "a.jpg", "")
    ignored = "".join(f"<box ignore='{value}'><part name='a'/></box>" for value in ("1", "true", "True"))
    kept = "<box ignore='0' top='0' left='0' width='1' height='1'/>"
    path = imglab(
        tmp_path,
        "<image file='absent.jpg'/>"
        f"<image file='absent.jpg'>{ignored}</image><image file='a.jpg'>{ignored}{kept}{BOX}</box></image>",
    )
    kept_boxes = list(read_imglab(path))
    assert [annotation.box for annotation in kept_boxes] == [(0, 0, 1, 1), (1, 2, 30.5, 40)]
    assert "box 5 of" in kept_boxes[1].where


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8", "UTF-16"])
def test_imglab_encodings(tmp_path, encoding):
    write(tmp_path / "Zoë.jpg", "")
    path = imglab(
        tmp_path, f"<image file='Zoë.jpg'>{BOX}<part name='Nasenflügel' x='1' y='1'/></box></image>", encoding
    )
    (annotation,) = read_imglab(path)
    assert annotation.file == tmp_path / "Zoë.jpg"
    assert list(annotation.landmarks) == ["Nasenflügel"]


def test_imglab_on_one_long_line(tmp_path):
    write(tmp_path / "a.jpg", "")
    path = imglab(tmp_path, f"<image file='a.jpg'>{BOX}{PART}</box></image>" * 3000)
    annotations = list(read_imglab(path))
    assert len(annotations) == 3000
    assert all(annotation.landmarks == {"a": (3, 4.5)} for annotation in annotations)
    assert {annotation.where.split(": ")[0] for annotation in annotations} == {f"{path}:3"}


def test_imglab_lines_are_right_beyond_65535(tmp_path):
    write(tmp_path / "a.jpg", "")
    gap = "\n" * 70000
    path = imglab(tmp_path, f"<image file='a.jpg'>{gap}{BOX}\n{PART}\n{PART}</box></image>")
    refused(read_imglab(path), f"{path}:70005: part 'a' stands twice")


@pytest.mark.parametrize(
    ("images", "fragments"),
    [
        (
            "<image file='no.jpg'>\n" + BOX + PART + "</box></image>",
            ("labels.xml:4", "no.jpg", "no such image"),
        ),
        ("<image>" + BOX + "</box></image>", ("labels.xml:3", "<image> without file")),
        ("<image file=''>" + BOX + "</box></image>", ("labels.xml:3", "<image> without file")),
        (
            "<image file='a.jpg'>\n<box top='1' left='1' width='1'/></image>",
            ("labels.xml:4", "without height"),
        ),
        ("<image file='a.jpg'><box top='1' left='x' width='1' height='1'/></image>", (":3", "left is 'x'")),
        (
            "<image file='a.jpg'><box top='1' left='1' width='nan' height='1'/></image>",
            (":3", "width is 'nan'"),
        ),
        (
            "<image file='a.jpg'><box top='1' left='1' width='1' height='inf'/></image>",
            (":3", "height is 'inf'"),
        ),
        ("<image file='a.jpg'><box ignore='perhaps'/></image>", (":3", "ignore is 'perhaps'")),
        (f"<image file='a.jpg'>\n{BOX}\n<part x='1' y='1'/></box></image>", (":5", "<part> without name")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1'/></box></image>", (":5", "<part> without y")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1' y='1,5'/></box></image>", (":5", "y is '1,5'")),
        (
            f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1e99' y='1'/></box></image>",
            (":5", "x is '1e99'"),
        ),
        (f"<image file='a.jpg'>{BOX}{PART}\n{PART}</box></image>", (":4", "part 'a' stands twice")),
        (f"<image file='a.jpg'>{PART}</image>", (":3", "<part> in image, expected in box")),
        (f"{BOX}</box>", (":3", "<box> in images, expected in image")),
        (f"<image file='a.jpg'>\n{BOX}\n</image>", ("labels.xml:5", "malformed XML")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x=1/>", ("labels.xml:5", "malformed XML")),
        (
            "<image file='a.jpg'>\n<box top='1' top='1'/></image>",
            ("labels.xml:4", "malformed XML", "redefined"),
        ),
        ("<image file='a.jpg'/>\n<image file='&b;.jpg'/>", ("labels.xml:4", "malformed XML", "'b'")),
        ("<image file='a.jpg'/>\n&b;", ("labels.xml:4", "malformed XML", "'b'")),
        ("<image file='a.jpg'>\n<bax/></image>", ("labels.xml:4", "'bax' in <image>, expected box")),
        (
            f"<image file='a.jpg'>{BOX}\n<parts/></box></image>",
            ("4", "'parts' in <box>, expected part or label"),
        ),
        (
            f"<image file='a.jpg'>{BOX}\n{PART[:-2]}><x/></part></box></image>",
            ("'x' in <part>, expected nothing",),
        ),
    ],
)
def test_imglab_refuses(tmp_path, images, fragments):
    write(tmp_path / "a.jpg", "")
    refused(read_imglab(imglab(tmp_path, images)), *fragments)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("", "malformed XML"),
        ("not XML", "malformed XML"),
        ("<dataset><images>\n", "labels.xml:1: malformed XML"),
        ("<?xml version='1.0' encoding='ISO-77'?><dataset/>", "malformed XML"),
        (b"<dataset>\n<name>\xff</name></dataset>", "labels.xml:2: malformed XML"),
        ("<images><image file='a.jpg'/></images>", "<images> in nothing, expected in dataset"),
        (
            "<dataset><images>\n<imagf/></images></dataset>",
            "labels.xml:2: not an imglab file: 'imagf' in <images>",
        ),
        (
            "<dataset><x xmlns='a&#10;b'><images/></x></dataset>",
            "malformed XML: xmlns: 'a b' is not a valid URI",
        ),
        ("<html>\n<dataset/></html>", "labels.xml:2: not an imglab file: <dataset> in html"),
    ],
)
def test_imglab_refuses_other_files(tmp_path, content, fragment):
    refused(read_imglab(write(tmp_path / "labels.xml", content)), "labels.xml:", fragment)


def test_imglab_refuses_a_file_that_is_not_there(tmp_path):
    refused(read_imglab(tmp_path / "no.xml"), "no.xml: cannot be read")
    refused(read_imglab(tmp_path), f"{tmp_path}: cannot be read")


LAUGHS = "".join(f"<!ENTITY l{i} '{f'&l{i - 1};' * 10}'>" for i in range(1, 12))


@pytest.mark.parametrize("place", ["<image file='&l11;.jpg'/>", "<image file='a.jpg'>&l11;</image>"])
def test_imglab_refuses_entity_bombs(tmp_path, place):
    bomb = f"<!DOCTYPE dataset [<!ENTITY l0 'ha'>{LAUGHS}]>"
    tracemalloc.start()
    refused(read_imglab(imglab(tmp_path, place, before=bomb)), "labels.xml:2: expected no DOCTYPE")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_imglab_reads_no_other_file_through_entities(tmp_path):
    secret = write(tmp_path / "secret.txt", "secret")
    before = f"<!DOCTYPE dataset [<!ENTITY s SYSTEM '{secret.as_uri()}'>]>"
    refused(read_imglab(imglab(tmp_path, "<image file='a'>&s;</image>", before=before)), "DOCTYPE")


def test_imglab_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    write(tmp_path / "a.jpg", "")
    parts = "".join(f"<part name='{i}' x='{i}' y='{i}'/>\n" for i in range(20))
    path = imglab(tmp_path, f"<image file='a.jpg'>\n{BOX}\n{parts}</box></image>\n" * 3000)
    largest_tree = 0
    events = imglab_reader._imglab_events

    def counted(path):
        nonlocal largest_tree
        for here, event, element in events(path):
            if event == "start" and element.tag == "image":
                largest_tree = max(largest_tree, sum(1 for _ in element.getparent().iter()))
            yield here, event, element

    monkeypatch.setattr(imglab_reader, "_imglab_events", counted)
    list(read_imglab(imglab(tmp_path / "warm", "")))
    tracemalloc.start()
    n_parts = sum(len(annotation.landmarks) for annotation in read_imglab(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_parts == 60000
    assert peak < 500_000 < path.stat().st_size
    assert largest_tree <= 3


# --- folders of .pts files ---


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
    ],
)
def test_pts_spellings(tmp_path, content):
    write(tmp_path / "a.pts", content)
    write(tmp_path / "a.png", "")
    (annotation,) = read_pts_folder(tmp_path)
    assert annotation.landmarks == {"0": (0, 1), "1": (2.5, 3)}


def test_pts_missing_point(tmp_path):
    write(tmp_path / "a.pts", pts("nan NaN\n3 4\n"))
    write(tmp_path / "a.png", "")
    (annotation,) = read_pts_folder(tmp_path)
    assert all(math.isnan(value) for value in annotation.landmarks["0"])
    assert annotation.landmarks["1"] == (2, 3)


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", (":1", "expected 'version: 1', found the end of the file")),
        ("version: 2\n", (":1", "expected 'version: 1', found 'version: 2'")),
        ("version: 1\n{\n", (":2", "expected 'n_points:' and a number, found '{'")),
        ("version: 1\nn_points: many\n", (":2", "found 'n_points: many'")),
        ("version: 1\nn_points: 0\n{\n}\n", (":2", "found 'n_points: 0'")),
        ("version: 1\nn_points: 2\n1 2\n3 4\n}\n", (":3", "expected '{', found '1 2'")),
        (pts(n_points=3), (":6", "expected x and y of point 3 of 3, found '}'")),
        (pts(n_points=1), (":5", "expected '}' after 1 points, found '3.5 4'")),
        ("version: 1\nn_points: 2\n{\n1 2\n3 4\n", (":6", "expected '}' after 2 points, found the end")),
        ("version: 1\nn_points: 2\n{\n1 2\n", (":5", "point 2 of 2, found the end of the file")),
        (pts("1 2\n3\n"), (":5", "expected x and y of point 2 of 2, found '3'")),
        (pts("1 2\n3 4 5\n"), (":5", "found '3 4 5'")),
        (pts("1 2\n3 four\n"), (":5", "y is 'four'")),
        (pts("1 2\ninf 4\n"), (":5", "x is 'inf'")),
        (pts("1 2\nnan 4\n"), (":5", "x is 'nan'")),
        (pts() + "5 6\n", (":7", "expected the end of the file, found '5 6'")),
        (b"version: 1\nn_points: \xff\n", (":2", "not UTF-8")),
        (b"version: 1\n\0\n", (":2", "not UTF-8")),
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
    refused(read_pts_folder(tmp_path), "b.pts: n_points is 1, expected 2 as in", "a.pts")


def test_pts_refuses_a_lone_file_and_an_empty_folder(tmp_path):
    refused(read_pts_folder(tmp_path), str(tmp_path), "found none")
    refused(read_pts_folder(tmp_path / "no"), "cannot be read")
    write(tmp_path / "a.pts", pts())
    write(tmp_path / "b.jpg", "")
    write(tmp_path / "below" / "a.jpg", "")
    refused(read_pts_folder(tmp_path), "a.pts: no image beside it")


# --- CSV ---


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
def test_csv_boxes_may_stand_anywhere(tmp_path, prefix):
    write(tmp_path / "a.jpg", "")
    columns = f"{prefix}height,x0,{prefix}left,y0,{prefix}width,{prefix}top"
    (annotation,) = read_csv(write(tmp_path / "t.csv", f"image,{columns}\na.jpg,40,5,1,6,30,2\n"))
    assert annotation.box == (1, 2, 30, 40)
    assert annotation.landmarks == {"0": (5, 6)}


def test_csv_columns_of_x_and_y_may_stand_apart(tmp_path):
    write(tmp_path / "a.jpg", "")
    (annotation,) = read_csv(write(tmp_path / "t.csv", "image,x0,x1,y1,y0\na.jpg,1,2,3,4\n"))
    assert annotation.landmarks == {"0": (1, 4), "1": (2, 3)}


def test_csv_empty_cells_and_nan_are_missing(tmp_path):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", "image,x0,y0,x1,y1,x2,y2\na.jpg,1,2, ,,NaN,nan\n")
    (annotation,) = read_csv(path)
    assert annotation.landmarks["0"] == (1, 2)
    assert all(math.isnan(value) for name in "12" for value in annotation.landmarks[name])


def test_csv_finds_images_beside_it_below_it_or_where_told(tmp_path):
    path = write(tmp_path / "set" / "t.csv", "image,x0,y0\na.jpg,1,2\n")
    refused(read_csv(path), "t.csv:2", "'a.jpg' is not there", str(path.parent))
    below = write(path.parent / "training" / "a.jpg", "")
    write(path.parent / "other" / "b.jpg", "")
    assert [annotation.file for annotation in read_csv(path)] == [below]
    second = write(path.parent / "other" / "a.jpg", "")
    refused(read_csv(path), "t.csv:2", str(below), str(second))
    beside = write(path.parent / "a.jpg", "")
    assert [annotation.file for annotation in read_csv(path)] == [beside]
    told = write(tmp_path / "elsewhere" / "a.jpg", "")
    assert [annotation.file for annotation in read_csv(path, image_folder=told.parent)] == [told]
    refused(read_csv(path, image_folder=tmp_path), "t.csv:2", f"expected it in {tmp_path}")
    write(path, f"image,x0,y0\n{told},1,2\n")
    assert [annotation.file for annotation in read_csv(path)] == [told]


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", (":1", "no landmark columns")),
        ("image\na.jpg\n", (":1", "no landmark columns")),
        ("image,x0,y0\n", (":2", "expected rows below the header")),
        ("image,x0,y0,x1\na.jpg,1,2,3\n", (":1", "landmark '1' has x only")),
        ("image,0,1,2\na.jpg,1,2,3\n", (":1", "landmark '1' has x only")),
        ("image,0,1,3,4\na.jpg,1,2,3,4\n", (":1", "expected them in turn")),
        ("image,x0,y0,x0\na.jpg,1,2,3\n", (":1", "column 'x0' stands twice")),
        ("image,x0,y0,X0\na.jpg,1,2,3\n", (":1", "column 'X0', expected one x of '0'")),
        ("image,x0,y0,age\na.jpg,1,2,3\n", (":1", "column 'age', expected a name")),
        ("image,x0,y0,width,top\na.jpg,1,2,3,4\n", (":1", "no column left, height")),
        ("image,left,top,width,height\na.jpg,1,2,3,4\n", (":1", "no landmark columns")),
        ("image,x0,y0\na.jpg,1\n", (":2", "2 cells, expected 3")),
        ("image,x0,y0\na.jpg,1,2\na.jpg,1,2,3\n", (":3", "4 cells, expected 3")),
        ("image,x0,y0\na.jpg,1,two\n", (":2", "column 'y0' is 'two'")),
        ("image,x0,y0\na.jpg,1,inf\n", (":2", "column 'y0' is 'inf'")),
        ("image,x0,y0\na.jpg,,2\n", (":2", "column 'x0' is ''")),
        ("image,x0,y0\n,1,2\n", (":2", "image '' is not there")),
        ("image,x0,y0,left,top,width,height\na.jpg,1,2,1,1,,1\n", (":2", "column 'width' is ''")),
        (b"image,x0,y0\na.jpg,1,2\n\xe4.jpg,1,2\n", (":3", "not UTF-8")),
        ('image,x0,y0\na.jpg,1,"2\n', (":2", "not a CSV table")),
        ('image,x0,y0\n"a\nb.jpg",1,2\n', (":3", r"image 'a\nb.jpg' is not there")),
        ("image,x0,y0\n" + "a" * 200 + ",1,2\n", (":2", "a" * 57 + "...")),
    ],
)
def test_csv_refuses(tmp_path, content, fragments):
    write(tmp_path / "a.jpg", "")
    path = write(tmp_path / "t.csv", content)
    refused(read_csv(path), f"{path}{fragments[0]}", *fragments)


def test_csv_refuses_a_file_that_is_not_there(tmp_path):
    refused(read_csv(tmp_path / "no.csv"), "no.csv: cannot be read")


# --- tables of boxes ---

BOXES = (
    "split,image,my_left,my_top,my_width,my_height,left,top,width,height\ntrain,in/a.jpg,1,2,3,4,5,6,7.5,8\n"
)


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
        ("", "image,left,top,width,height\na,1,1,1,1\n./a,1,1,1,1\n", (":3", "'./a' stands twice")),
        ("", "image,left,top,width,height\n", (":2", "expected rows")),
        ("", "image,a\x07left,top,width,height\na,1,1,1,1\n", (":1", r"boxes that are there: a\x07left")),
    ],
)
def test_boxes_refuses(tmp_path, prefix, content, fragments):
    path = write(tmp_path / "boxes.csv", content)
    with pytest.raises(InputError) as info:
        read_boxes(f"{path}{prefix}")
    for fragment in (f"{path}{fragments[0]}", *fragments):
        assert fragment in str(info.value)


@pytest.mark.parametrize("spec", ["no.csv", "no.csv:dlib", ":dlib", "", "."])
def test_boxes_refuses_a_file_that_is_not_there(spec):
    with pytest.raises(InputError, match="no such box file, expected CSV or CSV:PREFIX"):
        read_boxes(spec)
