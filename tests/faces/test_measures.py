import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert import InputError, eye_aspect_ratio, mouth_opening
from ert.datasets.synthetic import FACE68_TEMPLATE, synthetic_faces
from ert.faces.regions import lengths, zero_to_nan
from ert.model.schemes import FACE68_MIRROR


def test_the_ratio_is_the_mean_gap_between_the_lids_over_the_width():
    face = np.full((68, 2), np.nan)
    face[36:42] = (10, 50), (20, 42), (30, 44), (40, 50), (30, 54), (20, 54)
    face[42:48] = (60, 50), (70, 48), (80, 48), (100, 50), (80, 48), (70, 48)
    np.testing.assert_allclose(eye_aspect_ratio(face), [(12 + 10) / 2 / 30, 0])


def test_mouth_opening_is_a_fraction_of_its_width():
    shape = np.full((1, 68, 2), np.nan)
    shape[0, [48, 54, 62, 66]] = (10, 50), (50, 50), (30, 45), (30, 55)
    assert mouth_opening(shape) == pytest.approx(0.25)
    assert mouth_opening(shape[0]) == pytest.approx(0.25)
    shape[0, 54] = shape[0, 48]
    assert np.isnan(mouth_opening(shape))


@given(
    number=st.integers(0, 19),
    roll=st.floats(-180, 180),
    scale=st.floats(0.01, 100),
    shift=st.tuples(*[st.floats(-1e4, 1e4)] * 2),
)
def test_the_measures_do_not_depend_on_roll_scale_or_position(number, roll, scale, shift):
    face = FACES[number]
    cos, sin = scale * np.cos(np.radians(roll)), scale * np.sin(np.radians(roll))
    moved = face @ np.array([(cos, sin), (-sin, cos)]) + shift
    np.testing.assert_allclose(eye_aspect_ratio(moved), eye_aspect_ratio(face), atol=1e-6)
    np.testing.assert_allclose(mouth_opening(moved), mouth_opening(face), atol=1e-6)


FACES = synthetic_faces(20, seed=5)[2]


def test_a_mirror_image_swaps_the_eyes():
    mirrored = (FACES * (-1, 1))[:, list(FACE68_MIRROR)]
    np.testing.assert_allclose(eye_aspect_ratio(mirrored), eye_aspect_ratio(FACES)[:, ::-1])
    np.testing.assert_allclose(mouth_opening(mirrored), mouth_opening(FACES))


def test_the_measures_follow_lids_and_lips():
    face = FACE68_TEMPLATE.copy()
    lids, lips = [37, 38], [61, 62, 63]
    ratios, openings = [], []
    for step in np.linspace(0, 1, 5):
        face[lids] = FACE68_TEMPLATE[lids] + step * (FACE68_TEMPLATE[[41, 40]] - FACE68_TEMPLATE[lids])
        face[lips] = FACE68_TEMPLATE[lips] - (0, 0.1 * step)
        ratios.append(eye_aspect_ratio(face))
        openings.append(mouth_opening(face))
    assert (np.diff(ratios, axis=0)[:, 0] < 0).all()
    assert ratios[-1][0] == pytest.approx(0, abs=1e-12)
    assert np.ptp(ratios, axis=0)[1] == 0
    assert (np.diff(openings) > 0).all()


def test_many_faces_and_missing_landmarks():
    faces = np.stack([FACES[:3]] * 2)
    faces[1, 2, 40] = np.nan
    ratios = eye_aspect_ratio(faces)
    assert ratios.shape == (2, 3, 2)
    assert np.argwhere(np.isnan(ratios)).tolist() == [[1, 2, 0]]
    assert mouth_opening(faces).shape == (2, 3)


@pytest.mark.parametrize("measure", [eye_aspect_ratio, mouth_opening])
def test_other_landmarks_are_refused(measure):
    with pytest.raises(InputError, match="5 landmarks, expected the 68 of a face"):
        measure(np.zeros((5, 2)))


def test_lengths_of_zero_are_missing():
    measured = zero_to_nan(lengths(np.array([[3.0, -4.0], [0.0, 0.0], [np.nan, 1.0]])))
    np.testing.assert_array_equal(measured, [5, np.nan, np.nan])
