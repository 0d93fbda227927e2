from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset, load_dataset
from ert.datasets.parsing import natural_key
from ert.datasets.write import write_dataset

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")

FORMATS = ("imglab", "csv", "tps", "coco", "pts", "tem", "ljson")
FOLDERS = ("pts", "tem", "ljson")
WITH_BOXES = ("imglab", "csv", "coco")
NUMBERED = ("tps", "pts", "tem")
SUFFIXES = {"imglab": ".xml", "csv": ".csv", "tps": ".tps", "coco": ".json"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    files = [folder / "a 1.png", folder / "b&'2.png", folder / "Zoë,3.png"]
    for i, file in enumerate(files):
        Image.new("L", (50 + i, 40 + 3 * i)).save(file)
    return files


def dataset(files, landmarks, names=None, boxes=None):
    landmarks = np.array(landmarks, float)
    names = tuple(names or map(str, range(landmarks.shape[1])))
    boxes = np.tile([1.0, 2, 30, 40], (len(landmarks), 1)) if boxes is None else np.array(boxes, float)
    return Dataset(list(files), boxes, landmarks, names, "made up")


@st.composite
def datasets(draw, files):
    """Draw what every reader takes: two landmarks in each object, three pixels apart, and each in one."""
    text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6)
    names = draw(
        st.lists(
            st.one_of(st.sampled_from(["box", "left", "x1", "7", "10"]), text),
            min_size=2,
            max_size=5,
            unique=True,
        )
    )
    n = draw(st.integers(1, 4))
    number = st.one_of(st.integers(-60, 60).map(float), st.floats(-1e5, 1e5))
    numbers = [draw(st.lists(number, min_size=2 * len(names), max_size=2 * len(names))) for _ in range(n)]
    landmarks = np.array(numbers).reshape(n, len(names), 2)
    landmarks[:, 1] = landmarks[:, 0] + 3
    for i in range(1, n):
        for k in range(2, len(names)):
            if draw(st.booleans()):
                landmarks[i, k] = np.nan
    side = st.floats(1, 1e4)
    boxes = [(draw(number), draw(number), draw(side), draw(side)) for _ in range(n)]
    chosen = [files[draw(st.integers(0, len(files) - 1))] for _ in range(n)]
    return dataset(chosen, landmarks, names, boxes)


def as_read(data: Dataset, kind: str) -> Dataset:
    """Return what is left when a dataset has been through a format, but for rounding and boxes."""
    names, order = data.landmark_names, list(range(len(data.landmark_names)))
    if kind == "imglab":
        order.sort(key=lambda i: natural_key(names[i]))
    kept = tuple(map(str, range(len(names)))) if kind in NUMBERED else tuple(names[i] for i in order)
    rows = (
        sorted(range(len(data)), key=lambda i: natural_key(data.files[i].stem))
        if kind in FOLDERS
        else slice(None)
    )
    return Dataset(data.files, data.boxes, data.landmarks[:, order], kept, data.name).subset(rows)


def through(data: Dataset, kind: str, folder: Path) -> Dataset:
    path = folder / (kind + SUFFIXES.get(kind, ""))
    write_dataset(data, path, kind if kind in FOLDERS else None)
    where = data.files[0].parent if kind in FOLDERS else None
    return load_dataset(path, image_folder=where)


