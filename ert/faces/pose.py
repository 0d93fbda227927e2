"""Head pose (yaw, pitch, roll) from 68 landmarks and a generic 3D face."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.faces.regions import check_face

# The 3D points that the pose is fitted to, by landmark index: an average adult face in units of the distance
# between the outer eye corners; the origin is midway between them. x points to the subject's left, y down, z
# into the head, as seen by a camera in front. Widths and heights are rounded averages of anthropometry (L. G.
# Farkas, Anthropometry of the Head and Face, 1994): outer eye corners 89 mm apart, inner ones 33 mm; a nose
# 53 mm long, 20 mm high and 34 mm wide; a mouth 52 mm wide. Depths are estimated from profiles. The chin moves
# while speaking, and jaw line and brows have no fixed points, so they are not used.
FACE_POINTS: dict[int, tuple[float, float, float]] = {
    27: (0.00, -0.03, -0.25),
    28: (0.00, 0.11, -0.32),
    29: (0.00, 0.26, -0.41),
    30: (0.00, 0.40, -0.50),
    33: (0.00, 0.53, -0.35),
    42: (0.20, 0.01, -0.10),
    45: (0.50, 0.00, 0.00),
    35: (0.15, 0.48, -0.30),
    54: (0.29, 0.75, -0.21),
    39: (-0.20, 0.01, -0.10),
    36: (-0.50, 0.00, 0.00),
    31: (-0.15, 0.48, -0.30),
    48: (-0.29, 0.75, -0.21),
}
_NUMBERS, _POINTS = list(FACE_POINTS), np.array([*FACE_POINTS.values()])
# With fewer landmarks the pose is ambiguous.
_MIN_LANDMARKS = 6


@dataclass(frozen=True, repr=False)
class HeadPose:
    """Position and orientation of a head.

    Angles are in degrees and zero for a face that looks at the camera, wherever it is in the image:

    - `yaw`: **positive when the face turns to its own left**, the right of the image;
    - `pitch`: **positive when it looks up**;
    - `roll`: **positive when the head tilts to its own left shoulder**, clockwise in the image.

    Rotating the image about its center changes only the roll; mirroring negates yaw and roll.

    Parameters
    ----------
    yaw, pitch, roll : float
        Degrees: yaw from -90 to 90, the others from -180 to 180.
    rotation : float array (3, 3)
        From the axes of the face (to its left, down, into the head) to the camera's (right, down, forward).
    translation : float array (3,)
        Position of the midpoint between the outer eye corners relative to the camera, in units of the
        distance between these corners.
    camera : float array (3, 3)
        The camera matrix.
    error : float
        Root mean square distance between the landmarks and the projected generic face, in units of the
        projected distance between the outer eye corners of a frontal face. 0.02 to 0.07 for most faces; much
        larger values indicate landmarks that do not belong to a face.
    """

    yaw: float
    pitch: float
    roll: float
    rotation: Floats
    translation: Floats
    camera: Floats
    error: float

    def __repr__(self) -> str:
        angles = f"yaw={self.yaw:.1f}°, pitch={self.pitch:.1f}°, roll={self.roll:.1f}°"
        return f"HeadPose({angles}, error={self.error:.3f})"

    def project(self, points: ArrayLike) -> Floats:
        """Project points (n, 3) from face coordinates to pixels (n, 2)."""
        projected = (np.asarray(points, np.float64) @ self.rotation.T + self.translation) @ self.camera.T
        pixels: Floats = projected[:, :2] / projected[:, 2:]
        return pixels

    def axes(self, length: float = 1.0) -> Floats:
        """Return the axes of the head in the image.

        Parameters
        ----------
        length : float
            Length of each axis, in units of the distance between the outer eye corners.

        Returns
        -------
        float array (4, 2)
            The tip of the nose and the ends of the axes that point from it to the subject's left, up and
            forward, in pixels.
        """
        ends = np.array([(0, 0, 0), (1, 0, 0), (0, -1, 0), (0, 0, -1)])
        return self.project(FACE_POINTS[30] + length * ends)


@checked_arguments
def head_pose(landmarks: ArrayLike, image_shape: tuple[int, ...], *, focal_length: float | None = None) -> HeadPose:
    """Estimate yaw, pitch and roll of a head from its 68 landmarks.

    The pose is the one at which a generic 3D face projects onto the landmarks (OpenCV's ``solvePnP``: SQPnP,
    then Levenberg-Marquardt). Individual faces differ from the generic one, so the angles, above all pitch,
    have a constant offset of a few degrees per person; changes of pose are not affected.

    Parameters
    ----------
    landmarks : (68, 2) array-like
        In iBUG order, x and y in pixels; NaN = missing. Eyes, nose and corners of the mouth are used.
    image_shape : tuple of int
        Rows and columns of the whole image, as ``image.shape``; the optical axis passes through its center.
    focal_length : float, optional
        In pixels; by default the longer side of the image, a field of view of 53 degrees.

    Returns
    -------
    HeadPose

    Raises
    ------
    InputError
        When there are not 68 landmarks, fewer than 6 of those used are present or they are collinear, a size
        is not positive, or OpenCV is not installed.

    References
    ----------
    G. Terzakis and M. Lourakis, A Consistently Fast and Globally Optimal Solution to the Perspective-n-Point
    Problem, ECCV 2020.

    Examples
    --------
    >>> image = ert.load_image(ert.sample_image())
    >>> pose = ert.head_pose(ert.align(image)[0].landmarks, image.shape)
    >>> max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) < 30  # nearly from the front
    True
    """
    try:
        import cv2
    except ImportError:
        raise InputError(
            "head_pose: needs OpenCV, which is not installed: pip install opencv-python-headless"
        ) from None
    points = check_face(landmarks, 68, many=False)[_NUMBERS]
    camera = _camera(image_shape, focal_length)
    known = ~np.isnan(points).any(axis=1)
    # OpenCV returns arbitrary poses for collinear points.
    spread = np.linalg.svd(points[known] - points[known].mean(axis=0))[1] if known.sum() >= _MIN_LANDMARKS else [0]
    if not spread[-1] > 1e-3 * spread[0]:
        raise InputError(
            f"head_pose: {known.sum()} of the {len(points)} landmarks used are present, "
            f"expected at least {_MIN_LANDMARKS}, not collinear"
        )
    model, seen = _POINTS[known], points[known]
    try:
        _, rotation, translation = cv2.solvePnP(model, seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        rotation, translation = cv2.solvePnPRefineLM(model, seen, camera, None, rotation, translation)
    except cv2.error as error:
        raise InputError(f"head_pose: no pose of a face fits these landmarks: {error.err}") from None
    matrix = np.asarray(cv2.Rodrigues(rotation)[0], np.float64)
    position = np.asarray(translation[:, 0], np.float64)
    if not (np.isfinite(matrix).all() and position[2] > 0):
        raise InputError("head_pose: no pose of a face fits these landmarks")
    projected = cv2.projectPoints(model, rotation, translation, camera, None)[0][:, 0]
    misfit = np.sqrt(((projected - seen) ** 2).sum(axis=1).mean())
    return HeadPose(
        *_angles(_facing(position) @ matrix), matrix, position, camera, float(misfit * position[2] / camera[0, 0])
    )


def _facing(position: Floats) -> Floats:
    """Return the smallest rotation that aligns the optical axis with the direction of a position."""
    x, y, z = position / np.linalg.norm(position)
    # Rodrigues' formula for the axis (y, -x, 0) and the angle acos(z).
    return np.array(
        [(1 - x * x / (1 + z), -x * y / (1 + z), -x), (-x * y / (1 + z), 1 - y * y / (1 + z), -y), (x, y, z)]
    )


def _camera(image_shape: tuple[int, ...], focal_length: float | None) -> Floats:
    try:
        rows, columns = (int(size) for size in image_shape[:2])
    except (TypeError, ValueError):
        raise InputError(f"image_shape: {image_shape!r}, expected (rows, columns) as image.shape") from None
    if rows < 1 or columns < 1:
        raise InputError(f"image_shape: {rows} x {columns} pixels, expected at least 1 of each")
    focal = float(max(rows, columns) if focal_length is None else focal_length)
    if not 0 < focal < np.inf:
        raise InputError(f"focal_length: {focal_length!r} pixels, expected a positive number")
    return np.array([(focal, 0, (columns - 1) / 2), (0, focal, (rows - 1) / 2), (0, 0, 1.0)])


def _angles(rotation: Any) -> tuple[float, float, float]:
    """Decompose a rotation about x by -pitch, then about y by -yaw, then about z by roll."""
    yaw = np.arcsin(np.clip(rotation[2, 0], -1, 1))
    pitch = -np.arctan2(rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))
