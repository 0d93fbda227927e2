import numpy as np
import pytest
from builders import small_options
from helpers import small_predictor
from scipy.ndimage import center_of_mass, gaussian_filter
from scipy.spatial.distance import cdist

import ert
from ert._kernels import crop_resampled
from ert.training.augmentation import ThinPlate, augment_crops, occlude_crops, relight, stretch, warp_crop
from ert.training.crops import Crops

TRANSFORM = np.array([40.0, 0, 0, 40.0, 10.0, 10.0])
# All landmarks but a missing one: the rectangle from 18 to 42 pixels across, from 22 to 46 down.
SHAPE = np.array([(0.2, 0.3), (0.8, 0.9), (np.nan, np.nan)])


@pytest.fixture
def crops():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 60, 60), dtype=np.uint8)
    return Crops.pack(pixels, TRANSFORM)


def changed_pixels(crops, before):
    return crops.pixels.reshape(-1, 60, 60) != before.reshape(-1, 60, 60)


def test_a_share_is_changed_and_the_rest_left_alone(crops):
    before = crops.pixels.copy()
    chosen = occlude_crops(crops, np.tile(SHAPE, (300, 1, 1)), 0.3, 0)
    assert 60 < len(chosen) < 120
    touched = changed_pixels(crops, before).any(axis=(1, 2))
    assert np.flatnonzero(touched).tolist() == chosen.tolist()


def test_blocks_lie_on_the_landmarks_and_blur_is_everywhere(crops):
    before = crops.pixels.copy()
    occlude_crops(crops, np.tile(SHAPE, (300, 1, 1)), 1.0, 0)
    changed = changed_pixels(crops, before)
    blurred = changed[:, :5].any(axis=(1, 2))
    assert 60 < blurred.sum() < 140
    assert not changed[~blurred, :18].any()
    assert not changed[~blurred, 42:].any()
    assert not changed[~blurred, :, :22].any()
    assert not changed[~blurred, :, 46:].any()
    shares = changed[~blurred].mean(axis=(1, 2)) * 60**2 / 24**2
    assert 0.05 < shares.min() < shares.max() < 0.4
    now = crops.pixels.reshape(-1, 60, 60)
    flat = [len(np.unique(crop[where])) == 1 for crop, where in zip(now[~blurred], changed[~blurred], strict=True)]
    assert 0.3 < np.mean(flat) < 0.7
    noise = now[blurred].std(axis=(1, 2))
    assert noise.max() < before.std()


def test_the_seed_decides(crops):
    def run(seed):
        again = Crops.pack(crops.pixels.reshape(-1, 60, 60).copy(), TRANSFORM)
        occlude_crops(again, np.tile(SHAPE, (300, 1, 1)), 0.2, seed)
        return again.pixels.tobytes()

    assert run(0) == run(0) != run(1)


@pytest.mark.parametrize("kind", [{}, {"kind": "dlib", "gray_weights": "dlib"}])
def test_occlusion_changes_the_model_and_is_stored_in_it(faces, tmp_path, kind):
    plain, hard = (small_predictor(n_stages=1, occlusion=share, **kind).fit(*faces) for share in (0.0, 0.5))
    assert hard.get_params()["occlusion"] == 0.5
    assert not np.array_equal(plain.predict(faces[0]), hard.predict(faces[0]))


POINTS = np.array([(20.0, 20), (60, 18), (24, 62), (63, 58), (40, 40), (30, 50)])


def dots(points, shape=(80, 90)):
    """A crop (columns, rows) with a bright dot at each point."""
    levels = np.zeros(shape)
    for x, y in np.rint(points).astype(int):
        levels[x, y] = 1
    levels = gaussian_filter(levels, 1.5)
    return np.rint(20 + 200 * levels / levels.max()).astype(np.uint8)


def dot_centers(crop, points):
    centers = []
    for x, y in np.rint(points).astype(int):
        part = crop[x - 5 : x + 6, y - 5 : y + 6].astype(float) - 20
        centers.append(np.array(center_of_mass(part.clip(0))) + (x - 5, y - 5))
    return np.array(centers)


def test_a_warp_moves_the_image_with_the_landmarks():
    rng = np.random.default_rng(0)
    for _ in range(10):
        target = POINTS + rng.normal(0, 3, POINTS.shape)
        crop, moved = warp_crop(dots(POINTS), POINTS, target)
        assert np.linalg.norm(moved - target, axis=1).max() < 2.5
        assert np.linalg.norm(moved - target, axis=1).mean() < 0.5 * np.linalg.norm(POINTS - target, axis=1).mean()
        # Dots are also stretched and cut off.
        np.testing.assert_allclose(dot_centers(crop, moved), moved, atol=1.0)


def test_a_warp_to_where_the_landmarks_are_changes_nothing():
    crop = np.random.default_rng(0).integers(0, 256, (80, 90), dtype=np.uint8)
    warped, moved = warp_crop(crop, POINTS, POINTS)
    np.testing.assert_array_equal(warped, crop)
    np.testing.assert_allclose(moved, POINTS, atol=1e-9)


def test_a_missing_landmark_drives_no_warp_and_moves_with_it():
    missing, target = POINTS.copy(), POINTS + (4, 2)
    missing[1] = target[2] = np.nan
    _, moved = warp_crop(dots(POINTS), missing, target)
    assert np.isnan(moved[1]).all()
    np.testing.assert_allclose(np.delete(moved, 1, axis=0), np.delete(POINTS, 1, axis=0) + (4, 2), atol=0.05)


def test_warps_that_fold_are_dropped():
    assert warp_crop(dots(POINTS), POINTS, POINTS[::-1]) is None
    assert warp_crop(dots(POINTS), POINTS[:2], POINTS[:2]) is None


