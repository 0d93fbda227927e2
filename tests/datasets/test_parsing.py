import json

import numpy as np
import pytest
from helpers import refused_at, write_with_image
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.formats.tem import read_tem_folder
from ert.datasets.parsing import natural_key, read_images, read_json, read_picture, read_size


def test_natural_key_sorts_numbers_by_value_and_never_fails():
    names = ["10", "2", "nose", "1", "01", "p10", "p9", "", "9" * 5000, "p9b"]
    expected = ["", "01", "1", "2", "10", "9" * 5000, "nose", "p9", "p9b", "p10"]
    assert sorted(names, key=natural_key) == expected


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"", ":1", "Expecting value (column 1)"),
        (b" \n", ":2", "Expecting value (column 1)"),
        (b"[1]x", ":1", "Extra data (column 4)"),
        (b'{"a": [1,\n\xff]}', "", "bytes that are not text"),
        (b'{"a": [' + b"9" * 5000 + b"]}", "", "a number with too many digits"),
        (b'{"a": ["\n"]}', ":1", "Invalid control character at"),
        (b'{"a": [1,', ":1", "Expecting value"),
        (b'{"a"', ":1", "Expecting ':' delimiter"),
        (b"[" * 100000, "", "nested too deep"),
        (b'{"a": [' + b"[" * 100000, "", "nested too deep"),
    ],
)
def test_invalid_json_is_refused_with_its_place(tmp_path, content, place, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as info:
        read_json(path)
    assert str(info.value).startswith(f"{path}{place}: invalid JSON: ")
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_duplicate_keys_of_json_are_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": [{"b": 1, "c": 2, "b": 3}]}')
    with pytest.raises(InputError, match=r"x\.json: duplicate key 'b'"):
        read_json(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_json_in_any_encoding_of_the_standard(tmp_path, encoding):
    path, data = tmp_path / "x.json", {"Zoë": [1, 2.5, None, {"b": [True]}]}
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    assert read_json(path) == data


def test_images_elsewhere(tmp_path):
    path = write_with_image(tmp_path / "labels" / "a.tem", "1\n1 2\n")
    image = tmp_path / "images" / "deep" / "a.jpg"
    image.parent.mkdir(parents=True)
    path.with_suffix(".jpg").rename(image)
    refused_at(read_tem_folder(path.parent), f"{path}: no image beside it", "expected a.jpg")
    (annotation,) = read_tem_folder(path.parent, image_folder=tmp_path / "images")
    assert annotation.file == image
    refused_at(
        read_tem_folder(path.parent, image_folder=tmp_path / "labels"), f"{path}: no image in", "or its subfolders"
    )
    (tmp_path / "images" / "a.png").touch()
    refused_at(read_tem_folder(path.parent, image_folder=tmp_path / "images"), f"{path}: ambiguous image", "a.png")
    refused_at(read_tem_folder(path.parent, image_folder=tmp_path / "no"), str(tmp_path / "no"), "cannot be read")


def test_pictures_have_size_and_digest_of_the_pixels(tmp_path):
    pixels = np.arange(60, dtype=np.uint8).reshape(5, 12)
    for name in ("a.png", "b.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
    Image.fromarray(pixels.reshape(12, 5)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"no image")
    a, b, c, d = (read_picture(tmp_path / name) for name in ("a.png", "b.bmp", "c.png", "d.png"))
    assert a == b
    assert a[:2] == (12, 5)
    assert a.error is None
    assert c.digest != a.digest
    assert d[:3] == (0, 0, "")
    assert "d.png" in d.error
    files = [tmp_path / f"{name}" for name in ("a.png", "d.png", "c.png", "a.png")]
    pictures = read_images(read_picture, files, n_jobs=2)
    assert list(pictures) == files[:3]
    assert (pictures[files[0]], pictures[files[2]]) == (a, c)
    assert read_images(read_size, files) == {files[0]: (12, 5), files[1]: None, files[2]: (5, 12)}


def test_progress_of_reading(tmp_path):
    Image.new("L", (3, 4)).save(tmp_path / "a.png")
    seen = []

    def progress(results):
        for result in results:
            seen.append(result)
            yield result

    assert read_images(read_size, [tmp_path / "a.png"], progress=progress) == {tmp_path / "a.png": (3, 4)}
    assert seen == [(3, 4)]
