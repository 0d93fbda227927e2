import copy
import os
import pickle
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import write
from PIL import Image
from turned import exif_bytes, save_turned

from ert import InputError, load_image
from ert._core.image_paths import check_levels, image_path, parse_levels, quick_header
from ert._core.images import has_turn, image_size

PNG_START = b"\x89PNG\r\n\x1a\n"
TURNING = (".jpg", ".png", ".tif", ".webp")


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


class TestImagePath:
    def test_it_is_like_the_plain_path(self, tmp_path):
        plain, path = tmp_path / "a.jpg", image_path(tmp_path / "a.jpg", stored=True)
        assert path == plain
        assert plain == path
        assert hash(path) == hash(plain)
        assert {plain: 1}[path] == 1
        assert sorted([path, tmp_path / "0.jpg"])[1] == plain
        assert str(path) == str(plain) == os.fspath(path)
        assert isinstance(path, Path)
        assert (path.name, path.suffix, path.parent) == (plain.name, plain.suffix, plain.parent)

    def test_paths_made_from_it_are_plain_in_what_they_read(self, tmp_path):
        path = image_path(tmp_path / "a.jpg", stored=True, levels="auto")
        for other in (path.with_name("b.jpg"), path.with_suffix(".png"), path.parent / "b.jpg"):
            assert not getattr(other, "stored", False)
            assert getattr(other, "levels", None) is None

    def test_other_spellings_are_read_alike(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "link").symlink_to(tmp_path / "a.jpg")
        for name in ("a.jpg", "link"):
            path = image_path(name, True, "auto")
            for other in (path.absolute(), path.resolve()):
                assert other.is_absolute()
                assert (other.stored, other.levels) == (True, "auto")

    @pytest.mark.parametrize("levels", [None, "auto", (0.0, 4095.0)])
    @pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda path: pickle.loads(pickle.dumps(path))])
    def test_copies_keep_how_it_is_read(self, tmp_path, way, levels):
        other = way(image_path(tmp_path / "a.jpg", True, levels))
        assert other == tmp_path / "a.jpg"
        assert (other.stored, other.levels) == (True, levels)


class TestStored:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", TURNING)
    def test_pixels_are_those_of_the_file(self, tmp_path, picture, suffix, orientation):
        without = load_image(save_turned(tmp_path / f"without{suffix}", picture, None))
        path = save_turned(tmp_path / f"a{suffix}", picture, orientation)
        stored = image_path(path, stored=True)
        np.testing.assert_array_equal(load_image(stored), without)
        assert image_size(stored) == (9, 6)
        assert image_size(path) == ((6, 9) if orientation > 4 else (9, 6))
        assert has_turn(path) == has_turn(stored) == (orientation != 1)

    def test_exif_behind_the_pixels_of_a_png(self, tmp_path, picture):
        png = save_turned(tmp_path / "a.png", picture, 6).read_bytes()
        begin = png.index(b"eXIf") - 4
        end = begin + 12 + int.from_bytes(png[begin : begin + 4], "big")
        late = png.index(b"IEND") - 4
        path = write(tmp_path / "late.png", png[:begin] + png[end:late] + png[begin:end] + png[late:])
        assert has_turn(path)
        assert load_image(path).shape == (9, 6, 3)
        np.testing.assert_array_equal(load_image(image_path(path, stored=True)), picture)
        assert image_size(image_path(path, stored=True)) == (9, 6)


class TestQuickHeader:
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif", ".ppm"])
    def test_without_a_turn(self, tmp_path, picture, suffix):
        may_turn, size = quick_header(save_turned(tmp_path / f"a{suffix}", picture, None))
        assert not may_turn
        assert size in (None, (9, 6))

    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"icc_profile": bytes(3000)}, {"comment": "text"}])
    def test_size_in_a_jpeg(self, tmp_path, picture, options):
        path = tmp_path / "a.jpg"
        Image.fromarray(picture).save(path, exif=exif_bytes(8), **options)
        assert quick_header(path) == (True, (9, 6))
        Image.fromarray(picture).save(path, **options)
        assert quick_header(path) == (False, (9, 6))

    @pytest.mark.parametrize("orientation", [None, 6])
    def test_a_long_color_profile_leaves_it_open(self, tmp_path, picture, orientation):
        path, exif = tmp_path / "a.jpg", b"" if orientation is None else exif_bytes(6)
        Image.fromarray(picture).save(path, icc_profile=bytes(70000), exif=exif)
        assert quick_header(path) == (True, None)
        assert has_turn(path) == (orientation == 6)

    @pytest.mark.parametrize(
        "content", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0"]
    )
    def test_damaged_files_have_no_turn(self, tmp_path, content):
        assert not has_turn(write(tmp_path / "a.jpg", content))

    def test_absent_file(self, tmp_path):
        assert quick_header(tmp_path / "a.jpg") == (False, None)
        assert not has_turn(tmp_path / "a.jpg")

    @pytest.mark.parametrize("start", [PNG_START, PNG_START + b"\0\0\0\0IDAT\0\0\0\0" * 9, b"\xff\xd8\xff\xe0\0\0"])
    def test_giants_without_contents_take_no_time(self, tmp_path, start):
        path = write(tmp_path / "a.png", start)
        os.truncate(path, 2**40)
        begin = time.process_time()
        assert not has_turn(path)
        assert time.process_time() - begin < 0.5

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
    def test_nothing_waits_for_a_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "a.jpg")
        assert not has_turn(tmp_path / "a.jpg")
        assert not has_turn("/dev/zero")
        assert not has_turn(tmp_path)

    @pytest.mark.parametrize(
        ("kind", "data", "expected"),
        [
            (b"tEXt", b"Software\0a program", False),
            (b"tEXt", b"Raw profile type exif\0...", True),
            (b"zTXt", b"Raw profile type exif\0\0...", True),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>", True),
            (b"iTXt", b"XML:com.adobe", False),
        ],
    )
    def test_texts_in_a_png(self, tmp_path, picture, kind, data, expected):
        png = save_turned(tmp_path / "a.png", picture, None).read_bytes()
        chunk = len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for place in (33, png.index(b"IEND") - 4):
            path = write(tmp_path / "b.png", png[:place] + chunk + png[place:])
            assert quick_header(path)[0] == expected
            assert not has_turn(path)

    @pytest.mark.parametrize("suffix", TURNING)
    def test_every_truncation_and_flipped_byte_is_taken(self, tmp_path, picture, suffix):
        whole = save_turned(tmp_path / f"a{suffix}", picture, 6).read_bytes()
        rng = np.random.default_rng(0)
        for length in range(0, len(whole), 7):
            has_turn(write(tmp_path / f"cut{suffix}", whole[:length]))
            broken = bytearray(whole)
            broken[rng.integers(len(whole))] = rng.integers(256)
            has_turn(write(tmp_path / f"broken{suffix}", bytes(broken)))


