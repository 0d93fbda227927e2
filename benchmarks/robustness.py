"""Robustness of the bundled face68 and of dlib's predictor: error curves under image and box changes.

    python benchmarks/robustness.py                        # all of it; writes result, figure and page
    python benchmarks/robustness.py --curves shift,ytf     # some curves, writes nothing
    python benchmarks/robustness.py --quick 1              # a short test on 30 faces, writes nothing

The 330 test faces of HELEN with the boxes of dlib's detector; both get the same gray pixels and integer
boxes. Needs the dlib model of train_vs_dlib.py, trained on the same 2012 faces. `ytf` are the frames of
YouTube Faces with rough labels, unlike the training images of both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import common
import cv2
import numpy as np
import robustness_page
from robustness_page import SEARCHING
from train_vs_dlib import THEIRS

DIRECTIONS = np.deg2rad(np.arange(0, 360, 45))
# Size of the cut-outs in sides of the box; pixels farther away are not used by any predictor.
AROUND = 3
GRAY = 128


@dataclass(frozen=True)
class Face:
    """A gray image (rows, columns), a box (4,), the true landmarks (68, 2) and which of them are occluded."""

    image: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray
    hidden: np.ndarray = field(default_factory=lambda: np.zeros(68, bool))


@dataclass(frozen=True)
class Curve:
    """A change of a face, its amounts and its function (face, amount, rng) -> faces.

    `covers`: whether it occludes landmarks.
    """

    what: str
    amounts: tuple
    change: Callable
    covers: bool = False


# Changes. Each function returns one or more faces, whose errors are averaged.


def shifted(face, percent, rng):
    """Shift the box in eight directions by a fraction of its side."""
    steps = percent / 100 * face.box[2:].mean() * np.stack([np.cos(DIRECTIONS), np.sin(DIRECTIONS)], axis=1)
    return [replace(face, box=np.append(face.box[:2] + step, face.box[2:])) for step in steps]


def scaled(face, factor, rng):
    """Make the box larger or smaller about its center."""
    size = face.box[2:] * factor
    return [replace(face, box=np.append(face.box[:2] + (face.box[2:] - size) / 2, size))]


def rotated(face, degrees):
    """Rotate the image and the landmarks about the center of the box."""
    center = face.box[:2] + (face.box[2:] - 1) / 2
    matrix = cv2.getRotationMatrix2D(center.tolist(), degrees, 1.0)
    size = face.image.shape[1::-1]
    image = cv2.warpAffine(face.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return replace(face, image=image, landmarks=face.landmarks @ matrix[:, :2].T + matrix[:, 2])


def rolled(face, degrees, rng):
    """Rotate in both directions."""
    return [rotated(face, degrees), rotated(face, -degrees)] if degrees else [face]


def resized(face, side, rng):
    """Resize the image so that the box has this width in pixels."""
    factor = side / face.box[2]
    old = np.array(face.image.shape[1::-1])
    new = np.maximum(np.rint(factor * old), 1).astype(int)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(face.image, new.tolist(), interpolation=how)
    factors = new / old
    # Pixel centers have integer coordinates, boxes start at the edges of pixels.
    landmarks = (face.landmarks + 0.5) * factors - 0.5
    return [replace(face, image=image, box=face.box * np.tile(factors, 2), landmarks=landmarks)]


def blurred(face, percent, rng):
    """Blur by a Gaussian whose sigma is a fraction of the side of the box."""
    sigma = percent / 100 * face.box[2]
    return [replace(face, image=cv2.GaussianBlur(face.image, (0, 0), sigma)) if percent else face]


def compressed(face, quality, rng):
    """Compress the image as JPEG; quality 100 is the unchanged image."""
    if quality == 100:
        return [face]
    _, data = cv2.imencode(".jpg", face.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return [replace(face, image=cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))]


def darkened(face, factor, rng):
    return [replace(face, image=np.rint(factor * face.image).astype(np.uint8))]


def noisy(face, sigma, rng):
    noise = sigma * rng.standard_normal(face.image.shape, np.float32)
    return [replace(face, image=np.rint(np.clip(face.image + noise, 0, 255)).astype(np.uint8))]


def covered(face, percent, rng, donors=None):
    """Cover a fraction of the landmarks' bounding rectangle by a block of its proportions at random.

    The block is gray or a part of one of the `donors`.
    """
    # Drawn first, so that larger blocks cover the same place of the same face.
    place, within = rng.random(2), rng.random(2)
    donor = None if donors is None else donors[rng.integers(len(donors))]
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    size = np.sqrt(percent / 100) * (high - low)
    first = np.rint(low + place * (high - low - size)).astype(int)
    columns, rows = np.rint(size).astype(int)
    if percent == 0:
        return [face]
    block = np.full((rows, columns), GRAY, np.uint8)
    if donor is not None:
        larger = max(1.0, rows / donor.shape[0], columns / donor.shape[1])
        if larger > 1:
            donor = cv2.resize(donor, np.ceil(larger * np.array(donor.shape[1::-1])).astype(int).tolist())
        x, y = (within * (np.array(donor.shape[1::-1]) - (columns, rows))).astype(int)
        block = donor[y : y + rows, x : x + columns]
    image = face.image.copy()
    # The part of the block inside the image.
    left, top = np.maximum(first, 0)
    right, bottom = np.maximum(np.minimum(first + (columns, rows), image.shape[1::-1]), (left, top))
    image[top:bottom, left:right] = block[top - first[1] : bottom - first[1], left - first[0] : right - first[0]]
    pixels = np.rint(face.landmarks)
    hidden = ((pixels >= first) & (pixels < first + (columns, rows))).all(axis=1)
    return [replace(face, image=image, hidden=hidden)]


def curves(donors):
    """Return the curves by their names for --curves."""
    shares = (0, 10, 20, 30)
    return {
        "shift": Curve("box shifted, % of its side", (0, 5, 10, 15, 20, 25, 30), shifted),
        "scale": Curve("box scaled, factor", (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4), scaled),
        "roll": Curve("face rotated, degrees", (0, 10, 20, 30, 45), rolled),
        "size": Curve("size of the face, pixels", (40, 60, 80, 120, 200, 400, 700, 1000), resized),
        "blur": Curve("blur, sigma in % of the box", (0, 0.5, 1, 2, 3, 5), blurred),
        "jpeg": Curve("JPEG quality (100: not compressed)", (100, 90, 60, 40, 20, 10), compressed),
        "dark": Curve("brightness, factor", (1.0, 0.5, 0.25, 0.1), darkened),
        "noise": Curve("noise, sigma in gray levels", (0, 5, 10, 20, 40), noisy),
        "gray": Curve("gray block, % of the face", shares, covered, True),
        "texture": Curve("textured block, % of the face", shares, partial(covered, donors=donors), True),
    }


# Faces and predictors.


def cut_out(image, box, landmarks):
    """Crop a face and its surroundings; round the box to integers."""
    left, top, width, height = box = np.rint(box)
    x, y = (int(max(0, start - (AROUND - 1) / 2 * side)) for start, side in ((left, width), (top, height)))
    part = image[y : int(top + (AROUND + 1) / 2 * height), x : int(left + (AROUND + 1) / 2 * width)]
    return Face(np.ascontiguousarray(part), box - [x, y, 0, 0], landmarks - [x, y])


def helen(data, n):
    from ert._core.images import load_image
    from ert.datasets.formats import load_dataset

    test = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="test").subset(slice(n))
    images = (common.dlib_gray(load_image(file)) for file in test.files)
    return [cut_out(*face) for face in zip(images, test.boxes, test.landmarks, strict=True)]


def training_faces(data):
    from ert.datasets.formats import load_dataset

    return load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split="train")


def predictors(model="face68"):
    """Return the compared predictors: name -> function of a face."""
    import dlib

    import ert

    theirs = dlib.shape_predictor(str(THEIRS))
    ours = ert.load(model)
    return {
        "ert": lambda face: ours.predict([(face.image, face.box)])[0],
        "ert, accurate": lambda face: ours.predict([(face.image, face.box)], "accurate")[0],
        "dlib": lambda face: common.dlib_predict(theirs, [face.image], [face.box])[0],
    }


def searching(model):
    """Return the additional predictor for rolled faces."""
    import ert

    known = ert.load(model)
    return {SEARCHING: lambda face: known.predict([(face.image, face.box)], max_roll=45)[0]}


def unrounded():
    """Return dlib's landmarks without rounding, which matters for small faces."""
    import ert

    model = ert.load(THEIRS)
    return {"dlib, not rounded": lambda face: model.predict([(face.image, face.box)])[0]}


