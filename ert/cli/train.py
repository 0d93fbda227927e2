"""``ert train``: train a model on annotated images, with a checkpoint after each stage."""

import argparse
import ast
import inspect
import re
from collections.abc import Container, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, counted
from ert._core.files import claim, protect
from ert._core.runtime import count_threads
from ert.cli import common
from ert.cli.measure import add_scale, with_scales
from ert.cli.parser import Parser
from ert.datasets.dataset import Dataset
from ert.datasets.formats import dataset_format
from ert.datasets.split import file_groups
from ert.evaluation.orientation import better_readings
from ert.evaluation.radial import landmark_rows
from ert.evaluation.training_report import TrainingReport, Validation
from ert.inference.validation import MIN_TRAINING_OBJECTS
from ert.metrics import NORMALIZERS, normalizer_lengths, normalizer_text
from ert.pipeline.folds import curve_lines, curve_table
from ert.pipeline.plan import Plan, make_plan
from ert.pipeline.self_training import SelfTraining
from ert.pipeline.train import Checks, Trained, all_teacher_files, check_splits, fold_files, hold_out, run_training
from ert.pipeline.unlabelled import Unlabelled, find_unlabelled
from ert.pipeline.validate import lengths_of, validation_lines
from ert.predictor import ShapePredictor, load
from ert.training.confidence import fold_checkpoints
from ert.training.confidence_samples import check_folds, group_folds
from ert.training.presets import PRESETS

# Parameters of the predictor in the groups of the help text; any other is in the last group.
_GROUPS = {
    "the cascade": "kind n_members n_stages n_trees max_depth tree_target learning_rate n_trees_averaged",
    "pixel features": "n_pixels n_pool_candidates n_split_tests prior_length padding pool_spread spread_decay channels",
    "training samples": "n_inits n_shapes_mixed shift_jitter scale_jitter roll_jitter warp lighting occlusion mirror",
    "images": "working_size blur min_contrast gray_weights",
    "model size": "n_components stages_per_basis leaf_bits",
    "errors and computation": "normalizer n_jobs max_memory random_state",
}
# Images are read from files, whose channels are always RGB, and the progress is always shown.
_NO_OPTIONS = ("self", "channel_order", "verbose")


def add_train_options(parser: Parser) -> None:
    """Add the options."""
    parser.usage = "ert train DATASET [DATASET ...] --out FILE [options]"
    add = parser.add_argument
    add("datasets", nargs="+", metavar="DATASET", help=common.DATASET_HELP)
    out = "model file to write: .ert, or .dat to train a model that dlib can read"
    add("--out", required=True, metavar="FILE", help=out)
    boxes = (
        "where boxes come from, here and in new photos: whole (the image is the box), given (in the annotations or by "
    )
    boxes += (
        "--boxes), learned (a locator that is trained too finds the object), face (a face detector), or auto: boxes "
    )
    boxes += "as given, or what the place of the objects in their images asks for (default: auto)"
    common.add_box_from(parser, boxes)
    common.add_detector(parser)
    validation = "hold out this fraction of the images and report the error on them"
    add("--validation", type=float, default=0, metavar="FRACTION", help=validation)
    cv = "cross-validate in K folds, which gives the error of new photos, before the training on all images; with 10 "
    cv += "rather than 5 folds their models are trained on nearly as many images as the final one"
    add("--cv", type=int, default=0, metavar="K", help=cv)
    group = "what is never split by --validation, --cv and --confidence: image, folder, FILE.csv:COLUMN, or a regular "
    group += "expression whose first group is matched in file names (default: image)"
    add("--group", metavar="GROUP", help=group)
    curve = "also report the error with a quarter and half of the training images, cross-validated (--cv 5 by default)"
    add("--learning-curve", action="store_true", help=curve)
    add_scale(parser)
    common.add_lengths(parser)
    common.add_json(parser, "the errors")
    confidence = "also fit a confidence model, by training this many times more, each time with one fold of "
    confidence += "the objects held out (3 if no number is given)"
    add("--confidence", type=int, nargs="?", const=3, default=0, metavar="FOLDS", help=confidence)
    _add_self_training(parser)
    preset = "choose all parameters below that are not given from the data: auto for any number of objects; small for "
    preset += "a smaller file, fast for less time, large and accurate for smaller errors in several times the time; "
    preset += "none for the defaults given below (default: auto)"
    add("--preset", choices=(*PRESETS, "none"), default="auto", help=preset)
    add("--resume", action="store_true", help="continue an interrupted training after its last finished stage")
    add("--report", metavar="DIR", help="write DIR/report.html after each stage: errors and time left")
    note = "note to store in the model, such as license=CC-BY; may be repeated"
    common.add_force(parser)
    add("--note", action="append", default=[], metavar="KEY=TEXT", help=note)
    common.add_annotation_options(parser, part_order=None, many=True)
    add_parameters(parser)


