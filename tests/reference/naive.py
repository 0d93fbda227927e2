"""Slow, obvious NumPy twins of the kernels."""

import math

import numpy as np


def to_gray(image, channel_order="rgb", weights="luma"):
    if image.ndim == 2:
        return image
    red, green, blue = np.moveaxis(image.astype(int), -1, 0)
    if channel_order == "bgr":
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


def normalizer_length(shape, normalizer):
    there = [point for point in shape if not np.isnan(point).any()]
    width = max(x for x, _ in there) - min(x for x, _ in there)
    height = max(y for _, y in there) - min(y for _, y in there)
    if normalizer == "inter-ocular":
        return np.linalg.norm(shape[36] - shape[45])
    if normalizer == "inter-pupil":
        return np.linalg.norm(sum(shape[36:42]) / 6 - sum(shape[42:48]) / 6)
    if normalizer == "box":
        return (width * height) ** 0.5
    return (width**2 + height**2) ** 0.5


def nme(y_true, y_pred, normalizer):
    result = []
    for true, errors in zip(y_true, landmark_errors(y_true, y_pred), strict=True):
        there = [error for error in errors if not np.isnan(error)]
        result.append(100 * sum(there) / len(there) / normalizer_length(true, normalizer))
    return np.array(result)


def per_landmark_nme(y_true, y_pred, normalizer):
    errors = landmark_errors(y_true, y_pred)
    lengths = [normalizer_length(shape, normalizer) for shape in y_true]
    result = []
    for k in range(y_true.shape[1]):
        relative = [100 * errors[i, k] / lengths[i] for i in range(len(y_true))]
        there = [value for value in relative if not np.isnan(value)]
        result.append(sum(there) / len(there) if there else np.nan)
    return np.array(result)


def ced(errors, thresholds):
    return np.array([sum(error <= t for error in errors) / len(errors) for t in thresholds])


def auc(errors, limit):
    """Area under the steps of the CED: its height between two neighboring errors times their distance."""
    steps = sorted({0.0, limit, *(error for error in errors if error < limit)})
    heights = ced(errors, steps)
    return sum(heights[i] * (steps[i + 1] - steps[i]) for i in range(len(steps) - 1)) / limit


def resample(image, x, y, step, blur, shape):
    """Triangle-filtered resampling: every output pixel is a weighted mean of pixels, clamped at the edges."""
    rows, columns = shape
    half = max(1.0, blur * step)

    def weights(center, size):
        result = np.zeros(size)
        for i in range(math.floor(center - half), math.ceil(center + half) + 1):
            result[min(max(i, 0), size - 1)] += max(0.0, 1.0 - abs(i - center) / half)
        return result / result.sum()

    out = np.empty(shape)
    for r in range(rows):
        for c in range(columns):
            down, across = weights(y + r * step, image.shape[0]), weights(x + c * step, image.shape[1])
            out[r, c] = down @ image.astype(float) @ across
    return out


def reduce(image, column, row, factor, shape):
    """The mean of four pixels in each square: those in the middles of its quarters, clamped at the edges."""
    near = (factor - 1) // 4 if factor > 2 else 0
    places = (near, factor - 1 - near)
    out = np.empty(shape, np.uint8)
    for r in range(shape[0]):
        for c in range(shape[1]):
            rows = [min(max(row + r * factor + i, 0), image.shape[0] - 1) for i in places]
            columns = [min(max(column + c * factor + i, 0), image.shape[1] - 1) for i in places]
            out[r, c] = (sum(int(image[i, j]) for i in rows for j in columns) + 2) // 4
    return out


def rotate_image(image, turn, place, shape):
    """The four pixels round each place, each as much as it is near; beyond the edge its last pixels."""
    rows, columns = image.shape
    out = np.empty(shape)
    for r, c in np.ndindex(shape):
        x, y = turn @ (c, r) + place
        x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
        out[r, c] = sum(
            max(0, 1 - abs(x - i)) * max(0, 1 - abs(y - j)) * image[j, i]
            for i in range(int(x), min(int(x) + 2, columns))
            for j in range(int(y), min(int(y) + 2, rows))
        )
    return out


