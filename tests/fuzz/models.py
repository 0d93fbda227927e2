"""Fuzz model files: structure-aware damage, then everything that can be done with what still loads.

A case is a model of one of several kinds whose sizes, arrays and header are changed, or whose bytes are damaged; the
checksum is right again afterwards, for most. It is refused with a one-line error; or all that is done with it works:
`ert info`, predictions of every kind, assessment, saving. Images and the arrays of the kernels lie between pages that
must not be touched.
"""

import argparse
import contextlib
import copy
import io
import json
import math
import random
import struct
import time
import warnings
import zlib

import numpy as np
from builders import likely_cascade
from fuzz.guards import PeakMemory, collect, guarded, guarded_kernels
from fuzz.readers import damaged, with_checksum
from model.test_confidence import random_confidence_model

import ert
from ert._core.exceptions import InputError
from ert.cli.info import run_info
from ert.inference.locator import locate_objects
from ert.model.dlib_cascade import DlibCascade, compact
from ert.model.dlib_format import write_dlib_file
from ert.model.ert_format import MAGIC, read_model_file

SECONDS, MEMORY_BYTES, MEMORY_FILES = 1.0, 64e6, 10
NUMBERS = [0, -1, 1, 2, 3, 7, 255, 65535, 65536, 2**31, 2**32, 2**62, 2**63, -(2**63), 2**64, 10**400, 1e-300, 5e-324]
NUMBERS += [0.5, -0.5, 1e3, 1e6, 1e10, 1e19, 1e38, 1e300, -1e300, math.inf, -math.inf, math.nan]
VALUES = [
    None,
    True,
    False,
    "",
    "a",
    "\ud800",
    "\x1b]0;x\x07\n",
    "x" * 5000,
    [],
    {},
    [[]],
    {"a": {}},
    "ert",
    "dlib",
    "face68",
]
VALUES += [[1, 2], "inter-ocular", "accurate", "<script>", "\u202e", "../../etc/passwd", "%s%n"]


def seeds(folder):
    """Return models to begin with: dicts of header, arrays and how they are written."""
    rng = np.random.default_rng(5)
    found = []
    for kind in ("small", "confident", "wide", "located", "several", "dlib", "compact"):
        cascade = likely_cascade(3, n_landmarks=68 if kind == "confident" else 5)
        path = folder / f"{kind}.dat"
        write_dlib_file(path, cascade)
        model = ert.load(path)
        if kind == "compact":
            model = model.compact()
        model.save(folder / f"{kind}.ert")
        header, arrays = read_model_file(folder / f"{kind}.ert")
        if kind not in ("dlib", "compact"):
            n_landmarks = len(cascade.mean_shape)
            header, arrays = as_ert(header, rng, n_landmarks, np.int16 if kind == "wide" else np.int8)
        if kind == "confident":
            add_confidence(header, arrays, rng)
        if kind == "located":
            add_locator(header, arrays, rng)
        if kind == "several":
            add_members(header, arrays, rng)
            counts = ("n_photos", "n_empty", "n_unreadable", "n_marked", "n_kept")
            header["summary"]["unlabelled"] = dict.fromkeys(counts, 3) | {"spread": 0.01}
        found.append((header, {name: array.copy() for name, array in arrays.items()}))
    return found, (folder / "dlib.dat").read_bytes()


