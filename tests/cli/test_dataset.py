import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli import running
from PIL import Image

from ert._core.images import load_image
from ert.cli.main import main
from ert.datasets.formats import load_dataset
from ert.datasets.synthetic import synthetic_dataset
from ert.model.schemes import FACE68_MIRROR

MAP = ",".join(map(str, FACE68_MIRROR))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """16 synthetic faces as landmarks.csv beside their images."""
    return synthetic_dataset(tmp_path_factory.mktemp("tools") / "faces", 16, seed=3) / "landmarks.csv"


@pytest.fixture
def own_faces(faces, tmp_path):
    """The same in a folder that may be changed."""
    shutil.copytree(faces.parent, tmp_path / "faces")
    return tmp_path / "faces" / "landmarks.csv"


def run(*arguments):
    return main(["dataset", *map(str, arguments)])


def refused(capsys, *arguments):
    return running.refused(capsys, "dataset", *arguments)


def assert_same(dataset, other):
    assert [file.resolve() for file in dataset.files] == [file.resolve() for file in other.files]
    np.testing.assert_allclose(dataset.landmarks, other.landmarks, atol=1e-6)
    np.testing.assert_allclose(dataset.boxes, other.boxes, atol=1e-6)


def test_info_prints_and_writes_json(faces, tmp_path, capsys):
    out = tmp_path / "info.json"
    assert run("info", faces, "--json", out) == 0
    printed = capsys.readouterr().out
    assert "csv, 16 objects in 16 images" in printed
    assert "68 landmarks" in printed
    assert "image width: 128 to 128, median 128" in printed
    assert "mirror scheme: face68" in printed
    facts = json.loads(out.read_text())
    assert facts["format"] == "csv"
    assert facts["box_width"]["max"] == round(load_dataset(faces).boxes[:, 2].max(), 3)
    assert run("info", faces, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == facts


def test_info_reports_boxes_made_from_landmarks_missing_ones_and_broken_images(own_faces, capsys):
    rows = [line.split(",") for line in own_faces.read_text().splitlines()]
    table = [[row[0], *row[5:]] for row in rows]
    table[1][1:3] = "", ""
    own_faces.write_text("\n".join(",".join(row) for row in table))
    (own_faces.parent / rows[2][0]).write_bytes(b"nothing")
    assert run("info", own_faces) == 0
    printed = capsys.readouterr().out
    assert "boxes: all are the squares around the landmarks" in printed
    assert "missing: 0 in 1" in printed or "missing: 00 in 1" in printed
    assert "1 image cannot be read" in printed


@pytest.mark.parametrize("suffix", [".csv", "json"])
def test_parts_are_read_back_with_the_same_points(faces, tmp_path, capsys, suffix):
    out = tmp_path / "parts"
    assert run("split", faces, "--out", out, "--parts", "a=.5,b=.25,c=.25", "--to", suffix) == 0
    assert "8 objects (50.0%), 8 groups" in capsys.readouterr().err
    whole = load_dataset(faces)
    parts = [load_dataset(out / f"{name}.{suffix.lstrip('.')}") for name in "abc"]
    places = {file.resolve(): i for i, file in enumerate(whole.files)}
    for part in parts:
        assert_same(part, whole.subset([places[file.resolve()] for file in part.files]))
    together = sorted(file.resolve() for part in parts for file in part.files)
    assert together == sorted(places)


def test_folds_hold_each_object_once_for_testing(faces, tmp_path):
    assert run("split", faces, "--out", tmp_path, "--folds", 3, "--seed", 5) == 0
    files = {file.resolve() for file in load_dataset(faces).files}
    tested = []
    for k in range(3):
        train, test = (
            {file.resolve() for file in load_dataset(tmp_path / f"fold{k}_{name}.csv").files}
            for name in ("train", "test")
        )
        assert train | test == files
        assert not train & test
        tested += test
    assert sorted(tested) == sorted(files)


@pytest.mark.parametrize("group", [r"face_00(\d)", "{table}:person"])
def test_groups_stay_together(faces, tmp_path, group):
    table = tmp_path / "people.csv"
    rows = [f"face_{i:04}.png,{f'{i:04}'[2]}" for i in range(16)]
    table.write_text("\n".join(["image,person", *rows]))
    assert run("split", faces, "--out", tmp_path, "--group", group.format(table=table)) == 0
    train, test = ({f.name[7] for f in load_dataset(tmp_path / f"{n}.csv").files} for n in ("train", "test"))
    assert sorted(map(len, (train, test))) == [1, 1]
    assert not train & test


def test_copies_of_an_image_stay_together(own_faces, tmp_path):
    # The copies differ in their bytes: compression leaves the pixels alone.
    first = own_faces.parent / "face_0000.png"
    for i in range(1, 12):
        Image.open(first).save(own_faces.parent / f"face_{i:04}.png", compress_level=i % 9)
    out = tmp_path / "out"
    assert run("split", own_faces, "--out", out, "--parts", "train=0.8,test=0.2") == 0
    names = [{f.name for f in load_dataset(out / f"{n}.csv").files} for n in ("train", "test")]
    copies = {f"face_{i:04}.png" for i in range(12)}
    assert sorted(len(copies & part) for part in names) == [0, 12]


def test_split_does_not_replace_what_it_reads(own_faces, capsys):
    before = own_faces.read_bytes()
    message = refused(capsys, "split", own_faces, "--out", own_faces.parent, "--parts", "landmarks=.5,b=.5")
    assert "landmarks.csv: already exists" in message
    assert own_faces.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "train"], "NAME=FRACTION"),
        (["--parts", "a=.5,A=.5"], "each name once"),
        (["--parts", "../a=.5,b=.5"], "NAME=FRACTION"),
        (["--parts", "a=.5,b=.4"], "sum of 1"),
        (["--parts", "a=1", "--folds", "3"], "one of the two"),
        (["--folds", "1"], "at least 2"),
        (["--folds", "17"], "17 folds: at least 17 images or groups are needed, got 16"),
        (["--group", "folder"], "2 parts: at least 2 images or groups are needed, got 1"),
        (["--group", "("], "not a regular expression"),
        (["--group", "no.csv:person"], "no.csv"),
        (["--seed", "-1"], "seed -1"),
        (["--to", "pts"], "expected one of .xml"),
    ],
)
def test_splits_that_cannot_be_are_refused(faces, tmp_path, capsys, options, message):
    assert message in refused(capsys, "split", faces, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_split_refuses_images_that_cannot_be_read(own_faces, tmp_path, capsys):
    (own_faces.parent / "face_0002.png").write_bytes(b"nothing")
    assert "face_0002.png" in refused(capsys, "split", own_faces, "--out", tmp_path / "out")


@pytest.mark.parametrize("options", [[], ["--scheme", "face68"], ["--map", MAP]])
def test_mirrored_images_and_annotations(faces, tmp_path, options):
    out = tmp_path / "mirrored"
    assert run("mirror", faces, "--out", out, *options) == 0
    whole, mirrored = load_dataset(faces), load_dataset(out / "mirrored.csv")
    for file, copy in zip(whole.files, mirrored.files, strict=True):
        np.testing.assert_array_equal(load_image(copy), load_image(file)[:, ::-1])
    swapped = whole.landmarks[:, list(FACE68_MIRROR)]
    np.testing.assert_allclose(mirrored.landmarks[..., 0], 127 - swapped[..., 0], atol=1e-6)
    np.testing.assert_allclose(mirrored.landmarks[..., 1], swapped[..., 1], atol=1e-6)
    lefts = 128 - whole.boxes[:, 0] - whole.boxes[:, 2]
    np.testing.assert_allclose(mirrored.boxes[:, 0], lefts, atol=1e-6)


def test_mirrored_twice_is_the_original(faces, tmp_path):
    once, twice = tmp_path / "once.json", tmp_path / "twice.csv"
    assert run("mirror", faces, "--out", once) == 0
    assert run("mirror", once, "--out", twice) == 0
    whole, back = load_dataset(faces), load_dataset(twice)
    np.testing.assert_allclose(back.landmarks, whole.landmarks, atol=1e-5)
    np.testing.assert_allclose(back.boxes, whole.boxes, atol=1e-5)
    np.testing.assert_array_equal(load_image(back.files[3]), load_image(whole.files[3]))


def test_mirror_overwrites_nothing(own_faces, capsys):
    folder = own_faces.parent
    (folder / "face_0001_mirrored.png").write_bytes(b"precious")
    assert run("mirror", own_faces, "--out", folder) == 0
    assert (folder / "face_0001_mirrored.png").read_bytes() == b"precious"
    copies = [file.name for file in load_dataset(folder / "mirrored.csv").files]
    assert copies[:2] == ["face_0000_mirrored.png", "face_0001_mirrored_2.png"]
    before = sorted(folder.iterdir())
    assert "already exists" in refused(capsys, "mirror", own_faces, "--out", folder)
    assert sorted(folder.iterdir()) == before


def test_a_mirroring_that_fails_leaves_no_images(own_faces, tmp_path, capsys):
    damaged = own_faces.parent / "face_0005.png"
    damaged.write_bytes(damaged.read_bytes()[:400])
    assert "face_0005.png" in refused(capsys, "mirror", own_faces, "--out", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scheme", "wings"], "'wings', expected face5 or face68"),
        (["--map", "1,0"], "map of 2"),
        (["--map", "1,x"], "expected integers separated by commas"),
        (["--map", MAP, "--scheme", "face68"], "one of the two"),
    ],
)
def test_mirror_maps_that_are_none_are_refused(faces, tmp_path, capsys, options, message):
    assert message in refused(capsys, "mirror", faces, "--out", tmp_path / "out", *options)


