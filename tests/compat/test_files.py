"""Image files: the bytes that dlib reads and writes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ert
from ert.compat import dlib as ours
from ert.compat import files
from ert.datasets.synthetic import synthetic_dataset

ORIENTATION = 0x0112
READERS = ("load_rgb_image", "load_grayscale_image")


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("dlib")


@pytest.fixture(params=["with dlib", "without"])
def decoder(request, monkeypatch):
    """With and without the decoders of an installed dlib."""
    if request.param == "without":
        monkeypatch.setattr(files, "installed_dlib", lambda: None)
    return request.param


def turned():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif


RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (12, 17, 1), dtype=np.uint8)
ALPHA[:2] = 255
ALPHA[2:4] = 0
COLOR, GRAY, PALETTE = Image.fromarray(RGB), Image.fromarray(RGB[..., 0]), Image.fromarray(RGB).quantize(16)
RGBA = Image.fromarray(np.dstack([RGB, ALPHA]))
# What is in each file, and how it is written.
PICTURES = {
    "rgb.png": (COLOR, {}),
    "gray.png": (GRAY, {}),
    "rgba.png": (RGBA, {}),
    "gray_alpha.png": (Image.fromarray(np.dstack([RGB[..., 0], ALPHA])), {}),
    "palette.png": (PALETTE, {}),
    "palette_transparent.png": (PALETTE, {"transparency": bytes(range(0, 256, 16))}),
    "palette_one_transparent.png": (PALETTE, {"transparency": 3}),
    "palette_of_4.png": (COLOR.quantize(4), {}),
    "color_transparent.png": (COLOR, {"transparency": (1, 2, 3)}),
    "bilevel.png": (GRAY.convert("1"), {}),
    "exif.png": (COLOR, {"exif": turned()}),
    "rgb.bmp": (COLOR, {}),
    "gray.bmp": (GRAY, {}),
    "bilevel.bmp": (GRAY.convert("1"), {}),
    "gray.jpg": (GRAY.resize((90, 60)), {}),
    "cmyk.jpg": (COLOR.resize((90, 60)).convert("CMYK"), {}),
    "exif_gray.jpg": (GRAY.resize((90, 60)), {"exif": turned()}),
}
# JPEG whose colors are stored at half the resolution.
HALVED = {
    "rgb.jpg": (COLOR.resize((90, 61)), {}),
    "progressive.jpg": (COLOR.resize((90, 61)), {"progressive": True}),
    "exif.jpg": (COLOR.resize((90, 61)), {"exif": turned()}),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", PICTURES)
def test_bytes_are_those_of_dlib(theirs, decoder, tmp_path, name, reader):
    picture, options = PICTURES[name]
    path = str(tmp_path / name)
    picture.save(path, **options)
    found, expected = getattr(ours, reader)(path), getattr(theirs, reader)(path)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", HALVED)
def test_bytes_of_jpeg_are_those_of_dlib_where_it_is_installed(theirs, decoder, tmp_path, name, reader):
    picture, options = HALVED[name]
    path = str(tmp_path / name)
    picture.save(path, quality=90, **options)
    found, expected = getattr(ours, reader)(path), getattr(theirs, reader)(path)
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= (0 if decoder == "with dlib" else 40)
    assert difference.mean() <= 5


def test_an_orientation_is_ignored(decoder, tmp_path):
    path = tmp_path / "photo.png"
    COLOR.save(path, exif=turned())
    assert ert.load_image(path).shape == (17, 12, 3)
    np.testing.assert_array_equal(ours.load_rgb_image(path), RGB)
    np.testing.assert_array_equal(ours.load_grayscale_image(path), RGB.sum(axis=2, dtype=int) // 3)


@pytest.mark.parametrize("name", ["rgb.gif", "rgb.tif", "rgb.webp", "rgb.ppm", "gray.pgm", "palette.bmp"])
def test_what_dlib_does_not_read_is_read(decoder, tmp_path, name):
    path = tmp_path / name
    picture = {"gray.pgm": GRAY, "palette.bmp": PALETTE, "rgb.gif": PALETTE}.get(name, COLOR)
    picture.save(path, **({"lossless": True} if name.endswith("webp") else {}))
    np.testing.assert_array_equal(ours.load_rgb_image(path), np.array(picture.convert("RGB")))


def test_damaged_files_are_refused(decoder, tmp_path):
    path = tmp_path / "rgb.png"
    COLOR.save(path)
    path.write_bytes(path.read_bytes()[:200])
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "empty.png").touch()
    for name in ("rgb.png", "page.jpg", "empty.png", "none.png"):
        for reader in READERS:
            with pytest.raises(ours.DlibError, match=name):
                getattr(ours, reader)(tmp_path / name)


def test_images_are_written(tmp_path):
    for name, pixels in (("rgb.png", RGB), ("gray.png", RGB[..., 0]), ("rgba.png", np.dstack([RGB, ALPHA]))):
        ours.save_image(pixels, tmp_path / name)
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / name)), pixels)
    large = np.array(COLOR.resize((90, 61)))
    ours.save_image(large, str(tmp_path / "low.jpg"), quality=10)
    ours.save_image(large, str(tmp_path / "high.jpg"), 95.0)
    assert (tmp_path / "low.jpg").stat().st_size < (tmp_path / "high.jpg").stat().st_size
    for pixels, name, message in (
        (RGB.astype(float), "x.png", "img: float64"),
        (RGB[..., :2], "x.png", r"\(12, 17, 2\)"),
        (RGB, "x.leaf", "x.leaf: cannot be written"),
        (np.dstack([RGB, ALPHA]), "x.jpg", "x.jpg: cannot be written"),
        (RGB, "none/x.png", "there is no folder"),
    ):
        with pytest.raises(ours.DlibError, match=message):
            ours.save_image(pixels, tmp_path / name)
    assert not list(tmp_path.glob("*x.*"))
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(ours.DlibError, match=r"notes\.png: exists and is not"):
        ours.save_image(RGB, tmp_path / "notes.png")


def test_16_bits_are_clipped_as_in_dlib(theirs, decoder, tmp_path):
    levels = RNG.integers(0, 600, (12, 17)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    for reader in READERS:
        expected = getattr(theirs, reader)(str(tmp_path / "deep.png"))
        np.testing.assert_array_equal(getattr(ours, reader)(tmp_path / "deep.png"), expected)
    np.testing.assert_array_equal(expected, np.minimum(levels, 255))


def test_training_takes_points_in_the_pixels_as_stored(theirs, tmp_path):
    folder = synthetic_dataset(tmp_path, 8, seed=4)
    for file in folder.glob("*.png"):
        with Image.open(file) as picture:
            # Not square, so that a turn changes the size.
            gray = np.array(picture.convert("L"))[:-6]
        # In color, so that the decoders of dlib and Pillow differ.
        color = Image.fromarray(np.dstack([gray, gray // 2, 255 - gray]))
        color.save(file.with_suffix(".jpg"), exif=turned())
    xml = str(folder / "faces.xml")
    Path(xml).write_text((folder / "landmarks.xml").read_text().replace(".png", ".jpg"))
    options = ours.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level, options.oversampling_amount = 2, 20, 5
    ours.train_shape_predictor(xml, str(tmp_path / "model.dat"), options)
    expected = theirs.test_shape_predictor(xml, str(tmp_path / "model.dat"))
    assert ours.test_shape_predictor(xml, str(tmp_path / "model.dat")) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < 5
