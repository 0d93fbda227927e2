import numpy as np
import pytest
from builders import small_options
from hypothesis import given
from hypothesis import strategies as st
from reference import naive
from threadpoolctl import threadpool_limits

from ert._kernels import Workers, read_feature_pool
from ert._kernels.pixels import CropView, pool_args, pool_workspace, read_pixels, similarity, similarity_args
from ert._kernels.simd import padded
from ert.datasets.synthetic import synthetic_faces
from ert.model.cropping import CropSpec
from ert.model.geometry import box_to_image, box_transforms, image_to_box, jitter_transforms
from ert.model.schemes import FACE68_MIRROR, mirror_shapes
from ert.training.crops import Crops
from ert.training.memory import BLOCK_LENGTH
from ert.training.parameters import KINDS
from ert.training.samples import draw_samples, plain_samples
from ert.training.stage import (
    MIN_SPREAD,
    draw_landmarks,
    draw_pairs,
    draw_pool,
    landmark_directions,
    local_prior,
    most_used,
    pair_prior,
    pick_pairs,
    replay_stage,
    spread_of_stage,
    train_stage,
    useful_threads,
)

CROPPING = CropSpec(np.array([-0.3, -0.3, 1.3, 1.3]), 48, 1.0)
TRANSFORM = np.array([48, 0, 0, 48, 14.4, 14.4])


@pytest.fixture(scope="module")
def cut():
    """Crops of 30 synthetic faces and their landmarks in box coordinates."""
    images, boxes, landmarks = synthetic_faces(30, seed=5, size=96)
    transforms = box_transforms(boxes)
    crops = np.array([CROPPING.cut(image, transform)[0] for image, transform in zip(images, transforms, strict=True)])
    return Crops.pack(crops, TRANSFORM), image_to_box(landmarks, transforms)


def everything(samples):
    truth = samples.truth[samples.view].astype(float)
    return image_to_box(truth, samples.jitter.astype(float)).astype(np.float32)


def samples_of(cut, swap=None, **changes):
    return draw_samples(cut[0], cut[1], swap, small_options(**changes))


def test_every_object_starts_from_the_mean_shape_in_its_own_box_first(cut):
    samples = samples_of(cut)
    assert len(samples) == 90
    assert samples.crop_of.tolist() == np.repeat(np.arange(30), 3).tolist()
    np.testing.assert_allclose(samples.mean_shape, cut[1].mean(axis=0), atol=1e-6)
    assert (samples.shapes[::3] == samples.mean_shape).all()
    np.testing.assert_allclose(everything(samples)[::3], cut[1], atol=1e-5)
    assert np.array_equal(samples.transforms[::3], np.tile(TRANSFORM.astype(np.float32), (30, 1)))
    assert len(np.unique(samples.shapes[1::3], axis=0)) == 30


def test_jitter_and_mirroring_leave_landmarks_where_they_are_in_the_crop(cut):
    swap = np.array(FACE68_MIRROR)
    samples = samples_of(cut, swap, roll_jitter=20.0)
    places = box_to_image(everything(samples).astype(float), samples.transforms.astype(float))
    truth = box_to_image(cut[1], np.tile(TRANSFORM, (30, 1)))
    for i in range(90):
        np.testing.assert_allclose(places[i], truth[i // 3], atol=1e-3)
        np.testing.assert_allclose(places[90 + i], truth[i // 3][swap], atol=1e-3)
    np.testing.assert_allclose(everything(samples)[90::3], mirror_shapes(cut[1], swap), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"leaf_bits": 16},
        {"n_trees_averaged": 5, "learning_rate": 1.0},
        {"kind": "dlib"},
        {"n_pixels": 30, "n_pool_candidates": 90},
        {"tree_target": "landmark", "pool_spread": 0.1},
        {"tree_target": "landmark", "pool_spread": 0.1, "n_pixels": 30, "n_pool_candidates": 90, "kind": "dlib"},
    ],
)
def test_a_stage_brings_the_shapes_nearer_and_is_replayed_to_the_same_bytes(cut, changes):
    samples, again = samples_of(cut, n_inits=80, **changes), samples_of(cut, n_inits=80, **changes)
    assert len(samples) > BLOCK_LENGTH
    before = np.linalg.norm(everything(samples) - samples.shapes, axis=2).mean()
    with threadpool_limits(1), Workers(2) as workers:
        stage = train_stage(samples, 0, small_options(n_inits=80, **changes), workers)
        replay_stage(again, stage, KINDS[changes.get("kind", "ert")], workers)
    assert np.linalg.norm(everything(samples) - samples.shapes, axis=2).mean() < 0.8 * before
    assert samples.shapes.tobytes() == again.shapes.tobytes()
    assert stage.anchors.shape == (changes.get("n_pixels", 80),)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 30))
