import json

import pytest
from helpers import SHARED, write
from PIL import Image

from ert import InputError, load_dataset
from ert.datasets import check_dataset
from ert.datasets.dataset import concatenate

BOX = "<box top='1' left='1' width='4' height='5'>{}<part name='a' x='1' y='2'/><part name='b' x='3' y='4'/></box>"


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        Image.new("L", (20, 10), ord(name)).save(tmp_path / f"{name}.png")
    return tmp_path


def coco(folder, *categories, images=("a.png", "b.png"), **changed):
    """Write an annotation of two keypoints for each category, on the images in turn."""
    names = list(dict.fromkeys(categories))
    annotation = {"bbox": [1, 1, 4, 5], "keypoints": [1, 2, 2, 3, 4, 2]} | changed
    data = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(images)],
        "categories": [{"id": i, "name": name, "keypoints": ["a", "b"]} for i, name in enumerate(names)],
        "annotations": [
            {"image_id": i % len(images), "category_id": names.index(name)} | annotation
            for i, name in enumerate(categories)
        ],
    }
    return write(folder / "x.json", json.dumps(data))


def imglab(folder, *labels):
    boxes = "\n".join(BOX.format(f"<label>{label}</label>" if label else "") for label in labels)
    return write(folder / "x.xml", f"<dataset><images><image file='a.png'>\n{boxes}</image></images></dataset>")


@pytest.mark.parametrize(
    ("write_file", "option", "formats"), [(coco, "category", "coco"), (imglab, "label", "imglab and csv")]
)
def test_several_kinds_of_objects_are_not_one_model(folder, write_file, option, formats):
    path = write_file(folder, "cat", "dog", "cat")
    listed = rf"several values of {option}: 'cat' \(2 objects\), 'dog' \(1 object\); choose with --{option} NAME"
    with pytest.raises(InputError, match=listed):
        load_dataset(path)
    for value, n in (("cat", 2), ("dog", 1), (["cat", "dog"], 3), ("*", 3)):
        assert len(load_dataset(path, **{option: value})) == n
    with pytest.raises(InputError, match=rf"no object of {option} 'cow'; found: 'cat' \(2 objects\), 'dog'"):
        load_dataset(path, **{option: "cow"})
    assert len(load_dataset(write_file(folder, "cat", "cat"))) == 2
    with pytest.raises(InputError, match=f"{option} 'x', expected none: only {formats} files have it"):
        load_dataset(write(folder / "x.tps", "LM=0\n"), **{option: "x"})


def test_boxes_without_a_label(folder):
    path = imglab(folder, "cat", "", "")
    assert len(load_dataset(path)) == 3
    assert len(load_dataset(path, label="")) == 2


def test_faults_of_other_categories_do_not_matter(folder):
    path = coco(folder, "cat", "dog", images=("a.png", "absent.png"))
    assert len(load_dataset(path, category="cat")) == 1
    with pytest.raises(InputError, match=r"absent\.png"):
        load_dataset(path, category="dog")


def test_categories_without_landmarks_are_not_asked_about(folder):
    path = coco(folder, "cat", "dog")
    data = json.loads(path.read_text())
    del data["annotations"][1]["keypoints"], data["categories"][1]["keypoints"]
    dataset = load_dataset(write(path, json.dumps(data)))
    assert len(dataset) == 1
    assert [skipped.kind for skipped in dataset.skipped] == ["no landmarks"]


@pytest.mark.parametrize("bbox", [None, [1, 2, 0, 0], [1, 2, 0.0, 5]])
def test_boxes_of_no_size_in_coco(folder, bbox):
    assert load_dataset(coco(folder, "cat", bbox=bbox)).boxes.tolist() == [[1, 2, 2, 2]]
    path = coco(folder, "cat", bbox=bbox, keypoints=[1, 2, 2, 0, 0, 0])
    message = r"annotations\[0\]: the box around the landmarks is 0 wide and 0 high, .*; --boxes gives others"
    with pytest.raises(InputError, match=message):
        load_dataset(path)
    text = path.read_text().replace('["a", "b"]', '["a"]').replace("[1, 2, 2, 0, 0, 0]", "[1, 2, 2]")
    for boxes in (None, "image"):
        assert load_dataset(write(path, text), boxes=boxes).boxes.tolist() == [[0, 0, 20, 10]]


def test_bad_objects_are_left_out(folder):
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-30])
    rows = ["a.png,1,2,3,4", "no.png,1,2,3,4", "cut.png,1,2,3,4", "b.png,1,2,3,4", "b.png,,,,", "b.png,1,2,1,2"]
    path = write(folder / "x.csv", "\n".join(["image,a_x,a_y,b_x,b_y", *rows]))
    with pytest.raises(InputError, match=r"x\.csv:3: image 'no\.png' not found"):
        load_dataset(path)
    data = load_dataset(path, skip_bad=True)
    assert data.files == [folder / "a.png", folder / "b.png"]
    kinds = ["image not found", "no landmarks", "invalid annotation", "unreadable image"]
    assert [skipped.kind for skipped in data.skipped] == kinds
    assert [skipped.file.name for skipped in data.skipped] == ["no.png", "b.png", "b.png", "cut.png"]
    findings = check_dataset(data)
    assert {finding.kind for finding in findings} >= set(kinds)
    assert "4 objects left out" in repr(data)
    assert concatenate([data, data]).skipped == data.skipped * 2
    assert data.subset([0]).skipped == ()


