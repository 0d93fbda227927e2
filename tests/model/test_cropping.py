from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

from ert import InputError
from ert._core.images import to_gray
from ert._kernels.crop import reduce, resample
from ert.model.cropping import CropSpec, check_crop_spec, crop_native, crop_region
from ert.model.geometry import box_transforms, stretched_transforms
from ert.training.crops import Crops


@given(
    st.integers(0, 10**6),
    st.floats(0.2, 4),
    st.floats(0, 2),
    st.floats(-30, 30),
    st.floats(-30, 30),
    st.sampled_from([1, 6, 16, 35]),
)
def test_resample_matches_the_slow_filter(seed, step, blur, x, y, rows):
    image = np.random.default_rng(seed).integers(0, 256, (17, 13), dtype=np.uint8)
    out = np.empty((5, rows), np.uint8)
    resample(image, 0, 0, x, y, step, blur, out)
    expected = naive.resample(image, x, y, step, blur, (rows, 5)).T
    assert np.abs(out - expected).max() <= 0.5 + 1e-3
    again = np.empty_like(out)
    resample(image, 7, -3, x - 7, y + 3, step, blur, again)
    assert np.abs(again - out.astype(int)).max() <= 1


def test_resample_at_the_same_scale_copies_and_goes_on_with_the_edge():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    out = np.empty((6, 5), np.uint8)
    resample(image, 0, 0, -1.0, -1.0, 1.0, 1.0, out)
    assert np.array_equal(out.T, np.pad(image, 1, mode="edge"))


def crop_spec(size=32):
    return CropSpec(np.array([-0.25, -0.5, 1.25, 1.5]), size, 1.0)


def test_the_crop_puts_the_box_where_its_transform_says():
    image = np.zeros((200, 300), np.uint8)
    image[60:125, 100:165] = 255
    plan = crop_spec()
    crop, transform = plan.cut(image, box_transforms(np.array([[100.0, 60.0, 65.0, 65.0]]))[0])
    assert crop.shape == plan.shape == (49, 65)
    left, top = transform[4:].astype(int)
    assert (left, top) == (8, 16)
    inside = crop[left : left + 33, top : top + 33]
    assert inside[1:-1, 1:-1].min() == 255
    assert crop[: left - 1].max() == crop[:, : top - 1].max() == 0


@pytest.mark.parametrize("box", [(100, 60, 65, 65), (-40, -30, 90, 90), (250, 150, 400, 400), (3.3, 7.7, 20.1, 20.1)])
def test_the_crop_is_the_same_for_a_part_of_the_image(box):
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    transform = box_transforms(np.array([box], dtype=float))[0]
    for plan in (crop_spec(), replace(crop_spec(), blur=0.0)):
        crop, placed = plan.cut(image, transform)
        for other in (plan.cut(to_gray(image), transform), plan.cut(image[..., ::-1], transform, "bgr")):
            assert np.array_equal(crop, other[0])
            assert np.array_equal(placed, other[1])


def test_a_face_in_a_large_image_has_the_crop_that_it_has_alone():
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (900, 1200), dtype=np.uint8)
    transforms = box_transforms(np.array([[500.0, 400.0, 80.0, 80.0], [100.0, 100.0, 80.0, 80.0]]))
    alone = np.ascontiguousarray(large[300:600, 400:700])
    for plan in (crop_spec(), replace(crop_spec(), blur=0.0)):
        assert np.array_equal(plan.cut(large, transforms[0])[0], plan.cut(alone, transforms[1])[0])


def test_a_one_pixel_image_gives_a_flat_crop():
    for blur in (1.0, 0.0):
        plan = replace(crop_spec(), blur=blur)
        crop, _ = plan.cut(np.full((1, 1), 7, np.uint8), box_transforms(np.array([[-5.0, -5.0, 10.0, 10.0]]))[0])
        assert (crop == 7).all()


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(-60, 60), st.integers(-60, 60))
def test_reducing_matches_its_twin(seed, factor, column, row):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (rng.integers(1, 40), rng.integers(1, 50)), dtype=np.uint8)
    out = np.empty((9, 11), np.uint8)
    reduce(image, column, row, factor, out)
    assert np.array_equal(out, naive.reduce(image, column, row, factor, out.shape))