def test_the_most_used_pixels_match_the_slow_count(seed, depth, n_drawn):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(n_drawn, size=(rng.integers(1, 9), 2**depth - 1, 2)).astype(np.uint16)
    n_kept = int(rng.integers(1, n_drawn + 1))
    assert most_used(pairs, n_drawn, n_kept).tolist() == naive.most_used(pairs, n_drawn, n_kept)


def test_a_chosen_pool_leads_nearer_than_a_drawn_one(cut):
    def error(n_pool_candidates):
        plan = {"n_inits": 80, "n_pixels": 8, "n_pool_candidates": n_pool_candidates}
        samples = samples_of(cut, **plan)
        with threadpool_limits(1), Workers(2) as workers:
            for stage in range(3):
                train_stage(samples, stage, small_options(**plan), workers)
        return np.linalg.norm(everything(samples) - samples.shapes, axis=2).mean()

    assert error(80) < 0.97 * error(0)


def test_leaves_are_the_mean_residuals_times_the_learning_rate(cut):
    """One tree with one split, in the full basis: what it moves is known from the shapes alone."""
    samples = samples_of(cut, roll_jitter=0.0)
    targets, inits = everything(samples).astype(float), samples.shapes.copy()
    plan = small_options(n_trees=1, max_depth=1, n_components=136, leaf_bits=16, learning_rate=0.5, roll_jitter=0.0)
    with threadpool_limits(1), Workers(1) as workers:
        stage = train_stage(samples, 0, plan, workers)
    mean_shape = similarity_args(samples.mean_shape)
    matrices = np.array([similarity(mean_shape, padded(start, 0, 8)) for start in inits], dtype=float)
    turn = np.array([[[a, -b], [b, a]] for a, b in matrices])
    residuals = np.linalg.solve(turn, (targets - inits).transpose(0, 2, 1)).transpose(0, 2, 1)
    moved = np.linalg.solve(turn, (samples.shapes - inits).transpose(0, 2, 1)).transpose(0, 2, 1)
    left = np.abs(moved - moved[0]).max(axis=(1, 2)) < 1e-4
    assert 0 < left.sum() < len(left)
    for side in (left, ~left):
        mean = 0.5 * residuals[side].mean(axis=0)
        np.testing.assert_allclose(moved[side], np.broadcast_to(mean, moved[side].shape), atol=2e-4)
    assert stage.leaves.shape == (1, 2, 136)


def test_missing_landmarks_get_the_mean_of_those_that_are_there(cut):
    crops, shapes = cut
    holes = shapes.copy()
    holes[:15, 7] = np.nan
    samples = draw_samples(crops, holes, None, small_options(n_inits=1))
    inits = samples.shapes.copy()
    plan = small_options(n_trees=1, max_depth=1, learning_rate=1.0, leaf_bits=16, n_inits=1)
    with threadpool_limits(1), Workers(1) as workers:
        train_stage(samples, 0, plan, workers)
    moved = samples.shapes - inits
    left = np.abs(moved - moved[0]).max(axis=(1, 2)) < 1e-5
    assert 0 < left.sum() < 30
    for side in (left, ~left):
        left_over = everything(samples)[side] - inits[side]
        mean = np.nansum(left_over, axis=0) / np.maximum(np.isfinite(left_over).sum(axis=0), 1)
        np.testing.assert_allclose(moved[side], np.broadcast_to(mean, moved[side].shape), atol=1e-3)


def test_plain_samples_start_as_prediction_does(cut):
    mean = cut[1].mean(axis=0).astype(np.float32)
    samples = plain_samples(cut[0], cut[1], mean)
    assert len(samples) == 30
    assert (samples.shapes == mean).all()
    assert samples.crop_of.tolist() == list(range(30))


