import os
import unicodedata
from pathlib import Path

import pytest
from helpers import write
from PIL import Image

from ert import InputError
from ert._core.images import load_image
from ert.datasets import load_dataset, table_groups
from ert.datasets.finder import IMAGE_SUFFIXES, ImageFinder, image_by_stem, suffix_notes
from ert.evaluation.attributes import read_table

EMPTY_COCO = '{{"images": [{{"id": 1, "file_name": "{name}"}}], "categories": [{{"id": 1, "keypoints": ["a", "b"]}}], '
EMPTY_COCO += '"annotations": [{{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 5, 2]}}]}}'
# A dataset of one object in each format that stores the name of the image.
FORMATS = {
    ".xml": "<dataset><images><image file='{name}'><box top='1' left='1' width='4' height='5'>"
    "<part name='a' x='1' y='2'/><part name='b' x='3' y='5'/></box></image></images></dataset>",
    ".csv": "image,a_x,a_y,b_x,b_y\n{name},1,2,3,5\n",
    ".tps": "LM=2\n1 2\n3 5\nIMAGE={name}\n",
    ".json": EMPTY_COCO,
}
WINDOWS = r"C:\work\train_1\pics\leaf0.png"


def touch(*files: Path) -> None:
    for file in files:
        write(file, b"")


def find(folder: Path, name: str, image_folder: Path | None = None) -> Path:
    found = ImageFinder(folder / "labels.csv", image_folder).find(name, "here")
    if found.fault is not None:
        raise InputError(found.fault)
    return found.file


def dataset_of(folder: Path, suffix: str, name: str) -> Path:
    name = name.replace("\\", r"\\") if suffix == ".json" else name
    return write(folder / f"labels{suffix}", FORMATS[suffix].format(name=name))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pics").mkdir()
    Image.new("L", (20, 10)).save(tmp_path / "pics" / "leaf0.png")
    return tmp_path


@pytest.mark.parametrize("suffix", FORMATS)
def test_names_of_other_machines_in_every_format(folder, suffix):
    leaf = folder / "pics" / "leaf0.png"
    for name in (r"pics\leaf0.png", "./pics/leaf0.png", WINDOWS, "/home/x/pics/leaf0.png", r"\\server\pics\leaf0.png"):
        assert load_dataset(dataset_of(folder, suffix, name)).files == [leaf], name
    other = folder / "labels" / "of" / "others"
    urls = ("https://a.org/data/leaf0.png?size=1#x", "file:///C:/leaf0.png", "s3://bucket/pics/leaf0.png")
    for name in ("leaf0.png", "pics/leaf0.png", "LEAF0.PNG", WINDOWS, "/home/x/leaf0.png", *urls):
        path = dataset_of(other, suffix, name)
        assert load_dataset(path, image_folder=folder / "pics").files == [leaf], name
        with pytest.raises(InputError, match=r"not found, expected it in .*others or its subfolders; give another"):
            load_dataset(path)


def test_a_name_is_taken_as_written_first(tmp_path):
    backslash = "a\\b.png" if os.name != "nt" else "a/b.png"
    touch(tmp_path / backslash, tmp_path / "a" / "b.png", tmp_path / "c.png", tmp_path / "a" / "c.png")
    assert find(tmp_path, backslash) == tmp_path / backslash
    assert find(tmp_path, "a/c.png") == tmp_path / "a" / "c.png"
    assert find(tmp_path, "c.png") == tmp_path / "c.png"
    assert find(tmp_path, str(tmp_path / "c.png"), tmp_path / "a") == tmp_path / "c.png"
    assert find(tmp_path, "../c.png", tmp_path / "a") == tmp_path / "a" / ".." / "c.png"


def test_case_counts_only_where_it_has_to(tmp_path):
    if (tmp_path / "Pics").mkdir() or (tmp_path / "pics").exists():
        pytest.skip("the file system ignores case")
    touch(tmp_path / "Pics" / "Leaf.JPG", tmp_path / "A.png", tmp_path / "a.PNG", tmp_path / "sub" / "a.png")
    assert find(tmp_path, "pics/leaf.jpg") == tmp_path / "Pics" / "Leaf.JPG"
    assert find(tmp_path, "leaf.jpg") == tmp_path / "Pics" / "Leaf.JPG"
    # The exact name in a subfolder is nearer than another case beside the annotations.
    assert find(tmp_path, "a.png") == tmp_path / "sub" / "a.png"
    with pytest.raises(InputError, match=r"here: ambiguous image name 'a\.Png' \(.*A\.png or .*a\.PNG\); give a path"):
        find(tmp_path, "a.Png")


