"""Slow, obvious NumPy twins of the kernels."""

import numpy as np


def to_grey(image, channels="rgb", weights="luma"):
    if image.ndim == 2:
        return image
    red, green, blue = np.moveaxis(image.astype(int), -1, 0)
    if channels == "bgr":
        red, blue = blue, red
    if weights == "dlib":
        return ((red + green + blue) // 3).astype(np.uint8)
    return ((77 * red + 150 * green + 29 * blue + 128) // 256).astype(np.uint8)


def landmark_errors(y_true, y_pred):
    errors = np.full(y_true.shape[:2], np.nan)
    for i in range(len(y_true)):
        for k in range(y_true.shape[1]):
            if not np.isnan(y_true[i, k]).any():
                errors[i, k] = np.linalg.norm(y_true[i, k] - y_pred[i, k])
    return errors


def normaliser(shape, norm):
    there = [point for point in shape if not np.isnan(point).any()]
    width = max(x for x, _ in there) - min(x for x, _ in there)
    height = max(y for _, y in there) - min(y for _, y in there)
    if norm == "inter-ocular":
        return np.linalg.norm(shape[36] - shape[45])
    if norm == "inter-pupil":
        return np.linalg.norm(sum(shape[36:42]) / 6 - sum(shape[42:48]) / 6)
    if norm == "box":
        return (width * height) ** 0.5
    return (width**2 + height**2) ** 0.5


def nme(y_true, y_pred, norm):
    result = []
    for true, errors in zip(y_true, landmark_errors(y_true, y_pred), strict=True):
        there = [error for error in errors if not np.isnan(error)]
        result.append(100 * sum(there) / len(there) / normaliser(true, norm))
    return np.array(result)


def per_landmark_nme(y_true, y_pred, norm):
    errors = landmark_errors(y_true, y_pred)
    lengths = [normaliser(shape, norm) for shape in y_true]
    result = []
    for k in range(y_true.shape[1]):
        relative = [100 * errors[i, k] / lengths[i] for i in range(len(y_true))]
        there = [value for value in relative if not np.isnan(value)]
        result.append(sum(there) / len(there) if there else np.nan)
    return np.array(result)


def ced(errors, thresholds):
    return np.array([sum(error <= t for error in errors) / len(errors) for t in thresholds])


def auc(errors, limit):
    """Area under the steps of the CED: its height between two neighbouring errors times their distance."""
    steps = sorted({0.0, limit, *(error for error in errors if error < limit)})
    heights = ced(errors, steps)
    return sum(heights[i] * (steps[i + 1] - steps[i]) for i in range(len(steps) - 1)) / limit
