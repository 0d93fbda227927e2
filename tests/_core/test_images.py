import io
import os
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFile, ImageOps
from reference import naive

from ert._core import images
from ert._core.exceptions import InputError
from ert._core.images import check_image, image_size, load_image, to_gray


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def save(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


def exif_bytes(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


class TestLoadImage:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
    def test_color_comes_back_unchanged(self, tmp_path, picture, suffix):
        loaded = load_image(save(tmp_path / f"a{suffix}", picture))
        assert loaded.dtype == np.uint8
        assert loaded.flags.c_contiguous
        assert loaded.flags.writeable
        np.testing.assert_array_equal(loaded, picture)

    def test_gray_stays_two_dimensional(self, tmp_path, picture):
        np.testing.assert_array_equal(load_image(str(save(tmp_path / "a.png", picture[..., 0]))), picture[..., 0])

    def test_bilevel_becomes_black_and_white(self, tmp_path):
        bits = np.array([[0, 1, 1], [1, 0, 0]], bool)
        loaded = load_image(save(tmp_path / "a.png", Image.fromarray(bits)))
        np.testing.assert_array_equal(loaded, bits * np.uint8(255))

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha_is_dropped_not_blended(self, tmp_path, picture, mode):
        opaque = Image.fromarray(picture).convert(mode[:-1])
        image = opaque.copy()
        image.putalpha(0)
        assert image.mode == mode
        np.testing.assert_array_equal(load_image(save(tmp_path / "a.png", image)), np.asarray(opaque))

    @pytest.mark.parametrize("transparency", [None, 0, bytes(range(0, 240, 10))])
    def test_palette_becomes_rgb(self, tmp_path, picture, transparency):
        image = Image.fromarray(picture).quantize(24)
        options = {} if transparency is None else {"transparency": transparency}
        path = save(tmp_path / "a.png", image, **options)
        np.testing.assert_array_equal(load_image(path), np.asarray(image.convert("RGB")))

    def test_cmyk_becomes_rgb(self, tmp_path, picture):
        image = Image.fromarray(picture).convert("CMYK")
        np.testing.assert_array_equal(load_image(save(tmp_path / "a.tif", image)), picture)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
    def test_exif_orientation_is_applied(self, tmp_path, picture, suffix, orientation):
        path = save(tmp_path / f"a{suffix}", picture, exif=exif_bytes(orientation))
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(load_image(path), expected)
        assert image_size(path) == expected.shape[1::-1]

    def test_exif_behind_the_pixels_of_a_png(self, tmp_path, picture):
        png = save(tmp_path / "a.png", picture).read_bytes()
        exif = exif_bytes(6).removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        end = png.index(b"IEND") - 4
        path = tmp_path / "late.png"
        path.write_bytes(png[:end] + chunk + png[end:])
        np.testing.assert_array_equal(load_image(path), np.rot90(picture, -1))
        assert image_size(path) == (6, 9)

    def test_junk_in_the_metadata_is_ignored(self, tmp_path, picture):
        path = save(tmp_path / "a.png", picture, exif=b"Exif\0\0II*\0junk, and more junk")
        np.testing.assert_array_equal(load_image(path), picture)
        assert image_size(path) == (9, 6)

    def test_first_of_several_frames(self, tmp_path, picture):
        frames = [Image.fromarray(picture[..., channel]) for channel in range(3)]
        path = save(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:])
        np.testing.assert_array_equal(load_image(path), picture[..., 0])

    def test_threads_leave_the_global_settings_alone(self, tmp_path, picture):
        before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
        path = save(tmp_path / "a.png", picture)
        with ThreadPoolExecutor(8) as pool:
            for loaded in pool.map(load_image, [path] * 100):
                np.testing.assert_array_equal(loaded, picture)
        assert before == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))