class TestLevels:
    @pytest.mark.parametrize(("text", "levels"), [("auto", "auto"), ("0,4095", (0, 4095)), ("-1.5, 2e3", (-1.5, 2000))])
    def test_text(self, text, levels):
        assert parse_levels(text) == levels

    @pytest.mark.parametrize("text", ["", "automatic", "1", "1,2,3", "2,1", "1,1", "nan,1", "0,inf", "a,b"])
    def test_invalid_text(self, text):
        with pytest.raises(InputError, match=r"levels .*expected two numbers"):
            parse_levels(text)

    @pytest.mark.parametrize("levels", [5, (1, 2, 3), (None, 1), "max", (3, 2), (0, float("inf"))])
    def test_invalid_values(self, levels):
        with pytest.raises(InputError, match=r"levels .*expected two numbers"):
            check_levels(levels)

    @pytest.mark.parametrize(
        ("dtype", "suffix"),
        [(np.uint16, ".png"), (np.uint16, ".tif"), (">u2", ".tif"), (np.int32, ".tif"), (np.float32, ".tif")],
    )
    def test_values_between_the_levels_are_scaled(self, tmp_path, dtype, suffix):
        values = np.array([[0, 1000, 1500], [2000, 3000, 4000]]).astype(dtype)
        Image.fromarray(values).save(tmp_path / f"deep{suffix}")
        path = tmp_path / f"deep{suffix}"
        loaded = load_image(path, (1000, 3000))
        assert loaded.dtype == np.uint8
        np.testing.assert_array_equal(loaded, [[0, 0, 64], [128, 255, 255]])
        np.testing.assert_array_equal(load_image(image_path(path, levels=(1000, 3000))), loaded)

    def test_auto_leaves_out_dead_pixels(self, tmp_path):
        values = np.linspace(800, 3000, 10_000).astype(np.uint16).reshape(100, 100)
        values[3, 4] = 65535
        Image.fromarray(values).save(tmp_path / "deep.tif")
        loaded = load_image(tmp_path / "deep.tif", "auto")
        assert (loaded[0, 0], loaded[-1, -1], loaded[3, 4]) == (0, 255, 255)
        assert abs(int(loaded[50, 0]) - 128) <= 1

    @pytest.mark.parametrize("value", [7.5, np.nan])
    def test_auto_of_a_single_value_is_black(self, tmp_path, value):
        Image.fromarray(np.full((4, 5), value, np.float32)).save(tmp_path / "flat.tif")
        np.testing.assert_array_equal(load_image(tmp_path / "flat.tif", "auto"), np.zeros((4, 5)))

    def test_values_that_are_not_finite(self, tmp_path):
        Image.fromarray(np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)).save(tmp_path / "a.tif")
        np.testing.assert_array_equal(load_image(tmp_path / "a.tif", (0, 1)), [[0, 255, 0, 128]])

    def test_the_error_gives_the_range_and_the_way(self, tmp_path):
        Image.fromarray(np.array([[800, 3424]], np.uint16)).save(tmp_path / "deep.png")
        with pytest.raises(InputError, match=r"png: 16-bit gray pixels, here from 800 to 3424; .*--levels MIN,MAX"):
            load_image(tmp_path / "deep.png")

    def test_images_of_eight_bits_are_not_changed(self, tmp_path, picture):
        path = save_turned(tmp_path / "a.png", picture, None)
        np.testing.assert_array_equal(load_image(path, (0, 100)), picture)

    @pytest.mark.parametrize("orientation", range(2, 9))
    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_deep_images_are_turned_too(self, tmp_path, picture, suffix, orientation):
        path, control = tmp_path / f"a{suffix}", save_turned(tmp_path / f"8{suffix}", picture[..., 0], orientation)
        Image.fromarray(picture[..., 0].astype(np.uint16) * 257).save(path, exif=exif_bytes(orientation))
        for stored in (False, True):
            expected = load_image(image_path(control, stored))
            np.testing.assert_array_equal(load_image(image_path(path, stored, (0, 65535))), expected)