def random_pool(rng, n_landmarks=7, n_pixels=20):
    mean = rng.random((n_landmarks, 2))
    return mean, *draw_pool(mean, n_pixels, 0.1, 0.0, rng)


def read(crop, transform, shape, matrix, anchors, deltas):
    """Read a pool, the second of two."""
    pools = pool_args(np.stack([anchors[::-1], anchors]), np.stack([deltas[::-1], deltas]))
    shape = padded(shape, 0, 8)
    out = np.empty(pools.anchors.shape[1], np.uint8)
    workspace = pool_workspace(len(shape), len(out))
    read_pixels(crop, transform, shape, matrix, pools, 1, workspace, out)
    return out[: len(anchors)]


def flat(crop):
    columns, rows = crop.shape
    return CropView(crop.reshape(-1), columns, rows, rows, 1)


@given(st.integers(0, 10**6))
def test_read_pixels_matches_its_twin(seed):
    rng = np.random.default_rng(seed)
    mean, anchors, deltas = random_pool(rng)
    crop = rng.integers(0, 256, (40, 50), dtype=np.uint8)
    transform = (30 * jitter_transforms(1, 0.3, 0.2, 60, rng)[0]).astype(np.float32)
    shape = (mean + rng.normal(0, 0.1, mean.shape)).astype(np.float32)
    a, b = similarity(similarity_args(mean.astype(np.float32)), padded(shape, 0, 8))
    out = read(flat(crop), transform, shape, (a, b), anchors, deltas)
    matrix = np.array([[a, -b], [b, a]], dtype=float)
    expected = naive.read_pixels(crop, transform.astype(float), shape.astype(float), matrix, anchors, deltas)
    # float32 against float64: a position on the border of two pixels may fall to either.
    assert (out == expected).mean() >= 0.95
    columns, rows = crop.shape
    row_by_row = CropView(np.ascontiguousarray(crop.T).reshape(-1), columns, rows, 1, columns)
    assert np.array_equal(out, read(row_by_row, transform, shape, (a, b), anchors, deltas))


