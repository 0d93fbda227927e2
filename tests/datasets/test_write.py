import numpy as np
import pytest
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset, load_dataset
from ert.datasets.write import write_dataset


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