def errors(tools, faces, change, amount):
    """Return the error of every face (n,) by tool: over all landmarks and over the visible ones."""
    from ert.metrics import nme, normalizer_lengths

    truth, hidden, predicted = [], [], {name: [] for name in tools}
    for number, face in enumerate(faces):
        changed = change(face, amount, np.random.default_rng([0, number]))
        for case in changed:
            whole = replace(case, box=np.rint(case.box))
            truth.append(case.landmarks)
            hidden.append(case.hidden)
            for name, tool in tools.items():
                predicted[name].append(tool(whole))
    truth = np.array(truth)
    lengths = normalizer_lengths(truth, "inter-pupil")
    seen = np.where(np.array(hidden)[:, :, None], np.nan, truth)
    n = len(faces)
    return tuple(
        {name: nme(of, np.array(shapes), lengths).reshape(n, -1).mean(axis=1) for name, shapes in predicted.items()}
        for of in (truth, seen)
    )


def summary(what, amounts, errors_of_amounts):
    """Return the means of a curve and the intervals of the differences of ert from dlib."""
    from ert.metrics import bootstrap_interval

    names = list(errors_of_amounts[0])
    return {
        "what": what,
        "amounts": list(amounts),
        "nme": {name: [float(each[name].mean()) for each in errors_of_amounts] for name in names},
        "minus dlib, 95 %": {
            name: [list(bootstrap_interval(each[name] - each["dlib"])) for each in errors_of_amounts]
            for name in names
            if name.startswith("ert")
        },
    }


