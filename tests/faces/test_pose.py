import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import ert
from ert import InputError, head_pose
from ert.faces.pose import FACE_POINTS
from ert.model.schemes import FACE68_MIRROR

pytest.importorskip("cv2")

SHAPE = (480, 640)
FOCAL = 640.0
NUMBERS, POINTS = list(FACE_POINTS), np.array([*FACE_POINTS.values()])


def project(yaw, pitch, roll, place=(0.0, 0.0, 6.0), focal=FOCAL, shape=SHAPE):
    """The generic face, rotated, in front of a camera at which it looks for zero angles."""
    turn = Rotation.from_euler("ZYX", [roll, -yaw, -pitch], degrees=True)
    x, y, z = place
    # The smallest rotation of the optical axis to the direction of the face.
    axis = np.cross((0, 0, 1), place)
    angle = np.arctan2(np.hypot(x, y), z)
    look = Rotation.from_rotvec(axis / (np.linalg.norm(axis) or 1) * angle)
    seen = (look * turn).apply(POINTS) + place
    landmarks = np.full((68, 2), np.nan)
    center = (np.array(shape[1::-1]) - 1) / 2
    landmarks[NUMBERS] = center + focal * seen[:, :2] / seen[:, 2:]
    return landmarks


def angles(pose):
    return np.array([pose.yaw, pose.pitch, pose.roll])


def test_the_generic_face_is_symmetric_and_of_width_one_between_the_outer_eye_corners():
    for number, (x, y, z) in FACE_POINTS.items():
        assert FACE_POINTS[FACE68_MIRROR[number]] == (-x, y, z)
    assert np.subtract(FACE_POINTS[45], FACE_POINTS[36]).tolist() == [1, 0, 0]


@given(
    yaw=st.floats(-70, 70),
    pitch=st.floats(-50, 50),
    roll=st.floats(-179, 179),
    place=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(3, 30)),
)
def test_known_angles_are_recovered(yaw, pitch, roll, place):
    pose = head_pose(project(yaw, pitch, roll, place), SHAPE)
    np.testing.assert_allclose(angles(pose), (yaw, pitch, roll), atol=0.1)
    np.testing.assert_allclose(pose.translation, place, rtol=1e-2, atol=1e-2)
    assert pose.error < 1e-3


@pytest.mark.parametrize("roll", [-150, -90, -20, 0, 20, 90, 150])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (40, 20), (-40, 20), (20, -30), (-60, -10)])
def test_noise_and_focal_length_change_the_angles_little(yaw, pitch, roll):
    rng = np.random.default_rng(0)
    landmarks = project(yaw, pitch, roll, focal=1.6 * FOCAL, place=(0, 0, 12.0))
    eyes = FOCAL * 1.6 / 12
    noisy = landmarks + rng.normal(0, 0.01 * eyes, landmarks.shape)
    found = angles(head_pose(noisy, SHAPE))
    assert abs((found - (yaw, pitch, roll) + 180) % 360 - 180).max() < 6


def test_signs():
    # The effect of each positive angle in the image.
    straight = project(0, 0, 0)
    left = project(20, 0, 0)
    assert left[30, 0] > straight[30, 0]  # the nose goes to the right of the picture
    assert head_pose(left, SHAPE).yaw > 0
    up = project(0, 20, 0)
    assert up[30, 1] < straight[30, 1]  # the nose goes up
    assert head_pose(up, SHAPE).pitch > 0
    lean = project(0, 0, 20)
    assert lean[45, 1] > lean[36, 1]  # the left eye is the lower one
    assert head_pose(lean, SHAPE).roll > 0


@pytest.fixture(scope="module")
def shapes():
    """Landmarks that the generic face fits only roughly."""
    rng = np.random.default_rng(1)
    return [
        project(*rng.uniform(-30, 30, 3), place=(*rng.uniform(-1, 1, 2), 6)) + rng.normal(0, 2, (68, 2))
        for _ in range(20)
    ]


def test_a_mirror_image_changes_the_sign_of_yaw_and_roll(shapes):
    for shape in shapes:
        mirrored = ((SHAPE[1] - 1, 0) + shape * (-1, 1))[list(FACE68_MIRROR)]
        found, expected = angles(head_pose(mirrored, SHAPE)), angles(head_pose(shape, SHAPE))
        np.testing.assert_allclose(found, expected * (-1, 1, -1), atol=0.01)


