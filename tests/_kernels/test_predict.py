import math

import numpy as np
from builders import N_COMPONENTS, N_LANDMARKS, random_cascade
from hypothesis import given
from hypothesis import strategies as st

from ert._core.images import channel_weights, to_gray
from ert._kernels.bound_args import entry_point
from ert._kernels.crop import crop_args, gray_part
from ert._kernels.predict import add_displacement, is_plain
from ert._kernels.simd import basis_args, padded, product_workspace
from ert.model.cropping import CropSpec
from ert.model.geometry import INITS


def test_a_displacement_is_rotated_and_scaled_with_the_shape():
    rng = np.random.default_rng(0)
    shape = rng.random((N_LANDMARKS, 2))
    scales = rng.random(N_COMPONENTS).astype(np.float32)
    basis = rng.integers(-9, 9, (N_COMPONENTS, 2 * N_LANDMARKS)).astype(np.int8)
    components = rng.integers(-9, 9, N_COMPONENTS).astype(np.int32)
    moved = padded(shape.astype(np.float32), 0, 8)
    matrix = np.float32(0.8), np.float32(0.3)
    arguments = basis_args(scales[None], basis[None])
    workspace = product_workspace(arguments)
    workspace.components[:N_COMPONENTS] = components
    add_displacement(arguments, 0, 0, matrix, workspace, moved)
    displacement = ((components * scales) @ basis).reshape(-1, 2)
    expected = shape + displacement @ np.array([[0.8, 0.3], [-0.3, 0.8]])
    np.testing.assert_allclose(moved[:N_LANDMARKS], expected, rtol=1e-3, atol=1e-3)
    assert not moved[N_LANDMARKS:].any()


def test_initializations_are_independent():
    rng = np.random.default_rng(1)
    cascade = random_cascade(rng)
    image = rng.integers(0, 256, (70, 80), dtype=np.uint8)
    box, swap = (15.0, 12.0, 41.0, 41.0), np.arange(N_LANDMARKS)[::-1]
    starts = np.concatenate([INITS, INITS + [0, 0, 0, 1]])
    together = cascade.predict_face(image, box, starts, "rgb", "luma", swap)
    for k in range(len(starts)):
        alone = cascade.predict_face(image, box, starts[k : k + 1], "rgb", "luma", swap)
        assert np.array_equal(alone[0], together[k])


@given(
    st.tuples(*[st.integers(-30, 60)] * 4),
    st.tuples(*[st.integers(1, 9)] * 2),
    st.sampled_from([0.0, 0.5, np.nan, np.inf]),
)
def test_only_boxes_that_touch_the_image_are_plain(box, shape, more):
    left, top, width, height = box[0] + more, *box[1:]
    rows, columns = shape
    expected = (
        math.isfinite(left)
        and 1 < width <= 5 * max(shape)
        and 1 < height <= 5 * max(shape)
        and left <= columns - 1
        and left + width >= 1
        and top + height - 1 >= 0
        and top < rows
    )
    image = np.zeros((*shape, 2), np.uint8)
    given = left, float(top), float(width), float(height)
    assert is_plain(image[:, :, 0].copy(), given, 5) == expected


def test_an_image_in_pieces_or_without_pixels_is_not_plain():
    for channels in ((), (3,)):
        image = np.zeros((8, 9, *channels), np.uint8)
        quick = entry_point(is_plain, image, (1.0, 1.0, 4.0, 4.0), 5)
        assert quick(image, (1.0, 1.0, 4.0, 4.0), 5)
        others = image[:, ::2], image[::2], image[:, :5], np.asfortranarray(image), image[:0], image[:, :0]
        for other in (*others, image.swapaxes(0, 1), image[..., ::-1]):
            assert not quick(other, (1.0, 1.0, 4.0, 4.0), 5)


@given(
    st.tuples(*[st.floats(-80, 80)] * 2, *[st.floats(1.5, 90)] * 2),
    st.tuples(*[st.integers(1, 40)] * 2),
    st.sampled_from([0.0, 0.4, 1.0, 3.0]),
    st.integers(8, 60),
)
def test_the_gray_part_is_what_the_crop_touches(box, shape, blur, working_size):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    spec = CropSpec(np.array([-0.2, -0.1, 1.1, 1.3]), working_size, blur)
    weights = channel_weights("rgb", "luma")
    gray, column, row = gray_part(image, weights, box, crop_args(*spec.kernel_args))
    columns, rows = spec.touched(*box, image.shape)
    assert (column, row) == (columns.start, rows.start)
    assert np.array_equal(gray, to_gray(image[rows, columns]))
