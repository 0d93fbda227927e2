"""Find the photos of `mtfl` that show the same picture as a face of 300-W, so that no test face is trained on.

    python benchmarks/duplicates.py

The faces are aligned by their eyes and mouth corners, so that another crop of a photo is found as well, and mirror
images are compared too. Of each face of 300-W, the `CANDIDATES` photos whose details correlate most are registered to
it (an affine transform, since annotations differ), and the correlation of the registered faces decides. 64-bit DCT
hashes of the face and of the whole picture are given for comparison: many pairs of different faces have the same
distances. The pairs that are most alike are drawn to runs/duplicates_test.png and runs/duplicates_train.png, to be
looked at. `benchmarks/results/duplicates.json` contains the numbers of the photos to leave out, from 0. One minute.
"""

from itertools import product

import common
import cv2
import numpy as np

SIDE = 64
# Centers of the eyes and corners of the mouth in a crop of side 1.
PLACES = np.array([[0.3, 0.38], [0.7, 0.38], [0.34, 0.76], [0.66, 0.76]])
SHIFTS_PIXELS = (-2.5, 0.0, 2.5)
CANDIDATES = 6
# Of copies of the test faces, smaller, compressed and with other annotations, 99 % have more than 0.99. The three pairs
# of training faces and photos that are the same have 0.98 and more, and the next one, of two persons, has 0.91.
MIN_CORRELATION = 0.95
DRAWN = 48


def aligned(image, points):
    """Return the crop of a gray image in which the centers of the eyes and corners of the mouth are at `PLACES`."""
    source, target = points @ (1, 1j), PLACES @ (1, 1j) * SIDE
    source_center, target_center = source.mean(), target.mean()
    factor = np.vdot(source - source_center, target - target_center) / np.vdot(*[source - source_center] * 2).real
    shift = target_center - factor * source_center
    matrix = np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
    if abs(factor) < 0.8:  # Without this, pixels between those that are read would be skipped.
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / abs(factor))
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def perceptual_hash(image):
    """Return 64 bits: which of the lowest frequencies of a gray image are above their median."""
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    frequencies = cv2.dct(small)[:8, :8].ravel()
    return frequencies > np.median(frequencies[1:])


def hash_distances(first, second):
    """Return the least Hamming distances (n, m) of images, mirrored or not."""
    one = np.array([perceptual_hash(image) for image in first], np.float32) * 2 - 1
    distances = []
    for mirrored in (False, True):
        images = [mirror(image) if mirrored else image for image in second]
        other = np.array([perceptual_hash(image) for image in images], np.float32) * 2 - 1
        distances.append((64 - one @ other.T) / 2)
    return np.minimum(*distances).astype(int)


def details(image):
    """Return an image without the brightness and contrast of the neighborhood, of mean 0 and norm 1."""
    sigma = len(image) / 8
    found = image.astype(np.float32)
    found -= cv2.GaussianBlur(found, (0, 0), sigma)
    found /= np.sqrt(cv2.GaussianBlur(found**2, (0, 0), 1.5 * sigma)) + 3
    found -= found.mean()
    return found / np.linalg.norm(found).clip(1e-6)


