"""What kernels do with numbers that no model that works has: they stay within their arrays and give finite numbers."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from builders import likely_cascade, random_cascade

from ert._kernels.crop import crop_args, cut_crop, stretch
from ert._kernels.pixels import MAX_SCALE, similarity, similarity_args
from ert.inference.locate import MAX_BATCH_CROP_PIXELS
from ert.model.geometry import ONE_INIT

REGION = np.array([-0.2, -0.2, 1.2, 1.2])


def test_a_shape_that_has_grown_without_bounds_has_a_similarity_of_the_largest_scale():
    mean = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    args = similarity_args(mean)
    padded = np.zeros((8, 2), np.float32)
    for factor in (2, 99, 101, 1e6, 1e17):
        padded[:4] = mean * np.float32(factor)
        a, b = similarity(args, padded)
        assert np.hypot(a, b) == pytest.approx(min(factor, MAX_SCALE), rel=1e-6)
    # Its square overflows.
    padded[:4] = mean * np.float32(1e30)
    assert np.isfinite(similarity(args, padded)).all()


def test_a_mean_shape_that_is_nearly_a_point_has_the_identity():
    padded = np.zeros((8, 2), np.float32)
    padded[:2] = 1e9, -1e9
    for width in (0, 1e-30, 1e-20, 1e-8):
        mean = np.array([[0.5, 0.5], [0.5 + width, 0.5]], np.float32) * np.float32(1)
        mean[1, 1] += np.float32(width)
        assert similarity(similarity_args(mean), padded) == (1, 0)


@pytest.mark.parametrize("blur", [0.0, 1.0])
@pytest.mark.parametrize(
    "square", [(1e19, 0, 9), (np.nan, 5, 9), (5, -np.inf, 9), (5, 5, 1e30), (5, 5, np.nan), (5, 5, 0)]
)
def test_a_crop_of_an_absurd_square_stays_within_its_buffer(square, blur):
    image = np.full((20, 30), 7, np.uint8)
    args = crop_args(REGION, 8, blur, 0.0, (13, 13))
    out, to_pixels = np.zeros(13 * 13 + 50, np.uint8), np.empty(6, np.float32)
    columns, rows, _, _ = cut_crop(image, (0, 0), tuple(map(float, square)), args, out[: 13 * 13], to_pixels)
    assert 1 <= columns <= 13
    assert 1 <= rows <= 13
    assert (out[: columns * rows] == 7).all()
    assert (out[13 * 13 :] == 0).all()
    assert np.isfinite(to_pixels).all()


@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_a_crop_never_has_more_pixels_than_its_buffer(blur):
    image = np.full((20, 30), 7, np.uint8)
    args = crop_args(REGION, 8, blur, 0.0, (13, 13))
    out = np.zeros(100, np.uint8)
    columns, rows, _, _ = cut_crop(image, (0, 0), (5.0, 5.0, 9.0), args, out[:40], np.empty(6, np.float32))
    assert columns * rows <= 40
    assert (out[40:] == 0).all()


@pytest.mark.parametrize("min_contrast", [5e-324, 1e-300, 1e-6, 40.0, 127.0])
def test_a_flat_crop_becomes_middle_gray_at_any_contrast(min_contrast):
    crop = np.full((9, 9), 50, np.uint8)
    stretch(crop, min_contrast)
    assert (crop == 128).all()


def test_landmarks_stay_within_a_hundred_sides_of_the_box():
    image = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
    box = 10.0, 12.0, 41.0, 41.0
    cascade = random_cascade(np.random.default_rng(0))
    cascade.scales[:] = 1.0
    found = cascade.predict_face(image, box, ONE_INIT, "rgb", "luma")
    assert np.abs(found - 30).max() == pytest.approx(100 * 40, rel=0.02)
    exact = likely_cascade(0)
    exact.leaves[:] = 1e8
    found = exact.predict_face(image, box, ONE_INIT, "rgb", "dlib")
    assert (found == np.array(box[:2]) + 100 * 40).all()


def test_large_crops_are_cut_one_at_a_time(small_model, faces, monkeypatch):
    calls = []
    monkeypatch.setattr("ert.inference.locate.locate_batch", lambda *args: calls.append(args))
    X = faces[0][:64]
    expected = small_model.predict(X)
    assert calls
    calls.clear()
    monkeypatch.setattr("ert.inference.locate.MAX_BATCH_CROP_PIXELS", 1000)
    assert np.array_equal(small_model.predict(X), expected)
    assert not calls
    assert MAX_BATCH_CROP_PIXELS >= 900 * 900


def kernels_of(value, before="", **settings):
    code = f"{before}\nfrom ert._kernels import llvm, traversal\nprint(llvm.kernel_level(), traversal._WIDE)"
    env = os.environ | {"ERT_KERNELS": value} | settings
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of processors of this kind")
def test_kernels_suit_the_processor_that_numba_is_told_to_compile_for():
    """A container image is built for x86-64-v3, which is to have the kernels for AVX2."""

    def named(name, value="auto"):
        return kernels_of(value, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="").stdout.split()[0]

    assert [named(name) for name in ("x86-64-v3", "x86-64-v4", "generic")] == ["avx2", "avx2", "portable"]
    assert named("x86-64-v3", "portable") == "portable"


def test_an_environment_variable_chooses_the_kernels():
    """Those of processors without wide vectors can be tried on all, the others where the processor has them."""
    assert kernels_of("portable").stdout.split() == ["portable", "False"]
    narrow, wide = kernels_of("avx2"), kernels_of("avx512")
    assert narrow.stdout.split() == ["avx2", "False"] or "this processor lacks avx2" in narrow.stderr
    is_wide = wide.stdout.split() == ["avx512", "True"]
    assert is_wide or "this processor lacks avx512bw or avx512vbmi" in wide.stderr
    is_arm = platform.machine().lower() in ("aarch64", "arm64")
    neon = kernels_of("neon")
    assert neon.stdout.split() == ["neon", "False"] if is_arm else "this processor lacks neon" in neon.stderr
    assert "ERT_KERNELS=sse: expected auto, avx512, avx2, neon or portable" in kernels_of("sse").stderr
    late = kernels_of("portable", "import numba; numba.njit(lambda x: x)(1)")
    has_one = is_wide or narrow.returncode == 0
    assert not has_one or "import ert before numba compiles other functions" in late.stderr
