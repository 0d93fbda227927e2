"""Time of each part of prediction and training, compared with the limits of the machine.

    python benchmarks/roofline.py              # about three minutes; writes the tables of ROOFLINE.md
    python benchmarks/roofline.py --quick 1    # a short test, writes nothing

Each kernel is timed alone, repeatedly on its data in a real prediction; the speed of the machine (loads,
additions) is measured by loops that do nothing else.
"""

import os
import time
from typing import Any, NamedTuple
from unittest import mock

import common
import numba
import numpy as np
from predict_vs_dlib import clock, helen

from ert._kernels.crop import cut_crop
from ert._kernels.orientation import maps_size, orientation_maps
from ert._kernels.pixels import CropView, pool_workspace, read_pixels, similarity, square_box
from ert._kernels.predict import add_displacement, predict_face
from ert._kernels.simd import ProductWorkspace, add_leaves, aligned, product_workspace
from ert._kernels.traversal import TraversalWorkspace, find_leaves, traversal_workspace
from ert.model.cascade import NO_MIRROR_MAP
from ert.model.geometry import INITS

# The machine: random loads, dependent loads, sequential reads, multiply-adds.


@numba.njit
def load_anywhere(table, places, n):
    total = np.uint64(0)
    for _ in range(n):
        for i in range(places.size):
            total += table[places[i]]
    return total


@numba.njit
def load_in_turn(following, n):
    place = np.uint64(0)
    for _ in range(n):
        place = following[place]
    return place


@numba.njit(fastmath=True)
def load_in_a_row(numbers, n):
    total = np.float32(0)
    for _ in range(n):
        for i in range(numbers.size):
            total += numbers[i]
    return total


@numba.njit(fastmath=True)
def multiply_add(first, second, n):
    total = np.float32(0)
    for _ in range(n):
        for i in range(first.size):
            total += first[i] * second[i]
    return total


def quickest(repeats, function, *args):
    function(*args)
    return min(clock(function, *args) for _ in range(repeats))