def _add_self_training(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("learning from photos without annotations").add_argument
    text = (
        "also learn from these photos, which teachers mark: a folder, a pattern in quotes, @list.txt or an annotation "
    )
    text += "file, whose landmarks are not used; may be repeated. Photos that are in DATASET are left out"
    add("--unlabelled", action="append", default=[], metavar="PHOTOS", help=text)
    defaults = SelfTraining()
    teachers = f"models of other seeds that mark the photos (default: {defaults.n_teachers})"
    add("--teachers", type=int, default=defaults.n_teachers, metavar="N", help=teachers)
    rounds = "above 1: train further teachers on the marked photos too, and mark them again (default: "
    add("--rounds", type=int, default=defaults.n_rounds, metavar="N", help=f"{rounds}{defaults.n_rounds})")
    keep = "fraction of the marked objects to learn from: those that the teachers agree on best (default: "
    add("--keep", type=float, default=defaults.keep, metavar="X", help=f"{keep}{defaults.keep:g})")
    weight = f"weight of a marked object; an annotated one has 1 (default: {defaults.weight:g})"
    add("--mark-weight", type=float, default=defaults.weight, metavar="X", help=weight)


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Add the estimator's parameters as options, with the texts of its docstring; a preset chooses those not given."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(ShapePredictor.__init__).parameters.items()
        if name not in _NO_OPTIONS
    }
    described = _read_docstring(ShapePredictor.__doc__ or "", defaults)
    groups = {title: names.split() for title, names in _GROUPS.items()}
    grouped = " ".join(_GROUPS.values()).split()
    groups["other parameters"] = [name for name in defaults if name not in grouped]
    for title, names in groups.items():
        group = parser.add_argument_group(title)
        for name in names:
            if name == "n_jobs":
                common.add_jobs(group, dest=name)
            else:
                _add_parameter(group, name, defaults[name], *described.get(name, ("", name)))


def _add_parameter(group: argparse._ArgumentGroup, name: str, default: Any, type_text: str, summary: str) -> None:
    # Errors may also be relative to the distance between two landmarks.
    listed = None if name == "normalizer" else re.match(r"\{(.*?)\}", type_text)
    choices = [] if listed is None else [c for c in ast.literal_eval(f"[{listed[1]}]") if c is not None]
    kind_of_none = float if "float" in type_text else str
    kind = kind_of_none if default is None else type(default)
    shown = {"choices": choices} if choices else {"metavar": {int: "N", float: "X"}.get(kind, "NAME")}
    if name == "normalizer":
        summary += f": {', '.join(NORMALIZERS)}; for the validation also A-B, the distance between two landmarks"
    text = f"{summary} (default: {'none' if default is None else default})".replace("%", "%%")
    # Left out unless it is given: a preset chooses it else.
    group.add_argument(_flag(name), type=kind, default=argparse.SUPPRESS, help=text, **shown)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read_docstring(docstring: str, parameters: Container[str]) -> dict[str, tuple[str, str]]:
    """Return the type and the first sentence of each parameter of a numpydoc docstring."""
    entry = re.compile(r"^(\w+(?:, \w+)*) : (.*)\n((?:    .*\n)+)", re.MULTILINE)
    described = {}
    for names, type_text, text in entry.findall(inspect.cleandoc(docstring) + "\n"):
        sentence = re.split(r"\.(?: +(?=[A-Z])|$)", " ".join(text.split()))[0]
        for name in names.split(", "):
            described[name] = (type_text, _plain_text(sentence, parameters))
    return described


