import numpy as np
import pytest
from builders import BOX, rotated

import ert
from ert import InputError
from ert.inference.rotated import rotation
from ert.metrics import nme

# The box in a crop of the image, for faster detection.
PLACE = (BOX[0] - 80, *BOX[1:])


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(ert.load_image(ert.sample_image())[:300, 80:380])


@pytest.fixture(scope="module")
def upright(photo):
    return ert.load("face68").predict([(photo, PLACE)], max_roll=0)[0]


def same_roll(a, b, within):
    return abs((a - b + 180) % 360 - 180) < within


@pytest.mark.parametrize("roll", [0, 180, 50])
def test_faces_are_found_at_any_roll(photo, upright, roll):
    image, expected = rotated(photo, PLACE, upright, roll)
    (face,) = ert.align(image, any_roll=True)
    assert nme(expected[None], face.landmarks[None], "inter-ocular")[0] < 3
    left, top, width, height = face.box
    assert np.hypot(left + width / 2 - 145, top + height / 2 - 114) < 15
    assert width == pytest.approx(height)
    assert 75 < width < 130
    upright_roll = ert.align(photo, boxes=[PLACE])[0].roll
    assert abs(upright_roll) < 10
    assert same_roll(face.roll, roll + upright_roll, 3)


def test_given_boxes_are_searched_at_all_rolls(photo, upright):
    image, expected = rotated(photo, PLACE, upright, 160)
    (face,) = ert.align(image, boxes=[PLACE], any_roll=True)
    np.testing.assert_array_equal(face.box, PLACE)
    np.testing.assert_array_equal(face.landmarks, ert.load("face68").predict([(image, PLACE)], max_roll=180)[0])
    assert nme(expected[None], face.landmarks[None], "inter-ocular")[0] < 3


def test_boxes_of_rotated_copies_are_made_upright(photo, upright):
    """A function gets the rotated copies; its boxes are transformed back."""
    image, expected = rotated(photo, PLACE, upright, 90)
    seen = []

    def in_one_copy(copy):
        seen.append(copy)
        # The fourth copy is rotated by 90 degrees: y becomes x, and the last column the first row.
        left, top, width, height = PLACE
        x, y = left + (width - 1) / 2, top + (height - 1) / 2
        row, column = 299 - x, y
        return [(column - 49, row - 49, 99, 99)] if len(seen) == 4 else []

    (face,) = ert.align(image, detector=in_one_copy, any_roll=True)
    assert len(seen) == 12
    assert seen[0].shape == seen[3].shape == (300, 300, 3)
    np.testing.assert_array_equal(seen[3], np.rot90(image))
    assert seen[1].shape[0] > 300
    np.testing.assert_allclose(face.box, np.add(PLACE, [-0.5, -0.5, 1, 1]), atol=1e-9)
    assert nme(expected[None], face.landmarks[None], "inter-ocular")[0] < 3


def test_one_box_per_face_is_kept_and_false_alarms_are_removed(photo, upright):
    image, expected = rotated(photo, PLACE, upright, 120)
    calls = iter(range(12))

    def too_often(copy):
        roll = 30.0 * next(calls)
        middle = np.array(copy.shape[1::-1]) / 2

        def box(x, y, side):
            return (*(middle + rotation(-roll) @ [x - 149.5, y - 149.5] - side / 2), side, side)

        alarm = box(60.0, 230.0, 50.0)
        return [box(144.5, 113.5, 98 + roll / 30), alarm] if roll in (90, 120, 150) else [alarm]

    (face,) = ert.align(image, detector=too_often, any_roll=True)
    assert next(calls, None) is None
    assert nme(expected[None], face.landmarks[None], "inter-ocular")[0] < 3
    np.testing.assert_allclose(face.box[:2] + (face.box[2:] - 1) / 2, (144.5, 113.5), atol=0.6)


def test_where_nothing_is_found(small_model):
    gray = np.zeros((60, 50), np.uint8)
    assert ert.align(gray, any_roll=True) == []
    assert ert.align(gray, small_model, detector=lambda _: [], any_roll=True) == []
    # A box in the corner of a copy, outside the image, is ignored.
    far = ert.align(gray, small_model, detector=lambda _: [(-40, -40, 20, 20)], any_roll=True)
    assert far == []
    with pytest.raises(InputError, match="channel_order: 'hsv'"):
        ert.align(gray, any_roll=True, channel_order="hsv")
    with pytest.raises(InputError, match="returned an array"):
        ert.align(gray, detector=lambda _: [1.0], any_roll=True)
