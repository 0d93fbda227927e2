"""``ert evaluate`` and ``ert explain``: errors of a model on annotated images, and how it finds landmarks in one."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, counted
from ert._core.files import claim
from ert._core.system import busy_notes, machine_load
from ert.cli import common
from ert.cli.measure import add_scale, with_scales
from ert.cli.parser import Parser
from ert.datasets.dataset import Dataset
from ert.evaluation.attributes import Column, group_columns
from ert.evaluation.comparison import make_benchmark_model, measure
from ert.evaluation.explanation import check_explanation_file, explain, save_explanation
from ert.evaluation.groups import by_groups, group_lines
from ert.evaluation.radial import length_lines
from ert.evaluation.report import Evaluation, write_report
from ert.faces.detection import detect_faces
from ert.inference.mode import PredictionMode
from ert.inference.warm_up import prepare
from ert.metrics import NORMALIZERS, nme
from ert.pipeline.boxes import SOURCE_TEXTS, resolve_box_source
from ert.pipeline.validate import (
    Predictions,
    box_lines,
    count_trained_on,
    error_figures,
    lengths_of,
    other_boxes_line,
    predict_new,
    trained_on_line,
)
from ert.predictor import ShapePredictor, load

# Enough calls for a 99th percentile, in a few seconds.
N_TIMED_OBJECTS, N_REPEATS = 300, 5
# Attributes that a report groups by without --by.
_ATTRIBUTES, _ATTRIBUTES_OF_FACES = ("size", "source"), ("yaw", "roll", "mouth")


def add_evaluate_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("model", metavar="MODEL", help=common.MODEL_HELP)
    add("dataset", metavar="DATASET", help=common.DATASET_HELP)
    common.add_mode(parser)
    boxes = (
        "where boxes come from: auto is as in a new photo, in the way of the model, but boxes in the annotations are "
    )
    boxes += "taken where the model was trained on given boxes or faces (default: auto)"
    common.add_box_from(parser, boxes)
    common.add_detector(parser)
    norm = "use only this normalizer of the errors: " + ", ".join(NORMALIZERS)
    add("--normalizer", metavar="NAME", help=norm + ", or A-B, the distance between two landmarks")
    add_scale(parser)
    common.add_lengths(parser)
    by = "also print the errors by groups: size, yaw (a proxy of the head's yaw), roll, brightness (of the "
    by += "skin), mouth (its opening), source (top folder), or columns of --columns"
    add("--by", metavar="COLUMN,...", help=by)
    columns = "table with a column image and the columns to group by; a column object, counted from 0, "
    columns += "distinguishes several objects in an image"
    add("--columns", metavar="CSV", help=columns)
    common.add_json(parser, "the errors")
    report = "write DIR/report.html: curves, groups, errors per landmark, best and worst faces, times"
    add("--report", metavar="DIR", help=report)
    common.add_jobs(parser)
    common.add_force(parser)
    common.add_annotation_options(parser)


def run_evaluate(options: argparse.Namespace) -> int:
    """Measure the errors of a model on annotated images.

    ert evaluate model.ert test.xml --by size,yaw
    ert evaluate face68 300w --boxes boxes.csv:dlib --split test --report out
    """
    model = load(options.model)
    mode = common.prediction_mode(options, model)
    common.check_json_file(options.json)
    page = common.report_page(options.report)
    load_before = machine_load()
    dataset = common.read_dataset(options, options.dataset, options.boxes)
    dataset = common.in_order_of(options.model, model.landmark_names_, dataset, options.dataset)
    dataset = with_scales(options, dataset)
    columns = _columns(options, dataset)
    errors = common.length_options(options) | {"norms": options.normalizer and [options.normalizer]}
    if options.normalizer:
        lengths_of(dataset, [options.normalizer])
    prepare(model.fitted_, len(dataset), mode)
    predictions = predict_new(
        model,
        dataset,
        box_from=_box_source(options, dataset),
        mode=mode,
        detector=options.detector,
        n_jobs=options.jobs,
        what=str(options.dataset),
    )
    figures = error_figures(predictions, **errors)
    found, predicted = predictions.found_only()
    if columns:
        columns = {name: column._replace(values=column.values[predictions.found]) for name, column in columns.items()}
        normalizer, lengths = next(iter(lengths_of(found, list(figures["norms"])).items()))
        figures["by"] = by_groups(columns, nme(found.y, predicted, lengths), normalizer)
    figures["n_trained_on"] = n = count_trained_on(model, dataset)
    first, found_lines = box_lines(figures)
    if n:
        first.append(trained_on_line(model, n, len(dataset)))
    first += filter(None, [other_boxes_line(model, predictions)])
    details = {"model": str(options.model), "dataset": str(options.dataset), "boxes": options.boxes}
    common.output(details | figures, options.json, [*first, *_table(options, figures)])
    if page is not None:
        remarks = [*first, *found_lines]
        _report(options, page, model, mode, predictions, figures, columns, load_before, remarks)
    return 0


def _box_source(options: argparse.Namespace, dataset: Dataset) -> str | None:
    """Return where boxes come from; None is the model's own way."""
    if options.box_from == "auto":
        return None if options.boxes is None else "given"
    return resolve_box_source(dataset, options.box_from)[0]