def _plain_text(text: str, parameters: Container[str]) -> str:
    """Remove the markup of a docstring's sentence, and name parameters by their options."""
    text = re.sub(r",? see :\w+:`[^`]+`", "", text)
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", text)
    text = re.sub(r"`+([^`]+)`+", lambda m: _flag(m[1]) if m[1] in parameters else m[1], text)
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def run_train(options: argparse.Namespace) -> int:
    """Train a model on annotated images.

    ert train wings.tps --out wings.ert --cv 5
    ert train 300w/afw --boxes boxes.csv:dlib --split train --mirror face68 --out model.ert
    """
    out = Path(options.out)
    given, norms = given_parameters(options)
    notes = {}
    for note in options.note:
        key, equals, text = note.partition("=")
        if not equals or not key:
            raise InputError(f"--note {note!r}: expected KEY=TEXT")
        notes[key] = text
    if out.suffix not in (".ert", ".dat"):
        raise InputError(f"{out}: expected a model file ending in .ert, or in .dat for dlib")
    if out.suffix == ".dat":
        if options.confidence:
            raise InputError(f"{out}: a .dat file has no confidence model, expected .ert with --confidence")
        given |= {"kind": "dlib", "gray_weights": "dlib"}
        # Landmarks of a .dat file have no names: scripts rely on dlib's order.
        options.part_order = options.part_order or "dlib"
    options.part_order = options.part_order or "natural"
    try:
        checks = Checks(
            options.validation, options.cv, options.learning_curve, norms=norms, **common.length_options(options)
        )
    except InputError as error:
        raise InputError(f"--{error}") from None
    settings = SelfTraining(options.teachers, options.rounds, options.keep, options.mark_weight)
    claim(out, "model", "--out")
    page = common.report_page(options.report)
    common.check_json_file(options.json)
    checkpoint = out.with_name(f"{out.stem}.checkpoint.ert")
    checkpoints = [checkpoint, *fold_checkpoints(checkpoint, options.confidence)]
    for file in (*checkpoints, *fold_files(checkpoint, checks)):
        if file.exists() and not options.resume:
            raise InputError(f"{file}: left by an interrupted training: continue with --resume, or remove it")
        claim(file, "model", f"the checkpoint {file.name}")
    dataset = with_scales(options, read_datasets(options))
    if options.group is not None:
        checks = replace(checks, groups=file_groups(dataset.files, options.group))
    unlabelled = None
    teachers: list[Path] = []
    if options.unlabelled:
        unlabelled = _find_unlabelled(options, dataset, settings)
        teachers = list(all_teacher_files(checkpoint, checks, unlabelled))
        for file in teachers:
            if file.exists() and not options.resume:
                raise InputError(f"{file}: left by an interrupted training: continue with --resume, or remove it")
            claim(file, "model", f"the checkpoint {file.name}")
    plan = make_plan(
        dataset,
        box_from=options.box_from,
        preset=options.preset,
        detector=options.detector,
        suffix=out.suffix,
        given=given | {"verbose": 1},
        unlabelled=unlabelled,
    )
    if out.suffix == ".dat":
        common.log(f"{out}: training kind=dlib; a .dat file stores no landmark names, notes or mirror map")
        if plan.box_source != "given":
            common.log(f"{out}: nor where boxes come from: predict with --box-from {plan.box_source}")
    _check_number(options, dataset, checks, plan.random_state)
    if checks.norms or checks.validation or checks.n_folds:
        for lengths in lengths_of(dataset, checks.options(dataset)["norms"]).values():
            normalizer_lengths(dataset.y, lengths)
    # In these formats, tools count y from the top or from the bottom.
    upside_down = any(dataset_format(path) in ("csv", "tps") for path in options.datasets)
    better = better_readings(dataset, count_threads(options.n_jobs), upside_down=upside_down)
    for text in better.values():
        common.log(f"ert: {text}")
    done = 0
    if options.resume:
        done = _finished_stages(checkpoint)
        found = f"{done} finished stages" if done else "no checkpoint found; starting from scratch"
        if not done and any(file.exists() for file in fold_files(checkpoint, checks)):
            found = "going on with the folds of the validation"
        elif not done and any(file.exists() for file in teachers):
            found = "going on with the teachers"
        common.log(f"{checkpoint}: {found}")
    report: TrainingReport | None = None

    def open_report(model: ShapePredictor) -> None:
        nonlocal report
        if page is not None:
            report = stack.enter_context(_open_report(options, page, model, plan, dataset, checks, done))

    def on_stage(model: ShapePredictor) -> None:
        if report is not None:
            report.stage(model)

    try:
        with ExitStack() as stack:
            trained = run_training(
                plan,
                dataset,
                checks,
                confidence=options.confidence,
                notes=notes,
                checkpoint=checkpoint,
                resume=options.resume,
                on_model=open_report,
                on_stage=on_stage,
                say=lambda text: common.log(f"ert: {text}"),
            )
    except KeyboardInterrupt:
        if done := _finished_stages(checkpoint):
            common.log(f"ert: interrupted; {done} finished stages are in {checkpoint}: continue with --resume")
            return 130
        if any(file.exists() for file in fold_files(checkpoint, checks)):
            common.log("ert: interrupted; finished folds are kept: continue with --resume")
            return 130
        if any(file.exists() for file in teachers):
            common.log("ert: interrupted; finished stages of teachers are kept: continue with --resume")
            return 130
        raise
    model = trained.model
    model.save(out)
    for file in checkpoints:
        file.unlink(missing_ok=True)
    n_objects = model.summary_["n_objects"]
    summary = (
        f"{out}: {out.stat().st_size / 1e6:.2f} MB from {counted(n_objects, 'object')}, "
        f"{len(dataset.landmark_names)} landmarks; {common.stage_errors(model.history_[model.n_stages - 1], ' error')} "
        f"of the {common.normalizer_text(model)}"
    )
    if report is not None:
        report.end(f"Finished: {summary}", _for_report(trained))
    common.log(summary)
    for line in _validation(options, trained):
        common.log(line)
    if options.json:
        common.write_json(_record(options, plan, trained), options.json)
    return 0


