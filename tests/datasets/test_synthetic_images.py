import numpy as np
import pytest

from ert.datasets.synthetic import synthetic_faces
from ert.datasets.synthetic_images import clipped_normal


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(150, seed=11)


def profiles(images, landmarks, index, direction, reach=3.0):
    """Gray values along `direction` through one landmark of every face, by linear interpolation."""
    offsets = np.linspace(-reach, reach, 61)
    points = landmarks[:, index, None] + offsets[:, None] * np.asarray(direction)
    # A chin may touch the edge of its image.
    images, points = np.pad(images, ((0, 0), (8, 8), (8, 8)), mode="edge"), points + 8
    corner = np.floor(points).astype(int)
    dx, dy = np.moveaxis(points - corner, -1, 0)
    x, y = np.moveaxis(corner, -1, 0)
    face = np.arange(len(images))[:, None]
    values = images.astype(float)
    upper = (1 - dx) * values[face, y, x] + dx * values[face, y, x + 1]
    lower = (1 - dx) * values[face, y + 1, x] + dx * values[face, y + 1, x + 1]
    return offsets, (1 - dy) * upper + dy * lower


def test_brows_are_drawn_where_the_landmarks_are(faces):
    images, _, landmarks = faces
    for index in (19, 24):
        offsets, values = profiles(images, landmarks, index, (0, 1), reach=2.0)
        darkness = np.clip(values.max(axis=1, keepdims=True) - values, 0, None).mean(axis=0)
        darkness -= darkness.min()
        assert abs((offsets * darkness).sum() / darkness.sum()) < 0.3


def test_nose_is_drawn_where_the_landmarks_are(faces):
    images, _, landmarks = faces
    # Light from either side is as likely, so its shadows cancel out in the mean over many faces.
    for index in (28, 29):
        offsets, values = profiles(images, landmarks, index, (1, 0))
        assert abs(offsets[values.mean(axis=0).argmax()]) < 0.6


def test_lips_and_chin_are_drawn_where_the_landmarks_are(faces):
    images, _, landmarks = faces
    for index, sign in ((51, 1), (57, -1), (8, 1)):
        offsets, values = profiles(images, landmarks, index, (0, sign))
        # From skin into the darker lips, or into the line around the jaw: steepest at the landmark.
        steepest = offsets[np.gradient(values.mean(axis=0)).argmin()]
        assert abs(steepest) < 1.0, index


def test_normal_numbers_are_clipped():
    drawn = clipped_normal(np.random.default_rng(0), 4000)
    assert abs(drawn).max() == 2
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [0, 0.96], atol=0.04)