def stretch(crop, least):
    """Gray levels stretched about their mean to a standard deviation, 16 times at the most."""
    some = crop[::8].astype(float)
    if some.std() >= least:
        return crop
    gain = least / max(some.std(), least / 16)
    levels = np.floor(128 + gain * (crop - some.mean()) + 0.5)
    return np.clip(levels, 0, 255).astype(np.uint8)


def similarity(mean_shape, shape):
    """The 2x2 matrix of the least-squares similarity from one shape to another, by a general solver."""
    (a, _), (b, _) = least_squares(mean_shape, shape)
    scale = np.hypot(a, b)
    if scale < 0.5:
        a, b = 0.5 * a / scale, 0.5 * b / scale
    return np.array([[a, -b], [b, a]])


def least_squares(mean_shape, shape):
    """The same without a least scale."""
    mean = mean_shape - mean_shape.mean(axis=0)
    target = shape - shape.mean(axis=0)
    rows, values = [], []
    for (x, y), (u, v) in zip(mean, target, strict=True):
        rows += [[x, -y], [y, x]]
        values += [u, v]
    a, b = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.array([[a, -b], [b, a]])


def read_pixels(crop, transform, shape, matrix, anchors, deltas):
    """Each pool pixel: landmark + matrix @ delta, through the transform, rounded, nearest pixel of the crop."""
    to_crop = np.array([[transform[0], transform[1]], [transform[2], transform[3]]])
    values = []
    for anchor, delta in zip(anchors, deltas, strict=True):
        x, y = to_crop @ (shape[anchor] + matrix @ delta) + transform[4:]
        column = min(max(math.floor(x + 0.5), 0), crop.shape[0] - 1)
        row = min(max(math.floor(y + 0.5), 0), crop.shape[1] - 1)
        values.append(crop[column, row])
    return np.array(values)


def most_used(pairs, n_drawn, n_kept):
    """Count the uses of each pixel one by one, each as the share of the samples that come to that split."""
    uses = [0.0] * n_drawn
    for tree in pairs:
        for split, pair in enumerate(tree):
            level = 0
            while split >= 2 ** (level + 1) - 1:
                level += 1
            for pixel in pair:
                uses[pixel] += 1 / 2**level
    return sorted(sorted(range(n_drawn), key=lambda pixel: (-uses[pixel], pixel))[:n_kept])


def grow_tree(pool, targets, pairs, thresholds, weights):
    """Grow a tree greedily on pool (n_pixels, n), targets (n, n_scored): splits, and each sample's leaf."""
    n_splits, n_tests = thresholds.shape
    members = {0: np.arange(pool.shape[1])}
    chosen_pairs, chosen_thresholds = [], []
    for node in range(n_splits):
        samples = members[node]
        best, chosen = -1.0, 0
        for test in range(n_tests):
            first, second = pairs[node, test].astype(int)
            left = pool[first, samples].astype(int) - pool[second, samples] > thresholds[node, test]
            if 0 < left.sum() < len(left):
                gain = 0.0
                for side in (left, ~left):
                    total = targets[samples[side]].sum(axis=0)
                    gain += (weights * total**2).sum() / side.sum()
                if gain > best:
                    best, chosen = gain, test
        first, second = pairs[node, chosen].astype(int)
        left = pool[first, samples].astype(int) - pool[second, samples] > thresholds[node, chosen]
        members[2 * node + 1], members[2 * node + 2] = samples[left], samples[~left]
        chosen_pairs.append(pairs[node, chosen])
        chosen_thresholds.append(thresholds[node, chosen])
    leaf_of = np.empty(pool.shape[1], int)
    for leaf in range(n_splits + 1):
        leaf_of[members[n_splits + leaf]] = leaf
    return np.array(chosen_pairs), np.array(chosen_thresholds), leaf_of


def walk(values, pairs, thresholds):
    """The leaf number of one face in one tree."""
    node = 0
    while node < len(thresholds):
        first, second = pairs[node]
        go_left = int(values[first]) - int(values[second]) > thresholds[node]
        node = 2 * node + 1 if go_left else 2 * node + 2
    return node - len(thresholds)


def add_leaves(leaves, leaf_of):
    """The sum of one leaf (a list of numbers) of each tree."""
    return sum(leaves[tree, leaf].astype(int) for tree, leaf in enumerate(leaf_of)).tolist()