def test_mirror_asks_for_a_map_where_no_scheme_is_known(tmp_path, capsys):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    (tmp_path / "two.csv").write_text("image,x0,y0,x1,y1\na.png,1,2,11,6\n")
    assert "expected --map" in refused(capsys, "mirror", tmp_path / "two.csv", "--out", tmp_path / "out")


def test_check_finds_nothing_in_good_data(faces, capsys):
    assert run("check", faces) == 0
    assert capsys.readouterr().out == "16 objects in 16 images: no findings\n"


def test_check_reports_mistakes(own_faces, tmp_path, capsys):
    (own_faces.parent / "face_0002.png").write_bytes(b"nothing")
    shutil.copy(own_faces.parent / "face_0003.png", own_faces.parent / "face_0004.png")
    rows = [line.split(",") for line in own_faces.read_text().splitlines()]
    rows[8][5] = "-50"
    own_faces.write_text("\n".join(map(",".join, rows)))
    out = tmp_path / "found.json"
    assert run("check", own_faces, "--json", out) == 1
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    named = {(finding["kind"], Path(finding["file"]).name, finding["object"]) for finding in found["findings"]}
    assert named >= {
        ("unreadable image", "face_0002.png", None),
        ("duplicated image", "face_0004.png", None),
        ("landmarks outside the image", "face_0007.png", 7),
    }
    assert "face_0007.png: object 7: " in printed
    assert printed.endswith(f"16 objects in 16 images: {len(found['findings'])} findings\n")
    assert (found["images"], found["objects"]) == (16, 16)