def test_the_pools_of_samples_are_read_as_for_one_face():
    rng = np.random.default_rng(3)
    mean, anchors, deltas = random_pool(rng)
    mean_shape = mean.astype(np.float32)
    crops = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((40, 50), (20, 70), (90, 30))]
    kept = Crops.pack(crops, np.zeros((3, 6)))
    crop_of = np.array([2, 0, 1, 1], np.int32)
    transforms = (30 * jitter_transforms(4, 0.1, 0.2, 20, rng)).astype(np.float32)
    shapes = (mean + rng.normal(0, 0.1, (4, *mean.shape))).astype(np.float32)
    # Blocks of three samples, on two threads.
    pool = np.zeros((2, len(anchors), 3), np.uint8)
    inputs, features, n_calls = (crop_of, transforms, shapes), (anchors, deltas, None), []
    with Workers(2) as workers:
        places = kept.pixels, kept.places
        found = read_feature_pool(places, inputs, mean_shape, features, pool, workers, lambda: n_calls.append(1))
    assert len(n_calls) == 2
    for i in range(4):
        matrix = similarity(similarity_args(mean_shape), padded(shapes[i], 0, 8))
        assert tuple(found[i]) == matrix
        out = read(flat(crops[crop_of[i]]), transforms[i], shapes[i], matrix, anchors, deltas)
        assert np.array_equal(pool[i // 3, :, i % 3], out)


def test_pool_positions_lie_in_the_padded_rectangle_at_the_nearest_landmarks():
    rng = np.random.default_rng(0)
    mean, anchors, deltas = random_pool(rng, n_pixels=500)
    positions = mean[anchors] + deltas
    assert (positions >= mean.min(axis=0) - 0.1001).all()
    assert (positions <= mean.max(axis=0) + 0.1001).all()
    assert (positions < mean.min(axis=0)).any()
    nearest = np.linalg.norm(positions[:, None] - mean, axis=2).argmin(axis=1)
    assert (nearest == anchors).mean() > 0.99


def test_small_fits_use_one_thread():
    """Those of 46 photos with 40 initializations do; those of 1000 with 20 use what they get."""
    assert useful_threads(46 * 40, 8) == 1
    assert useful_threads(1000 * 20, 8) == 8
    assert useful_threads(10**6, 1) == 1


@pytest.mark.parametrize("n", [2, 3, 70, 400])
def test_the_prior_of_pairs_has_the_bits_of_its_plain_form(n):
    """Models must not change by the order of operations."""
    positions = np.random.default_rng(n).random((n, 2))
    pairs, cumulative = pair_prior(positions, 0.1)
    plain = np.stack(np.triu_indices(n, k=1), axis=1)
    distances = np.linalg.norm(positions[plain[:, 0]] - positions[plain[:, 1]], axis=1)
    assert pairs.dtype == np.uint16
    assert np.array_equal(pairs, plain)
    assert np.array_equal(cumulative, np.cumsum(np.exp((distances.min() - distances) / 0.1)))
    which = np.random.default_rng(0).random(50)
    picked = pick_pairs((pairs, cumulative), which, np.ones(50))
    assert np.array_equal(picked, pairs[np.searchsorted(cumulative, which * cumulative[-1], side="right")])


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
    transform = np.array([1, 0, 0, 1, 0, 0], np.float32)
    anchors, deltas = np.arange(5, dtype=np.uint16), np.zeros((5, 2), np.float32)
    places = [[np.nan, 1], [np.inf, np.inf], [-np.inf, 1], [3e38, -3e38], [1.4, 1.6]]
    one, zero = np.float32(1), np.float32(0)
    out = read(flat(crop), transform, np.array(places, np.float32), (one, zero), anchors, deltas)
    # Infinity times a zero of the transform is no number either, and reads column and row 0.
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


# Trees for single landmarks


def test_every_landmark_has_its_turn():
    chosen = draw_landmarks(25, 10, np.random.default_rng(0))
    assert sorted(chosen[:10]) == sorted(chosen[10:20]) == list(range(10))
    assert len(set(chosen[20:])) == 5
    assert len(draw_landmarks(3, 10, np.random.default_rng(0))) == 3


def test_the_spread_shrinks_from_stage_to_stage():
    options = small_options(pool_spread=0.1, spread_decay=0.8)
    assert [spread_of_stage(options, stage) for stage in (0, 1, 2)] == pytest.approx([0.1, 0.08, 0.064])
    assert spread_of_stage(options, 500) == MIN_SPREAD
    assert spread_of_stage(small_options(), 3) == 0
    assert spread_of_stage(small_options(pool_spread=0.001), 3) == 0.001


def test_directions_are_the_residuals_of_a_landmark():
    rng = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    scales, components = rng.random(6), rng.standard_normal((1000, 6)) * np.arange(1, 7)
    directions, sizes = landmark_directions((vectors, components.std(axis=0) * scales), scales)
    residuals = ((components * scales) @ vectors).reshape(1000, 3, 2)
    np.testing.assert_allclose(np.einsum("kcd,nd->nkc", directions, components), residuals)
    np.testing.assert_allclose(sizes, 5 * residuals.std(axis=0).max(axis=1), rtol=0.1)


def test_pairs_are_drawn_near_a_point():
    rng = np.random.default_rng(0)
    positions, point = rng.random((300, 2)), np.array([0.3, 0.6])
    points = np.array([(0.9, 0.9), point])
    pairs = pick_pairs(local_prior(positions, 0.1, points, 0.05, 1), rng.random(2000), rng.random(2000))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    middles = positions[pairs].mean(axis=1)
    assert np.median(np.linalg.norm(middles - point, axis=1)) < 0.15
    assert len(local_prior(positions[:2], 0.1, points, 0.05, 0)[0]) == 1


@pytest.mark.parametrize("missing", [False, True])
def test_trees_for_landmarks_find_them_as_those_for_shapes_do(cut, missing):
    crops, shapes = cut
    shapes = shapes.copy()
    if missing:
        shapes[::3, 5] = np.nan

    def error(**changes):
        options = small_options(n_inits=10, n_trees=68, pool_spread=0.1, **changes)
        samples = draw_samples(crops, shapes, None, options)
        with threadpool_limits(1), Workers(1) as workers:
            for stage in range(3):
                train_stage(samples, stage, options, workers)
        return np.nanmean(np.linalg.norm(everything(samples) - samples.shapes, axis=2))

    assert error(tree_target="landmark", spread_decay=0.8) < 1.1 * error()
