"""Commands on images with a turn (EXIF), annotated as stored: they give what the same images without a turn give."""

import json

import numpy as np
import pytest
from cli.running import SMALL, read_page, refused, run
from PIL import Image
from turned import turned_faces

from ert import load_dataset, load_image
from ert.datasets import write_dataset
from ert.inference import validation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`plain.xml` and `turned.xml`, of the same pixels; orientations are 2 to 8 in turn."""
    folder = tmp_path_factory.mktemp("turned")
    plain = turned_faces(folder / "plain", 14)
    turned_faces(folder / "turned", 14, range(2, 9))
    write_dataset(plain, folder / "plain.xml")
    text = (folder / "plain.xml").read_text()
    (folder / "turned.xml").write_text(text.replace("plain/", "turned/"))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    assert run("train", folder / "plain.xml", "--out", folder / "plain.ert", *SMALL, "--jobs=1") == 0
    return folder / "plain.ert"


NOTE = "turned.xml: 14 images carry a turn (EXIF): read as stored, without it; --exif upright applies it"


def test_check(folder, capsys):
    assert run("dataset", "check", folder / "plain.xml", "--json", folder / "plain.json") in (0, 1)
    capsys.readouterr()
    assert run("dataset", "check", folder / "turned.xml", "--json", folder / "turned.json") in (0, 1)
    assert NOTE in capsys.readouterr().err
    plain, turned = (json.loads((folder / f"{name}.json").read_text())["findings"] for name in ("plain", "turned"))
    assert [entry["text"] for entry in turned] == [entry["text"].replace("plain", "turned") for entry in plain]
    run("dataset", "check", folder / "turned.xml", "--exif", "upright")
    note = "14 images carry a turn (EXIF): read upright; --exif stored reads them without it"
    assert note in capsys.readouterr().err


def test_train(folder, model, capsys):
    assert run("train", folder / "turned.xml", "--out", folder / "turned.ert", *SMALL, "--jobs=1") == 0
    assert NOTE in capsys.readouterr().err
    assert (folder / "turned.ert").read_bytes() == model.read_bytes()


def test_train_for_dlib(folder, capsys):
    for name in ("plain", "turned"):
        table = folder / f"{name}.csv"
        write_dataset(load_dataset(folder / f"{name}.xml"), table)
        assert run("train", table, "--out", folder / f"{name}.dat", *SMALL, "--jobs=1") == 0
    assert (folder / "plain.dat").read_bytes() == (folder / "turned.dat").read_bytes()
    assert "turned.csv: 14 images carry a turn (EXIF): read as stored" in capsys.readouterr().err


def test_evaluate_with_a_report(folder, model, capsys):
    figures, pages = [], []
    for name in ("plain", "turned"):
        report, data = folder / f"report_{name}", folder / f"{name}_errors.json"
        options = ["--report", report, "--json", data, "--by", "size"]
        assert run("evaluate", model, folder / f"{name}.xml", *options) == 0
        figures.append({key: value for key, value in json.loads(data.read_text()).items() if key != "dataset"})
        pages.append([image.get("src") for image in read_page(report / "report.html").iter("img")])
    assert NOTE in capsys.readouterr().err
    assert figures[0] == figures[1]
    # The pictures of the objects; charts have times.
    assert len(set(pages[0]) & set(pages[1])) >= 6


def test_compare(folder, model):
    for name in ("plain", "turned"):
        files = ["--draw", folder / f"{name}_faces.png", "--json", folder / f"{name}_compared.json"]
        assert run("compare", model, model, folder / f"{name}.xml", *files, "--repeats", 1, "--limit", 4) == 0
    plain, turned = (
        json.loads((folder / f"{name}_compared.json").read_text())["objects"] for name in ("plain", "turned")
    )
    assert [entry["nme_a"] for entry in plain] == [entry["nme_a"] for entry in turned]
    np.testing.assert_array_equal(load_image(folder / "plain_faces.png"), load_image(folder / "turned_faces.png"))


def test_align_and_explain(folder, model):
    """Boxes of an imglab file are in the pixels as stored."""
    plain = load_dataset(folder / "plain.xml")
    turned = load_dataset(folder / "turned.xml").files
    # Orientations 6 and 8.
    for i in (4, 6):
        box = ("--box", ",".join(map(str, plain.boxes[i])))
        for name, file, options in (("a", plain.files[i], ()), ("b", turned[i], ("--exif", "stored"))):
            where = ("--model", model, "--json", folder / f"{name}.json")
            assert run("align", file, *where, *box, *options) == 0
            assert run("explain", model, file, "--out", folder / f"{name}.png", *box, *options) == 0
        faces = [json.loads((folder / f"{name}.json").read_text())["images"][0]["faces"] for name in "ab"]
        assert faces[0] == faces[1]
        np.testing.assert_array_equal(load_image(folder / "a.png"), load_image(folder / "b.png"))


def test_show(folder):
    for name in ("plain", "turned"):
        assert run("dataset", "show", folder / f"{name}.xml", "--n", 7, "--out", folder / f"{name}_sheet.png") == 0
    np.testing.assert_array_equal(load_image(folder / "plain_sheet.png"), load_image(folder / "turned_sheet.png"))


def test_mirror(folder):
    mirrored = []
    for name in ("plain", "turned"):
        partners = ",".join(map(str, range(51)))
        options = ["--map", partners, "--out", folder / f"{name}_mirrored"]
        assert run("dataset", "mirror", folder / f"{name}.xml", *options) == 0
        mirrored.append(load_dataset(folder / f"{name}_mirrored" / "mirrored.csv"))
    np.testing.assert_array_equal(mirrored[0].landmarks, mirrored[1].landmarks)
    for plain, turned in zip(mirrored[0].files, mirrored[1].files, strict=True):
        np.testing.assert_array_equal(load_image(plain), load_image(turned))


@pytest.mark.parametrize("to", [".xml", ".csv"])
def test_split(folder, tmp_path, capsys, to):
    assert run("dataset", "split", folder / "turned.xml", "--out", tmp_path, "--to", to) == 0
    assert ("read this file with --exif stored" in capsys.readouterr().err) == (to == ".csv")
    part = load_dataset(tmp_path / f"train{to}", exif="stored")
    whole = {file.name: shape for file, shape in zip(*_files_and_shapes(folder / "turned.xml"), strict=True)}
    for file, shape in zip(part.files, part.landmarks, strict=True):
        np.testing.assert_array_equal(shape, whole[file.name])


def _files_and_shapes(path):
    dataset = load_dataset(path)
    return dataset.files, dataset.landmarks


@pytest.mark.parametrize("name", ["out.tps", "out.json", "out.xml"])
def test_convert_there_and_back(folder, tmp_path, name):
    assert run("convert", folder / "turned.xml", folder / name) == 0
    assert run("convert", folder / name, folder / "back.xml", "--exif", "stored") == 0
    ours, theirs = load_dataset(folder / "turned.xml"), load_dataset(folder / "back.xml")
    np.testing.assert_array_equal(ours.landmarks, theirs.landmarks)
    assert [file.stored for file in theirs.files] == [True] * 14


def test_unknown_way(folder, capsys):
    line = refused(capsys, "dataset", "info", folder / "turned.xml", "--exif", "sideways")
    assert "--exif" in line


class TestLevels:
    @pytest.fixture
    def deep(self, folder, tmp_path):
        """The plain images in 16 bits, as TIFF."""
        for file in sorted((folder / "plain").glob("*.jpg")):
            pixels = np.asarray(Image.open(file)).astype(np.uint16) * 10 + 500
            Image.fromarray(pixels).save(tmp_path / f"{file.stem}.tif")
        text = (folder / "plain.xml").read_text().replace("plain/", "").replace(".jpg", ".tif")
        (tmp_path / "deep.xml").write_text(text)
        return tmp_path / "deep.xml"

    def test_train(self, deep, model, tmp_path):
        out = tmp_path / "deep.ert"
        assert run("train", deep, "--out", out, *SMALL, "--jobs=1", "--levels", "500,3050") == 0
        assert out.read_bytes() == model.read_bytes()

    def test_without_them(self, deep, tmp_path, capsys):
        line = refused(capsys, "dataset", "mirror", deep, "--map", "0", "--out", tmp_path / "out")
        assert "map" in line or "16-bit" in line
        assert run("dataset", "check", deep, "--levels", "auto") in (0, 1)
        assert "unreadable" not in capsys.readouterr().out
        assert run("dataset", "check", deep) == 1
        assert "16-bit gray pixels, here from 5" in capsys.readouterr().out

    def test_explain_and_align(self, deep, model, tmp_path, capsys):
        image, box = deep.parent / "face000.tif", "10,10,40,40"
        assert "16-bit" in refused(capsys, "explain", model, image, "--box", box, "--out", tmp_path / "a.png")
        options = ["--box", box, "--levels", "500,3050"]
        assert run("explain", model, image, *options, "--out", tmp_path / "a.png") == 0
        assert run("align", image, "--model", model, *options, "--json", tmp_path / "a.json") == 0

    @pytest.mark.parametrize("text", ["", "dark", "5,1", "1,2,3"])
    def test_invalid(self, deep, capsys, text):
        assert "expected two numbers" in refused(capsys, "dataset", "info", deep, "--levels", text)


@pytest.mark.filterwarnings("default")
def test_boxes_as_corners_are_asked_about(folder, model, tmp_path, capsys):
    validation._warn_of_corners.cache_clear()
    plain = load_dataset(folder / "plain.xml")
    boxes = np.tile([25.0, 30, 55, 60], (len(plain), 1))
    text = "image,left,top,width,height,x0,y0\n"
    text += "".join(f"{file},{','.join(map(str, box))},30,31\n" for file, box in zip(plain.files, boxes, strict=True))
    (tmp_path / "corners.csv").write_text(text)
    assert run("dataset", "check", tmp_path / "corners.csv") == 1
    assert (
        "of the box is outside the 56 x 64 image, but it would be inside as x1, y1, x2, y2" in capsys.readouterr().out
    )
    question = "would lie inside it as x1, y1, x2, y2; is it meant so? Boxes are left, top, width, height"
    out = ["--out", tmp_path / "model.ert", "--padding", "0.1"]
    assert run("train", tmp_path / "corners.csv", *out, *SMALL) == 0
    assert capsys.readouterr().err.count(question) == 1
    image = plain.files[0]
    validation._warn_of_corners.cache_clear()
    assert run("align", image, "--model", model, "--box", "25,30,55,60") == 0
    assert question in capsys.readouterr().err
    assert run("align", image, "--model", model, "--box", "25,30,30,30") == 0
    assert "is it meant so" not in capsys.readouterr().err


def test_train_and_check_ask_about_landmarks_upside_down(tmp_path, capsys):
    dataset = turned_faces(tmp_path / "faces", 40)
    dataset.landmarks[:, :, 1] = 63 - dataset.landmarks[:, :, 1]
    dataset.boxes[:, 1] = 64 - dataset.boxes[:, 1] - dataset.boxes[:, 3]
    write_dataset(dataset, tmp_path / "faces.csv")
    assert run("dataset", "check", tmp_path / "faces.csv", "--json", tmp_path / "found.json") == 1
    assert "the landmarks fit the images far better upside down" in capsys.readouterr().out
    first = json.loads((tmp_path / "found.json").read_text())["findings"][0]
    assert first["kind"] == "upside down"
    assert first["object"] is None
    assert run("train", tmp_path / "faces.csv", "--out", tmp_path / "model.ert", *SMALL) == 0
    assert "ert: the landmarks fit the images far better upside down" in capsys.readouterr().err
    assert run("train", tmp_path / "faces.csv", "--y-origin", "bottom", "--out", tmp_path / "model.ert", *SMALL) == 0
    assert "upside down" not in capsys.readouterr().err