def _validation(options: argparse.Namespace, trained: Trained) -> Iterator[str]:
    if trained.figures is not None:
        yield from validation_lines(trained.figures, trained.curve)
        if options.per_landmark:
            yield from common.landmark_table(trained.figures)
    if trained.curve is not None:
        head, rows = curve_table(trained.curve)
        for row in (head, *rows):
            yield "".join(f"{cell:>{width}}" for cell, width in zip(row, (8, 9, 9, 18), strict=True))
        yield from curve_lines(trained.curve)


def _for_report(trained: Trained) -> Validation | None:
    if trained.figures is None:
        return None
    curve = trained.curve
    shown = (curve, curve_table(curve)[1], curve_lines(curve)) if curve else ()
    norm, row = next(iter(trained.figures["norms"].items()))
    error = f"{row['mean']:.2f} %", f"of the {normalizer_text(norm)}"
    return Validation(validation_lines(trained.figures, curve), landmark_rows(trained.figures), error, *shown)


def _record(options: argparse.Namespace, plan: Plan, trained: Trained) -> dict[str, Any]:
    """Return the contents of the JSON file."""
    model = trained.model
    return {
        "model": options.out,
        "datasets": options.datasets,
        "box_source": plan.box_source,
        "box_source_reason": plan.reason,
        "preset": plan.preset,
        "parameters": model.fitted_.params,
        "history": model.history_,
        "validation": trained.figures,
        "learning_curve": trained.curve,
    }