def test_check_does_not_stop_at_the_first_fault(own_faces, tmp_path, capsys):
    folder = own_faces.parent
    (folder / "face_0002.png").write_bytes((folder / "face_0002.png").read_bytes()[:-100])
    for i in (1, 5):
        (folder / f"face_000{i}.png").unlink()
    rows = [line.split(",") for line in own_faces.read_text().splitlines()]
    for i in (4, 8, 9):
        rows[1 + i][5:] = [""] * (len(rows[0]) - 5)
    own_faces.write_text("\n".join(map(",".join, rows)))
    refused(capsys, "info", own_faces)
    assert run("check", own_faces) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "image not found: 2"
    assert lines[1].startswith(f"  {own_faces}:3: image 'face_0001.png' not found, expected it in {folder}")
    assert lines[3] == "no landmarks: 3"
    assert lines[4:7] == [f"  {own_faces}:{i + 2}: no landmarks" for i in (4, 8, 9)]
    assert lines[7:9] == [
        "unreadable image: 1",
        f"  {folder / 'face_0002.png'}: the image is corrupt or truncated: image file is truncated",
    ]
    assert lines[-1] == "11 objects in 11 images: 6 findings"
    sheet = tmp_path / "sheet.png"
    assert run("show", own_faces, "--skip-bad", "--suspicious", "--out", sheet) == 0
    assert "no findings that can be shown" in capsys.readouterr().err
    assert run("info", own_faces, "--skip-bad") == 0
    captured = capsys.readouterr()
    assert "10 objects in 10 images" in captured.out
    errors = captured.err.splitlines()
    assert f"{own_faces}: 2 of 16 objects left out (image not found), first: {own_faces}:3: image" in errors[0]
    assert f"{own_faces}: 3 of 16 objects left out (no landmarks), first: {own_faces}:6: no landmarks" == errors[1]
    assert f"{own_faces}: 1 of 16 objects left out (unreadable image), first: {folder / 'face_0002.png'}" in errors[2]