def run_curve(curve, tools, faces):
    """Yield the result of a curve and, with occlusion, that of the visible landmarks."""
    both = [errors(tools, faces, curve.change, amount) for amount in curve.amounts]
    yield "", summary(curve.what, curve.amounts, [every for every, _ in both])
    if curve.covers:
        yield (
            ", visible landmarks",
            summary(f"{curve.what}: visible landmarks", curve.amounts, [seen for _, seen in both]),
        )


# Video frames.


def typical_box(train):
    """Return the center offset and side of detector boxes, in longer sides of the landmarks' rectangle."""
    low, high = train.landmarks.min(axis=1), train.landmarks.max(axis=1)
    longer = (high - low).max(axis=1)
    offset = (train.boxes[:, :2] + train.boxes[:, 2:] / 2 - (low + high) / 2) / longer[:, None]
    return np.median(offset, axis=0), float(np.median(train.boxes[:, 2:].mean(axis=1) / longer))


def detected(image, square, typical):
    """Return the detected box nearest a square around landmarks and True, or the typical box and False."""
    from ert.faces.detection import detect_faces

    center, side = square[:2] + square[2:] / 2, square[2]
    found = detect_faces(image, "dlib")
    away = np.abs(found[:, :2] + found[:, 2:] / 2 - center).max(axis=1)
    if (away < side / 2).any():
        return found[away.argmin()], True
    offset, size = typical
    return np.append(center + (offset - size / 2) * side, [size * side, size * side]), False


def video_frames(data, tools, n):
    """Return the errors on the frames of YouTube Faces with two kinds of boxes."""
    from ert._core.images import load_image
    from ert.datasets.formats import load_dataset
    from ert.metrics import ced

    frames = load_dataset(data / "ytf" / "training_frames_keypoints.csv").subset(slice(n))
    typical = typical_box(training_faces(data))
    faces, found = {"detector": [], "labels": []}, []
    for file, square, landmarks in zip(frames.files, frames.boxes, frames.landmarks, strict=True):
        image = load_image(file)
        box, whether = detected(image, square, typical)
        found.append(whether)
        gray = common.dlib_gray(image)
        faces["detector"].append(Face(gray, box, landmarks))
        faces["labels"].append(Face(gray, square, landmarks))
    titles = {"detector": "video frames: boxes of dlib's detector", "labels": "video frames: squares around the labels"}
    levels = np.arange(0, 25.5, 0.5)
    result = {}
    for boxes, some in faces.items():
        every, _ = errors(tools, some, lambda face, *_: [face], None)
        result[boxes] = summary(titles[boxes], [], [every]) | {
            "frames": len(frames),
            "found": int(np.sum(found)),
            "median": {name: float(np.median(values)) for name, values in every.items()},
            "levels": levels.tolist(),
            "share of frames": {name: ced(values, levels)[1].tolist() for name, values in every.items()},
        }
    return result


def main():
    from ert._core.images import load_image

    options = common.arguments(__doc__, quick=0, curves="", model="face68")
    n = 30 if options.quick else None
    files = training_faces(options.data).files
    some = np.random.default_rng(0).choice(len(files), 50, replace=False)
    donors = [common.dlib_gray(load_image(files[i])) for i in some]
    known = curves(donors)
    chosen = options.curves.split(",") if options.curves else [*known, "ytf"]
    unknown = set(chosen) - {*known, "ytf"}
    if unknown:
        raise SystemExit(f"--curves: {', '.join(sorted(unknown))}; expected some of {', '.join([*known, 'ytf'])}")
    tools, faces = predictors(options.model), helen(options.data, n)
    result = {"faces": len(faces), "model": options.model, "curves": {}, "ytf": {}}
    for name in chosen:
        begin = time.perf_counter()
        if name == "ytf":
            result["ytf"] = video_frames(options.data, tools, n)
            shown = result["ytf"]
        else:
            more = {"size": unrounded, "roll": lambda: searching(options.model)}
            all_tools = tools | (more[name]() if name in more else {})
            shown = {name + ending: part for ending, part in run_curve(known[name], all_tools, faces)}
            result["curves"] |= shown
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
        for part in shown.values():
            print("\n".join(robustness_page.table(part)), flush=True)
    if not (options.quick or options.curves):
        common.save_result("robustness", result)
        robustness_page.main()


if __name__ == "__main__":
    main()