def given_parameters(options: argparse.Namespace) -> tuple[dict[str, Any], list[str] | None]:
    """Return the parameters that are given, and the normalizer, which may be the distance between two landmarks."""
    names = inspect.signature(ShapePredictor.__init__).parameters
    params = {name: value for name, value in vars(options).items() if name in names}
    if "," in params.get("mirror", ""):
        params["mirror"] = common.parse_integers("--mirror", params["mirror"], "the name of a scheme, or ")
    norm = params.get("normalizer")
    if norm is not None and norm not in NORMALIZERS:
        del params["normalizer"]
    return params, None if norm is None else [norm]


def _finished_stages(checkpoint: Path) -> int:
    return sum(len(member.anchors) for member in load(checkpoint).members_) if checkpoint.exists() else 0


def read_datasets(options: argparse.Namespace) -> Dataset:
    """Read all datasets, with each of the boxes."""
    if options.box_from not in ("auto", "given") and any(boxes != "image" for boxes in options.boxes):
        raise InputError(f"--box-from {options.box_from} and --boxes {options.boxes[0]}: expected one of the two")
    datasets = [
        common.read_dataset(options, path, boxes) for boxes in options.boxes or [None] for path in options.datasets
    ]
    return sum(datasets[1:], datasets[0])


def _find_unlabelled(options: argparse.Namespace, dataset: Dataset, settings: SelfTraining) -> Unlabelled:
    boxes = next((text for text in options.boxes if ":" in text), None)
    say = lambda text: common.log(f"ert: {text}")  # noqa: E731
    unlabelled = find_unlabelled(options.unlabelled, dataset, settings, boxes=boxes, say=say)
    protect(unlabelled.files)
    return unlabelled


def _check_number(options: argparse.Namespace, dataset: Dataset, checks: Checks, seed: int) -> None:
    """Raise now, not after the training, if there are too few images for it or for the folds."""
    rest, held_out = hold_out(dataset, checks, seed)
    n = len(set(rest.files))
    where = ", ".join(options.datasets)
    if held_out is not None:
        n_all = len(set(dataset.files))
        where += f": --validation {options.validation:g} leaves {n} of {n_all} images for training"
    if len(rest) < MIN_TRAINING_OBJECTS:
        raise InputError(f"{where}: at least {MIN_TRAINING_OBJECTS} images are needed, got {n}")
    try:
        option = "--cv" if options.cv else "--learning-curve"
        check_splits(dataset, checks, seed)
        option = "--confidence"
        if options.confidence:
            groups = None if options.group is None else file_groups(rest.files, options.group)
            check_folds(rest.y, group_folds(rest.X, groups, options.confidence, seed))
    except InputError as error:
        raise InputError(f"{where}: {option}: {error}") from None


def _open_report(
    options: argparse.Namespace,
    page: Path,
    model: ShapePredictor,
    plan: Plan,
    dataset: Dataset,
    checks: Checks,
    finished: int,
) -> TrainingReport:
    rest, held_out = hold_out(dataset, checks, plan.random_state)
    about = {
        "Datasets": ", ".join(options.datasets),
        "Boxes": ", ".join(options.boxes) or plan.text.partition(": ")[2],
        "Objects": f"{len(rest)} for training" + (f", {len(held_out)} held out for validation" if held_out else ""),
        "Model file": options.out,
    }
    if options.split is not None:
        about["Split"] = options.split
    return TrainingReport(page, f"Training {Path(options.out).name}", model, about, finished=finished)
