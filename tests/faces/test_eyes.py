import numpy as np
import pytest
from PIL import Image, ImageDraw

from ert import InputError, close_eyes, eye_aspect_ratio
from ert.datasets.synthetic import FACE68_TEMPLATE

SKIN, WHITE, IRIS, BROW = 200, 250, 10, 60
FACE = 150 * FACE68_TEMPLATE + (120, 110)


def drawn_face(landmarks):
    """Skin, two brows, and eyes with white and iris that fill the outlines of the lids."""
    image = Image.new("L", (240, 240), SKIN)
    pen = ImageDraw.Draw(image)
    for brow, eye in ((slice(17, 22), slice(36, 42)), (slice(22, 27), slice(42, 48))):
        pen.line([tuple(point) for point in landmarks[brow]], fill=BROW, width=5)
        pen.polygon([tuple(point) for point in landmarks[eye]], fill=WHITE)
        (x, y), radius = landmarks[eye].mean(axis=0), 0.3 * np.ptp(landmarks[eye][:, 1])
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=IRIS)
    return np.asarray(image)


IMAGE = drawn_face(FACE)


def around_eyes(image):
    low, high = FACE[36:48].min(axis=0).astype(int), FACE[36:48].max(axis=0).astype(int) + 1
    return image[low[1] : high[1], low[0] : high[0]]


@pytest.mark.parametrize("roll", [0, 35])
def test_shut_eyes_are_skin(roll):
    turn = np.exp(1j * np.deg2rad(roll))
    turned = (FACE - 120) @ np.array([(turn.real, turn.imag), (-turn.imag, turn.real)]) + 120
    before = drawn_face(turned)
    image, landmarks = close_eyes(before, turned)
    inside = [
        np.s_[int(y) - 6 : int(y) + 7, int(x) - 12 : int(x) + 13]
        for x, y in (turned[36:42].mean(axis=0), turned[42:48].mean(axis=0))
    ]
    for place in inside:
        assert before[place].min() == IRIS
        assert before[place].max() == WHITE
        # Lashes are a thin shade; lids are not quite polygons.
        assert image[place].min() > 0.5 * SKIN
        assert np.mean(np.abs(image[place].astype(int) - SKIN) < 10) > 0.7
    assert eye_aspect_ratio(landmarks).max() < 0.06
    assert eye_aspect_ratio(turned).min() > 0.2
    kept = np.delete(np.arange(68), [37, 38, 40, 41, 43, 44, 46, 47])
    np.testing.assert_array_equal(landmarks[kept], turned[kept])


def test_lids_meet_near_the_lower_one():
    _, landmarks = close_eyes(IMAGE, FACE)
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        opening = FACE[lower, 1] - FACE[upper, 1]
        assert 0 <= landmarks[lower, 1] - landmarks[upper, 1] < 0.3 * opening
        assert 0 < FACE[lower, 1] - landmarks[lower, 1] < 0.3 * opening


def test_half_shut_eyes_show_what_the_lid_has_not_reached():
    image, landmarks = close_eyes(IMAGE, FACE, 0.5)
    ratio = eye_aspect_ratio(landmarks) / eye_aspect_ratio(FACE)
    np.testing.assert_allclose(ratio, 0.5, atol=0.03)
    assert around_eyes(image).min() < 50
    assert np.mean(around_eyes(image) < 50) < np.mean(around_eyes(IMAGE) < 50)
    openness = [eye_aspect_ratio(close_eyes(IMAGE, FACE, closed)[1]).mean() for closed in np.linspace(0, 1, 9)]
    assert (np.diff(openness) < 0).all()


def test_only_the_surroundings_of_the_eyes_change():
    given, shape = IMAGE.copy(), FACE.copy()
    image, _ = close_eyes(given, shape)
    np.testing.assert_array_equal(given, IMAGE)
    np.testing.assert_array_equal(shape, FACE)
    rows = np.flatnonzero((image != IMAGE).any(axis=1))
    assert FACE[17:27, 1].min() < rows.min() < FACE[36:48, 1].min()
    assert FACE[36:48, 1].max() < rows.max() < FACE[33, 1]


def test_eyes_that_are_not_closed_or_not_known_stay_as_they_are():
    image, landmarks = close_eyes(IMAGE, FACE, 0)
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(landmarks, FACE)
    for missing in (37, 36, 19):
        shape = FACE.copy()
        shape[missing] = np.nan
        _, landmarks = close_eyes(IMAGE, shape)
        np.testing.assert_array_equal(landmarks[36:42], shape[36:42])
        assert eye_aspect_ratio(landmarks)[1] < 0.06
    flat = FACE.copy()
    flat[36:48] = FACE[36]
    np.testing.assert_array_equal(close_eyes(IMAGE, flat)[1], flat)


def test_shut_eyes_stay_shut():
    image, landmarks = close_eyes(IMAGE, FACE)
    again, shape = close_eyes(image, landmarks)
    assert eye_aspect_ratio(shape).max() < 0.06
    assert np.abs(again.astype(int) - image).mean() < 1


def test_channels_are_closed_alike():
    gray, landmarks = close_eyes(IMAGE, FACE, 0.7)
    color, same = close_eyes(np.stack([IMAGE, 255 - IMAGE, IMAGE], axis=-1), FACE, 0.7)
    np.testing.assert_array_equal(color[..., 0], gray)
    np.testing.assert_array_equal(color[..., 2], gray)
    np.testing.assert_array_equal(same, landmarks)


def test_faces_at_the_border_and_outside():
    for shift in ((-115, -100), (110, 90), (5000, 5000)):
        image, landmarks = close_eyes(IMAGE, FACE + shift)
        assert image.shape == IMAGE.shape
        assert eye_aspect_ratio(landmarks).max() < 0.2 or shift[0] == 5000


@pytest.mark.parametrize("closed", [-0.1, 1.5, float("nan")])
def test_shares_that_are_none(closed):
    with pytest.raises(InputError, match=r"closed=.*expected 0 to 1"):
        close_eyes(IMAGE, FACE, closed)
    with pytest.raises(InputError, match="5 landmarks"):
        close_eyes(IMAGE, FACE[:5])