def test_check_lists_faults_where_nothing_is_left(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text("image,a_x,a_y,b_x,b_y,c_x,c_y\nno.png,1,2,3,4,,\nno2.png,1,2,3,4,,\n")
    assert run("check", path) == 1
    assert capsys.readouterr().out.splitlines()[::3] == ["image not found: 2", "0 objects in 0 images: 2 findings"]
    Image.new("L", (20, 10)).save(tmp_path / "no.png")
    assert run("check", path) == 1
    assert f"missing landmarks: 1\n  {path}: landmark 'c' is missing in all objects\n" in capsys.readouterr().out


def test_check_prints_some_of_many_and_json_all(own_faces, capsys):
    rows = [line.split(",") for line in own_faces.read_text().splitlines()]
    for row in rows[1:15]:
        row[5:7] = "", ""
    own_faces.write_text("\n".join(map(",".join, rows)))
    assert run("check", own_faces) == 1
    assert "missing landmarks: 14" in (printed := capsys.readouterr().out)
    assert "... and 4 more" in printed
    assert run("check", own_faces, "--json", "-") == 1
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 14


def test_show_draws_a_sheet_that_depends_on_the_seed(faces, tmp_path, capsys):
    sheets = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.png"
        assert run("show", faces, "--out", out, "--n", 3, "--seed", seed) == 0
        assert "3 of 16 objects" in capsys.readouterr().err
        sheets.append(load_image(out))
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])
    assert sheets[0].shape[1] > 3 * 256 - 1


def test_show_suspicious(own_faces, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert run("show", own_faces, "--out", out, "--suspicious") == 0
    assert not out.exists()
    (own_faces.parent / "face_0002.png").write_bytes(b"nothing")
    shutil.copy(own_faces.parent / "face_0003.png", own_faces.parent / "face_0004.png")
    rows = [line.split(",") for line in own_faces.read_text().splitlines()]
    rows[8][5] = "-5000"
    rows[3][5:7] = "", ""
    own_faces.write_text("\n".join(map(",".join, rows)))
    assert run("show", own_faces, "--out", out, "--suspicious") == 0
    assert "2 of 16 objects" in capsys.readouterr().err
    assert load_image(out).shape[1] > 2 * 256


def test_show_a_huge_box(own_faces, tmp_path):
    rows = [line.split(",") for line in own_faces.read_text().splitlines()[:2]]
    rows[1][1:5] = "-500000", "-500000", "1000000", "1000000"
    own_faces.write_text("\n".join(map(",".join, rows)))
    assert run("show", own_faces, "--out", tmp_path / "sheet.png") == 0
    # The face is in the middle of the thumbnail, at a third of its size.
    assert load_image(tmp_path / "sheet.png")[8:264, 8:264][100:156, 100:156].mean() > 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "{}/sheet.txt"], "image file ending in .png"),
        (["--out", "{}/none/sheet.png"], "no folder"),
        (["--out", "{}/sheet.png", "--n", "0"], "--n 0"),
        (["--out", "{}/sheet.png", "--seed", "-3"], "--seed -3"),
    ],
)
def test_sheets_that_cannot_be_are_refused(faces, tmp_path, capsys, options, message):
    arguments = [option.format(tmp_path) for option in options]
    assert message in refused(capsys, "show", faces, *arguments)