class TestRefusedFiles:
    @pytest.mark.parametrize("read", [load_image, image_size])
    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, "no such file"), (b"", "is empty"), (b"<html>not found</html>", "is not an image")],
    )
    def test_not_an_image(self, tmp_path, read, content, message):
        path = tmp_path / "face.jpg"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=rf"face\.jpg: {message}"):
            read(path)

    @pytest.mark.parametrize("read", [load_image, image_size])
    def test_folder(self, tmp_path, read):
        with pytest.raises(InputError, match="is a folder"):
            read(tmp_path)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".bmp"])
    def test_every_truncation_is_an_input_error_without_a_warning(self, tmp_path, suffix):
        noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        whole = save(tmp_path / f"a{suffix}", noise).read_bytes()
        path = tmp_path / f"cut{suffix}"
        for length in range(1, int(0.9 * len(whole)), max(1, len(whole) // 40)):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match=path.name) as caught:
                load_image(path)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif"])
    def test_flipped_bytes_never_escape_as_another_error(self, tmp_path, picture, suffix):
        whole = save(tmp_path / f"a{suffix}", picture).read_bytes()
        path = tmp_path / f"b{suffix}"
        rng = np.random.default_rng(2)
        refused = 0
        for _ in range(150):
            broken = bytearray(whole)
            broken[rng.integers(len(whole))] = rng.integers(256)
            path.write_bytes(broken)
            try:
                load_image(path)
                image_size(path)
            except InputError:
                refused += 1
        assert refused > 0

    @pytest.mark.parametrize(
        ("dtype", "suffix"), [(np.uint16, ".png"), (np.uint16, ".tif"), (np.int32, ".tif"), (np.float32, ".tif")]
    )
    def test_more_than_eight_bits(self, tmp_path, dtype, suffix):
        path = save(tmp_path / f"deep{suffix}", np.ones((4, 5), dtype))
        with pytest.raises(InputError, match=r"deep.*8-bit pixels were expected"):
            load_image(path)
        assert image_size(path) == (5, 4)

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (b"<html>404</html>", "a web page"),
            (b"  <!DOCTYPE html><html>", "a web page"),
            (b"<svg xmlns='x'/>", "a drawing"),
            (b"II*\0\x10\0\0\0CR\2" + bytes(99), "perhaps a raw photo"),
            (b"FUJIFILMCCD-RAW", "perhaps a raw photo"),
            (bytes(100), "is not an image, or of a kind that Pillow cannot read$"),
        ],
    )
    def test_the_error_says_what_it_is(self, tmp_path, content, kind):
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"a\.jpg: is not an image.*{kind}|a\.jpg: {kind}"):
            load_image(path)


class TestHeic:
    """A file with the header of a HEIC photo; pillow-heif is played by a module that reads it as a BMP."""

    @pytest.fixture
    def photo(self, tmp_path):
        path = tmp_path / "photo.heic"
        path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        return path

    @pytest.mark.parametrize("read", [load_image, image_size])
    def test_the_error_names_the_package(self, photo, read, monkeypatch):
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(InputError, match=r"photo\.heic: a HEIC photo, .*pip install pillow-heif$"):
            read(photo)

    def test_the_package_reads_it(self, photo, monkeypatch):
        class HeifFile(ImageFile.ImageFile):
            format = "HEIF"

            def _open(self):
                self._mode, self._size = "L", (4, 3)

            def load(self):
                self.im = Image.new("L", (4, 3), 7).im
                return super().load()

        def register():
            Image.register_open("HEIF", HeifFile, lambda start: start[4:12] == b"ftypheic")

        monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
        monkeypatch.setattr(Image, "ID", list(Image.ID))
        monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
        np.testing.assert_array_equal(load_image(photo), np.full((3, 4), 7))
        assert image_size(photo) == (4, 3)

    def test_a_damaged_photo(self, photo, monkeypatch):
        monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=lambda: None))
        with pytest.raises(InputError, match=r"photo\.heic: a HEIC photo that pillow-heif cannot read"):
            load_image(photo)


