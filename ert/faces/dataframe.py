"""Faces as a pandas DataFrame."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ert._core.exceptions import InputError
from ert.faces.align import AlignedFace
from ert.faces.regions import FACE_REGIONS, check_face

if TYPE_CHECKING:
    import pandas


def to_dataframe(faces: Sequence[AlignedFace] | ArrayLike, *, wide: bool = False) -> "pandas.DataFrame":
    """Return faces as a table.

    Parameters
    ----------
    faces : list of AlignedFace, or (n, n_landmarks, 2) or (n_landmarks, 2) array-like
        As returned by :func:`ert.align` or :meth:`ert.ShapePredictor.predict`.
    wide : bool
        One row per face instead of one per landmark.

    Returns
    -------
    pandas.DataFrame
        One row per landmark with ``face`` and ``landmark`` (both from 0), ``region`` (for 68 landmarks, see
        :func:`ert.regions`), ``x``, ``y``; for AlignedFaces of a model with a confidence model also ``std``
        and ``confidence`` (of the face). Or wide, as in the CSV files that ert reads: ``left``, ``top``,
        ``width``, ``height`` (for AlignedFaces), ``x0``, ``y0``, ``x1``, ...; then, as above,
        ``confidence``, ``std0``, ``std1``, ...

    Raises
    ------
    InputError
        When pandas is not installed, `faces` is invalid, or faces differ in their number of landmarks.
    """
    try:
        import pandas as pd
    except ImportError:
        raise InputError("to_dataframe: needs pandas, which is not installed: pip install pandas") from None
    boxes, shapes = _arrays(faces)
    n, n_landmarks = shapes.shape[:2]
    assessed = _assessed(faces)
    has_confidence = n > 0 and len(assessed) == n
    if wide:
        columns: dict[str, Any] = {}
        if boxes is not None:
            columns |= dict(zip(("left", "top", "width", "height"), boxes.T, strict=True))
        for i in range(n_landmarks):
            columns |= {f"x{i}": shapes[:, i, 0], f"y{i}": shapes[:, i, 1]}
        if has_confidence:
            columns["confidence"] = [confidence for _, confidence in assessed]
            columns |= {f"std{i}": [std[i] for std, _ in assessed] for i in range(n_landmarks)}
        return pd.DataFrame(columns)
    table = pd.DataFrame(
        {
            "face": np.repeat(np.arange(n), n_landmarks),
            "landmark": np.tile(np.arange(n_landmarks), n),
            "x": shapes[..., 0].ravel(),
            "y": shapes[..., 1].ravel(),
        }
    )
    if n_landmarks == 68:
        names = [name for name, numbers in FACE_REGIONS["face68"].items() for _ in numbers]
        table.insert(2, "region", names * n)
    if has_confidence:
        table["std"] = np.concatenate([std for std, _ in assessed])
        table["confidence"] = np.repeat([confidence for _, confidence in assessed], n_landmarks)
    return table


def _assessed(faces: Any) -> list[tuple[Any, Any]]:
    """Return the standard errors and the confidence of each face that has them."""
    listed = [faces] if isinstance(faces, AlignedFace) else faces
    return [(face.std, face.confidence) for face in listed if isinstance(face, AlignedFace) and face.std is not None]


def _arrays(faces: Any) -> tuple[Any, Any]:
    """Return boxes (n, 4), or None for arrays of landmarks, and landmarks (n, n_landmarks, 2)."""
    if isinstance(faces, AlignedFace):
        faces = [faces]
    if isinstance(faces, list) and not faces:
        return np.empty((0, 4)), np.empty((0, 0, 2))
    if not (isinstance(faces, Sequence) and all(isinstance(face, AlignedFace) for face in faces)):
        shapes = check_face(faces)
        if shapes.ndim > 3:
            raise InputError(f"faces: array of shape {shapes.shape}, expected (n, n_landmarks, 2)")
        return None, shapes.reshape(-1, *shapes.shape[-2:])
    counts = {len(face.landmarks) for face in faces}
    if len(counts) > 1:
        raise InputError(f"faces: {min(counts)} to {max(counts)} landmarks, expected the same number for all")
    return np.array([face.box for face in faces]), np.array([face.landmarks for face in faces])
