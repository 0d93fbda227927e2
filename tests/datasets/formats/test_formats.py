from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets import Dataset, dataset_format, load_dataset, write_dataset
from ert.datasets.formats import FILE_FORMATS, FOLDER_FORMATS, FORMATS, Format
from ert.datasets.parsing import Annotation, natural_key

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")


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
    """Draw what every reader accepts: two landmarks per object, three pixels apart; all are used."""
    text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6)
    names = draw(
        st.lists(
            st.one_of(st.sampled_from(["box", "left", "x1", "7", "10"]), text), min_size=2, max_size=5, unique=True
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


def as_read(data: Dataset, format: Format) -> Dataset:
    """Return what a dataset becomes when it is written and read, up to rounding and boxes."""
    names, order = data.landmark_names, list(range(len(data.landmark_names)))
    if not format.ordered:
        order.sort(key=lambda i: natural_key(names[i]))
    kept = tuple(names[i] for i in order) if format.names else tuple(map(str, range(len(names))))
    rows = slice(None)
    if format.folder:
        rows = sorted(range(len(data)), key=lambda i: natural_key(data.files[i].stem))
    return Dataset(data.files, data.boxes, data.landmarks[:, order], kept, data.name).subset(rows)


def through(data: Dataset, name: str, folder: Path) -> Dataset:
    format = FORMATS[name]
    path = folder / (name + ("" if format.folder else format.suffix))
    write_dataset(data, path, name if format.folder else None)
    return load_dataset(path, image_folder=data.files[0].parent if format.folder else None)


def clean(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_registry():
    assert FILE_FORMATS == {".xml": "imglab", ".csv": "csv", ".tps": "tps", ".json": "coco"}
    assert FOLDER_FORMATS == {".pts": "pts", ".tem": "tem", ".ljson": "ljson"}
    assert list(FORMATS) == [*FILE_FORMATS.values(), *FOLDER_FORMATS.values()]


def test_a_new_format_is_one_line_of_the_registry(three, tmp_path, monkeypatch):
    def read(path, *, image_folder=None):
        for line, text in enumerate(Path(path).read_text().splitlines(), 1):
            image, x, y = text.split(":")
            yield Annotation(path.parent / image, (0, 0, 9, 9), {"tip": (float(x), float(y))}, f"{path}:{line}")

    def write(dataset, images):
        for image, shape in zip(images, dataset.landmarks, strict=True):
            yield f"{image}:{shape[0, 0]}:{shape[0, 1]}\n"

    monkeypatch.setitem(FORMATS, "tips", Format(".tips", read, write, names=False))
    monkeypatch.setitem(FILE_FORMATS, ".tips", "tips")
    path = tmp_path / "x.tips"
    assert write_dataset(three, path) == ["landmark names are dropped: the format numbers landmarks"]
    assert dataset_format(path) == "tips"
    again = load_dataset(path)
    assert (again.files, again.landmark_names) == (three.files, ("tip",))
    np.testing.assert_array_equal(again.landmarks, three.landmarks[:, :1])


def test_a_folder_has_one_format(tmp_path):
    suffixes = ", ".join(FOLDER_FORMATS)
    with pytest.raises(InputError, match=f"expected {suffixes} files in this folder or its subfolders, found none"):
        dataset_format(tmp_path)
    (tmp_path / "a.tem").write_text("1\n1 2\n")
    assert dataset_format(tmp_path) == "tem"
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b.ljson").write_text("{}")
    with pytest.raises(InputError, match=r"contains \.ljson and \.tem files, expected one format"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("source", list(FORMATS))
def test_any_format_to_any_other_keeps_every_point(source, images, tmp_path):
    @settings(max_examples=30, deadline=None)
    @given(datasets(images))
    def check(data):
        for target in FORMATS:
            clean(tmp_path)
            (tmp_path / "there").mkdir()
            given_ = data
            if FORMATS[source].folder or FORMATS[target].folder:
                given_ = data.subset(np.unique([str(file) for file in data.files], return_index=True)[1])
                if np.isnan(given_.landmarks).all(axis=(0, 2)).any():
                    continue
            result = through(through(given_, source, tmp_path), target, tmp_path / "there")
            expected = as_read(as_read(given_, FORMATS[source]), FORMATS[target])
            assert result.landmark_names == expected.landmark_names
            assert [file.resolve() for file in result.files] == [file.resolve() for file in expected.files]
            tolerance = 0.5005 if "imglab" in (source, target) else 1e-3
            np.testing.assert_allclose(result.landmarks, expected.landmarks, rtol=0, atol=tolerance)
            if FORMATS[source].boxes and FORMATS[target].boxes:
                np.testing.assert_allclose(result.boxes, expected.boxes, rtol=0, atol=tolerance)

    check()


@needs_shared
def test_real_wings_through_every_format(tmp_path):
    wings = SHARED / "wings"
    data = load_dataset(wings / "landmark-examples" / "tps-example.tps", image_folder=wings / "image-examples")
    for name in FORMATS:
        result = through(data, name, tmp_path)
        np.testing.assert_allclose(result.landmarks, data.landmarks, rtol=0, atol=1e-9)
        assert result.landmark_names == data.landmark_names


def test_images_beside_their_files_need_no_note(images, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(images[0].read_bytes())
    data = dataset([file], [[(1, 2), (3, 14)]])
    assert write_dataset(data, tmp_path, "ljson") == ["boxes are dropped: the format has none"]
    assert load_dataset(tmp_path).files == [file]
    write_dataset(data, tmp_path / "x.csv")
    assert "\na.png,1," in (tmp_path / "x.csv").read_text()


def test_image_names_are_correct_behind_links(images, tmp_path):
    real = tmp_path / "deep" / "real"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    data = dataset(images[:1], [[(1, 2), (3, 14)]])
    write_dataset(data, tmp_path / "link" / "x.csv")
    assert [file.resolve() for file in load_dataset(tmp_path / "link" / "x.csv").files] == [images[0].resolve()]


def refused(message, data, path, format=None):
    with pytest.raises(InputError) as info:
        write_dataset(data, path, format)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_refuses_what_could_not_be_read_back(images, tmp_path):
    good, path, nan = [[(1, 2), (3, 14)]], tmp_path / "x.csv", float("nan")
    refused("no objects", dataset(images[:1], good).subset([]), path)
    refused("duplicate landmark name 'a'", dataset(images[:1], good, ["a", "a"]), path)
    for shape in ([(1, nan), (2, 2)], [(float("inf"), 1), (2, 2)], [(nan, nan), (nan, nan)]):
        refused(f"object 1 ({images[1]})", dataset(images[:2], [good[0], shape]), path)
    refused("object 0", dataset(images[:1], good, boxes=[(1, 1, 0, 4)]), path)
    refused("landmark 'b' is missing in all", dataset(images[:1], [[(1, 1), (nan, nan)]], ["a", "b"]), path)
    for name in ("a\nb", " a", "", "\ud800"):
        for suffix in (".csv", ".xml"):
            refused("is not a valid name in", dataset(images[:1], good, ["b", name]), tmp_path / f"x{suffix}")
    for suffix in (".csv", ".xml", ".tps"):
        file = tmp_path / "a\tb.png"
        file.write_bytes(images[0].read_bytes())
        refused("is not a valid name in", dataset([file], good), tmp_path / f"x{suffix}")
    refused("none.png: no such file", dataset([tmp_path / "none.png"], good), tmp_path / "x.tps")
    assert [file.name for file in tmp_path.iterdir()] == ["a\tb.png"]


def test_refuses_formats_that_do_not_fit_the_path(images, tmp_path):
    data = dataset(images[:1], [[(1, 2), (3, 14)]])
    refused("expected a file ending in .xml, .csv, .tps, .json, or the format pts, tem, ljson", data, tmp_path / "x")
    refused("expected a file ending in .xml", data, tmp_path)
    refused("format is 'yaml', expected one of imglab, csv", data, tmp_path / "x.csv", "yaml")
    refused("expected a file ending in .tps for the format tps", data, tmp_path / "x.csv", "tps")
    refused("expected a file ending in .csv for the format csv", data, tmp_path, "csv")
    refused("expected a folder for the format pts", data, tmp_path / "x.csv", "pts")
    refused("there is no folder", data, tmp_path / "no" / "x.csv")
    refused("cannot create folder", data, tmp_path / "no" / "x", "pts")
    (tmp_path / "file").touch()
    refused("cannot create folder", data, tmp_path / "file", "pts")


def test_refuses_folders_that_would_be_read_differently(images, tmp_path):
    good = [[(1, 2), (3, 14)]]
    out = tmp_path / "out"
    twice = dataset([images[0], images[0]], good * 2)
    refused("it has several objects, expected one object per .pts file", twice, out, "pts")
    same = dataset([images[0], tmp_path / "A 1.jpg"], good * 2)
    refused(f"{images[0]} has the same name", same, out, "tem")
    refused("a hidden file", dataset([tmp_path / ".a.png"], good), out, "tem")
    assert not out.exists()
    out.mkdir()
    (out / "a 1.jpg").touch()
    refused("would be read as the image of its .pts file", dataset(images[:1], good), out, "pts")
    (out / "a 1.jpg").unlink()
    write_dataset(dataset(images[:1], good), out, "pts")
    write_dataset(dataset(images[:1], good), out, "pts")
    for other in ("tem", "pts"):
        refused(
            "a 1.pts: folder already contains annotations of another dataset", dataset(images[1:2], good), out, other
        )
