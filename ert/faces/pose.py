"""Which way a head is turned: yaw, pitch and roll from 68 points and a general face in three dimensions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.exceptions import InputError
from ert._core.types import Floats
from ert.faces.regions import check_face

__all__ = [
    "FACE_POINTS",
    "HeadPose",
    "head_pose",
]


# An average adult face by number of landmark, in distances between the outer eye corners; the origin lies
# midway between these. x runs to the subject's left, y down, z into the head: as a camera in front sees it.
# Written down for this module. Widths and heights follow averages of anthropometry (L. G. Farkas,
# Anthropometry of the Head and Face, 1994), rounded: outer eye corners 89 mm apart, inner ones 33, a nose of
# 53 mm from root to base that stands out 20 and is 34 wide, a mouth 52 wide; depths are what a profile shows.
# Corners of the mouth move little; the chin moves with every word; jaw line and brows are no fixed points.
_HALF_FACE = {
    27: (0.00, -0.03, -0.25),
    28: (0.00, 0.11, -0.32),
    29: (0.00, 0.26, -0.41),
    30: (0.00, 0.40, -0.50),
    33: (0.00, 0.53, -0.35),
    42: (0.20, 0.01, -0.10),
    45: (0.50, 0.00, 0.00),
    35: (0.15, 0.48, -0.30),
    54: (0.29, 0.75, -0.21),
}
_MIRRORED = {39: 42, 36: 45, 31: 35, 48: 54}

FACE_POINTS: dict[int, tuple[float, float, float]] = _HALF_FACE | {
    right: (-_HALF_FACE[left][0], *_HALF_FACE[left][1:]) for right, left in _MIRRORED.items()
}
"""The points of the general face that the pose is found by: number of landmark to x, y, z."""

_NUMBERS = list(FACE_POINTS)
_POINTS = np.array([*FACE_POINTS.values()])
_NOSE_TIP = np.array(FACE_POINTS[30])
# Fewer leave the pose open.
_FEWEST = 6


@dataclass(frozen=True)
class HeadPose:
    """Where a head is and which way it is turned.

    Angles are in degrees and zero for a face that looks at the camera, wherever in the picture it is:

    - `yaw`: **positive when the face turns to its own left**, which is the right of the picture;
    - `pitch`: **positive when it looks up**;
    - `roll`: **positive when the head leans to its own left shoulder**, clockwise in the picture.

    Turning the picture about its center changes the roll alone; in a mirror yaw and roll change their sign.

    Parameters
    ----------
    yaw, pitch, roll : float
        Degrees: yaw from -90 to 90, the others from -180 to 180.
    rotation : float array (3, 3)
        From the general face's axes (to its left, down, into the head) to the camera's (right, down, away).
    translation : float array (3,)
        Of the midpoint between the outer eye corners from the camera, in distances between these corners.
    camera : float array (3, 3)
        The camera matrix.
    error : float
        Root mean square distance between the landmarks and the general face as it projects, divided by what
        the distance between its outer eye corners would be if it looked straight ahead. 0.02 to 0.07 for most
        faces; much more tells of landmarks that are no face's.
    """

    yaw: float
    pitch: float
    roll: float
    rotation: Floats
    translation: Floats
    camera: Floats
    error: float

    def project(self, points: ArrayLike) -> Floats:
        """Carry points (n, 3) of the general face's space into the picture: (n, 2) in pixels."""
        seen = (np.asarray(points, np.float64) @ self.rotation.T + self.translation) @ self.camera.T
        placed: Floats = seen[:, :2] / seen[:, 2:]
        return placed

    def axes(self, length: float = 1.0) -> Floats:
        """Return where the head's axes lie in the picture.

        Parameters
        ----------
        length : float
            Of each axis, in distances between the outer eye corners.

        Returns
        -------
        float array (4, 2)
            The tip of the nose, and the ends of the axes from there to the subject's left, up and forward.
        """
        ends = np.array([(0, 0, 0), (1, 0, 0), (0, -1, 0), (0, 0, -1)])
        return self.project(_NOSE_TIP + length * ends)


def head_pose(
    landmarks: ArrayLike, image_shape: tuple[int, ...], *, focal_length: float | None = None
) -> HeadPose:
    """Find yaw, pitch and roll of a head from its 68 landmarks.

    A general face in three dimensions is set before a camera so that it projects onto the landmarks
    (OpenCV's ``solvePnP``: SQPnP, then Levenberg-Marquardt). Faces differ from it, so that pitch above all is
    known up to a constant of some degrees a person; changes of it are not concerned.

    Parameters
    ----------
    landmarks : (68, 2) array-like
        In iBUG order, x and y in pixels; NaN = missing. Eyes, nose and corners of the mouth count.
    image_shape : tuple of int
        Rows and columns of the whole image, as ``image.shape``: the camera's axis meets its center.
    focal_length : float, optional
        In pixels; by default the longer side of the image, a view of 53 degrees.

    Returns
    -------
    HeadPose
        Its signs are told there.

    Raises
    ------
    InputError
        When there are not 68 points, fewer than 6 of those that count are known, they lie on one line or one
        spot, sizes are not positive, or OpenCV is not installed.

    References
    ----------
    G. Terzakis and M. Lourakis, A Consistently Fast and Globally Optimal Solution to the Perspective-n-Point
    Problem, ECCV 2020.
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
    # OpenCV may return anything for a shape that has collapsed.
    spread = np.linalg.svd(points[known] - points[known].mean(axis=0))[1] if known.sum() >= _FEWEST else [0]
    if not spread[-1] > 1e-3 * spread[0]:
        raise InputError(
            f"head_pose: {known.sum()} of the {len(points)} landmarks that count are known, "
            f"expected at least {_FEWEST}, and not on one line"
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
        *_angles(_facing(position) @ matrix),
        matrix,
        position,
        camera,
        float(misfit * position[2] / camera[0, 0]),
    )


def _facing(position: Floats) -> Floats:
    """Return the least rotation that makes a camera's axis of the line to a position."""
    x, y, z = position / np.linalg.norm(position)
    # Rodrigues' formula about the axis (y, -x, 0), by the angle whose cosine is z.
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
    """Take a rotation apart: turned about x by -pitch, then about y by -yaw, then about z by roll."""
    yaw = np.arcsin(np.clip(rotation[2, 0], -1, 1))
    pitch = -np.arctan2(rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))
