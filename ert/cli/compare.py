"""``ert compare``: compare two models on one dataset; dlib itself may run either. Or two annotations."""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ert._core import system
from ert._core.exceptions import InputError, counted
from ert._core.files import bundled_models, check_input, claim
from ert._core.images import DUMMY_IMAGES, image_size
from ert._core.types import Floats, Pixels
from ert._kernels import choice
from ert.cli import common
from ert.cli.measure import add_scale, run_observers
from ert.cli.parser import Parser
from ert.datasets.dataset import Dataset
from ert.evaluation.comparison import (
    BenchmarkModel,
    Comparison,
    compare_shapes,
    compare_times,
    draw_most_different,
    make_benchmark_model,
    measure,
    plot_errors,
)
from ert.inference.validation import check_pairs
from ert.metrics import NORMALIZERS, normalizer_lengths, normalizer_text
from ert.pipeline.boxes import DetectedFaces, new_boxes, resolve_box_source, scatter_boxes, with_known_source
from ert.pipeline.validate import boxes_for, count_trained_on
from ert.plotting.charts import check_chart_file
from ert.predictor import load

_DLIB = "dlib:"
_PACKAGES = ("pillow", "dlib", "dlib-bin")
# With fewer objects a bootstrap interval is far too narrow.
MIN_OBJECTS_FOR_VERDICT = 10
# The files in the folder of --out, by the option that writes each alone.
_FILES = {"json": "comparison.json", "plot": "errors.png", "draw": "faces.png"}


def add_compare_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    models = "bundled model, model file, or dlib:FILE.dat to let dlib itself run a file; without DATASET, annotations "
    add("a", metavar="MODEL_A", help=models + "or predictions")
    add("b", metavar="MODEL_B", help="likewise; without DATASET, annotations of the same images")
    add("dataset", metavar="DATASET", nargs="?", help=common.DATASET_HELP)
    add("--limit", type=int, metavar="N", help="use N objects only, drawn at random, the same in every run")
    normalizer = "normalizer of the errors (default: the first that ert evaluate prints)"
    add("--normalizer", choices=NORMALIZERS, help=normalizer)
    boxes = (
        "where boxes come from: auto is as in a new photo, for each model in its own way, but boxes in the annotations "
    )
    boxes += "are taken for models of given boxes or faces and for dlib (default: auto)"
    common.add_box_from(parser, boxes)
    common.add_detector(parser)
    add("--repeats", type=int, default=5, metavar="N", help="timed calls for each object (default: 5)")
    add("--gray", action="store_true", help="convert the images to gray before either model gets them")
    common.add_json(parser, "the comparison")
    add("--plot", metavar="FILE", help="plot the error curves of both models (.png, .pdf)")
    draw = "draw the 12 faces on which the models differ most (.png); of annotations, one object with the mean "
    add("--draw", metavar="FILE", help=draw + "distance of each landmark as a circle")
    add("--out", metavar="DIR", help="write all three to DIR")
    add_scale(parser)
    common.add_jobs(parser, text="threads that read images and find objects; calls are timed in one")
    common.add_force(parser)
    common.add_annotation_options(parser)


def run_compare(options: argparse.Namespace) -> int:
    """Compare two models on annotated images, or two annotations of the same images.

    ert compare model.ert face68 test.xml --out comparison
    ert compare observer1.tps observer2.tps --scale 0.25
    """
    if options.dataset is None:
        return run_observers(options)
    if options.scale is not None:
        raise InputError("--scale: only for two files of annotations, not for two models and a dataset")
    load_before = system.machine_load()
    files = _output_files(options)
    if options.repeats < 1:
        raise InputError(f"--repeats {options.repeats}: expected at least 1")
    pair = [open_benchmark_model(options.a, "A"), open_benchmark_model(options.b, "B")]
    dataset = _load(options, pair)
    _check_normalizer(dataset, options.normalizer)
    dataset, poses, remarks, around = _find(options, pair, dataset)
    choice.use_compiled()
    for each, image in itertools.product(pair, DUMMY_IMAGES):
        each.prepare(image, np.array([0.0, 0.0, 9.0, 9.0]))()
    with common.progress(2 * (options.repeats + 1) * len(dataset), "call") as update:
        shared: Any = {"gray": options.gray, "progress": update, "n_jobs": options.jobs}
        shapes, milliseconds = measure(pair, dataset, options.repeats, poses=poses, **shared)
    comparison = compare_shapes(dataset.y, shapes[0], shapes[1], options.normalizer)
    times = compare_times(milliseconds)
    notes = _notes(options, dataset, load_before)
    scattered = None
    if around:
        scattered = _errors_in_scattered_boxes(options, pair, dataset, poses)
        text = "boxes are those around the true landmarks, which no new photo has; moved and scaled at random by 10 %, "
        remarks.insert(0, text + "they give {:.3f} % (A) and {:.3f} % (B)".format(*scattered))

    names, title = [each.name for each in pair], _title(options, dataset)
    if "plot" in files:
        plot_errors(files["plot"], comparison, names, title)
    if "draw" in files:
        draw_most_different(files["draw"], dataset, shapes, comparison, names)
    record = system.provenance(_PACKAGES) | {"load": load_before, "notes": notes}
    record |= _record(options, pair, dataset, comparison, times) | {"remarks": remarks, "scattered_boxes": scattered}
    common.output(record, files.get("json"), [*remarks, *_table(title, pair, comparison, times, options), *notes])
    for file in files.values():
        if file != "-":
            common.log(f"wrote {file}")
    return 0