class TestRefusedSizes:
    @pytest.mark.parametrize("read", [load_image, image_size])
    @pytest.mark.parametrize(
        ("side", "message"),
        [
            (10_000, "too short for 10000 x 10000 pixels"),
            (20_000, "at most 250 million"),
            (40_000, "at most 250 million"),
        ],
    )
    def test_decompression_bomb(self, tmp_path, read, side, message):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        path = tmp_path / "bomb.png"
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))
        with pytest.raises(InputError, match=rf"bomb\.png.* {message}"):
            read(path)

    def test_pixels_that_compress_best_are_read(self, tmp_path):
        path = tmp_path / "black.png"
        Image.new("1", (4000, 3000)).save(path, compress_level=9)
        assert load_image(path).shape == (3000, 4000)

    @pytest.mark.parametrize("read", [load_image, image_size])
    @pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b""])
    def test_giants_without_contents_are_refused_at_once(self, tmp_path, read, start):
        path = tmp_path / "giant.jpg"
        path.write_bytes(start)
        os.truncate(path, 2**40)
        with pytest.raises(InputError, match=r"giant\.jpg: 1099512 MB of nearly nothing but zeros"):
            read(path)

    def test_the_limit_is_ours_and_not_pillows(self, tmp_path, picture, monkeypatch):
        path = save(tmp_path / "a.png", picture)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        np.testing.assert_array_equal(load_image(path), picture)
        monkeypatch.setattr(images, "MAX_PIXELS", 53)
        with pytest.raises(InputError, match="too many"):
            load_image(path)

    def test_unreadable(self, tmp_path, picture, monkeypatch):
        path = save(tmp_path / "a.png", picture)

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Image, "open", refuse)
        with pytest.raises(InputError, match=r"a\.png: cannot be read: Permission denied"):
            load_image(path)


class TestPillowImages:
    @pytest.mark.parametrize("mode", ["L", "1", "LA", "RGB", "RGBA", "P", "CMYK"])
    def test_pixels_are_those_of_a_file(self, tmp_path, picture, mode):
        image = Image.fromarray(picture).convert(mode)
        path = save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), image)
        checked = check_image(image)
        np.testing.assert_array_equal(checked, load_image(path))
        assert checked.flags.c_contiguous
        assert checked.flags.writeable

    def test_an_opened_file_is_taken_as_its_pixels_are(self, tmp_path, picture):
        with Image.open(save(tmp_path / "a.png", picture, exif=exif_bytes(6))) as image:
            np.testing.assert_array_equal(check_image(image), picture)

    def test_gray_is_that_of_rgb_whatever_the_order_of_arrays(self, picture):
        for order in ("rgb", "bgr"):
            np.testing.assert_array_equal(to_gray(Image.fromarray(picture), order), to_gray(picture))

    @pytest.mark.parametrize("mode", ["I;16", "I", "F", "LAB"])
    def test_other_modes_are_refused(self, mode):
        with pytest.raises(InputError, match=f"photo: an image of mode {mode}; 8-bit pixels were expected"):
            check_image(Image.new(mode, (4, 3)), "photo")

    def test_a_truncated_file_is_refused_when_its_pixels_are_read(self, tmp_path):
        noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        path = save(tmp_path / "a.png", noise)
        path.write_bytes(path.read_bytes()[:2000])
        with Image.open(path) as image, pytest.raises(InputError, match="photo: the image cannot be read: "):
            check_image(image, "photo")


