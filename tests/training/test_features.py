import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import naive

from ert._kernels import Workers, read_feature_pool
from ert._kernels.pixels import CropView, pool_args, pool_workspace, read_pixels, similarity, similarity_args
from ert._kernels.simd import padded
from ert.model.geometry import jitter_frames
from ert.training.crops import Crops
from ert.training.features import draw_pairs, draw_pool


def random_pool(rng, n_landmarks=7, n_pixels=20):
    mean = rng.random((n_landmarks, 2))
    return mean, *draw_pool(mean, n_pixels, 0.1, 0.0, rng)


def read(crop, frame, shape, matrix, anchors, deltas):
    """Read a pool, the second of two."""
    pools = pool_args(np.stack([anchors[::-1], anchors]), np.stack([deltas[::-1], deltas]))
    shape = padded(shape, 0, 8)
    out = np.empty(pools.anchors.shape[1], np.uint8)
    workspace = pool_workspace(len(shape), len(out))
    read_pixels(crop, frame, shape, matrix, pools, 1, workspace, out)
    return out[: len(anchors)]


def flat(crop):
    columns, rows = crop.shape
    return CropView(crop.reshape(-1), columns, rows, rows, 1)


@given(st.integers(0, 10**6))
def test_read_pixels_matches_its_twin(seed):
    rng = np.random.default_rng(seed)
    mean, anchors, deltas = random_pool(rng)
    crop = rng.integers(0, 256, (40, 50), dtype=np.uint8)
    frame = (30 * jitter_frames(1, 0.3, 0.2, 60, rng)[0]).astype(np.float32)
    shape = (mean + rng.normal(0, 0.1, mean.shape)).astype(np.float32)
    a, b = similarity(similarity_args(mean.astype(np.float32)), padded(shape, 0, 8))
    out = read(flat(crop), frame, shape, (a, b), anchors, deltas)
    matrix = np.array([[a, -b], [b, a]], dtype=float)
    expected = naive.read_pixels(crop, frame.astype(float), shape.astype(float), matrix, anchors, deltas)
    # float32 against float64: a position on the border of two pixels may fall to either.
    assert (out == expected).mean() >= 0.95
    columns, rows = crop.shape
    row_by_row = CropView(np.ascontiguousarray(crop.T).reshape(-1), columns, rows, 1, columns)
    assert np.array_equal(out, read(row_by_row, frame, shape, (a, b), anchors, deltas))


def test_the_pools_of_samples_are_read_as_for_one_face():
    rng = np.random.default_rng(3)
    mean, anchors, deltas = random_pool(rng)
    mean_shape = mean.astype(np.float32)
    crops = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((40, 50), (20, 70), (90, 30))]
    kept = Crops.pack(crops, np.zeros((3, 6)))
    crop_of = np.array([2, 0, 1, 1], np.int32)
    frames = (30 * jitter_frames(4, 0.1, 0.2, 20, rng)).astype(np.float32)
    shapes = (mean + rng.normal(0, 0.1, (4, *mean.shape))).astype(np.float32)
    # Blocks of three samples, on two threads.
    pool = np.zeros((2, 3, len(anchors)), np.uint8)
    inputs, features, n_calls = (crop_of, frames, shapes), (anchors, deltas), []
    with Workers(2) as workers:
        places = kept.pixels, kept.places
        found = read_feature_pool(places, inputs, mean_shape, features, pool, workers, lambda: n_calls.append(1))
    assert len(n_calls) == 2
    for i in range(4):
        matrix = similarity(similarity_args(mean_shape), padded(shapes[i], 0, 8))
        assert tuple(found[i]) == matrix
        out = read(flat(crops[crop_of[i]]), frames[i], shapes[i], matrix, anchors, deltas)
        assert np.array_equal(pool[i // 3, i % 3], out)


def test_pool_positions_lie_in_the_padded_rectangle_at_the_nearest_landmarks():
    rng = np.random.default_rng(0)
    mean, anchors, deltas = random_pool(rng, n_pixels=500)
    positions = mean[anchors] + deltas
    assert (positions >= mean.min(axis=0) - 0.1001).all()
    assert (positions <= mean.max(axis=0) + 0.1001).all()
    assert (positions < mean.min(axis=0)).any()
    nearest = np.linalg.norm(positions[:, None] - mean, axis=2).argmin(axis=1)
    assert (nearest == anchors).mean() > 0.99


def test_pairs_follow_the_exponential_prior():
    rng = np.random.default_rng(0)
    positions = np.array([[0.0, 0.0], [0.1, 0.0], [0.4, 0.0]])
    pairs = draw_pairs(positions, 200_000, 0.1, rng).astype(int)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    weights = {(0, 1): np.exp(-1), (0, 2): np.exp(-4), (1, 2): np.exp(-3)}
    for (i, j), weight in weights.items():
        share = (np.sort(pairs, axis=1) == (i, j)).all(axis=1).mean()
        np.testing.assert_allclose(share, weight / sum(weights.values()), rtol=0.05)
    np.testing.assert_allclose((pairs[:, 0] < pairs[:, 1]).mean(), 0.5, atol=0.01)


def test_a_shape_that_is_lost_reads_a_pixel_of_the_crop():
    """Whatever the numbers, no pixel outside the crop is touched."""
    crop = np.ascontiguousarray(np.arange(12, dtype=np.uint8).reshape(3, 4).T)
    frame = np.array([1, 0, 0, 1, 0, 0], np.float32)
    anchors, deltas = np.arange(5, dtype=np.uint16), np.zeros((5, 2), np.float32)
    places = [[np.nan, 1], [np.inf, np.inf], [-np.inf, 1], [3e38, -3e38], [1.4, 1.6]]
    one, zero = np.float32(1), np.float32(0)
    out = read(flat(crop), frame, np.array(places, np.float32), (one, zero), anchors, deltas)
    # Infinity times a zero of the frame is no number either, and reads column and row 0.
    assert out.tolist() == [0, 0, 0, 3, 9]


def test_a_pool_of_a_single_landmark_has_some_width():
    _, deltas = draw_pool(np.array([[0.5, 0.5]]), 200, 0.0, 0.0, np.random.default_rng(0))
    assert 0.08 < np.abs(deltas).max() <= 0.1
    _, narrow = draw_pool(np.array([[0.2, 0.5], [0.4, 0.5]]), 200, -0.4, 0.0, np.random.default_rng(0))
    assert np.isfinite(narrow).all()


def test_a_pool_with_a_spread_lies_around_the_landmarks():
    rng = np.random.default_rng(0)
    mean = rng.random((7, 2))
    anchors, deltas = draw_pool(mean, 4000, 0.0, 0.02, rng)
    assert np.bincount(anchors, minlength=7).min() > 400
    assert 0.015 < deltas.std() < 0.025