def reduced(crop, shift=(0.0, 0.0)):
    """Return the details of a crop at half its size, shifted."""
    matrix = np.float32([[0.5, 0, shift[0] / 2], [0, 0.5, shift[1] / 2]])
    smooth = cv2.GaussianBlur(crop, (0, 0), 1.0)
    return details(cv2.warpAffine(smooth, matrix, (SIDE // 2,) * 2, borderMode=cv2.BORDER_REPLICATE)).ravel()


def candidates(first, second):
    """Return for each crop the numbers (n, `CANDIDATES`) of those with similar details."""
    other = np.array([reduced(crop) for crop in second])
    best = np.full((len(first), len(second)), -1.0, np.float32)
    for mirrored, *shift in product((False, True), SHIFTS_PIXELS, SHIFTS_PIXELS):
        one = np.array([reduced(mirror(crop) if mirrored else crop, shift) for crop in first])
        np.maximum(best, one @ other.T, out=best)
    return np.argsort(-best, axis=1)[:, :CANDIDATES]


def mirror(image):
    return np.ascontiguousarray(image[:, ::-1])


def registered_correlation(first, second):
    """Return the correlation of the details of two crops, or of a crop and a mirror image, after registration."""
    best = -1.0
    for crop in (first, mirror(first)):
        matrix = np.eye(2, 3, dtype=np.float32)
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        try:
            cv2.findTransformECC(second, crop, matrix, cv2.MOTION_AFFINE, stop, None, 5)
        except cv2.error:  # It does not converge.
            continue
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(crop, matrix, (SIDE,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        # Without the border, which one of the photos may not contain.
        inner = np.s_[6:-6, 6:-6]
        one, other = (details(cv2.GaussianBlur(image, (0, 0), 0.7)[inner]) for image in (moved, second))
        best = max(best, float((one * other).sum()))
    return best


def copied(image, points, rng):
    """Return a copy of a face as another collection may have it: smaller, compressed, with other annotations."""
    between = np.linalg.norm(points[1] - points[0])
    scale = min(1, 48 / between)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_GRAYSCALE)
    factors = np.array(small.shape[::-1]) / image.shape[::-1]
    return small, points * factors + rng.normal(0, 0.04 * between * scale, points.shape)


def draw(file, first, second, pairs, values):
    """Draw pairs of pictures side by side, with their numbers and values."""
    cells = []
    for (i, j), value in zip(pairs, values, strict=True):
        cell = np.vstack([np.hstack([first[k][i], second[k][j]]) for k in range(2)])
        cell = cv2.copyMakeBorder(cell, 14, 4, 2, 2, cv2.BORDER_CONSTANT, value=255)
        cells.append(cv2.putText(cell, f"{i} {j} {value:.2f}", (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 0, 1))
    file.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(file), np.vstack([np.hstack(cells[k : k + 8]) for k in range(0, len(cells), 8)]))


def read(files):
    return [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]


def views(images, points):
    """Return the aligned crops of faces, and the whole pictures at the same size."""
    crops = [aligned(image, each) for image, each in zip(images, points, strict=True)]
    return crops, [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]


def compare(ours, others):
    """Return the pairs (m, 2) that may be the same picture, and their correlations, the largest first."""
    chosen = candidates(ours, others)
    pairs = np.column_stack([np.repeat(np.arange(len(chosen)), CANDIDATES), chosen.ravel()])
    values = np.array([registered_correlation(ours[i], others[j]) for i, j in pairs])
    order = np.argsort(-values)
    return pairs[order], values[order]


def copies_found(images, points, crops, others):
    """Return which part of the copies of faces are candidates, and the lowest 1, 5 and 50 % of their correlations."""
    rng = np.random.default_rng(0)
    copies = [aligned(*copied(image, each, rng)) for image, each in zip(images, points, strict=True)]
    chosen = candidates(crops, [*others, *copies]) == len(others) + np.arange(len(crops))[:, None]
    values = [registered_correlation(crop, copy) for crop, copy in zip(crops, copies, strict=True)]
    quantiles = dict(zip(("1 %", "5 %", "50 %"), np.quantile(values, [0.01, 0.05, 0.5]).round(3).tolist(), strict=True))
    return {"candidates": float(chosen.any(axis=1).mean()), "correlations": quantiles}


def main():
    import ert

    options = common.arguments(__doc__)
    files, points, *_ = common.mtfl(options.data)
    others = views(read(files), points[:, [0, 1, 3, 4]])
    result = {"photos": len(files), "min correlation": MIN_CORRELATION}
    for split in ("test", "train"):
        table = options.data / "300w" / "boxes.csv"
        faces = ert.load_dataset(options.data / "300w", boxes=f"{table}:dlib", split=split)
        images, four = read(faces.files), common.eyes_and_mouth(np.asarray(faces.y, float))
        ours = views(images, four)
        pairs, values = compare(ours[0], others[0])
        nearest = pairs[:DRAWN], values[:DRAWN]
        draw(common.ROOT / "runs" / f"duplicates_{split}.png", ours, others, *nearest)
        hashes = {name: hash_distances(a, b) for name, a, b in zip(("face", "picture"), ours, others, strict=True)}
        found = [
            {
                "face": str(faces.files[i].relative_to(options.data / "300w")),
                "photo": int(j),
                "correlation": round(float(value), 3),
                "hash distances": {name: int(each[i, j]) for name, each in hashes.items()},
            }
            for (i, j), value in zip(pairs, values, strict=True)
            if value > MIN_CORRELATION
        ]
        result[split] = {
            "faces": len(faces),
            "largest correlations": values[:10].round(3).tolist(),
            "least hash distances": {name: int(each.min()) for name, each in hashes.items()},
            "pairs": found,
            "photos": sorted({pair["photo"] for pair in found}),
        }
        if split == "test":
            result["copies of test faces"] = copies_found(images, four, ours[0], others[0])
        print(result[split], flush=True)
    common.save_result("duplicates", result)


if __name__ == "__main__":
    main()
