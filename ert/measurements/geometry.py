"""Distances, angles, areas, perimeters and centroid sizes, with their gradients, by which errors are propagated.

Landmarks are complex numbers x + iy in arrays (n, n_landmarks), NaN where missing. So is a gradient: the derivative of
a measurement with respect to x of each landmark, plus i times that with respect to y; 0 for landmarks not used.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ert._core.types import Floats
from ert.model.procrustes import Points


class Quantity(NamedTuple):
    """A measurement of each object.

    Parameters
    ----------
    values : float array (n,)
        NaN where a landmark is missing or it is not defined.
    gradient : complex array (n, n_landmarks)
    """

    values: Floats
    gradient: Points


def distance(points: Points, landmarks: Sequence[int]) -> Quantity:
    """Measure the distance between two landmarks."""
    a, b = landmarks
    line: Points = points[:, a] - points[:, b]
    gradient = np.zeros_like(points)
    gradient[:, a] = _unit(line)
    gradient[:, b] = -gradient[:, a]
    return Quantity(np.abs(line), gradient)


@np.errstate(invalid="ignore")
def angle(points: Points, landmarks: Sequence[int]) -> Quantity:
    """Measure the angle at the second of three landmarks, from 0 to 180 degrees; NaN where another one is there too."""
    a, b, c = landmarks
    first, second = points[:, a] - points[:, b], points[:, c] - points[:, b]
    known = (first != 0) & (second != 0)
    first, second = np.where(known, first, np.nan), np.where(known, second, np.nan)
    turn = np.angle(second * first.conj())
    gradient = np.zeros_like(points)
    # Of the direction of a line: its normal, divided by its length.
    gradient[:, a], gradient[:, c] = -1j / first.conj(), 1j / second.conj()
    gradient[:, b] = -gradient[:, a] - gradient[:, c]
    sign = np.where(turn < 0, -1, 1)[:, None]
    return Quantity(np.degrees(abs(turn)), np.degrees(1) * sign * gradient)


def area(points: Points, landmarks: Sequence[int]) -> Quantity:
    """Measure the area of a polygon by the shoelace formula."""
    corners = points[:, landmarks]
    after, before = np.roll(corners, -1, axis=1), np.roll(corners, 1, axis=1)
    signed = (corners.conj() * after).imag.sum(axis=1) / 2
    gradient = np.zeros_like(points)
    gradient[:, landmarks] = -0.5j * (after - before) * np.where(signed < 0, -1, 1)[:, None]
    return Quantity(abs(signed), gradient)


def perimeter(points: Points, landmarks: Sequence[int]) -> Quantity:
    """Measure the perimeter of a polygon."""
    corners = points[:, landmarks]
    sides = np.roll(corners, -1, axis=1) - corners
    gradient, directions = np.zeros_like(points), _unit(sides)
    gradient[:, landmarks] = np.roll(directions, 1, axis=1) - directions
    return Quantity(abs(sides).sum(axis=1), gradient)


def centroid_size(points: Points) -> Quantity:
    """Measure the square root of the sum of the squared distances of all landmarks from their centroid."""
    centered = points - points.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(centered, axis=1)
    return Quantity(sizes, centered / np.where(sizes > 0, sizes, 1)[:, None])


def in_unit(quantity: Quantity, scale: Quantity, power: int) -> Quantity:
    """Convert a length (`power` 1) or an area (2) from pixels, given the length of a pixel in each object."""
    values, factor = quantity.values, scale.values**power
    by_scale = power * values * scale.values ** (power - 1)
    return Quantity(values * factor, quantity.gradient * factor[:, None] + scale.gradient * by_scale[:, None])


def standard_error(gradient: Points, std: Floats) -> Floats:
    """Propagate, to first order, independent errors with a standard deviation `std` (n, n_landmarks) in x and in y."""
    parts = np.where(gradient == 0, 0, abs(gradient) * std)
    errors: Floats = np.sqrt((parts**2).sum(axis=1))
    return errors


@np.errstate(invalid="ignore")
def is_crossed(points: Points, landmarks: Sequence[int]) -> Floats:
    """Return for each object whether two sides of a polygon cross each other, where its landmarks are known."""
    corners = points[:, landmarks]
    n, m = corners.shape
    ends = np.roll(corners, -1, axis=1)

    def side_of(line: int, other: Points) -> Floats:
        """Return on which side of a line a point is: -1, 0 or 1."""
        signs: Floats = np.sign(((ends[:, line] - corners[:, line]).conj() * (other - corners[:, line])).imag)
        return signs

    crossed = np.zeros(n, bool)
    for i in range(m):
        for j in range(i + 2, m - (i == 0)):
            apart = side_of(i, corners[:, j]) * side_of(i, ends[:, j]) < 0
            crossed |= apart & (side_of(j, corners[:, i]) * side_of(j, ends[:, i]) < 0)
    return crossed


@np.errstate(invalid="ignore")
def _unit(lines: Points) -> Points:
    """Return directions; 0 where the length is 0."""
    lengths = abs(lines)
    return lines / np.where(lengths == 0, 1, lengths)
