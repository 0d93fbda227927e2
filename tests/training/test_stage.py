import numpy as np
import pytest
from builders import small_options
from hypothesis import given
from hypothesis import strategies as st
from reference import naive
from threadpoolctl import threadpool_limits

from ert._kernels.pixels import similarity, similarity_args
from ert._kernels.simd import padded
from ert._kernels.workers import Workers
from ert.datasets.synthetic import synthetic_faces
from ert.model.cropping import CropSpec
from ert.model.geometry import box_frames, frame_to_image, image_to_frame
from ert.model.schemes import FACE68_MIRROR, mirror_shapes
from ert.training.crops import Crops
from ert.training.memory import BLOCK_LENGTH
from ert.training.parameters import KINDS
from ert.training.samples import draw_samples, plain_samples
from ert.training.stage import most_used, replay_stage, train_stage

CROPPING = CropSpec(np.array([-0.3, -0.3, 1.3, 1.3]), 48, 1.0)
TRANSFORM = np.array([48, 0, 0, 48, 14.4, 14.4])


@pytest.fixture(scope="module")
def cut():
    """Crops of 30 synthetic faces and their landmarks in box coordinates."""
    images, boxes, landmarks = synthetic_faces(30, seed=5, size=96)
    frames = box_frames(boxes)
    crops = np.array([CROPPING.cut(image, frame)[0] for image, frame in zip(images, frames, strict=True)])
    return Crops.pack(crops, TRANSFORM), image_to_frame(landmarks, frames)


def everything(samples):
    truth = samples.truth[samples.view].astype(float)
    return image_to_frame(truth, samples.jitter.astype(float)).astype(np.float32)


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
    places = frame_to_image(everything(samples).astype(float), samples.transforms.astype(float))
    truth = frame_to_image(cut[1], np.tile(TRANSFORM, (30, 1)))
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