def as_ert(
    header, rng, n_landmarks, leaf_type, n_stages=3, n_trees=6, depth=4, n_pixels=30, n_components=7, together=1
):
    """Return the header and arrays of a random model of kind "ert"."""
    n_splits = 2**depth - 1
    header = copy.deepcopy(header)
    crop = {
        "region": [-0.2, -0.2, 1.2, 1.2],
        "working_size": 24,
        "blur": float(rng.choice([0, 0, 1])),
        "min_contrast": 0.0,
    }
    header |= {"kind": "ert", "crop_spec": crop, "stages_per_basis": together}
    header["params"] |= {"kind": "ert", "gray_weights": "luma"}
    header["landmark_names"] = [str(i) for i in range(n_landmarks)]
    header["history"] = [{"stage": i + 1, "train_nme": 5.0 - i / n_stages} for i in range(n_stages)]
    limit = np.iinfo(leaf_type).max
    arrays = {
        "mean_shape": rng.random((n_landmarks, 2)).astype(np.float32),
        "anchors": rng.integers(0, n_landmarks, (n_stages, n_pixels)).astype(np.uint16),
        "deltas": rng.normal(0, 0.1, (n_stages, n_pixels, 2)).astype(np.float32),
        "pairs": rng.integers(0, n_pixels, (n_stages, n_trees, n_splits, 2)).astype(np.uint16),
        "thresholds": rng.integers(-90, 90, (n_stages, n_trees, n_splits)).astype(np.int16),
        "leaves": rng.integers(-limit, limit, (n_stages, n_trees, n_splits + 1, n_components)).astype(leaf_type),
        "scales": rng.uniform(0, 1e-4 / limit, (n_stages, n_components)).astype(np.float32),
        "basis": rng.integers(-127, 128, (-(-n_stages // together), n_components, 2 * n_landmarks)).astype(np.int8),
    }
    return header, arrays


def add_confidence(header, arrays, rng):
    n_landmarks = len(arrays["mean_shape"])
    model = random_confidence_model(rng, n_landmarks)
    arrays |= model.arrays()
    summary = {"n_folds": 2, "n_objects": 5, "n_samples": 9, "n_failed": 1, "n_background": 2}
    header["confidence"] = model.header() | {"summary": summary | {"failed_auc": 0.9, "background_rejected": None}}
    header["params"]["normalizer"] = "inter-ocular" if n_landmarks == 68 else "box"


def add_members(header, arrays, rng, n_stages=(2, 4)):
    """Add further members, each with a number of stages, to a model of `as_ert`."""
    header["n_members"] = 1 + len(n_stages)
    _, n_trees, n_leaves, n_components = arrays["leaves"].shape
    sizes = {"n_trees": n_trees, "n_components": n_components, "n_pixels": arrays["anchors"].shape[1]}
    sizes |= {"depth": n_leaves.bit_length() - 1, "together": header["stages_per_basis"]}
    for number, n in enumerate(n_stages, 2):
        _, its = as_ert(header, rng, len(arrays["mean_shape"]), arrays["leaves"].dtype, n_stages=n, **sizes)
        arrays |= {f"member{number}_{name}": array for name, array in its.items() if name != "mean_shape"}


def add_locator(header, arrays, rng):
    """Add a random locator."""
    corners, own = as_ert(header, rng, 4, np.int8, n_components=8)
    header["locator"] = {"pixels": 18.5, "crop_spec": corners["crop_spec"], "stages_per_basis": 1}
    header["box_source"] = "learned"
    arrays |= {f"locator_cascade_{name}": array for name, array in own.items()}
    arrays |= {
        "locator_shape": arrays["mean_shape"].copy(),
        "locator_sides": np.array([1.25, 0.75]),
        "locator_relative_sides": np.array([0.2, 0.9]),
        "locator_rolls": np.array([0, -15, 15], np.float32),
        "locator_filters": rng.normal(0, 0.1, (3, 5, 7, 8)).astype(np.float32),
        "locator_offsets": rng.normal(0, 0.1, 3).astype(np.float32),
        "locator_start": np.array([0.5, 0.5, 0.6]),
        "locator_confidence_weights": np.array([-5.0, 8.0]),
    }


def resized(header, rng, random):
    """Return a random valid model of other sizes."""
    sizes = {
        "n_stages": random.choice([1, 1, 2, 5, 40, 1000, 1001]),
        "n_trees": random.choice([1, 2, 3, 31, 32, 33, 65, 300, 1000]),
        "depth": random.choice([1, 2, 3, 4, 4, 4, 6, 10, 11]),
        "n_pixels": random.choice([1, 2, 15, 16, 17, 64, 65, 128, 129, 256, 257, 512, 513, 2049, 10_000, 10_001]),
        "n_components": random.choice([1, 2, 7, 8, 9, 31, 32, 33, 47, 48, 64, 136, 300]),
        "together": random.choice([1, 1, 2, 3, 1000]),
    }
    n_landmarks = random.choice([1, 2, 3, 5, 7, 8, 9, 24, 48, 68, 68, 194, 1000, 10_000, 10_001])
    big = sizes["n_stages"] * (
        sizes["n_trees"] * 2 ** sizes["depth"] * (6 + sizes["n_components"]) + 10 * sizes["n_pixels"]
    )
    bases = -(-sizes["n_stages"] // sizes["together"]) * sizes["n_components"] * 2 * n_landmarks
    while big > 2e5:
        name = random.choice(["n_stages", "n_trees", "depth", "n_pixels", "n_components"])
        sizes[name] = max(1, sizes[name] // 2)
        big = sizes["n_stages"] * (
            sizes["n_trees"] * 2 ** sizes["depth"] * (6 + sizes["n_components"]) + 10 * sizes["n_pixels"]
        )
    while bases > 4e5:
        n_landmarks = max(1, n_landmarks // 2)
        bases = -(-sizes["n_stages"] // sizes["together"]) * sizes["n_components"] * 2 * n_landmarks
    header, arrays = as_ert(header, rng, n_landmarks, random.choice([np.int8, np.int16]), **sizes)
    header.pop("n_members", None)
    if random.random() < 0.3:
        add_confidence(header, arrays, rng)
    if random.random() < 0.2:
        add_members(header, arrays, rng, random.choice([(1,), (3, sizes["n_stages"]), (1, 1, 1), (1, 1, 1, 1)]))
    return header, arrays


def damage_arrays(arrays, rng, random):
    """Change the values, the type, the shape or the presence of one array."""
    name = random.choice(list(arrays))
    array = arrays[name]
    kind = random.choice(
        ["fill", "some", "some", "bytes", "scale", "scale", "type", "shape", "drop", "add", "permute", "edge"]
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = (
            random.choice(NUMBERS)
            if array.dtype.kind == "f"
            else random.choice([0, 1, -1, 127, -128, 255, 32767, 65535])
        )
        if isinstance(value, int):
            value = float(min(max(value, -(10**300)), 10**300))
        if kind == "fill":
            array[...] = np.array(value).astype(array.dtype)
        elif kind == "some" and array.size:
            array.reshape(-1)[rng.integers(array.size, size=random.choice([1, 1, 3]))] = np.array(value).astype(
                array.dtype
            )
        elif kind == "bytes" and array.size:
            raw = array.reshape(-1).view(np.uint8)
            raw[rng.integers(raw.size, size=random.choice([1, 4, raw.size]))] = rng.integers(256)
        elif kind == "scale" and array.dtype.kind == "f":
            array *= np.array(random.choice([-1, 10, 1e3, 1e5, 1e8, 1e15, 1e30, 1e-10, 1e-30])).astype(array.dtype)
        elif kind == "type":
            arrays[name] = array.astype(random.choice(["u1", "i1", "<u2", "<i2", "<i4", "<f4", "<f8"]))
        elif kind == "shape":
            arrays[name] = reshaped(array, random)
        elif kind == "drop":
            del arrays[name]
        elif kind == "add":
            arrays[random.choice(["more", "basis", name + "x", "confidence_anchors"])] = array
        elif kind == "permute" and array.size:
            array.reshape(-1)[:] = rng.permutation(array.reshape(-1))
        elif kind == "edge" and array.dtype.kind != "f":
            limits = np.iinfo(array.dtype)
            array[...] = rng.choice([limits.min, limits.max, 0], size=array.shape)


def reshaped(array, random):
    kind = random.choice(["cut", "flat", "axis", "empty", "double", "transpose"])
    if kind == "cut" and len(array):
        return array[:-1].copy()
    if kind == "flat":
        return array.reshape(-1).copy()
    if kind == "axis" and array.ndim < 4:
        return array[None].copy()
    if kind == "empty":
        return array[:0].copy() if random.random() < 0.5 else array[..., :0].copy()
    if kind == "double":
        return np.concatenate([array, array], axis=random.randrange(array.ndim))
    return np.ascontiguousarray(array.T)


def damage_header(header, random):
    """Replace, remove or add one value somewhere in a header."""
    places = list(walk(header))
    owner, key = random.choice(places)
    if random.random() < 0.4:
        # Not mostly names and mirror maps.
        owner, key = random.choice([(o, k) for o, k in places if isinstance(o, dict)])
    kind = random.random()
    if kind < 0.7:
        owner[key] = copy.deepcopy(random.choice(random.choice([NUMBERS, NUMBERS, VALUES])))
    elif kind < 0.8:
        del owner[key]
    elif kind < 0.9 and isinstance(owner, dict):
        owner[random.choice(["more", "n_jobs", "\ud800", "", "stage", "x" * 300])] = random.choice(NUMBERS + VALUES)
    elif kind < 0.95:
        nested = []
        for _ in range(random.choice([5, 50, 900])):
            nested = [nested] if random.random() < 0.5 else {"a": nested}
        owner[key] = nested
    else:
        owner[key] = [owner[key]] * random.choice([1, 2, 1000])


def walk(value, levels=20):
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if levels and isinstance(value[key], (dict, list)):
            yield from walk(value[key], levels - 1)


def encoded(header, arrays, random):
    """Return the bytes of a model file; not by the writer, which refuses some of this."""
    body, index = b"", []
    for name, array in arrays.items():
        data = array.tobytes()
        body += data + b"\0" * (-len(data) % 64)
        index.append([name, array.dtype.newbyteorder("<").str, list(array.shape)])
    bomb = random.random() < 0.003 and bool(index)
    if bomb:
        # Megabytes of zeros in kilobytes.
        shape = index[-1][2]
        row = max(1, math.prod(shape[1:]) * arrays[index[-1][0]].itemsize)
        shape[0] += 10**7 // row
        body += bytes(10**7 // row * row)
    elif random.random() < 0.05:
        entry = random.choice(index)
        entry[random.randrange(3)] = random.choice(NUMBERS + VALUES)
    elif random.random() < 0.1:
        shape = random.choice(index)[2]
        shape[random.randrange(len(shape))] = random.choice(NUMBERS)
    header = header | {"arrays": index}
    if bomb:
        header["inflated_bytes"], body = len(body), zlib.compress(body, 1)
    elif random.random() < 0.25:
        header["inflated_bytes"] = random.choice(NUMBERS) if random.random() < 0.1 else len(body)
        how = random.choice([zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY])
        deflate = zlib.compressobj(random.choice([1, 9]), strategy=how)
        body = deflate.compress(body) + deflate.flush()
    try:
        text = json.dumps(header).encode()
    except (RecursionError, ValueError):
        text = b"{}"
    if random.random() < 0.01:
        text = text[:-1] + b', "x": ' + random.choice([b"[" * 5000, b"1" * 6000, b'"' + b"a" * 3_000_000 + b'"']) + b"}"
    text += b" " * (-(20 + len(text)) % 64)
    start = struct.pack("<8sII", MAGIC, 1, len(text))
    return start + struct.pack("<I", zlib.crc32(text + body, zlib.crc32(start))) + text + body


def case(number, seed, models, dat, folder):
    """Return the name and the bytes of a case."""
    chance = random.Random(f"{seed} model {number}")
    rng = np.random.default_rng([seed, number])
    if chance.random() < 0.12:
        if chance.random() < 0.5:
            return "x.dat", damaged(dat, chance), chance
        return "x.dat", damaged_dat(rng, chance, folder), chance
    header, arrays = models[chance.randrange(len(models))]
    header, arrays = copy.deepcopy(header), {name: array.copy() for name, array in arrays.items()}
    if chance.random() < 0.25:
        header, arrays = resized(header, rng, chance)
    kind = chance.random()
    if kind < 0.1:
        content = encoded(header, arrays, chance)
        content = damaged(content, chance)
        return "x.ert", with_checksum(content) if chance.random() < 0.8 else content, chance
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        if chance.random() < 0.55 and arrays:
            damage_arrays(arrays, rng, chance)
        else:
            damage_header(header, chance)
        if not header:
            break
    return "x.ert", encoded(header, arrays, chance), chance


def damaged_dat(rng, chance, folder):
    """Return the bytes of a model of dlib's with absurd numbers in it."""
    sizes = {"n_landmarks": chance.choice([1, 2, 5, 8, 68])}
    cascade = likely_cascade(int(rng.integers(1000)), **sizes)
    arrays = {name: array for name, array in cascade.arrays().items() if name not in ("scales", "basis")}
    kept = {name: array.copy() for name, array in arrays.items()}
    for _ in range(chance.choice([0, 1, 1, 2])):
        name = chance.choice(["mean_shape", "deltas", "thresholds", "leaves", "anchors", "pairs"])
        array = kept[name]
        with np.errstate(all="ignore"):
            value = chance.choice([0.0, 1e3, -1e6, 1e19, 3e38, 1e-30, 49.0, 60000.0, 99.0, -45.0])
            if chance.random() < 0.5:
                array[...] = np.array(value).astype(array.dtype)
            elif chance.random() < 0.5 and array.dtype.kind == "f":
                array *= np.array(chance.choice([10, 100, 1e5, 1e20]), array.dtype)
            else:
                array.reshape(-1)[rng.integers(array.size)] = np.array(value).astype(array.dtype)
    if not all(np.isfinite(array).all() for array in kept.values()):
        kept = arrays
    write_dlib_file(folder / "damaged.dat", DlibCascade(**kept, scales=cascade.scales, basis=cascade.basis))
    return (folder / "damaged.dat").read_bytes()


BOXES = [
    (20.0, 15.0, 40.0, 40.0),
    (-8.0, -5.0, 40.3, 30.1),
    (30.0, 20.0, 60.0, 70.0),
    (1.0, 2.0, 3.0, 2.5),
    (0, 0, 1.5, 1.6),
]
BOXES += [(-150.0, -120.0, 300.0, 280.0), (5.0, 5.0, 1.2, 90.0)]


def use(path, model, chance):
    """Do with a loaded model all that can be done; return the time of the slowest step, and its name."""
    shape = chance.choice([(60, 70), (60, 70), (1, 1), (1, 40), (35, 2), (17, 19), (128, 200)])
    rng = np.random.default_rng(chance.randrange(1000))
    at_end = chance.random() < 0.7
    gray = guarded(rng.integers(0, 256, shape, dtype=np.uint8), at_end)
    color = guarded(rng.integers(0, 256, (*shape, 3), dtype=np.uint8), at_end)
    boxes = [box for box in BOXES if touches(box, shape)] or [(-0.5, -0.5, 2.0, 2.0)]
    box = chance.choice(boxes)
    image = chance.choice([gray, color])
    steps = {"compile": lambda: model.cascade_.compiled, "info": lambda: info(path)}
    steps["gray"] = lambda: finite(model, model.predict([(gray, box)]), box)
    steps["color"] = lambda: finite(model, model.predict([(color, box)]), box)
    steps["accurate"] = lambda: finite(model, model.predict([(image, box)], mode="accurate"), box)
    steps["rolls"] = lambda: finite(model, model.predict([(image, box)], rolls=[chance.choice([0, 30.0, 181.0, -1e9])]))
    if model.confidence_model_ is not None:
        steps["assess"] = lambda: assess(model, image, box)
    if model.fitted_.locator is not None:
        steps["locator"] = lambda: find(model.fitted_.locator, image)
    if chance.random() < 0.1:
        steps["max_roll"] = lambda: finite(model, model.predict([(image, box)], max_roll=chance.choice([0, 10])))
    if chance.random() < 0.1:
        steps["view"] = lambda: finite(model, model.predict([(image[::-1], box), (read_only(image), box)]), box)
    if chance.random() < 0.05:
        steps["batch"] = lambda: finite(model, model.predict([(image, box)] * 64, n_jobs=1), box)
    steps["save"] = lambda: save(path, model, chance)
    # Half of them: more models instead.
    steps = {name: step for name, step in steps.items() if name in ("compile", "gray") or chance.random() < 0.5}
    begin = time.process_time()
    for name, step in steps.items():
        try:
            step()
        except Exception as error:
            raise RuntimeError(f"{name}: {type(error).__name__}: {str(error)[:300]}") from error
    seconds = time.process_time() - begin
    # Kernels are compiled on the first use of some types, so that only the second time counts.
    return (seconds, "") if seconds <= SECONDS else max(map(seconds_of, steps.items()))


def seconds_of(item):
    name, step = item
    begin = time.process_time()
    step()
    return time.process_time() - begin, name


def touches(box, shape):
    left, top, width, height = box
    largest = 10 * max(shape)
    inside = left <= shape[1] - 1 and top <= shape[0] - 1 and left + width >= 1 and top + height >= 1
    return inside and max(width, height) <= largest


def read_only(image):
    view = image.view()
    view.flags.writeable = False
    return view


def info(path):
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        # What `ert info` does; building the parser of all commands takes longer than the rest.
        run_info(argparse.Namespace(model=str(path), system=False, json="-"))
        json.loads(text.getvalue())
        text.seek(0)
        text.truncate()
        run_info(argparse.Namespace(model=str(path), system=False, json=None))
    lines = text.getvalue().splitlines()
    if not all(map(str.isprintable, lines)):
        raise ValueError(f"not printable: {lines}")


def finite(model, landmarks, box=None):
    if landmarks.shape[1:] != (model.n_landmarks_, 2) or not np.isfinite(landmarks).all():
        raise ValueError(f"landmarks {landmarks.shape}: {landmarks.ravel()[:4]}")
    # Restarts move boxes, and a redrawn box is twice as large at most.
    if box is not None and np.abs(landmarks).max() > 1000 + 500 * max(map(abs, box)):
        raise ValueError(f"landmarks at {np.abs(landmarks).max():g} for the box {box}")


def find(locator, image):
    for box, roll, confidence in locate_objects(locator, image, max_objects=3):
        if not (np.isfinite([*box, roll]).all() and 0 <= confidence <= 1 and min(box[2:]) > 0):
            raise ValueError(f"object {box}, {roll}, {confidence}")


def assess(model, image, box):
    landmarks, std = model.predict([(image, box)], return_std=True)
    found = model.assess([(image, box)], landmarks)
    radius = model.std_radius(0.9)
    for values in (std, found.std, found.within, found.confidence, radius):
        if not (np.isfinite(values).all() and np.min(values) >= 0):
            raise ValueError(f"assessment {np.ravel(values)[:4]}")
    if max(found.within.max(), found.confidence.max()) > 1:
        raise ValueError("a probability above 1")


def save(path, model, chance):
    target = path.with_name("saved.ert")
    model.save(target, compress=chance.random() < 0.5)
    again = ert.load(target)
    for name, array in model.cascade_.arrays().items():
        if not np.array_equal(array, again.cascade_.arrays()[name]):
            raise ValueError(f"{name} is another after saving")
    if isinstance(model.cascade_, DlibCascade):
        if chance.random() < 0.2:
            compact(model.cascade_)
        if model.gray_weights == "dlib":
            model.save(path.with_name("saved.dat"))
            ert.load(path.with_name("saved.dat"))


def run(first, n, seed, folder, note=lambda number: None, show=None):
    """Yield the number, the outcome and the fault, or "", of cases."""
    models, dat = seeds(folder)
    memory = PeakMemory()
    for number in range(first, first + n):
        name, content, chance = case(number, seed, models, dat, folder)
        path = folder / name
        path.write_bytes(content)
        note(number)
        chances = chance.getstate()
        outcome, fault = judge(path, content, chance, memory)
        if outcome == "large":
            # Kernels are compiled on the first use of some types.
            chance.setstate(chances)
            outcome, fault = judge(path, content, chance, memory)
        yield number, outcome, fault
        collect(500, number)


def judge(path, content, chance, memory):
    """Return the outcome of a case, and its fault or ""."""
    memory.start()
    begin = time.process_time()
    try:
        with warnings.catch_warnings(), guarded_kernels(chance):
            warnings.simplefilter("error")
            try:
                model = ert.load(path)
            except InputError as error:
                fault = line_fault(str(error), path)
                seconds = time.process_time() - begin
                if seconds > SECONDS:
                    fault = fault or f"refused after {seconds:.1f} s"
                growth = memory.growth()
                if growth > MEMORY_BYTES + MEMORY_FILES * len(content):
                    fault = fault or f"refused with {growth / 1e6:.0f} MB for {len(content)} bytes"
                return "refused", fault
            seconds, step = use(path, model, chance)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {str(error)[:400]}"
    if seconds > SECONDS:
        return "slow", f"{step} takes {seconds:.1f} s for {len(content)} bytes"
    growth = memory.growth()
    if growth > MEMORY_BYTES + MEMORY_FILES * len(content):
        return "large", f"{growth / 1e6:.0f} MB for {len(content)} bytes"
    return "used", ""


def line_fault(message, path):
    if len(message.splitlines()) != 1 or not message.isprintable() or len(message) > 1000:
        return f"not one line: {message[:200]!r}"
    return "" if str(path) in message else f"names no file: {message[:200]}"
