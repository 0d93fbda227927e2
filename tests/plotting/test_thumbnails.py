import numpy as np
import pytest

from ert.plotting.style import PHOTO_COLORS
from ert.plotting.thumbnails import crop_thumbnail, object_thumbnail, object_view, shortened, to_thumbnail_pixels

BOX = np.array([30.0, 20, 40, 40])


@pytest.fixture
def shape():
    return np.random.default_rng(0).uniform((30, 20), (70, 60), (20, 2))


def test_the_view_contains_the_object_despite_outliers(shape):
    left, top, side = object_view(shape, BOX)
    assert (shape > [left, top]).all()
    assert (shape < [left + side, top + side]).all()
    assert side < 2 * np.ptp(shape, axis=0).max()
    wild = shape.copy()
    wild[0] = [1e5, -1e5]
    left, top, side = object_view(wild, BOX)
    assert side <= 4 * max(BOX[2:])
    assert (wild[1:] > [left, top]).all()
    assert (wild[1:] < [left + side, top + side]).all()
    left, top, side = object_view(wild + 1e6, BOX)
    assert left <= BOX[0] < BOX[0] + BOX[2] <= left + side


@pytest.mark.parametrize("size", [30, 200])
def test_points_stay_on_their_pixels(size):
    image = np.zeros((100, 100), np.uint8)
    image[50:60, 40:50] = 255
    view = (20, 30, 60)
    thumbnail = crop_thumbnail(image, view, size).astype(float).mean(axis=2)
    assert thumbnail.shape == (size, size)
    middle = (np.indices(thumbnail.shape)[::-1] * thumbnail).sum(axis=(1, 2)) / thumbnail.sum()
    np.testing.assert_allclose(to_thumbnail_pixels(np.array([44.5, 54.5]), view, size), middle, atol=0.05)


@pytest.mark.parametrize("factor", [0.5, 20])
def test_thumbnails_have_the_given_size(factor, shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (round(90 * factor), round(110 * factor)), dtype=np.uint8)
    shape[3] = np.nan
    thumbnail = object_thumbnail(image, BOX * factor, [shape * factor, (shape + 4) * factor], PHOTO_COLORS, 150)
    assert thumbnail.shape == (150, 150, 3)
    for color in ((86, 180, 233), (230, 159, 0)):
        assert (np.abs(thumbnail.astype(int) - color).max(axis=2) < 40).sum() > 50


def test_long_names_are_shortened_in_the_middle():
    assert shortened("short.png") == "short.png"
    name = "a" * 40 + "_0123456789.png"
    short = shortened(name)
    assert len(short) == 34
    assert short.endswith("_0123456789.png")
