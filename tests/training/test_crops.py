import numpy as np
import pytest
from helpers import small_predictor

from ert.training.crops import Crops, occlude_crops

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