def _table(options: argparse.Namespace, figures: dict[str, Any]) -> list[str]:
    found = box_lines(figures)[1]
    lines = [
        f"{options.model} on {options.dataset}, {counted(figures['n'], 'object')}",
        f"{'normalizer':<14}{'NME %':>8}{'95 % interval':>18}{'median':>9}{'AUC 8 %':>9}{'over 8 %':>9}",
    ]
    for normalizer, row in figures["norms"].items():
        low, high = row["interval_95"]
        lines.append(
            f"{normalizer:<14}{row['mean']:>8.3f}{f'{low:.3f} - {high:.3f}':>18}{row['median']:>9.3f}"
            f"{row['auc_8']:>9.3f}{row['failure_rate_8']:>9.2%}"
        )
    if {"box", "diagonal"} & set(figures["norms"]):
        lines.append("box, diagonal: of the bounding box of the true landmarks")
    lines += [*found, *length_lines(figures)]
    if options.per_landmark:
        lines += ["", *common.landmark_table(figures)]
    return lines + (group_lines(figures["by"]) if "by" in figures else [])


def _columns(options: argparse.Namespace, dataset: Dataset, default: Sequence[str] = ()) -> dict[str, Column]:
    """Return the columns of --by, or without it the `default` ones."""
    names = default
    if options.by is not None:
        names = list(dict.fromkeys(name.strip() for name in options.by.split(",")))
    elif options.columns is not None:
        raise InputError(f"--columns {options.columns} without --by, expected the columns to group by")
    path = Path(options.dataset)
    folder = Path(options.images or (path if path.is_dir() else path.parent))
    table = None if options.columns is None else Path(options.columns)
    return group_columns(names, dataset, folder, table, part=options.split is not None, n_jobs=options.jobs)


def _report(
    options: argparse.Namespace,
    page: Path,
    model: ShapePredictor,
    mode: PredictionMode,
    predictions: Predictions,
    figures: dict[str, Any],
    columns: dict[str, Column],
    load_before: float | None,
    remarks: Sequence[str],
) -> None:
    """Write the report; `load_before` is the load of the machine before the model ran."""
    dataset, predicted = predictions.found_only()
    if not columns:
        of_faces = _ATTRIBUTES_OF_FACES if dataset.landmarks.shape[1] == 68 else ()
        columns = _columns(options, dataset, (*_ATTRIBUTES, *of_faces))
    title = f"{Path(options.model).name} on {dataset.name}"
    about = {
        "Model": str(options.model),
        "Dataset": f"{options.dataset}, {counted(len(predictions.dataset), 'object')}",
        "Boxes": options.boxes or SOURCE_TEXTS[predictions.box_source],
        "Mode": options.mode,
        "Initializations": f"{mode.n_inits}" + (", and as many on the mirror image" if mode.flip else ""),
        "Passes": f"{mode.n_passes}",
        "Restarts": "where the confidence is low" if mode.restart else "none",
    }
    if options.split is not None:
        title += f", split {options.split}"
        about["Split"] = options.split
    timed = make_benchmark_model("", model, 0)._replace(
        prepare=lambda image, box, roll=None: (
            lambda: model.predict([(image, box)], mode, rolls=roll, channel_order="rgb")
        )
    )
    items = common.random_items(len(dataset), N_TIMED_OBJECTS)
    rolls = None if predictions.rolls is None else predictions.rolls[predictions.found][items]
    poses = [(dataset.boxes[items], rolls)]
    _, milliseconds = measure([timed], dataset.subset(items), N_REPEATS, poses=poses, n_jobs=options.jobs)
    evaluation = Evaluation(
        model,
        dataset,
        predicted,
        figures,
        # A single group of all objects shows nothing.
        {key: column for key, column in columns.items() if len(set(column.values.tolist())) > 1},
        milliseconds[0],
        about,
        busy_notes(load_before),
        remarks,
    )
    write_report(page, title, evaluation)
    common.log(f"wrote {page}")


def add_explain_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("model", metavar="MODEL", help=common.MODEL_HELP)
    parser.add_argument("image", metavar="IMAGE", help="image file")
    common.add_box(parser, "the largest face detected")
    common.add_detector(parser)
    common.add_reading(parser)
    out = ".png or .jpg for a contact sheet; .gif or .apng for an animation of the stages"
    parser.add_argument("--out", required=True, metavar="FILE", help=out)
    common.add_force(parser)


def run_explain(options: argparse.Namespace) -> int:
    """Draw which pixels a model compares, and the shape after each stage.

    ert explain face68 photo.jpg --out sheet.png
    ert explain face68 photo.jpg --box 120,80,200,200 --out stages.gif
    """
    model = load(options.model)
    check_explanation_file(options.out)
    claim(options.out, "image", "--out")
    image = common.read_image(options.image, options)
    box = options.box
    if box is None:
        boxes = detect_faces(image, options.detector)
        if not len(boxes):
            raise InputError(f"{options.image}: no face found, expected one or --box L,T,W,H")
        box = boxes[0]
    explanation = explain(model, image, box, channel_order="rgb", what=str(options.image))
    save_explanation(options.out, image, box, explanation)
    moved = abs(explanation.shapes[-1] - explanation.shapes[0]).max()
    n_pairs = int(explanation.reads.sum()) // 2
    place = ",".join(f"{number:.0f}" for number in box)
    common.log(
        f"{options.image}: box {place}, {n_pairs} pairs of pixels compared, "
        f"landmarks moved by up to {moved:.1f} px -> {options.out}"
    )
    return 0