def test_a_thin_plate_minimizes_bending():
    """The same as solving the textbook's equations with a plain double loop."""
    rng = np.random.default_rng(0)
    points, values, places = rng.random((9, 2)) * 50, rng.normal(size=(9, 2)), rng.random((20, 2)) * 60
    center = points.mean(axis=0)
    size = np.sqrt(((points - center) ** 2).sum() / 9)

    def kernel(a, b):
        r = cdist((a - center) / size, (b - center) / size)
        return r**2 * 2 * np.log(np.maximum(r, 1e-100))

    def plane(a):
        return np.column_stack([np.ones(len(a)), (a - center) / size])

    blocks = [[kernel(points, points) + 0.1 * np.eye(9), plane(points)], [plane(points).T, np.zeros((3, 3))]]
    weights = np.linalg.solve(np.block(blocks), np.vstack([values, np.zeros((3, 2))]))
    expected = np.column_stack([kernel(places, points), plane(places)]) @ weights
    np.testing.assert_allclose(ThinPlate(points, values)(places), expected, atol=1e-8)


def test_light_changes_and_the_place_does_not():
    crop = np.tile(np.linspace(30, 220, 80)[:, None], 90).astype(np.uint8)
    lit = [relight(crop, np.random.default_rng(seed)) for seed in range(40)]
    assert {(each.shape, each.dtype) for each in lit} == {(crop.shape, crop.dtype)}
    assert len({each.tobytes() for each in lit}) > 30
    np.testing.assert_array_equal(relight(crop, np.random.default_rng(7)), lit[7])
    # Brighter stays brighter, also after a gradient of light across it.
    assert np.median([np.corrcoef(crop.ravel(), each.ravel())[0, 1] for each in lit]) > 0.9


def test_little_contrast_is_stretched_as_in_crops_that_are_cut():
    rng = np.random.default_rng(0)
    flat = np.rint(rng.normal(90, 6, (64, 64)).clip(0, 255)).astype(np.uint8)
    cut = [
        crop_resampled(flat, (0, 0), (0.0, 0.0, 63.0), (np.array([0.0, 0, 1, 1]), 64, 0.0, level, (64, 64)))[0]
        for level in (0.0, 40.0)
    ]
    difference = np.abs(stretch(cut[0], 40.0).astype(int) - cut[1])
    # The kernel takes every eighth line.
    assert difference.max() < 10
    np.testing.assert_array_equal(stretch(cut[0], 0.0), cut[0])
    assert stretch(np.full((9, 9), 7, np.uint8), 40.0).std() == 0


SHAPES = np.random.default_rng(1).normal(0, 0.05, (80, 6, 2)) + POINTS / 80


def augmented(crops, n_threads=1, **options):
    copies = Crops.pack(crops.pixels.reshape(-1, 60, 60)[:80].copy(), TRANSFORM)
    targets = np.arange(0, 80, 2)
    shapes = augment_crops(
        copies, SHAPES, small_options(**options), targets=targets, min_contrast=0.0, n_threads=n_threads
    )
    return copies.pixels.reshape(-1, 60, 60), shapes


def test_a_share_is_warped_and_another_lit(crops):
    before = crops.pixels.reshape(-1, 60, 60)[:80]
    pixels, shapes = augmented(crops, warp=0.3)
    moved = (shapes != SHAPES).any(axis=(1, 2))
    assert 10 < moved.sum() < 40
    assert np.array_equal((pixels != before).any(axis=(1, 2)), moved)
    pixels, shapes = augmented(crops, lighting=0.4)
    assert np.array_equal(shapes, SHAPES)
    assert 20 < (pixels != before).any(axis=(1, 2)).sum() < 45


def test_seeds_decide_and_threads_do_not(crops):
    runs = ((1, 0), (2, 0), (1, 1))
    one, two, other = (
        augmented(crops, n_threads, warp=0.5, lighting=0.5, random_state=seed) for n_threads, seed in runs
    )
    for same, differs, array in zip(two, other, one, strict=True):
        assert np.array_equal(array, same)
        assert not np.array_equal(array, differs)


@pytest.mark.parametrize("kind", [{}, {"kind": "dlib", "gray_weights": "dlib"}])
@pytest.mark.parametrize("name", ["warp", "lighting"])
def test_augmentation_changes_the_model_and_is_stored_in_it(faces, tmp_path, kind, name):
    X, y = faces[0][:40], faces[1][:40].copy()
    y[::5, 3] = np.nan
    models = [
        small_predictor(n_stages=1, n_jobs=n_jobs, **{name: share}, **kind).fit(X, y)
        for share, n_jobs in ((0.0, 1), (1.0, 1), (1.0, 2))
    ]
    found = [model.predict(X) for model in models]
    assert not np.array_equal(found[0], found[1])
    assert np.array_equal(found[1], found[2])
    assert name not in models[0].fitted_.params
    models[1].save(tmp_path / "model.ert")
    assert ert.load(tmp_path / "model.ert").get_params()[name] == 1.0


def test_objects_without_weight_are_no_targets(crops):
    """All others have one shape: warped onto it, objects of that shape stay as they are."""
    shapes = np.tile(SHAPES[:1], (80, 1, 1))
    shapes[1::2] = SHAPES[1::2]
    copies = Crops.pack(crops.pixels.reshape(-1, 60, 60)[:80].copy(), TRANSFORM)
    options = small_options(warp=1.0)
    moved = augment_crops(copies, shapes, options, targets=np.arange(0, 80, 2), min_contrast=0.0, n_threads=1)
    np.testing.assert_allclose(moved[::2], shapes[::2], atol=1e-9)
    assert (moved[1::2] != shapes[1::2]).any(axis=(1, 2)).mean() > 0.3