class TestCheckImage:
    @pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (1, 1)])
    def test_an_image_is_returned_as_it_is(self, shape):
        image = np.zeros(shape, np.uint8)
        assert check_image(image) is image

    def test_a_single_channel_is_dropped_without_a_copy(self):
        image = np.zeros((4, 5, 1), np.uint8)
        checked = check_image(image)
        assert checked.shape == (4, 5)
        assert np.shares_memory(checked, image)

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            ([[1, 2]], "photo: list, expected a numpy array"),
            (np.ones((2, 2)), "photo: float64 pixels, expected uint8.*multiply by 255"),
            (np.full((2, 2), 255.0), "photo: float64 pixels, expected uint8.*: round"),
            (np.ones((2, 2), bool), "photo: bool pixels.*multiply by 255"),
            (np.ones((2, 2), np.uint16), "photo: uint16 pixels.*divide"),
            (np.ones((2, 2), np.int64), "photo: int64 pixels.*convert"),
            (np.full((2, 2), "x"), "photo: <U1 pixels"),
            (np.ones((2, 2, 4), np.uint8), r"photo: .*\(2, 2, 4\).*image\[\.\.\., :3\]"),
            (np.ones((2, 2, 2), np.uint8), r"photo: .*\(2, 2, 2\).*image\[\.\.\., 0\]"),
            (np.ones((3, 8, 8), np.uint8), "photo: .*moveaxis"),
            (np.ones((1, 8, 8, 3), np.uint8), "photo: .*one image at a time"),
            (np.ones(8, np.uint8), r"photo: .*\(8,\)"),
            (np.ones((0, 8), np.uint8), "photo: .*without pixels"),
            (np.ones((8, 0, 3), np.uint8), "photo: .*without pixels"),
            (np.ones((0, 8)), "photo: float64 pixels"),
        ],
    )
    def test_anything_else_is_refused_with_a_hint(self, image, message):
        with pytest.raises(InputError, match=message):
            check_image(image, "photo")


class TestToGray:
    @given(
        image=hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))),
        channel_order=st.sampled_from(["rgb", "bgr"]),
        weights=st.sampled_from(["luma", "dlib"]),
        step=st.sampled_from([1, -1, 2]),
    )
    def test_kernel_and_twin_agree_on_any_view(self, image, channel_order, weights, step):
        view = image[::step, :, ::-1]
        gray = to_gray(view, channel_order, weights)
        assert gray.dtype == np.uint8
        np.testing.assert_array_equal(gray, naive.to_gray(view, channel_order, weights))

    def test_every_sum_of_channels_is_divided_exactly(self):
        red = np.minimum(np.arange(766), 255)
        green = np.clip(np.arange(766) - 255, 0, 255)
        blue = np.clip(np.arange(766) - 510, 0, 255)
        image = np.stack([red, green, blue], -1)[None].astype(np.uint8)
        np.testing.assert_array_equal(to_gray(image, weights="dlib")[0], np.arange(766) // 3)

    def test_gray_pixels_keep_their_value(self):
        image = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
        for weights in ("luma", "dlib"):
            np.testing.assert_array_equal(to_gray(image, weights=weights)[0], np.arange(256))

    def test_a_gray_image_is_not_copied(self):
        image = np.zeros((3, 4), np.uint8)
        assert to_gray(image) is image

    def test_a_read_only_image(self):
        image = np.frombuffer(bytes(range(12)), np.uint8).reshape(2, 2, 3)
        np.testing.assert_array_equal(to_gray(image), naive.to_gray(image))

    @pytest.mark.parametrize("options", [{"channel_order": "rbg"}, {"weights": "mean"}, {"channel_order": None}])
    def test_unknown_option(self, options):
        with pytest.raises(InputError, match="expected '"):
            to_gray(np.zeros((2, 2), np.uint8), **options)

    def test_bad_image(self):
        with pytest.raises(InputError, match="float64"):
            to_gray(np.zeros((2, 2, 3)))


def test_a_photograph_from_memory_survives_a_jpeg_round_trip(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "JPEG", quality=95)
    path = tmp_path / "no_suffix"
    path.write_bytes(buffer.getvalue())
    assert image_size(path) == (64, 48)
    assert np.abs(load_image(path).astype(int) - ramp).max() < 10


def test_an_image_that_does_not_fit_into_memory_is_refused(tmp_path):
    """Few bytes that declare a line of 134 million pixels."""
    path = tmp_path / "x.png"
    Image.new("RGBA", (4, 1)).save(path)
    content = path.read_bytes()
    header = b"IHDR" + (134_217_760).to_bytes(4, "big") + content[20:29]
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])
    with pytest.raises(InputError, match=r"x\.png: the image is corrupt or truncated"):
        load_image(path)
