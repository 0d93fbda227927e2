import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers import refused, write

from ert import InputError
from ert.datasets import load_dataset, write_dataset
from ert.datasets.formats import imglab as imglab_format
from ert.datasets.formats.imglab import read_imglab

BOX = "<box top='2' left='1' width='30.5' height='40'>"
PART = "<part name='a' x='3' y='4.5'/>"


def imglab(folder: Path, images: str, encoding: str = "UTF-8", before: str = "") -> Path:
    """Write labels.xml, whose images begin in line 3."""
    head = f"<?xml version='1.0' encoding='{encoding}'?>{before}\n<dataset><images>\n"
    return write(folder / "labels.xml", f"{head}{images}\n</images></dataset>\n".encode(encoding))


def test_imglab_yields_every_box_of_every_image(tmp_path):
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
    assert first.where == f"{path}:4: box 1 of 'faces/one.jpg'"
    assert second.file == first.file
    assert second.box == (0, 0, 5, 6)
    assert second.landmarks == {"b": (7, 8)}
    assert "labels.xml:5: box 2 of" in second.where
    assert third.file == tmp_path / "two.jpg"
    assert third.landmarks == {}


def test_imglab_skips_ignored_boxes_and_images_without_boxes(tmp_path):
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


@pytest.mark.parametrize(("stated", "real"), [("ISO-8859-1", "utf-8"), ("UTF-8", "cp1252"), ("US-ASCII", "cp1252")])
def test_imglab_encodings_that_are_not_the_stated_one(tmp_path, stated, real):
    write(tmp_path / "Zoë.jpg", "")
    head = f"<?xml version='1.0' encoding='{stated}'?>\n<dataset><images>\n<image file='Zoë.jpg'>"
    text = f"{head}{BOX}<part name='Flügel' x='1' y='1'/><label>für</label></box></image></images></dataset>"
    (annotation,) = read_imglab(write(tmp_path / "labels.xml", text.encode(real)))
    assert annotation.file == tmp_path / "Zoë.jpg"
    assert list(annotation.landmarks) == ["Flügel"]
    assert (annotation.label, annotation.fault) == ("für", None)


def test_imglab_names_in_two_encodings(tmp_path):
    write(tmp_path / "Zoë.jpg", "")
    write(tmp_path / "Öl.jpg", "")
    one, other = (f"<image file='{name}'>{BOX}{PART}</box></image>" for name in ("Zoë.jpg", "Öl.jpg"))
    head = "<?xml version='1.0' encoding='ISO-8859-1'?><dataset><images>"
    content = head.encode() + one.encode("utf-8") + other.encode("cp1252") + b"</images></dataset>"
    annotations = read_imglab(write(tmp_path / "labels.xml", content))
    assert [annotation.file.name for annotation in annotations] == ["Zoë.jpg", "Öl.jpg"]


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("</bax>\n</image></images></dataset>\n\n", 5),
        ("<part name='a' x='3'\n y='4'/>\n<part name='a' x='3\n\n</box></image></images></dataset>\n", 9),
        ("<!-- not closed\n\n</box></image></images></dataset>\n", 7),
        ("</box></image></images></dataset>\n\n<x/>\n\n\n", 7),
    ],
)
def test_imglab_errors_have_one_line_number(tmp_path, rest, line):
    write(tmp_path / "a.jpg", "")
    path = write(
        tmp_path / "labels.xml", f"<?xml version='1.0'?>\n<dataset><images>\n<image file='a.jpg'>\n{BOX}\n{rest}"
    )
    with pytest.raises(InputError) as info:
        list(read_imglab(path))
    assert str(info.value).startswith(f"{path}:{line}: malformed XML: ")
    assert not re.search("line [0-9]+, column", str(info.value))


def test_imglab_images_in_another_folder(tmp_path):
    write(tmp_path / "images" / "a.jpg", "")
    path = imglab(tmp_path / "labels", f"<image file='old/a.jpg'>{BOX}{PART}</box></image>")
    refused(read_imglab(path), "image 'old/a.jpg' not found", "give another folder with --images")
    (annotation,) = read_imglab(path, image_folder=tmp_path / "images")
    assert annotation.file == tmp_path / "images" / "a.jpg"


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
    refused(read_imglab(path), f"{path}:70005: duplicate part 'a'")