def test_letters_in_other_encodings(tmp_path):
    touch(tmp_path / "Zoë.png", tmp_path / unicodedata.normalize("NFD", "Hügel.png"), tmp_path / "d…e.png")
    for name in ("Zoë.png", "Zoë.png".encode().decode("latin-1"), "Zoë.png".encode().decode("cp1252")):
        assert find(tmp_path, name) == tmp_path / "Zoë.png"
    assert find(tmp_path, "d\x85e.png") == tmp_path / "d…e.png"
    assert find(tmp_path, "hügel.png").name == unicodedata.normalize("NFD", "Hügel.png")


def test_names_lead_nowhere_outside_the_folder_of_the_images(tmp_path):
    touch(tmp_path / "secret.png", tmp_path / "images" / "a.png")
    labels = tmp_path / "images" / "deep"
    for name in ("x/../../secret.png", r"..\..\secret.png", "https://a.org/../../secret.png", "..", "/", "C:\\", ""):
        with pytest.raises(InputError, match="not found"):
            find(labels, name, tmp_path / "images")
    assert find(labels, "../../a.png", tmp_path / "images") == tmp_path / "images" / "a.png"
    with pytest.raises(InputError, match="not found"):
        find(labels, "a\0.png", tmp_path / "images")


def test_two_names_do_not_become_one_image(tmp_path):
    touch(tmp_path / "1.png", tmp_path / "dog" / "1.png")
    finder = ImageFinder(tmp_path / "labels.csv", tmp_path)
    assert finder.find("cat/1.png", "line 1").file == tmp_path / "1.png"
    assert finder.find(r"cat\1.png", "line 2").file == tmp_path / "1.png"
    with pytest.raises(InputError, match=r"line 3: both 'cat/1\.png' and 'cow/1\.png' would be .*1\.png, expected"):
        finder.find("cow/1.png", "line 3")
    # A name without the folders that tell images apart is not looked for in other folders.
    (tmp_path / "1.png").unlink()
    assert ImageFinder(tmp_path / "labels.csv").find("cat/1.png", "").fault is not None
    assert ImageFinder(tmp_path / "labels.csv").find(r"C:\cat\1.png", "").fault is not None


@pytest.mark.parametrize("name", [r"pics\leaf0.png", "LEAF0.png", "leaf0.png", WINDOWS, "https://a.org/pics/leaf0.png"])
def test_names_in_tables_about_images(folder, name):
    labels = write(folder / "labels.csv", FORMATS[".csv"].format(name="pics/leaf0.png"))
    boxes = write(folder / "boxes.csv", f"image,left,top,width,height\n{name},1,2,3,4\n")
    data = load_dataset(labels, boxes=str(boxes))
    assert data.boxes.tolist() == [[1, 2, 3, 4]]
    groups = write(folder / "groups.csv", f"image,person\n{name},ann\n")
    assert table_groups(data.files, f"{groups}:person") == ["ann"]
    assert read_table(groups, data, folder) == {"person": ["ann"]}


def test_tables_elsewhere(folder):
    labels = write(folder / "labels.csv", FORMATS[".csv"].format(name="leaf0.png"))
    boxes = write(folder / "tables" / "boxes.csv", "image,left,top,width,height\ntrain/leaf0.png,1,2,3,4\n")
    data = load_dataset(labels, boxes=str(boxes), image_folder=folder / "pics")
    assert data.boxes.tolist() == [[1, 2, 3, 4]]
    # Of absolute paths of another machine, the name decides if it has one group only.
    rows = [r"C:\a\leaf0.png,ann", r"C:\b\leaf0.png,ann", "other/leaf1.png,bob"]
    groups = write(folder / "tables" / "groups.csv", "\n".join(["image,person", *rows]))
    assert table_groups(data.files, f"{groups}:person") == ["ann"]
    write(groups, groups.read_text() + "\n/c/leaf0.png,eve\n")
    with pytest.raises(InputError, match="no group in"):
        table_groups(data.files, f"{groups}:person")
    with pytest.raises(InputError, match="no group in"):
        table_groups([folder / "leaf1.png"], f"{groups}:person")