def add_products(components, scales, matrix, n_columns):
    """Numbers times units, rounded to whole numbers of 16 bits, times a matrix in whole numbers."""
    amounts = components.astype(np.float32) * scales.astype(np.float32)
    largest = np.abs(amounts).max()
    # Summed as sixteen numbers side by side, folded half on half.
    total = np.zeros(16, np.float32)
    for first in range(0, len(amounts), 16):
        some = np.abs(amounts[first : first + 16])
        total[: len(some)] += some
    while len(total) > 1:
        total = total[: len(total) // 2] + total[len(total) // 2 :]
    n_rows = -(-len(amounts) // 16) * 16
    limit = np.float32(2 ** (32 - 8 * matrix.itemsize) - n_rows)
    factor = min(np.float32(32767) / largest, limit / total[0]) if largest >= 1e-30 else np.float32(1)
    whole = np.rint(amounts * factor).astype(np.int64)
    out = np.zeros(n_columns, np.float32)
    out[: matrix.shape[1]] = (whole @ matrix.astype(np.int64)).astype(np.float32) * (np.float32(1) / factor)
    return out


def confidence_model(image, box, landmarks, confidence_model, normalizer):
    """Standard errors, probabilities and the confidence, in double precision and with nothing clever."""
    mean = confidence_model.mean_shape - confidence_model.mean_shape.mean(axis=0)
    box_side = (box[2] + box[3]) / 2 - 1
    side = np.sqrt(abs(np.linalg.det(_plain_similarity(mean, landmarks))))
    side = min(max(side, box_side / 4), 4 * box_side)
    origin = landmarks.mean(axis=0) - side / 2
    crop, transform = confidence_model.crop_spec.cut(image, np.array([side, 0, 0, side, *origin]))
    shape = (landmarks - origin) / side
    values = read_pixels(
        crop, transform, shape, similarity(mean, shape), confidence_model.anchors, confidence_model.deltas
    )
    said = []
    for forest in (confidence_model.errors, confidence_model.trust):
        components = np.zeros(len(forest.scales))
        for pairs, thresholds, leaves in zip(forest.pairs, forest.thresholds, forest.leaves, strict=True):
            components += leaves[walk(values, pairs, thresholds)]
        said.append((components * forest.scales) @ forest.basis.astype(float))
    std = side * np.exp(np.interp(said[0], *confidence_model.curve) + confidence_model.baseline)
    length = max(box_side if normalizer is None else normalizer_length(landmarks, normalizer), 1.0)
    shares = np.interp(0.05 * length / std, confidence_model.ratios, np.linspace(0, 1, len(confidence_model.ratios)))
    within = np.clip(np.interp(shares, *confidence_model.within_curve), 0.001, 0.999)
    logit = confidence_model.confidence_weights @ [1, said[1][0], np.log(std.mean() / length)]
    return std, within, np.clip(1 / (1 + np.exp(-logit)), 0.001, 0.999)


def _plain_similarity(mean, shape):
    target = shape - shape.mean(axis=0)
    (a, b) = np.array([(mean * target).sum(), (mean[:, 0] * target[:, 1] - mean[:, 1] * target[:, 0]).sum()])
    return np.array([[a, -b], [b, a]]) / (mean**2).sum()


def roc_auc(scores, truth):
    """How often a true one beats a false one, equals half."""
    good, bad = np.asarray(scores)[truth], np.asarray(scores)[~truth]
    return float(np.mean([(g > b) + 0.5 * (g == b) for g in good for b in bad]))


def dlib_int(value):
    """dlib's INT: a control byte (how many bytes, sign), then the magnitude, least significant byte first."""
    magnitude = abs(value)
    data = magnitude.to_bytes(max(1, (magnitude.bit_length() + 7) // 8), "little")
    return bytes([len(data) | (0x80 if value < 0 else 0)]) + data


def dlib_float(value):
    """dlib's FLOAT: mantissa and exponent as INTs; zero bytes at the mantissa's end move to the exponent."""
    if value == 0:
        return dlib_int(0) + dlib_int(40)
    fraction, exponent = math.frexp(np.float32(value))
    mantissa, exponent = math.trunc(fraction * 2**24), exponent - 24
    for _ in range(8):
        if mantissa & 0xFF:
            break
        mantissa >>= 8
        exponent += 8
    return dlib_int(mantissa) + dlib_int(exponent)


def dlib_model(cascade):
    """A whole `.dat` file of a DlibCascade, number by number."""

    def column(values):
        return dlib_int(-values.size) + dlib_int(-1) + b"".join(dlib_float(value) for value in values.ravel())

    def tree(pairs, thresholds, leaves):
        data = dlib_int(len(thresholds))
        for (first, second), threshold in zip(pairs, thresholds, strict=True):
            data += dlib_int(int(first)) + dlib_int(int(second)) + dlib_float(threshold)
        return data + dlib_int(len(leaves)) + b"".join(column(leaf) for leaf in leaves)

    def vector(items):
        items = list(items)
        return dlib_int(len(items)) + b"".join(items)

    def each(*arrays):
        return zip(*arrays, strict=True)

    forests = vector(
        vector(tree(*parts) for parts in each(*stage))
        for stage in each(cascade.pairs, cascade.thresholds, cascade.leaves)
    )
    anchors = vector(vector(dlib_int(int(i)) for i in stage) for stage in cascade.anchors)
    deltas = vector(vector(dlib_float(x) + dlib_float(y) for x, y in stage) for stage in cascade.deltas)
    return dlib_int(1) + column(cascade.mean_shape) + forests + anchors + deltas


def predict_dlib(image, box, cascade):
    """dlib's prediction in double precision: nearest pixels of the image, 0 outside, whole leaves."""
    left, top, width, height = box
    mean = cascade.mean_shape.astype(float)
    shape = mean.copy()
    for stage in range(len(cascade.anchors)):
        matrix = similarity(mean, shape)
        values = []
        for anchor, delta in zip(cascade.anchors[stage], cascade.deltas[stage], strict=True):
            x, y = (shape[anchor] + matrix @ delta) * [width - 1, height - 1] + [left, top]
            column, row = math.floor(x + 0.5), math.floor(y + 0.5)
            inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
            values.append(image[row, column] if inside else 0)
        trees = zip(cascade.pairs[stage], cascade.thresholds[stage], cascade.leaves[stage], strict=True)
        for pairs, thresholds, leaves in trees:
            shape = shape + leaves[walk(values, pairs, thresholds)].reshape(-1, 2)
    return shape


def add_float_leaves(shape, leaves, which):
    """Add a leaf of each tree in single precision, as dlib does."""
    shape = shape.copy()
    for tree, leaf in zip(leaves, which, strict=True):
        for i, number in enumerate(tree[leaf]):
            shape[i] = np.float32(shape[i] + number)
    return shape


class Follower:
    """One point of ert.tracking.smoothing.AdaptiveFilter, in plain numbers."""

    def __init__(self, x, y, moving):
        self.place, self.speed, self.moving = [x, y], [0.0, 0.0], moving
        self.mean_error, self.last_error = [0.0, 0.0], None
        self.noise, self.gain = 1.0, 1.0

    def update(self, x, y, noise, seconds):
        steps = seconds * 30
        expected = [p + v * seconds for p, v in zip(self.place, self.speed, strict=True)]
        error = [x - expected[0], y - expected[1]]
        if self.last_error is not None and self.gain < 0.5:
            differs = math.dist(error, self.last_error) / math.sqrt(2) / noise
            share = 1 - 0.95**steps
            squared = self.noise**2
            squared += share * (min(differs, 3 * self.noise) ** 2 - squared)
            self.noise = min(max(math.sqrt(squared), 0.5), 8.0)
        self.last_error = error
        share = 1 - 0.6**steps
        self.mean_error = [m + share * (e - m) for m, e in zip(self.mean_error, error, strict=True)]
        moved = max(math.hypot(*self.mean_error), math.hypot(*self.speed) / 30) / (noise * self.noise)
        sure = min(max((moved - 0.7) / (2.4 - 0.7), 0), 1)
        motion = 1 - (1 - (0.04 + 0.91 * sure)) ** steps
        self.gain = max(motion, 1 / (1 / self.gain + 0.6))
        self.place = [p + self.gain * e for p, e in zip(expected, error, strict=True)]
        if self.moving:
            rise = motion**2 / (2 - motion) / seconds
            self.speed = [v + rise * e for v, e in zip(self.speed, error, strict=True)]
        self.mean_error = [m * (1 - self.gain) for m in self.mean_error]
        return self.place