@pytest.mark.parametrize(
    ("images", "fragments"),
    [
        (
            "<image file='no.jpg'>\n" + BOX + PART + "</box></image>",
            ("labels.xml:4", "no.jpg", "not found, expected it in"),
        ),
        ("<image>" + BOX + "</box></image>", ("labels.xml:3", "<image> without file")),
        ("<image file=''>" + BOX + "</box></image>", ("labels.xml:3", "<image> without file")),
        ("<image file='a.jpg'>\n<box top='1' left='1' width='1'/></image>", ("labels.xml:4", "without height")),
        ("<image file='a.jpg'><box top='1' left='x' width='1' height='1'/></image>", (":3", "left is 'x'")),
        ("<image file='a.jpg'><box top='1' left='1' width='nan' height='1'/></image>", (":3", "width is 'nan'")),
        ("<image file='a.jpg'><box top='1' left='1' width='1' height='inf'/></image>", (":3", "height is 'inf'")),
        ("<image file='a.jpg'><box ignore='perhaps'/></image>", (":3", "ignore is 'perhaps'")),
        (f"<image file='a.jpg'>\n{BOX}\n<part x='1' y='1'/></box></image>", (":5", "<part> without name")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1'/></box></image>", (":5", "<part> without y")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1' y='1,5'/></box></image>", (":5", "y is '1,5'")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1e99' y='1'/></box></image>", (":5", "x is '1e99'")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x='1_0' y='1'/></box></image>", (":5", "x is '1_0'")),
        (f"<image file='a.jpg'>{BOX}{PART}\n{PART}</box></image>", (":4", "duplicate part 'a'")),
        (f"<image file='a.jpg'>{PART}</image>", (":3", "<part> in image, expected in box")),
        (f"{BOX}</box>", (":3", "<box> in images, expected in image")),
        (f"<image file='a.jpg'>\n{BOX}\n</image>", ("labels.xml:5", "malformed XML")),
        (f"<image file='a.jpg'>\n{BOX}\n<part name='a' x=1/>", ("labels.xml:5", "malformed XML")),
        ("<image file='a.jpg'>\n<box top='1' top='1'/></image>", ("labels.xml:4", "malformed XML", "redefined")),
        ("<image file='a.jpg'/>\n<image file='&b;.jpg'/>", ("labels.xml:4", "malformed XML", "'b'")),
        ("<image file='a.jpg'/>\n&b;", ("labels.xml:4", "malformed XML", "'b'")),
        ("<image file='a.jpg'>\n<bax/></image>", ("labels.xml:4", "'bax' in <image>, expected box")),
        (f"<image file='a.jpg'>{BOX}\n<parts/></box></image>", ("4", "'parts' in <box>, expected part or label")),
        (f"<image file='a.jpg'>{BOX}\n{PART[:-2]}><x/></part></box></image>", ("'x' in <part>, expected nothing",)),
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
        (b"<dataset>\n<name>\xff\x81</name></dataset>", "malformed XML"),
        ("<images><image file='a.jpg'/></images>", "<images> in nothing, expected in dataset"),
        ("<dataset><images>\n<imagf/></images></dataset>", "labels.xml:2: not an imglab file: 'imagf' in <images>"),
        ("<dataset><x xmlns='a&#10;b'><images/></x></dataset>", "malformed XML: xmlns: 'a b' is not a valid URI"),
        ("<html>\n<dataset/></html>", "labels.xml:2: not an imglab file: <dataset> in html"),
    ],
)
def test_imglab_refuses_other_files(tmp_path, content, fragment):
    refused(read_imglab(write(tmp_path / "labels.xml", content)), "labels.xml:", fragment)


def test_imglab_refuses_a_missing_file(tmp_path):
    refused(read_imglab(tmp_path / "no.xml"), "no.xml: no such file")
    refused(read_imglab(tmp_path), f"{tmp_path}: is a folder, expected a file of annotations")


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
    events = imglab_format._imglab_events

    def counted(path):
        nonlocal largest_tree
        for here, event, element in events(path):
            if event == "start" and element.tag == "image":
                largest_tree = max(largest_tree, sum(1 for _ in element.getparent().iter()))
            yield here, event, element

    monkeypatch.setattr(imglab_format, "_imglab_events", counted)
    list(read_imglab(imglab(tmp_path / "warm", "")))
    tracemalloc.start()
    n_parts = sum(len(annotation.landmarks) for annotation in read_imglab(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_parts == 60000
    assert peak < 500_000 < path.stat().st_size
    assert largest_tree <= 3


def test_imglab_written_and_read_again(three, tmp_path):
    path = tmp_path / "out.xml"
    assert write_dataset(three, path) == [
        "landmarks and boxes are rounded to integers",
        "landmarks will be read in the order of their names: imglab files have no other order",
    ]
    text = path.read_text(encoding="utf-8")
    assert text.count("<image ") == 2
    assert "<part name='nose' x='1' y='2'/>" in text
    again = load_dataset(path)
    assert again.files == three.files
    assert again.landmark_names == ("chin", "ear", "nose")
    np.testing.assert_array_equal(again.landmarks, np.rint(three.landmarks[:, [1, 2, 0]]))
    np.testing.assert_array_equal(again.boxes, three.boxes)
    assert write_dataset(again, path) == []


def test_imglab_goes_on_after_a_box_that_is_wrong(tmp_path):
    write(tmp_path / "a.jpg", "")
    wrong = (
        "<box top='x' left='1' width='3' height='4'/>",
        "<box ignore='perhaps' top='1' left='1' width='3' height='4'/>",
        f"{BOX}<part name='a' x='1' y='?'/>{PART}</box>",
        f"{BOX}{PART}{PART}</box>",
    )
    good = f"{BOX}{PART}</box>"
    path = imglab(tmp_path, "\n".join(["<image file='a.jpg'>", good, *wrong, f"{good}</image>"]))
    annotations = list(read_imglab(path))
    faults = [annotation.fault for annotation in annotations]
    messages = ("top is 'x'", "ignore is 'perhaps'", "y is '?'", "duplicate part 'a'")
    assert (faults[0], faults[-1]) == (None, None)
    for line, fault, message in zip(range(5, 9), faults[1:-1], messages, strict=True):
        assert fault.startswith(f"{path}:{line}: {message}")