def machine(repeats):
    """Return the speed of memory by the size of the working set, and of multiply-adds."""
    rng = np.random.default_rng(0)
    result = {}
    for name, size in {"16 KB": 2**14, "256 KB": 2**18, "4 MB": 2**22, "256 MB": 2**28}.items():
        n = size // 8
        # Few enough indices that they do not evict the table from its cache.
        places = rng.integers(0, n, 2**10 if n <= 2**15 else 2**18).astype(np.uint32)
        rounds = 2**18 // len(places)
        order = rng.permutation(n)
        following = np.empty(n, np.uint64)
        following[order] = np.roll(order, 1)
        passes = max(1, 2**24 // size)
        row = np.zeros(size // 4, np.float32)
        anywhere = quickest(repeats, load_anywhere, following, places, rounds)
        in_turn = quickest(repeats, load_in_turn, following, 2**18)
        in_a_row = quickest(repeats, load_in_a_row, row, passes)
        result[name] = {
            "ns per load": anywhere / 2**18,
            "ns per dependent load": in_turn / 2**18,
            "GB/s sequential": size * passes / in_a_row,
        }
    numbers = [aligned(np.zeros(512, np.float32)) for _ in range(2)]
    result["multiply-adds per ns"] = 512 * 20_000 / quickest(repeats, multiply_add, *numbers, 20_000)
    return result


# The parts of a prediction, each repeatedly.


class Recorded(NamedTuple):
    """The data between the parts of a prediction, for each stage."""

    shapes: Any
    matrices: Any
    values: Any
    leaf_offsets: Any
    components: Any


@numba.njit
def run_stages(n, cascade, crop, to_crop, buffers, recorded):
    """Run all stages n times and record the data between their parts."""
    traversal, products, pixels = buffers
    n_stages, n_pixels = cascade.pool.anchors.shape
    for _ in range(n):
        recorded.shapes[0] = cascade.mean_shape
        for stage in range(n_stages):
            shape = recorded.shapes[stage]
            matrix = similarity(cascade.mean, shape)
            read_pixels(crop, to_crop, shape, matrix, cascade.pool, stage, pixels, traversal.values)
            find_leaves(cascade.trees, stage, n_pixels, traversal)
            add_leaves(cascade.trees, stage, traversal.leaf_offsets, products.components)
            recorded.matrices[stage, 0], recorded.matrices[stage, 1] = matrix
            recorded.values[stage] = traversal.values
            recorded.leaf_offsets[stage] = traversal.leaf_offsets
            recorded.components[stage] = products.components
            recorded.shapes[stage + 1] = shape
            number = stage // cascade.stages_per_basis
            add_displacement(cascade.basis, stage, number, matrix, products, recorded.shapes[stage + 1])


@numba.njit
def resample_crop(n, image, square, spec, crop, to_crop):
    for _ in range(n):
        cut_crop(image, (0, 0), square, spec, crop, to_crop)


@numba.njit
def fit_similarities(n, cascade, recorded):
    total = np.float32(0)
    for _ in range(n):
        for stage in range(recorded.matrices.shape[0]):
            a, b = similarity(cascade.mean, recorded.shapes[stage])
            total += a + b
    return total


@numba.njit
def read_pools(n, cascade, crop, to_crop, recorded, pixels, out):
    for _ in range(n):
        for stage in range(recorded.matrices.shape[0]):
            matrix = recorded.matrices[stage, 0], recorded.matrices[stage, 1]
            read_pixels(crop, to_crop, recorded.shapes[stage], matrix, cascade.pool, stage, pixels, out)


@numba.njit
def find_all_leaves(n, cascade, recorded, traversal):
    for _ in range(n):
        for stage in range(recorded.values.shape[0]):
            workspace = TraversalWorkspace(recorded.values[stage], traversal.masks, traversal.leaf_offsets)
            find_leaves(cascade.trees, stage, cascade.pool.anchors.shape[1], workspace)


@numba.njit
def add_all_leaves(n, cascade, recorded, out):
    for _ in range(n):
        for stage in range(recorded.leaf_offsets.shape[0]):
            add_leaves(cascade.trees, stage, recorded.leaf_offsets[stage], out)


@numba.njit
def multiply_by_bases(n, cascade, recorded, products, shape):
    for _ in range(n):
        for stage in range(recorded.components.shape[0]):
            matrix = recorded.matrices[stage, 0], recorded.matrices[stage, 1]
            components = recorded.components[stage]
            workspace = ProductWorkspace(components, products.amounts, products.rounded, products.displacement)
            number = stage // cascade.stages_per_basis
            add_displacement(cascade.basis, stage, number, matrix, workspace, shape)


@numba.njit
def whole(n, face, inits, mirror_map, bound, landmarks):
    for _ in range(n):
        predict_face(*face, inits, mirror_map, bound, landmarks)


def nothing(*args):
    return True


def parts_of(model, image, box, repeats):
    """Return the microseconds of each part of the prediction of a face, and the work of its crop."""
    model.warm_up()
    box = tuple(map(float, box))
    bound = model.cascade_.compiled.bound
    cascade = bound.arguments
    x, y, side = square = square_box(*box)
    spec = cascade.crop
    step = side / spec.working_size
    n_bytes = spec.columns * spec.rows
    n_maps = maps_size(spec.columns, spec.rows) if cascade.pool.channels.size else 0
    pixels_of_crop, to_crop = np.empty(n_bytes + n_maps, np.uint8), np.empty(6, np.float32)
    size = cut_crop(image, (0, 0), square, spec, pixels_of_crop, to_crop)
    if n_maps:
        orientation_maps(pixels_of_crop, size[0], size[1], size[2], pixels_of_crop[size[0] * size[1] :])
    crop = CropView(pixels_of_crop, *size)
    n_stages, n_pixels = cascade.pool.anchors.shape
    traversal = traversal_workspace(cascade.trees.n_trees, n_pixels)
    products, pixels = product_workspace(cascade.basis), pool_workspace(len(cascade.mean_shape), n_pixels)
    recorded = Recorded(
        np.empty((n_stages + 1, *cascade.mean_shape.shape), np.float32),
        np.empty((n_stages, 2), np.float32),
        np.empty((n_stages, len(traversal.values)), np.uint8),
        np.empty((n_stages, len(traversal.leaf_offsets)), np.int64),
        np.empty((n_stages, len(products.components)), np.int32),
    )
    run_stages(1, cascade, crop, to_crop, (traversal, products, pixels), recorded)
    found = model.predict([(image, box)])[0]
    here = recorded.shapes[-1, : len(found)]
    assert np.abs(here * side + [x, y] - found).max() < 0.01, "the parts differ from the prediction"

    face, landmarks = (image, (0, 0), box, 0), np.empty((1, len(found), 2))
    calls = {
        "resample the crop": (resample_crop, image, square, spec, pixels_of_crop, to_crop),
        "similarities": (fit_similarities, cascade, recorded),
        "read the feature pools": (*(read_pools, cascade, crop, to_crop), *(recorded, pixels, traversal.values)),
        "find the leaves": (find_all_leaves, cascade, recorded, traversal),
        "add the leaves": (add_all_leaves, cascade, recorded, products.components),
        "multiply by the basis": (multiply_by_bases, cascade, recorded, products, recorded.shapes[0].copy()),
        "all in one kernel": (whole, face, INITS[:1], NO_MIRROR_MAP, bound, landmarks),
    }
    spent = {}
    for name, (function, *args) in calls.items():
        # The difference excludes the overhead of the call. Short runs, so that some are not interrupted.
        less, more = (quickest(repeats, function, n, *args) for n in (1, 5))
        spent[name] = (more - less) / 4 / 1e3
    idle = {"plain_kernels": model.cascade_.plain_kernels._replace(predict=nothing)}
    with mock.patch.dict(vars(model.cascade_), idle):
        spent["Python"] = quickest(5 * repeats, model.predict, [(image, box)]) / 1e3
    if spec.blur == 0:
        # Bytes read and written.
        return spent, crop.columns * crop.rows * (1 + max(1, round(step)) ** 2)
    taps = int(np.ceil(2 * max(1.0, spec.blur * step)))
    strips = -(-spec.rows // 64) * 64
    return spent, taps * (spec.rows * (spec.columns - 1) * step + spec.columns * strips)


def prediction(model, faces, speeds, n, repeats):
    """Return the rows of the table: part, microseconds, work, microseconds at the limit of the machine."""
    images, boxes, _ = faces
    X = list(zip(images, boxes, strict=True))
    some = slice(None, None, max(1, len(X) // n))
    measured = [parts_of(model, *face, 5 * repeats) for face in X[some]]
    spent = {name: float(np.mean([part[name] for part, _ in measured])) for name in measured[0][0]}
    sums = float(np.mean([work for _, work in measured]))
    times = np.array([[clock(model.predict, [face]) for face in X] for _ in range(repeats)])
    turns = float(times.min(axis=0)[some].mean()) / 1e3

    cascade = model.cascade_
    (n_stages, n_pixels), (_, n_trees, _) = cascade.anchors.shape, cascade.thresholds.shape
    near, far, rate = speeds["16 KB"], speeds["4 MB"], speeds["multiply-adds per ns"]
    loads = n_stages * n_pixels * 3
    lines = n_stages * n_trees * -(-cascade.leaves[0, 0, 0].nbytes // 64)
    fits = 4 * n_stages * len(cascade.mean_shape)
    trees = cascade.compiled.bound.arguments.trees
    walked = trees.splits.nbytes + trees.nodes.nbytes
    basis_bytes = cascade.basis.nbytes
    work = {
        "resample the crop": (
            (f"{sums / 1e3:.0f} thousand bytes", sums / speeds["256 KB"]["GB/s sequential"])
            if model.blur == 0
            else (f"{sums / 1e3:.0f} thousand multiply-adds", sums / rate)
        ),
        "similarities": (f"{fits} multiply-adds", fits / rate),
        "read the feature pools": (f"{n_stages * n_pixels} pixels, three loads each", loads * near["ns per load"]),
        "find the leaves": (f"{walked / 1e3:.0f} KB of splits, sequential", walked / speeds["4 MB"]["GB/s sequential"]),
        "add the leaves": (
            f"{lines} lines of 64 bytes out of {cascade.leaves.nbytes / 1e6:.1f} MB",
            lines * far["ns per load"],
        ),
        "multiply by the basis": (
            f"{basis_bytes / 1e3:.0f} KB of basis, sequential",
            basis_bytes / speeds["4 MB"]["GB/s sequential"],
        ),
    }
    rows = [(name, spent[name], what, nanoseconds / 1e3) for name, (what, nanoseconds) in work.items()]
    parts = sum(row[1] for row in rows)
    inside = spent["all in one kernel"] + spent["Python"]
    rows += [
        ("overhead between the parts", spent["all in one kernel"] - parts, "", None),
        ("Python", spent["Python"], "validation of X and the box", None),
        ("different faces", turns - inside, "cache and branch misses", None),
        ("predict", turns, "", sum(row[3] for row in rows)),
    ]
    return [dict(zip(("part", "us", "work", "least_us"), row, strict=True)) for row in rows]


def training(speeds, n, n_trees):
    """Return the rows of the table for one stage of training on one thread, in seconds of processor time."""
    import ert
    from ert._kernels import grow as trees
    from ert._kernels.workers import Workers
    from ert.datasets.synthetic import synthetic_faces
    from ert.training import stage

    images, boxes, landmarks = synthetic_faces(n, size=96)
    X = list(zip(images, boxes, strict=True))
    plan = {"n_stages": 1, "n_trees": n_trees, "n_inits": 20, "n_jobs": 1}
    spent = {}

    def timed(kernel):
        def call(*args, **options):
            begin = time.process_time()
            result = kernel(*args, **options)
            spent[kernel.__name__] = spent.get(kernel.__name__, 0) + time.process_time() - begin
            return result

        return call

    def run(self, n_parts, kernel, *args, wait_for_all):
        # The kernels that grow trees run in Python here, so that its steps are timed; one thread.
        kernel = kernel.py_func if kernel is trees.boost_trees else timed(kernel)
        kernel(0, *args)

    model = ert.ShapePredictor(**plan)
    model.fit(X[:10], landmarks[:10])
    names = "start_tree", "evaluate_level", "choose_splits", "split_level", "sum_leaves", "apply_leaves"
    steps = {name: timed(getattr(trees, name)) for name in names} | {"sum_block": trees.sum_block.py_func}
    around = "_read_pool", "residual_basis", "compute_targets", "_move_shapes"
    others = {name: timed(getattr(stage, name)) for name in (*around, "_draw_candidates")}
    patched = mock.patch.multiple(trees, **steps), mock.patch.multiple(stage, **others)
    with patched[0], patched[1], mock.patch.object(Workers, "run", run):
        begin = time.process_time()
        model.fit(X, landmarks)
        total = time.process_time() - begin
    spent.pop("choose_splits")
    n_samples = n * plan["n_inits"]
    near = speeds["256 KB"]
    n_looks = n_samples * n_trees * model.max_depth
    # All samples are compared in each node: two pixels of each candidate.
    compared = n_samples * n_trees * (2**model.max_depth - 1) * 2 * model.n_split_tests
    numbers = n_samples * n_trees * model.n_components
    work = {
        "evaluate_level": (f"{compared / 1e9:.1f} GB of pixels compared", compared / near["GB/s sequential"]),
        "split_level": (f"{n_looks / 1e6:.0f} million numbers moved", n_looks * 2 * near["ns per load"]),
        "start_tree": (
            f"{n_samples * n_trees * 8 / 1e6:.0f} million numbers copied",
            n_samples * n_trees * 8 * 6 / near["GB/s sequential"],
        ),
        "sum_leaves": (f"{numbers / 1e6:.0f} million residuals of 2 bytes", numbers * 2 / near["GB/s sequential"]),
        "apply_leaves": (
            f"{numbers / 1e6:.0f} million residuals, read and written",
            numbers * 4 / near["GB/s sequential"],
        ),
    }
    rows = []
    for name, (what, nanoseconds) in work.items():
        rows.append({"part": name, "seconds": spent[name], "work": what, "least_seconds": nanoseconds / 1e9})
    what = "reading pools, preparing residuals, updating shapes"
    prepared = sum(spent[name] for name in around)
    rows.append({"part": "before and after the trees", "seconds": prepared, "work": what})
    what = "pairs of pixels, and thresholds"
    rows.append({"part": "drawing candidate splits", "seconds": spent["_draw_candidates"], "work": what})
    other = total - sum(row["seconds"] for row in rows)
    rows.append({"part": "other", "seconds": other, "work": "crops, initializations, choosing splits, Python"})
    rows.append({"part": f"one stage of {n_trees} trees, {n_samples} samples", "seconds": total, "work": ""})
    return rows


def table(rows, unit, least, digits):
    total = rows[-1][unit]
    lines = [
        f"| part | {unit.replace('us', 'µs')} | share | work | limit | times the limit |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        bound = row.get(least)
        limit = ("", "") if bound is None else (f"{bound:.{digits}f}", f"{row[unit] / bound:.1f}")
        cells = [row["part"], f"{row[unit]:.{digits}f}", f"{row[unit] / total:.0%}", row["work"], *limit]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def write_tables(result):
    from ert._core.system import provenance

    made = provenance()
    speeds = dict(result["machine"])
    rate = speeds.pop("multiply-adds per ns")
    lines = ["`face68`, one face, one thread:", ""]
    lines += table(result["prediction"], "us", "least_us", 1)
    lines += ["", "Training with the default parameters, one thread, in processor time:", ""]
    lines += table(result["training"], "seconds", "least_seconds", 2)
    lines += ["", "The machine:", ""]
    lines += ["| working set | ns per load | ns per dependent load | GB/s sequential |"]
    lines += ["| --- | --- | --- | --- |"]
    for size, row in speeds.items():
        lines.append(f"| {size} | " + " | ".join(f"{value:.2f}" for value in row.values()) + " |")
    load = " before and ".join(f"{result['load_average'][when][0]:.1f}" for when in ("before", "after"))
    where = f"{made['cpu']}; {made['date']}; numba {made['versions']['numba']}; load average {load} after."
    lines += ["", f"Multiply-adds of float32: {rate:.1f} per nanosecond.", where]
    common.write_figures(common.ROOT / "benchmarks" / "ROOFLINE.md", lines)


def main():
    import ert

    options = common.arguments(__doc__, n=40, trees=300, quick=0)
    if options.quick:
        options.n, options.trees = 5, 5
    load_before = os.getloadavg()
    repeats = 3 if options.quick else 9
    speeds = machine(repeats)
    result = {
        "machine": speeds,
        "prediction": prediction(ert.load("face68"), helen(options.data), speeds, options.n, repeats),
        "training": training(speeds, 50 * options.n, options.trees),
        "load_average": {"before": load_before, "after": os.getloadavg()},
    }
    if options.quick:
        print("\n".join(table(result["prediction"], "us", "least_us", 1)))
        print("\n".join(table(result["training"], "seconds", "least_seconds", 2)))
        print(speeds)
    else:
        common.save_result("roofline", result)
        write_tables(result)


if __name__ == "__main__":
    main()
