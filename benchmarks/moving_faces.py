"""Clips with known landmarks: faces of photos moved, rotated, dimmed and occluded along smooth paths."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SIZE = 640, 480
RATE = 30
NOISE = 4.0  # gray levels, of the sensor
FEATHER = 12  # width in pixels of the blended edge of a cut-out
LONGER = 150  # mean of the longer side of the landmarks' rectangle in pixels


@dataclass(frozen=True)
class Person:
    """A gray cut-out of a photo and its landmarks (68, 2)."""

    image: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class Pose:
    """Pose of a face: center in pixels, scale, roll in degrees, brightness, mouth opening (0 to 1)."""

    x: float = SIZE[0] / 2
    y: float = SIZE[1] / 2
    scale: float = 1.0
    roll: float = 0.0
    light: float = 1.0
    mouth: float = 0.0


@dataclass(frozen=True)
class Clip:
    """Frames (rows, columns) and landmarks (frames, people, 68, 2), NaN where a face is occluded."""

    frames: list
    truth: np.ndarray

    def times(self):
        """Return the time of each frame in seconds."""
        return np.arange(len(self.frames)) / RATE


def wave(seconds, hertz, phase=0.0):
    return np.sin(2 * np.pi * (hertz * seconds + phase))


def stepped(moves):
    """Move between -1 and 1: a third of the time at constant speed, two thirds at rest."""
    whole, part = divmod(moves, 1)
    way = min(3 * part, 1.0)
    return (2 * way - 1) * (1 if whole % 2 == 0 else -1)


# Paths: (seconds, phase) -> Pose. The phase differs between people.
PATHS: dict[str, Callable[[float, float], Pose]] = {
    "still": lambda t, p: Pose(x=320 + 40 * np.sin(40 * p), y=240 + 20 * np.cos(90 * p)),
    "shift": lambda t, p: Pose(x=320 + 110 * wave(t, 0.5, p), y=240 + 40 * wave(t, 0.8, 2 * p)),
    "scale": lambda t, p: Pose(scale=np.exp(0.35 * wave(t, 0.5, p))),
    # Upright in the first frame, for the detectors.
    "roll": lambda t, p: Pose(roll=(20 + 10 * p) * wave(t, 0.5)),
    "starts and stops": lambda t, p: Pose(x=320 + 80 * stepped(t / 1.0 + p), roll=8 * stepped(t / 1.0 + p + 0.5)),
    "light": lambda t, p: Pose(light=0.7 + 0.4 * wave(t, 0.7, p)),
    "mouth": lambda t, p: Pose(mouth=0.5 + 0.5 * wave(t, 1.5, p)),
    "all": lambda t, p: Pose(
        320 + 90 * wave(t, 0.4, p),
        240 + 30 * wave(t, 0.6, 2 * p),
        np.exp(0.25 * wave(t, 0.3, 3 * p)),
        15 * wave(t, 0.5),
        0.8 + 0.25 * wave(t, 0.7, p),
        0.5 + 0.5 * wave(t, 1.0, p),
    ),
}


def matrix_of(person, pose):
    """Return the transform (2, 3) from the cut-out to the frame."""
    low, high = person.landmarks.min(axis=0), person.landmarks.max(axis=0)
    scale = pose.scale * LONGER / (high - low).max()
    matrix = cv2.getRotationMatrix2D(((low + high) / 2).tolist(), -pose.roll, scale)
    matrix[:, 2] += (pose.x, pose.y) - (low + high) / 2
    return matrix


def with_mouth(person, amount):
    """Open the mouth by a fraction of the maximum."""
    if amount == 0:
        return person
    import ert

    moved = person.landmarks.copy()
    far = 0.12 * amount * np.ptp(moved[:, 1])
    for lower in (*range(55, 60), *range(65, 68)):
        moved[lower, 1] += far
    for jaw, share in zip(range(4, 13), (0.2, 0.5, 0.8, 1, 1, 1, 0.8, 0.5, 0.2), strict=True):
        moved[jaw, 1] += share * far
    return Person(ert.warp(person.image, person.landmarks, moved), moved)


def background(person):
    """Return the cut-out, blurred beyond recognition."""
    return cv2.GaussianBlur(cv2.resize(person.image, SIZE, interpolation=cv2.INTER_LINEAR), (0, 0), 40)


def opacity(person, head):
    """Return the opacity of a cut-out: all except a margin, or the head only."""
    rows, columns = person.image.shape
    x, y = np.arange(columns), np.arange(rows)[:, None]
    inside = np.minimum(np.minimum(x, x[::-1]), np.minimum(y, y[::-1]))
    if head:
        low, high = person.landmarks.min(axis=0), person.landmarks.max(axis=0)
        # The landmarks end at the brows.
        low[1] -= 0.4 * (high - low)[1]
        (left, top), (width, height) = (low + high) / 2, 0.58 * (high - low)
        inside = np.minimum(inside, (1 - np.hypot((x - left) / width, (y - top) / height)) * height)
    return np.clip(inside / FEATHER, 0, 1).astype(np.float32)


def paste(frame, person, pose, head=False):
    """Draw a face on a frame (float32); return its landmarks in the frame."""
    shown = with_mouth(person, pose.mouth)
    matrix = matrix_of(person, pose)
    opaque = opacity(person, head)
    how = cv2.INTER_AREA if np.hypot(*matrix[0, :2]) < 1 else cv2.INTER_LINEAR
    pixels = cv2.warpAffine(shown.image, matrix, SIZE, flags=how, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(opaque, matrix, SIZE)
    frame += cover * (np.float32(pose.light) * pixels - frame)
    return shown.landmarks @ matrix[:, :2].T + matrix[:, 2]


def as_frame(picture, rng):
    noise = NOISE * rng.standard_normal(picture.shape, np.float32)
    return np.rint(np.clip(picture + noise, 0, 255)).astype(np.uint8)


def moving(person, path, seconds, number):
    """Return a clip of one face that moves along a path."""
    rng = np.random.default_rng(number)
    phase, behind = rng.random(), background(person).astype(np.float32)
    frames, truth = [], []
    for k in range(round(seconds * RATE)):
        picture = behind.copy()
        truth.append([paste(picture, person, PATHS[path](k / RATE, phase))])
        frames.append(as_frame(picture, rng))
    return Clip(frames, np.array(truth))


def vanishing(person, seconds, number):
    """Return a clip of a face that vanishes in its middle."""
    clip = moving(person, "still", seconds, number)
    rng = np.random.default_rng(number + 1)
    empty = background(person).astype(np.float32)
    n = len(clip.frames) // 2
    truth = clip.truth.copy()
    truth[n:] = np.nan
    return Clip(clip.frames[:n] + [as_frame(empty, rng) for _ in clip.frames[n:]], truth)


def cut(one, other, seconds, number, distance):
    """Return a clip with a cut to another person, at a distance in sides of the face from the first."""
    rng = np.random.default_rng(number)
    n = round(seconds * RATE)
    behind = [background(person).astype(np.float32) for person in (one, other)]
    frames, truth = [], np.full((n, 2, 68, 2), np.nan)
    for k in range(n):
        who, person = (0, one) if k < n // 2 else (1, other)
        picture = behind[who].copy()
        x = 240 + (who * distance * LONGER)
        truth[k, who] = paste(picture, person, Pose(x=x))
        frames.append(as_frame(picture, rng))
    return Clip(frames, truth)


def passing(one, other, seconds, number, dodge):
    """Return a clip of two heads that pass each other, the second behind and `dodge` pixels higher."""
    rng = np.random.default_rng(number)
    behind = background(one).astype(np.float32)
    n = round(seconds * RATE)
    frames, truth = [], np.full((n, 2, 68, 2), np.nan)
    cover = opacity(one, head=True)
    for k in range(n):
        picture = behind.copy()
        along = -np.cos(np.pi * k / (n - 1))
        front = Pose(x=320 + 190 * along, y=260 + dodge / 2, scale=0.85)
        truth[k, 1] = paste(picture, other, Pose(x=320 - 190 * along, y=260 - dodge / 2, scale=0.75), True)
        truth[k, 0] = paste(picture, one, front, True)
        frames.append(as_frame(picture, rng))
        inside = matrix_of(one, front)
        back = np.rint((truth[k, 1] - inside[:, 2]) @ np.linalg.inv(inside[:, :2]).T).astype(int)
        columns, rows = back.clip(0, np.array(cover.shape[::-1]) - 1).T
        within = ((back >= 0) & (back < cover.shape[::-1])).all(axis=1)
        if (within & (cover[rows, columns] > 0.5)).mean() > 0.3:
            truth[k, 1] = np.nan
    return Clip(frames, truth)


def people(images, landmarks):
    """Return people from gray images and landmarks."""
    return [Person(np.ascontiguousarray(i), y) for i, y in zip(images, landmarks, strict=True)]