@pytest.mark.parametrize("side", [20, 33, 50, 64, 81, 200])
def test_without_smoothing_an_integer_factor_is_used(side):
    # A ramp: its value at any place is known.
    image = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    plan = replace(crop_spec(), blur=0.0, region=np.array([-0.1, -0.1, 1.1, 1.1]))
    crop, transform = plan.cut(image, box_transforms(np.array([[20.0, 30.0, side + 1.0, side + 1.0]]))[0])
    assert transform[0] == pytest.approx(side / max(1, round(side / 32)))
    assert all(got <= most for got, most in zip(crop.shape, plan.shape, strict=True))
    for u in (0.0, 0.3, 1.0):
        column = round(u * transform[0] + transform[4])
        assert abs(crop[column, 5] - (20 + u * side)) <= side / transform[0] / 2 + 0.5


def test_the_region_contains_the_shapes_the_padding_and_a_margin():
    shapes = np.array([[[0.1, 0.2], [0.8, 0.9]], [[0.1, 0.2], [np.nan, np.nan]]])
    np.testing.assert_allclose(crop_region(shapes, 0.0, False)[:2], [0.05, 0.15])
    np.testing.assert_allclose(crop_region(shapes[:1], 0.5, False), [-0.45, -0.35, 1.35, 1.45])
    left, _, right, _ = crop_region(shapes[:1], 0.0, True)
    np.testing.assert_allclose([left, right], [0.05, 0.95])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"working_size": 2000, "region": np.array([-10.0, -10, 10, 10])}, "reduce working_size"),
        ({"working_size": True}, "working_size=True"),
        ({"blur": float("nan")}, "blur=nan"),
        ({"region": np.array([0.0, 0, np.nan, 1])}, "region"),
        ({"region": np.array([0.0, 0, 0, 1])}, "region"),
    ],
)
def test_croppings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check_crop_spec(replace(crop_spec(), **changes))


@given(
    st.tuples(st.integers(-40, 40), st.integers(-40, 40), st.floats(2, 60), st.floats(2, 60)),
    st.tuples(st.floats(-1, 0.4), st.floats(-1, 0.4), st.floats(0.5, 2), st.floats(0.5, 2)),
)
def test_raw_crops_hold_the_region_and_zeros_round_the_image(box, region):
    image = np.random.default_rng(0).integers(1, 256, (23, 31), dtype=np.uint8)
    transform = stretched_transforms(np.array([box]))[0]
    crop, placed = crop_native(image, transform, np.array(region), "rgb", "dlib")
    around = np.pad(image, 200)
    for u, v in np.random.default_rng(1).random((50, 2)) * (np.array(region[2:]) - region[:2]) + region[:2]:
        x, y = round(u * transform[0] + transform[4]), round(v * transform[3] + transform[5])
        column, row = round(u * placed[0] + placed[4]), round(v * placed[3] + placed[5])
        column, row = min(max(column, 0), crop.shape[0] - 1), min(max(row, 0), crop.shape[1] - 1)
        assert crop[column, row] == around[y + 200, x + 200]


def test_crops_of_many_sizes_are_consecutive():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((3, 4), (1, 7), (5, 2))]
    crops = Crops.pack(parts, np.zeros((3, 6)))
    assert all(np.array_equal(crops.crop(i), part) for i, part in enumerate(parts))
    assert len(crops) == 3
    for part, (first, rows, columns) in zip(parts, crops.places, strict=True):
        assert np.array_equal(crops.pixels[first : first + rows * columns].reshape(rows, columns), part)


@given(
    st.integers(-60, 40),
    st.integers(-60, 40),
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([96, 128, 140]),
    st.sampled_from([0.0, 1.0]),
    st.floats(2, 700),
)
def test_a_crop_fits_its_room_whatever_the_rounding(left, top, width, height, size, blur, side):
    region = np.array([left, top, left + width, top + height]) / 100
    plan = CropSpec(region, size, blur)
    crop, _ = plan.cut(np.zeros((30, 40), np.uint8), box_transforms(np.array([[3.3, 1.7, side, side]]))[0])
    assert all(got <= most for got, most in zip(crop.shape, plan.shape, strict=True))


def test_a_crop_of_a_region_in_hundredths():
    """Its width comes out differently as a difference of products and as a product of a difference."""
    for low in range(-30, 30):
        for width in range(40, 100):
            region = np.array([low, low, low + width, low + width]) / 100
            CropSpec(region, 140, 1.0).cut(np.zeros((30, 40), np.uint8), np.array([9.0, 0, 0, 9, 1, 1]))