def clean(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("source", FORMATS)
def test_any_format_to_any_other_keeps_every_point(source, images, tmp_path):
    @settings(max_examples=30, deadline=None)
    @given(datasets(images))
    def check(data):
        for target in FORMATS:
            clean(tmp_path)
            (tmp_path / "there").mkdir()
            given_ = data
            if source in FOLDERS or target in FOLDERS:
                given_ = data.subset(np.unique([str(file) for file in data.files], return_index=True)[1])
                if np.isnan(given_.landmarks).all(axis=(0, 2)).any():
                    continue
            result = through(through(given_, source, tmp_path), target, tmp_path / "there")
            expected = as_read(as_read(given_, source), target)
            assert result.landmark_names == expected.landmark_names
            assert [file.resolve() for file in result.files] == [file.resolve() for file in expected.files]
            tolerance = 0.5005 if "imglab" in (source, target) else 1e-3
            np.testing.assert_allclose(result.landmarks, expected.landmarks, rtol=0, atol=tolerance)
            if source in WITH_BOXES and target in WITH_BOXES:
                np.testing.assert_allclose(result.boxes, expected.boxes, rtol=0, atol=tolerance)

    check()


def test_what_each_file_says(images, tmp_path):
    nan = float("nan")
    data = dataset(
        [images[0], images[0], images[1]],
        [[(1.25, 2), (3, 4)], [(5, 6), (nan, nan)], [(-7, 8), (9.5, 10)]],
        ["nose", "chin"],
    )
    notes = {kind: write_dataset(data, tmp_path / f"out{suffix}") for kind, suffix in SUFFIXES.items()}
    rounded = "landmarks and boxes are rounded to whole pixels"
    order = "landmarks will be read in the order of their names: imglab files keep no other"
    boxes, names = (
        "boxes are dropped: the format has none",
        "names of landmarks are dropped: the format numbers them",
    )
    assert notes == {"imglab": [rounded, order], "csv": [], "tps": [boxes, names], "coco": []}
    text = {
        kind: (tmp_path / f"out{suffix}").read_text(encoding="utf-8") for kind, suffix in SUFFIXES.items()
    }
    assert text["imglab"].count("<image ") == 2
    assert "<part name='nose' x='1' y='2'/>".replace("'nose'", '"nose"') in text["imglab"]
    assert text["csv"].splitlines()[0] == "image,left,top,width,height,nose_x,nose_y,chin_x,chin_y"
    assert text["csv"].splitlines()[2].endswith("/a 1.png,1,2,30,40,5,6,,")
    # The images are 40 and 43 pixels high.
    assert text["tps"].splitlines()[:3] == ["LM=2", "1.25 37", "3 35"]
    assert "5 33\n-1 -1\n" in text["tps"]
    assert "-7 34\n9.5 32\n" in text["tps"]
    one = data.subset([0, 2])
    folder = tmp_path / "folder"
    away = "2 images do not stand beside their .pts files: tell readers where they are"
    assert write_dataset(one, folder, "pts") == [away, boxes, names]
    assert (folder / "a 1.pts").read_text() == "version: 1\nn_points: 2\n{\n2.25 3\n4 5\n}\n"
    missing = dataset([images[0], images[1]], data.landmarks[1:])
    assert "missing landmarks are written as nan" in write_dataset(missing, tmp_path / "tem", "tem")[2]
    assert (tmp_path / "tem" / "a 1.tem").read_text() == "2\n5\t6\nnan\tnan\n0\n"


def test_images_beside_their_files_need_no_note(images, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(images[0].read_bytes())
    data = dataset([file], [[(1, 2), (3, 14)]])
    assert write_dataset(data, tmp_path, "ljson") == ["boxes are dropped: the format has none"]
    assert load_dataset(tmp_path).files == [file]
    write_dataset(data, tmp_path / "x.csv")
    assert "\na.png,1," in (tmp_path / "x.csv").read_text()


def test_names_of_images_hold_behind_links(images, tmp_path):
    real = tmp_path / "deep" / "real"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    data = dataset(images[:1], [[(1, 2), (3, 14)]])
    write_dataset(data, tmp_path / "link" / "x.csv")
    assert [file.resolve() for file in load_dataset(tmp_path / "link" / "x.csv").files] == [
        images[0].resolve()
    ]


def refused(message, data, path, format=None):
    with pytest.raises(InputError) as info:
        write_dataset(data, path, format)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_refuses_what_could_not_be_read_back(images, tmp_path):
    good, path, nan = [[(1, 2), (3, 14)]], tmp_path / "x.csv", float("nan")
    refused("no objects", dataset(images[:1], good).subset([]), path)
    refused("stands twice", dataset(images[:1], good, ["a", "a"]), path)
    for shape in ([(1, nan), (2, 2)], [(float("inf"), 1), (2, 2)], [(nan, nan), (nan, nan)]):
        refused(f"object 1 ({images[1]})", dataset(images[:2], [good[0], shape]), path)
    refused("object 0", dataset(images[:1], good, boxes=[(1, 1, 0, 4)]), path)
    refused("landmark 'b' is missing in all", dataset(images[:1], [[(1, 1), (nan, nan)]], ["a", "b"]), path)
    for name in ("a\nb", " a", "", "\ud800"):
        for suffix in (".csv", ".xml"):
            refused("a name that", dataset(images[:1], good, ["b", name]), tmp_path / f"x{suffix}")
    for suffix in (".csv", ".xml", ".tps"):
        file = tmp_path / "a\tb.png"
        file.write_bytes(images[0].read_bytes())
        refused("a name that", dataset([file], good), tmp_path / f"x{suffix}")
    refused("none.png: no such file", dataset([tmp_path / "none.png"], good), tmp_path / "x.tps")
    assert [file.name for file in tmp_path.iterdir()] == ["a\tb.png"]


def test_refuses_formats_that_do_not_fit_the_path(images, tmp_path):
    data = dataset(images[:1], [[(1, 2), (3, 14)]])
    refused("expected a file ending in .xml, .csv, .tps, .json, or the format pts", data, tmp_path / "x")
    refused("expected a file ending in .xml", data, tmp_path)
    refused("format is 'yaml', expected one of imglab, csv", data, tmp_path / "x.csv", "yaml")
    refused("expected a file ending in .tps for the format tps", data, tmp_path / "x.csv", "tps")
    refused("expected a file ending in .csv for the format csv", data, tmp_path, "csv")
    refused("expected a folder for the format pts", data, tmp_path / "x.csv", "pts")
    refused("there is no folder", data, tmp_path / "no" / "x.csv")
    refused("cannot be made", data, tmp_path / "no" / "x", "pts")
    (tmp_path / "file").touch()
    refused("cannot be made", data, tmp_path / "file", "pts")


def test_refuses_folders_that_would_be_read_otherwise(images, tmp_path):
    good = [[(1, 2), (3, 14)]]
    out = tmp_path / "out"
    twice = dataset([images[0], images[0]], good * 2)
    refused("it has several objects, expected one object for each .pts file", twice, out, "pts")
    same = dataset([images[0], tmp_path / "A 1.jpg"], good * 2)
    refused(f"{images[0]} has the same name", same, out, "tem")
    refused("a hidden file", dataset([tmp_path / ".a.png"], good), out, "tem")
    assert not out.exists()
    out.mkdir()
    (out / "a 1.jpg").touch()
    refused("would be taken for the image of its .pts file", dataset(images[:1], good), out, "pts")
    (out / "a 1.jpg").unlink()
    write_dataset(dataset(images[:1], good), out, "pts")
    write_dataset(dataset(images[:1], good), out, "pts")
    for other in ("tem", "pts"):
        refused("a 1.pts: of another dataset", dataset(images[1:2], good), out, other)


@needs_shared
def test_real_wings_through_every_format(tmp_path):
    wings = SHARED / "wings"
    data = load_dataset(
        wings / "landmark-examples" / "tps-example.tps", image_folder=wings / "image-examples"
    )
    for kind in FORMATS:
        result = through(data, kind, tmp_path)
        np.testing.assert_allclose(result.landmarks, data.landmarks, rtol=0, atol=1e-9)
        assert result.landmark_names == data.landmark_names