def test_folders_are_listed_once(tmp_path, monkeypatch):
    n = 300
    touch(*(tmp_path / "pics" / f"{i}.png" for i in range(n)))
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(str(path)) or listdir(path))
    finder = ImageFinder(tmp_path / "labels.csv")
    for i in range(n):
        assert finder.find(rf"pics\{i}.PNG", "").fault is None
        assert finder.find(f"no{i}.png", "").fault is not None
    assert len(listed) == len(set(listed)) <= 3


@pytest.mark.parametrize("suffix", [".pts", ".tem", ".ljson"])
@pytest.mark.parametrize("image", ["x.pgm", "x.PPM", "x.gif", "x.jp2", "x.jfif", "X.tiff"])
def test_images_of_all_kinds_beside_annotations(tmp_path, suffix, image):
    texts = {
        ".pts": "version: 1\nn_points: 2\n{\n1 2\n3 4\n}\n",
        ".tem": "2\n1\t2\n3\t4\n",
        ".ljson": '{"version": 2, "landmarks": {"points": [[1, 2], [3, 4]]}}',
    }
    write(tmp_path / f"x{suffix}", texts[suffix])
    touch(tmp_path / image, tmp_path / "x.txt")
    assert load_dataset(tmp_path).files == [tmp_path / image]


def test_every_image_that_can_be_read_is_found_by_its_suffix(tmp_path):
    Image.init()
    for suffix, kind in Image.registered_extensions().items():
        if kind in Image.OPEN and kind in Image.SAVE:
            for mode in ("RGB", "L", "P", "1"):
                try:
                    Image.new(mode, (64, 64)).save(tmp_path / f"a{suffix}", kind)
                    load_image(tmp_path / f"a{suffix}")
                except Exception:
                    continue
                assert suffix in IMAGE_SUFFIXES
                break


def test_the_usual_kind_of_image_comes_first():
    names = ["a.gif", "a.png", "a.jpg", "b.ppm", "b.GIF", "c.txt"]
    assert image_by_stem(names) == {"a": "a.jpg", "b": "b.GIF"}


def test_names_without_suffix_and_with_another_one(tmp_path):
    for name in ("a.png", "b.png", "b.jpg", "c.d.tif", "in/e.png", "notes.txt"):
        write(tmp_path / name, "")
    finder = ImageFinder(tmp_path / "x.csv", any_suffix=True)
    assert finder.find("a", "here") == (tmp_path / "a.png", None)
    assert finder.find("A", "here") == (tmp_path / "a.png", None)
    assert finder.find("a.jpg", "here").fault.startswith("here: both 'a' and 'a.jpg' would be")
    assert finder.find("c.d", "here") == (tmp_path / "c.d.tif", None)
    assert finder.find("E.JPG", "here") == (tmp_path / "in" / "e.png", None)
    assert finder.find("C:\\other\\in\\e.JPG", "here").fault.startswith("here: both 'E.JPG' and")
    assert finder.find("b", "here").fault.startswith("here: ambiguous image name 'b' (")
    assert finder.find("notes", "here").fault.startswith("here: image 'notes' not found")
    assert finder.find("a.png", "here").fault.startswith("here: both 'a' and 'a.png' would be")
    assert finder.find("b.png", "here") == (tmp_path / "b.png", None)
    assert finder.find("b.tif", "here").fault.startswith("here: ambiguous image name 'b.tif'")
    strict = ImageFinder(tmp_path / "x.json")
    assert strict.find("a.jpg", "here").fault.startswith("here: image 'a.jpg' not found")
    assert strict.find("a", "here") == (tmp_path / "a.png", None)
    assert suffix_notes("a.JPG", tmp_path / "a.png") == ("the image has another suffix than its name",)
    assert suffix_notes("a.PNG", tmp_path / "a.png") == suffix_notes("c.d", tmp_path / "c.d.tif") == ()
