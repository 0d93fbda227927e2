"""Who is a model worse for? Errors by groups of objects, and what of an object tells its group.

What is measured here is measured on true landmarks and pixels alone, one number an object, NaN where it
cannot be told. Angles and asymmetries have no sign: faces turned to the left and to the right are one group.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError
from ert._core.images import to_gray
from ert._core.types import Floats
from ert.datasets.parsing import natural_key
from ert.faces.regions import lengths, zero_to_nan
from ert.metrics import bootstrap_interval, failure_rate
from ert.model.schemes import FACE68_REGIONS

__all__ = [
    "FEWEST",
    "MISSING",
    "errors_by",
    "object_size",
    "roll",
    "skin_brightness",
    "yaw",
]


# What the group of the objects without a value is called.
MISSING = "missing"
# With fewer objects than this a bootstrap interval is far too narrow.
FEWEST = 10

_EYES = (list(FACE68_REGIONS["right_eye"]), list(FACE68_REGIONS["left_eye"]))
_NOSE_TIP = 30
# The upper end of the jaw line on either side, from the ear down.
_CHEEKS = (list(range(0, 5)), list(range(12, 17)))
# Once round the face: along the jaw, and back over the brows.
_OUTLINE = [*range(0, 17), *range(26, 16, -1)]
_NO_SKIN = (*_EYES, list(FACE68_REGIONS["outer_lips"]))


def errors_by(
    values: ArrayLike, errors: ArrayLike, *, n_quantiles: int = 4, limit: float = 8.0
) -> list[dict[str, Any]]:
    """Summarize the errors of groups of objects.

    Numbers of more than ``2 * n_quantiles`` kinds are cut at their quantiles into as many groups, of about
    the same size where not many are equal; of fewer kinds, and texts, each is a group.

    Parameters
    ----------
    values : (n,) array-like of numbers or texts
        What tells the group of each object. NaN, None and empty text are missing: a group of their own.
    errors : (n,) array-like
        Errors, usually :func:`ert.metrics.nme`: finite, not negative.
    n_quantiles : int
        How many groups numbers are cut into, at least 2.
    limit : float
        Errors above it are failures, in the units of `errors`.

    Returns
    -------
    list of dict
        In the order of the values, the missing last: ``group``, its name; ``low`` and ``high``, the limits of
        a quantile group (it holds the low one, and the high one only if it is the last), else None; ``n``,
        its objects; ``mean`` error; ``interval_95``, its bootstrap interval, None for fewer than 10 objects,
        of which it would be far too narrow; ``failure_rate``, between 0 and 1; ``times_others``, the mean
        divided by that of all other objects, None where there are none.

    Raises
    ------
    InputError
        When `values` and `errors` are not of one length, are empty, or hold what is not described above.
    """
    if n_quantiles < 2:
        raise InputError(f"n_quantiles: expected at least 2, got {n_quantiles!r}")
    measured = np.asarray(errors, np.float64)
    if measured.ndim != 1 or not len(measured) or not np.isfinite(measured).all():
        raise InputError(f"errors: expected a 1-D array of finite numbers, got shape {measured.shape}")
    try:
        given = np.asarray(values)
    except ValueError as error:
        raise InputError(f"values: expected a 1-D array of numbers or texts: {error}") from None
    if given.shape != measured.shape:
        raise InputError(f"values: expected {len(measured)}, one for each error, got shape {given.shape}")
    # numpy makes NaN of None; texts that look like numbers stay texts.
    if given.dtype.kind in "iuf" or (given.dtype.kind == "O" and all(map(_is_number, given))):
        groups = _groups_of_numbers(given.astype(np.float64), n_quantiles)
    else:
        listed: list[Any] = given.tolist()
        # NaN alone differs from itself.
        texts = ["" if value is None or value != value else str(value) for value in listed]
        groups = _groups_of_texts(texts)
    return [_summary(name, low, high, chosen, measured, limit) for name, low, high, chosen in groups]


_Group = tuple[str, float | None, float | None, NDArray[np.bool_]]


def _is_number(value: object) -> bool:
    return value is None or (
        isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    )


def _groups_of_texts(texts: list[str]) -> list[_Group]:
    names = sorted({text for text in texts if text not in ("", MISSING)}, key=natural_key)
    array = np.array([text or MISSING for text in texts])
    groups: list[_Group] = [(name, None, None, array == name) for name in names]
    return groups + _missing(array == MISSING)


def _groups_of_numbers(numbers: Floats, n_quantiles: int) -> list[_Group]:
    if np.isinf(numbers).any():
        raise InputError(f"values: item {np.flatnonzero(np.isinf(numbers))[0]} is infinite, NaN is missing")
    known = ~np.isnan(numbers)
    kinds = np.unique(numbers[known])
    groups: list[_Group] = []
    if len(kinds) <= 2 * n_quantiles:
        texts = _distinct(kinds)
        groups = [(text, None, None, numbers == kind) for text, kind in zip(texts, kinds, strict=True)]
    else:
        inner = np.unique(np.quantile(numbers[known], np.arange(1, n_quantiles) / n_quantiles))
        # Quantiles between two neighboring values cut alike, and at the lowest one cut nothing off.
        below, firsts = np.unique(np.searchsorted(kinds, inner), return_index=True)
        inner = inner[firsts[below > 0]]
        if not len(inner):
            inner = kinds[1:2]  # nearly all are the lowest one, so that the others are the other group
        limits = np.array([kinds[0], *inner, kinds[-1]])
        texts = _distinct(limits)
        place = np.searchsorted(inner, numbers, side="right")
        for i in range(len(limits) - 1):
            name = f"{texts[i]} to {texts[i + 1]}" if limits[i] < limits[i + 1] else texts[i]
            groups.append((name, float(limits[i]), float(limits[i + 1]), known & (place == i)))
    return groups + _missing(~known)


def _missing(chosen: NDArray[np.bool_]) -> list[_Group]:
    return [(MISSING, None, None, chosen)] if chosen.any() else []


def _distinct(numbers: Floats) -> list[str]:
    """Write numbers short and alike, but so that different ones look different."""
    numbers = numbers + 0.0  # which makes 0 of -0
    largest = float(np.abs(numbers).max(initial=0))
    if (numbers == np.round(numbers)).all() and largest < 1e9:
        return [f"{number:.0f}" for number in numbers]
    # Three digits of the largest, unless it takes exponents to write it.
    plain = 1e-3 <= largest < 1e9
    first = max(0, 2 - int(np.floor(np.log10(largest)))) if plain else 3
    for digits in range(first, 18):
        texts = [f"{number:.{digits}{'f' if plain else 'g'}}" for number in numbers]
        if len(set(texts)) == len(numbers):
            return texts
    return [repr(number) for number in numbers.tolist()]


def _summary(
    name: str, low: float | None, high: float | None, chosen: NDArray[np.bool_], errors: Floats, limit: float
) -> dict[str, Any]:
    group, others = errors[chosen], errors[~chosen]
    return {
        "group": name,
        "low": low,
        "high": high,
        "n": len(group),
        "mean": float(group.mean()),
        "interval_95": list(bootstrap_interval(group)) if len(group) >= FEWEST else None,
        "failure_rate": failure_rate(group, limit),
        "times_others": float(group.mean() / others.mean()) if others.any() else None,
    }


def object_size(landmarks: Floats, boxes: Floats) -> Floats:
    """Tell how large objects are in pixels: between the outer eye corners of 68 points, else a box's side.

    Parameters
    ----------
    landmarks : (n, n_landmarks, 2) array
        NaN = missing.
    boxes : (n, 4) array
        Left, top, width, height; a side is the mean of width and height.

    Returns
    -------
    (n,) float64 array
    """
    if landmarks.shape[1] != 68:
        side: Floats = boxes[:, 2:].mean(axis=1)
        return side
    return lengths(landmarks[:, 45] - landmarks[:, 36])


def yaw(landmarks: Floats) -> Floats:
    """Tell how far faces are turned to a side, by how much nearer the nose is to one cheek than the other.

    The absolute logarithm of the ratio of two distances: from the tip of the nose to the upper jaw line of
    the right and of the left side, each the mean over five points. 0 is straight ahead, 0.69 twice as far. It
    is a proxy, no angle: asymmetric faces and slips of annotators count as turned, and it grows with the
    angle in a way of its own for each face.

    Parameters
    ----------
    landmarks : (n, 68, 2) array

    Returns
    -------
    (n,) float64 array
    """
    right, left = (lengths(landmarks[:, cheek] - landmarks[:, [_NOSE_TIP]]).mean(axis=1) for cheek in _CHEEKS)
    asymmetry: Floats = np.abs(np.log(zero_to_nan(right)) - np.log(zero_to_nan(left)))
    return asymmetry


def roll(landmarks: Floats) -> Floats:
    """Tell how far the line from eye to eye is from level, in degrees from 0 to 180.

    Parameters
    ----------
    landmarks : (n, 68, 2) array

    Returns
    -------
    (n,) float64 array
    """
    right, left = (landmarks[:, eye].mean(axis=1) for eye in _EYES)
    x, y = (left - right).T
    angles: Floats = np.abs(np.degrees(np.arctan2(y, x)))
    return angles


def skin_brightness(image: NDArray[np.uint8], shape: Floats) -> float:
    """Return the mean gray of a face's skin: inside jaw and brows, without the eyes and the mouth.

    The light and the camera make it as much as the skin does: it is no measure of skin color.

    Parameters
    ----------
    image : uint8 array (rows, columns) or (rows, columns, 3)
        Gray or RGB.
    shape : (68, 2) array
        x and y in pixels; NaN = missing.

    Returns
    -------
    float
        0 to 255; NaN where a landmark that it needs is missing, or no pixel of skin is in the image.
    """
    from skimage.draw import polygon

    needed = [*_OUTLINE, *(i for part in _NO_SKIN for i in part)]
    if np.isnan(shape[needed]).any():
        return np.nan
    low = np.maximum(np.floor(shape[_OUTLINE].min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(shape[_OUTLINE].max(axis=0)) + 1, image.shape[1::-1]).astype(int)
    if (high <= low).any():
        return np.nan
    gray = to_gray(image[low[1] : high[1], low[0] : high[0]])
    skin = np.zeros(gray.shape, bool)
    for part in (_OUTLINE, *_NO_SKIN):
        x, y = (shape[part] - low).T
        inside = polygon(y, x, skin.shape)  # type: ignore[no-untyped-call]
        skin[inside] = part is _OUTLINE
    return float(gray[skin].mean()) if skin.any() else np.nan