@pytest.mark.parametrize("command", [["info"], ["check"], ["split", "--out=x"], ["mirror", "--out=x"]])
def test_every_command_refuses_what_is_no_dataset(tmp_path, capsys, command):
    message = refused(capsys, *command, tmp_path / "none.xml")
    assert "none.xml: no such file" in message


def test_boxes_split_and_image_folders_are_taken(faces, tmp_path, capsys):
    names = [file.name for file in load_dataset(faces).files]
    splits = ["train" if i < 5 else "test" for i in range(16)]
    rows = [f"{name},{split},1,2,60,70" for name, split in zip(names, splits, strict=True)]
    table = faces.parent / "boxes.csv"
    table.write_text("\n".join(["image,split,my_left,my_top,my_width,my_height", *rows]))
    moved = tmp_path / "alone.csv"
    shutil.copy(faces, moved)
    options = ["--images", faces.parent, "--boxes", f"{table}:my", "--split", "train"]
    try:
        assert run("info", moved, *options) == 0
    finally:
        table.unlink()
    printed = capsys.readouterr().out
    assert "5 objects in 5 images" in printed
    assert "box width: 60 to 60, median 60; height: 70 to 70" in printed


def test_dlibs_order_of_parts_is_kept(faces, tmp_path):
    xml = faces.with_suffix(".xml")
    renamed = tmp_path / "labels.xml"
    renamed.write_text(xml.read_text().replace("name='0", "name='").replace("file='", f"file='{faces.parent}/"))
    for order in ("natural", "dlib"):
        out = tmp_path / order
        assert run("split", renamed, "--out", out, "--part-order", order, "--parts", "all=1") == 0
        expected = load_dataset(renamed, part_order=order)
        read = load_dataset(out / "all.csv")
        assert read.landmark_names == expected.landmark_names
        assert_same(read, expected)
    assert expected.landmark_names[:3] == ("0", "1", "10")


def test_300w_is_checked_and_little_is_named(shared, tmp_path):
    folder = shared / "300w"
    out = tmp_path / "found.json"
    boxes = f"{folder / 'boxes.csv'}:dlib"
    assert run("check", folder / "afw", "--boxes", boxes, "--json", out) == 1
    found = json.loads(out.read_text())
    assert 0 < len(found["findings"]) < 0.03 * found["objects"]


def test_landmarks_are_not_called_missing_where_no_object_is_left(tmp_path, capsys):
    Image.new("L", (80, 60)).save(tmp_path / "a.png")
    (tmp_path / "x.csv").write_text("image,x0,y0,x1,y1\na.png,NA,NA,5,6\n")
    assert run("check", tmp_path / "x.csv") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "invalid annotation: 1"
    assert "the box around the landmarks is 0 wide and 0 high" in lines[1]
    assert lines[2:] == ["0 objects in 0 images: 1 finding"]


def test_the_number_of_threads_changes_no_picture_and_no_finding(faces, own_faces, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ert.cli.common.PROGRESS_SECONDS", math.inf)
    (own_faces.parent / "face_0003.png").write_bytes(b"no image")
    results = []
    for jobs in (1, 3):
        assert run("show", faces, "--out", tmp_path / "sheet.png", "--n", 9, "--jobs", jobs) == 0
        assert run("check", own_faces, "--json", "-", "--jobs", jobs) == 1
        results.append(((tmp_path / "sheet.png").read_bytes(), capsys.readouterr()))
    assert results[0] == results[1]
