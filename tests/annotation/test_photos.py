import io
import os

import numpy as np
import pytest
from PIL import Image

from ert import InputError, load_image
from ert._core.image_paths import image_path
from ert._core.images import load_preview
from ert.annotation import photos as module
from ert.annotation.photos import Photos


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), float)


@pytest.fixture
def large(tmp_path):
    """A photo with a gradient from left to right, 400 x 300."""
    path = tmp_path / "large.jpg"
    row = np.linspace(0, 255, 400).astype(np.uint8)
    Image.fromarray(np.tile(row, (300, 1))).save(path, quality=95)
    return path


@pytest.fixture
def sideways(tmp_path):
    """A photo whose EXIF says that it is to be turned."""
    path = tmp_path / "sideways.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))).save(path, exif=exif, quality=95)
    return path


def test_photos_are_reduced_to_the_longer_side(large):
    photos = Photos([large])
    assert photos.size(0) == (400, 300)
    assert pixels(photos.jpeg(0, 100)).shape == (75, 100)
    assert pixels(photos.jpeg(0, 1000)).shape == (300, 400)
    np.testing.assert_allclose(pixels(photos.jpeg(0, 100))[40], np.linspace(0, 255, 100), atol=4)
    assert pixels(photos.jpeg(0, 1)).shape == (1, 1)


def test_parts_are_those_of_the_photo(large):
    photos = Photos([large])
    part = pixels(photos.jpeg(0, 1000, (300, 10, 50, 20)))
    assert part.shape == (20, 50)
    np.testing.assert_allclose(part[5], np.linspace(0, 255, 400)[300:350], atol=4)
    assert pixels(photos.jpeg(0, 25, (300, 10, 50, 20))).shape == (10, 25)


def test_photos_are_upright_or_as_the_dataset_reads_them(sideways):
    upright, stored = Photos([sideways, image_path(sideways, stored=True)]), 1
    assert upright.size(0) == (30, 40)
    assert upright.size(stored) == (40, 30)
    # Turned to the right, dark is above.
    np.testing.assert_allclose(pixels(upright.jpeg(0, 99))[:, 3], np.linspace(0, 255, 40), atol=5)
    np.testing.assert_allclose(pixels(upright.jpeg(stored, 99))[3], np.linspace(0, 255, 40), atol=5)
    assert pixels(upright.thumbnail(0)).shape == (40, 30)
    assert pixels(upright.jpeg(0, 99, (0, 0, 10, 20))).shape == (20, 10)


def test_gray_of_16_bits_is_scaled_by_levels(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 2048, np.uint16)).save(path)
    photos = Photos([path, image_path(path, levels=(0, 4096))])
    with pytest.raises(InputError, match="16-bit gray pixels"):
        photos.jpeg(0, 9)
    assert abs(pixels(photos.jpeg(1, 9)).mean() - 128) < 2


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_all_kinds_of_pixels(tmp_path, mode):
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    Image.new(mode, (20, 10)).save(path)
    assert pixels(Photos([path]).thumbnail(0)).shape == (10, 20)


def test_nothing_is_opened_before_it_is_needed(tmp_path):
    photos = Photos([tmp_path / "missing.jpg"] * 5000)
    for ask in (photos.size, photos.thumbnail, photos.version, lambda i: photos.jpeg(i, 9)):
        with pytest.raises(InputError, match=r"missing\.jpg: cannot be read: No such file"):
            ask(7)


def test_a_replaced_photo_is_read_anew(large):
    photos = Photos([large])
    before = photos.jpeg(0, 50), photos.thumbnail(0), photos.version(0)
    assert (photos.jpeg(0, 50), photos.thumbnail(0), photos.version(0)) == before
    Image.new("L", (20, 40)).save(large)
    assert photos.size(0) == (20, 40)
    assert pixels(photos.jpeg(0, 50)).shape == pixels(photos.thumbnail(0)).shape == (40, 20)
    assert photos.version(0) != before[2]


def test_caches_are_bounded(tmp_path, monkeypatch):
    files = [tmp_path / f"{i}.png" for i in range(30)]
    for file in files:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)).save(file)
    for name, size in (("_JPEG_CACHE_BYTES", 9000), ("_THUMBNAIL_CACHE_BYTES", 9000), ("_PIXEL_CACHE_BYTES", 10_000)):
        monkeypatch.setattr(module, name, size)
    photos = Photos(files)
    for i in range(30):
        photos.jpeg(i, 50)
        photos.thumbnail(i)
        photos.jpeg(i, 50, (0, 0, 9, 9))
    for cache, limit in ((photos._jpegs, 9000), (photos._thumbnails, 9000), (photos._pixels, 10_000)):
        sizes = [cache._size_of(value) for value in cache._values.values()]
        assert 0 < sum(sizes) == cache._n_bytes <= limit
    # The last ones are there.
    assert photos._pixels.get((photos.version(29), 29)) is not None
    assert photos._pixels.get((photos.version(0), 0)) is None


def test_a_preview_of_a_jpeg_is_decoded_smaller(large, tmp_path):
    assert load_preview(large, 100).shape == (75, 100)
    assert load_preview(large, 120).shape == (150, 200)
    assert load_preview(large, 201).shape == (300, 400)
    np.testing.assert_array_equal(load_preview(large, 9999), load_image(large))
    png = tmp_path / "photo.png"
    Image.new("L", (90, 80)).save(png)
    assert load_preview(png, 10).shape == (80, 90)
    os.truncate(large, 2000)
    with pytest.raises(InputError, match="corrupt or truncated"):
        load_preview(large, 100)