def test_rotating_the_image_changes_only_the_roll(shapes):
    center = (np.array(SHAPE[1::-1]) - 1) / 2
    for shape in shapes:
        pose = head_pose(shape, SHAPE)
        rotated = (shape - center) @ np.array([(0, 1), (-1, 0)]) + center  # by 90 degrees, clockwise
        found = head_pose(rotated, SHAPE, focal_length=FOCAL)
        np.testing.assert_allclose((found.yaw, found.pitch), (pose.yaw, pose.pitch), atol=0.01)
        assert (found.roll - pose.roll) % 360 == pytest.approx(90, abs=0.01)


def test_the_focal_length_is_the_longer_side():
    landmarks = project(20, 10, 5, (1.0, 0.5, 5.0), focal=800.0, shape=(800, 600))
    by_default, given_one = (head_pose(landmarks, (800, 600, 3)), head_pose(landmarks, (800, 600), focal_length=800))
    assert angles(by_default).tolist() == angles(given_one).tolist()
    np.testing.assert_allclose(angles(by_default), (20, 10, 5), atol=0.1)


def test_missing_landmarks_are_ignored():
    landmarks = project(25, -10, 8)
    landmarks[[27, 48, 31, 45]] = np.nan
    np.testing.assert_allclose(angles(head_pose(landmarks, SHAPE)), (25, -10, 8), atol=0.1)
    landmarks[[28, 29, 30, 33]] = np.nan
    with pytest.raises(InputError, match="5 of the 13 landmarks used are present, expected at least 6"):
        head_pose(landmarks, SHAPE)


def test_axes_start_at_the_nose_and_go_left_up_and_forward():
    landmarks = project(0, 0, 0)
    nose, left, up, forward = head_pose(landmarks, SHAPE).axes()
    np.testing.assert_allclose(nose, landmarks[30], atol=0.1)
    assert left[0] > nose[0] + 50
    assert left[1] == pytest.approx(nose[1], abs=0.1)
    assert up[1] < nose[1] - 50
    assert up[0] == pytest.approx(nose[0], abs=0.1)
    assert np.linalg.norm(forward - nose) < 20
    rotated = head_pose(project(30, 20, 0), SHAPE).axes()
    assert rotated[3, 0] > rotated[0, 0] + 20
    assert rotated[3, 1] < rotated[0, 1] - 20


def test_the_mean_face_and_the_portrait_look_into_the_camera():
    mean = ert.load("face68").fitted_.cascade.mean_shape
    pose = head_pose(np.array(mean) * 100 + 200, (500, 500))
    assert abs(angles(pose)).max() < 3
    assert pose.error < 0.03
    portrait = ert.load_image(ert.sample_image())
    pose = head_pose(ert.align(portrait)[0].landmarks, portrait.shape)
    assert abs(angles(pose)).max() < 10


@pytest.mark.parametrize(
    ("landmarks", "shape", "focal", "message"),
    [
        (np.zeros((5, 2)), SHAPE, None, "5 landmarks, expected the 68 of a face"),
        (np.zeros((2, 68, 2)), SHAPE, None, "for one face"),
        (np.zeros((68, 2)), SHAPE, None, "not collinear"),
        (np.stack([np.arange(68)] * 2, axis=1), SHAPE, None, "not collinear"),
        (project(0, 0, 0), (0, 640), None, "image_shape: 0 x 640 pixels"),
        (project(0, 0, 0), (640,), None, "image_shape: .*expected .rows, columns."),
        (project(0, 0, 0), SHAPE, 0, "focal_length: 0 pixels"),
        (project(0, 0, 0), SHAPE, np.nan, "focal_length: nan pixels"),
    ],
)
def test_bad_input_is_refused(landmarks, shape, focal, message):
    with pytest.raises(InputError, match=message):
        head_pose(landmarks, shape, focal_length=focal)


def test_without_opencv_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="pip install opencv-python-headless"):
        head_pose(project(0, 0, 0), SHAPE)