def open_benchmark_model(model: str, letter: str) -> BenchmarkModel:
    """Open a model, or with ``dlib:FILE.dat`` let dlib open it; `letter` is put before its name."""
    if model.startswith(_DLIB):
        return _open_dlib(model, letter)
    path = bundled_models().get(model, Path(model))
    title = path.name if path.name != f"{model}.ert" else model
    return make_benchmark_model(f"{letter} {title}", load(model), path.stat().st_size)


def _open_dlib(name: str, letter: str) -> BenchmarkModel:
    path = Path(name.removeprefix(_DLIB))
    try:
        import dlib
    except ImportError:
        raise InputError(
            f"{name}: needs dlib, which is not installed: pip install dlib-bin (without {_DLIB} ert runs it)"
        ) from None
    check_input(path, "a model file")
    try:
        predictor = dlib.shape_predictor(str(path))
    except (RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: dlib cannot read it as a shape predictor: {' '.join(str(error).split())}") from error

    def prepare(image: Pixels, box: Floats) -> Callable[[], Any]:
        left, top, width, height = box.tolist()
        right, bottom = round(left + width) - 1, round(top + height) - 1
        rectangle = dlib.rectangle(round(left), round(top), right, bottom)
        if rectangle.is_empty():
            raise InputError(
                f"{name}: the box {box.tolist()} contains no pixel when rounded to integers, as dlib needs it"
            )
        pixels = np.ascontiguousarray(image)
        return lambda: predictor(pixels, rectangle)

    def points(result: Any) -> list[tuple[int, int]]:
        return [(point.x, point.y) for point in result.parts()]

    n_landmarks = predictor(DUMMY_IMAGES[0], dlib.rectangle(0, 0, 8, 8)).num_parts
    return BenchmarkModel(f"{letter} dlib: {path.name}", n_landmarks, path.stat().st_size, prepare, points)


def _output_files(options: argparse.Namespace) -> dict[str, str]:
    """Return the files to write by option, after a check that they can be written."""
    if options.out is not None:
        common.make_folder(options.out)
    files = {}
    for option, name in _FILES.items():
        file = getattr(options, option)
        if file is None and options.out is not None:
            file = str(Path(options.out) / name)
        if file is not None:
            files[option] = file
    common.check_json_file(files.get("json"))
    if "plot" in files:
        check_chart_file(files["plot"])
        claim(files["plot"], "chart", "--plot")
    if "draw" in files:
        common.check_image_suffix(files["draw"])
        claim(files["draw"], "image", "--draw")
    return files


def _load(options: argparse.Namespace, pair: list[BenchmarkModel]) -> Dataset:
    if pair[0].n_landmarks != pair[1].n_landmarks:
        counts = f"{options.a} has {pair[0].n_landmarks} landmarks, {options.b} has {pair[1].n_landmarks}"
        raise InputError(f"{counts}: expected the same number")
    dataset = common.read_dataset(options, options.dataset, options.boxes)
    found = len(dataset.landmark_names)
    if found != pair[0].n_landmarks:
        raise InputError(f"{options.dataset}: {found} landmarks, expected {pair[0].n_landmarks} as in both models")
    dataset = _in_order_of(options, pair, dataset)
    if options.limit is not None:
        if options.limit < 1:
            raise InputError(f"--limit {options.limit}: expected at least 1")
        dataset = common.random_subset(dataset, options.limit)
    boxes = check_pairs(dataset.X, str(options.dataset))
    for file, (left, top, width, height) in zip(dataset.files, boxes, strict=True):
        columns, rows = image_size(file)
        if left > columns - 1 or top > rows - 1 or left + width < 1 or top + height < 1:
            raise InputError(f"{file}: the box lies outside the image of {columns} x {rows} pixels")
    return dataset


def _find(
    options: argparse.Namespace, pair: list[BenchmarkModel], dataset: Dataset
) -> tuple[Dataset, list[tuple[Floats, Floats | None]], list[str], bool]:
    """Return the objects that both models find, their boxes and rolls for each model, and what is to be said first.

    The last value is whether boxes are those around the true landmarks. dlib takes the boxes of the annotations.
    """
    known = with_known_source(dataset)
    box_from = resolve_box_source(dataset, options.box_from)[0] if options.box_from != "auto" else None
    box_from = box_from or ("given" if options.boxes is not None else None)
    # For both, each image is searched once.
    faces = DetectedFaces(options.detector)
    sources, boxes = [], []
    for each in pair:
        if each.model is None:
            found = new_boxes(known, box_from or "given", detector=faces, n_jobs=options.jobs)
            source = "given"
        else:
            source, found = boxes_for(each.model, known, box_from, faces, options.jobs)
        sources.append(source)
        boxes.append(found)
    both = boxes[0].found & boxes[1].found
    if not both.any():
        raise InputError(f"{options.dataset}: none of {len(dataset)} objects is found for both models")
    remarks = []
    for each in pair:
        if each.model is not None and (n := count_trained_on(each.model, dataset)):
            remarks.append(f"{each.name} was trained on {n} of these {len(dataset)} objects: its errors are too small")
    if not both.all():
        remarks.append(f"{both.sum()} of {len(dataset)} objects are found for both models; errors are those of them")
    poses = [(each.boxes[both], None if each.rolls is None else each.rolls[both]) for each in boxes]
    return dataset.subset(both), poses, remarks, "given" in sources and known.box_source == "landmarks"


def _errors_in_scattered_boxes(
    options: argparse.Namespace, pair: list[BenchmarkModel], dataset: Dataset, poses: list[tuple[Floats, Floats | None]]
) -> list[float]:
    scattered = [(scatter_boxes(boxes), rolls) for boxes, rolls in poses]
    shapes, _ = measure(pair, dataset, 1, poses=scattered, gray=options.gray, n_jobs=options.jobs)
    figures = compare_shapes(dataset.y, shapes[0], shapes[1], options.normalizer).figures
    return [figures[letter]["mean"] for letter in "ab"]


def _in_order_of(options: argparse.Namespace, pair: list[BenchmarkModel], dataset: Dataset) -> Dataset:
    """Put the landmarks in the order of their names in the models; raise InputError if these have different orders."""
    numbers = tuple(map(str, range(pair[0].n_landmarks)))
    named = {
        each.landmark_names: model
        for model, each in zip((options.a, options.b), pair, strict=True)
        if each.landmark_names not in ((), numbers)
    }
    if len(named) == 2 and len(set(map(frozenset, named))) == 1:
        raise InputError(f"{options.a} and {options.b} have the same landmarks in different orders")
    for names, model in named.items():
        dataset = common.in_order_of(model, names, dataset, options.dataset)
    return dataset


def _check_normalizer(dataset: Dataset, normalizer: str | None) -> None:
    """Check, before long work, that the normalizer can be computed for every object."""
    # The default is the first that ert evaluate prints.
    if normalizer is None:
        eyes = dataset.y.shape[1] == 68 and bool(np.isfinite(dataset.y[:, 36:48]).all())
        normalizer = NORMALIZERS[0] if eyes else "box"
    for file, shape in zip(dataset.files, dataset.y, strict=True):
        try:
            normalizer_lengths(shape[None], normalizer)
        except InputError as error:
            raise InputError(f"{file}: {str(error).replace('face 0: ', '')}") from None


def _title(options: argparse.Namespace, dataset: Dataset) -> str:
    """Return the name of the dataset, and which of its objects were used."""
    parts = [dataset.name]
    if options.split is not None:
        parts.append(f"split {options.split}")
    if options.boxes is not None:
        parts.append(f"boxes {options.boxes.rpartition(':')[2]}")
    drawn = " drawn at random" if options.limit == len(dataset) else ""
    return f"{', '.join(parts)}: {counted(len(dataset), 'object')}{drawn}"


def _notes(options: argparse.Namespace, dataset: Dataset, load_before: float | None) -> list[str]:
    """Return what limits the validity of the figures."""
    # The interval does not show it: it is over the objects, and other load slows all of them.
    notes = system.busy_notes(load_before)
    by_dlib = [model.startswith(_DLIB) for model in (options.a, options.b)]
    if any(by_dlib):
        notes.append("dlib returns integer coordinates; the landmarks of ert are compared unrounded.")
    if any(by_dlib) and not all(by_dlib) and (dataset.boxes != np.rint(dataset.boxes)).any():
        notes.append("The coordinates of the boxes are not integers: dlib gets them rounded, ert unrounded.")
    return notes


def _record(
    options: argparse.Namespace,
    pair: list[BenchmarkModel],
    dataset: Dataset,
    comparison: Comparison,
    times: dict[str, Any],
) -> dict[str, Any]:
    """Return the contents of the JSON file besides the provenance."""
    columns = (dataset.files, dataset.boxes, *comparison.errors, comparison.distances)
    objects = [
        {"file": str(file), "box": box.tolist(), "nme_a": float(a), "nme_b": float(b), "distance_px": float(d)}
        for file, box, a, b, d in zip(*columns, strict=True)
    ]
    return {
        "models": {
            "a": {"model": options.a, "bytes": pair[0].n_bytes},
            "b": {"model": options.b, "bytes": pair[1].n_bytes},
        },
        **{name: getattr(options, name) for name in ("dataset", "boxes", "split", "limit", "repeats", "gray")},
        "errors": comparison.figures,
        "times": times,
        "objects": objects,
    }


def _table(
    title: str, pair: list[BenchmarkModel], comparison: Comparison, times: dict[str, Any], options: argparse.Namespace
) -> list[str]:
    figures = comparison.figures
    width = max(len(each.name) for each in pair) + 2
    lines = [
        f"{title}; errors in % of the {normalizer_text(comparison.normalizer)}",
        f"{'':<{width}}{'MB':>7}{'NME %':>8}{'95 % interval':>17}{'median':>8}{'over 8 %':>10}{'AUC 8 %':>9}"
        f"{'ms a call':>11}{'quartiles':>15}",
    ]
    for letter, each in zip("ab", pair, strict=True):
        row, time = figures[letter], times[letter]
        lines.append(
            f"{each.name:<{width}}{each.n_bytes / 1e6:>7.2f}{row['mean']:>8.3f}"
            f"{_span(row['interval_95'], 3):>17}{row['median']:>8.3f}{row['failure_rate_8']:>10.2%}"
            f"{row['auc_8']:>9.3f}{time['median_ms']:>11.3f}{_span(time['quartiles_ms'], 3):>15}"
        )
    difference = figures["difference"]
    low, high = difference["interval_95"]
    verdict = "A is better" if high < 0 else "B is better" if low > 0 else "not significant"
    if figures["n"] < MIN_OBJECTS_FOR_VERDICT:
        verdict = "too few objects for a verdict"
    lines += [
        f"NME of A minus B: {difference['mean']:+.3f} (95 % interval {low:+.3f} to {high:+.3f}): {verdict}. "
        f"A is better on {difference['a_better']}, B on {difference['b_better']}, "
        f"equal on {difference['equal']}.",
        f"Landmarks of A and B: {figures['mean_distance_px']:.3f} px apart on average; "
        f"equal when rounded to integers on {figures['same_whole_pixels']:.1%} of the objects.",
        f"Time of B / A: {times['ratio_b_to_a']:.2f} (95 % interval {_span(times['interval_95'], 2)}); "
        f"medians of {options.repeats} x {figures['n']} calls of one object, on one thread, alternating.",
        f"Images are {'converted to gray' if options.gray else 'in color where their files are'}.",
    ]
    return lines


def _span(pair: list[float], digits: int) -> str:
    return f"{pair[0]:.{digits}f} - {pair[1]:.{digits}f}"