def test_nothing_is_left(folder):
    path = write(folder / "x.csv", "image,a_x,a_y,b_x,b_y\nno.png,1,2,3,4\nno2.png,1,2,3,4\n")
    with pytest.raises(InputError, match=r"x\.csv: no annotated object, .*: .*x\.csv:2: image 'no\.png' not found"):
        load_dataset(path, skip_bad=True)


def test_boxes_with_odd_parts_are_bad(folder):
    path = imglab(folder, *[""] * 30)
    text = path.read_text().replace("name='b'", "name='bb'", 1)
    with pytest.raises(InputError, match="part 'bb' is in 1 of 30 boxes only"):
        load_dataset(write(path, text))
    data = load_dataset(path, skip_bad=True)
    assert (len(data), data.landmark_names) == (29, ("a", "b"))
    assert "part 'bb' is in 1 of 30 boxes only" in data.skipped[0].text


@pytest.mark.parametrize(
    ("suffix", "good", "bad"),
    [
        (".pts", "version: 1\nn_points: 2\n{\n1 2\n3 5\n}\n", "version: 1\nn_points: 2\n{\n1 2\n}\n"),
        (".tem", "2\n1\t2\n3\t5\n", "1\n1\t2\n"),
        (".ljson", '{"version": 2, "landmarks": {"points": [[1, 2], [3, 5]]}}', "{"),
    ],
)
def test_bad_files_of_a_folder_are_left_out(folder, suffix, good, bad):
    for stem in ("a", "no"):
        write(folder / f"{stem}{suffix}", good)
    write(folder / f"b{suffix}", bad)
    with pytest.raises(InputError, match=rf"b\{suffix}:"):
        load_dataset(folder)
    data = load_dataset(folder, skip_bad=True)
    assert data.files == [folder / "a.png"]
    assert [skipped.kind for skipped in data.skipped] == ["invalid annotation", "image not found"]


def test_bad_annotations_of_coco_are_left_out(folder):
    path = coco(folder, "cat", "cat")
    data = json.loads(path.read_text())
    data["annotations"][0]["keypoints"] = [1]
    dataset = load_dataset(write(path, json.dumps(data)), skip_bad=True)
    assert len(dataset) == 1
    assert "annotations[0]: keypoints are a list of 1" in dataset.skipped[0].text


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("x.csv", "image,a_x,a_y,b_x,b_y\na.png,1,2,3,4\nb.png,1,two,3,4\n", "x.csv:3: column 'a_y' is 'two'"),
        ("x.tps", "LM=2\n1 2\n3 4\nIMAGE=a.png\nLM=1\n1 2\nIMAGE=b.png\n", "x.tps:5: 1 landmark, expected 2 as in"),
    ],
)
def test_bad_rows_and_specimens_are_left_out(folder, name, text, fault):
    path = write(folder / name, text)
    with pytest.raises(InputError, match=fault):
        load_dataset(path)
    data = load_dataset(path, skip_bad=True)
    assert data.files == [folder / "a.png"]
    assert fault in data.skipped[0].text


def test_the_whole_image_as_box(folder):
    path = write(folder / "x.csv", "image,left,top,width,height,a_x,a_y,b_x,b_y\na.png,1,1,3,3,1,2,3,4\n")
    assert load_dataset(path, boxes="image").boxes.tolist() == [[0, 0, 20, 10]]
    with pytest.raises(InputError, match="split 'x' without boxes"):
        load_dataset(path, boxes="image", split="x")
    (folder / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png: is empty"):
        load_dataset(path, boxes="image")


CASES = SHARED.parent / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the files of ../shared/cases")
@pytest.mark.parametrize(
    ("file", "options", "n", "n_skipped"),
    [
        ("01-xml-windows-relative/a.xml", {}, 6, 0),
        ("02-xml-windows-absolute/a.xml", {"image_folder": "pics"}, 6, 0),
        ("04-csv-tps-windows-paths/rel.csv", {}, 4, 0),
        ("04-csv-tps-windows-paths/rel.csv", {"image_folder": "images"}, 4, 0),
        ("04-csv-tps-windows-paths/rel.tps", {"image_folder": "images"}, 4, 0),
        ("04-csv-tps-windows-paths/abs.tps", {"image_folder": "images"}, 4, 0),
        ("04-csv-tps-windows-paths/plain.tps", {}, 4, 0),
        ("06-xml-boxes-without-parts/a.xml", {}, 8, 0),
        ("06-xml-boxes-without-parts/b.xml", {}, 5, 3),
        ("15-coco-one-keypoint-zero-bbox/cvat_one.json", {}, 6, 0),
        ("15-coco-one-keypoint-zero-bbox/nobox.json", {}, 6, 0),
        ("45-one-bad-image-among-many/cut.xml", {"skip_bad": True}, 9, 1),
        ("45-one-bad-image-among-many/gone.xml", {"skip_bad": True}, 9, 3),
    ],
)
def test_files_that_people_have(file, options, n, n_skipped):
    path = CASES / file
    if "image_folder" in options:
        options = options | {"image_folder": path.parent / options["image_folder"]}
    data = load_dataset(path, **options)
    assert (len(data), len(data.skipped)) == (n, n_skipped)
