"""``ert train``: train a model on annotated images, with a checkpoint after each stage."""

import argparse
import ast
import inspect
import re
from collections.abc import Container
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import claim
from ert._core.runtime import count_threads
from ert.cli import common
from ert.cli.parser import Parser
from ert.datasets.dataset import Dataset
from ert.datasets.formats import dataset_format
from ert.evaluation.orientation import better_readings
from ert.evaluation.training_report import TrainingReport
from ert.inference.validation import MIN_TRAINING_OBJECTS
from ert.model.schemes import resolve_mirror_map
from ert.predictor import ShapePredictor, load
from ert.training.confidence import fold_checkpoints
from ert.training.confidence_samples import check_folds, group_folds
from ert.training.parameters import check_parameters, pool_advice
from ert.training.presets import PRESETS, choose_parameters, explain_choice

# Parameters of the predictor in the groups of the help text; any other is in the last group.
_GROUPS = {
    "the cascade": "kind n_stages n_trees max_depth learning_rate n_trees_averaged",
    "pixel features": "n_pixels n_pool_candidates n_split_tests prior_length padding pool_spread",
    "training samples": "n_inits n_shapes_mixed shift_jitter scale_jitter roll_jitter occlusion mirror",
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
    validation = "hold out this fraction of the images and report the error on them"
    add("--validation", type=float, default=0, metavar="FRACTION", help=validation)
    confidence = "also fit a confidence model, by training this many times more, each time with one fold of "
    confidence += "the objects held out (3 if no number is given)"
    add("--confidence", type=int, nargs="?", const=3, default=0, metavar="FOLDS", help=confidence)
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
    _add_parameters(parser)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
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
    listed = re.match(r"\{(.*?)\}", type_text)
    choices = [] if listed is None else [c for c in ast.literal_eval(f"[{listed[1]}]") if c is not None]
    kind_of_none = float if "float" in type_text else str
    kind = kind_of_none if default is None else type(default)
    shown = {"choices": choices} if choices else {"metavar": {int: "N", float: "X"}.get(kind, "NAME")}
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

    ert train landmarks.xml --out model.ert --validation 0.1
    ert train 300w/afw --boxes boxes.csv:dlib --split train --mirror face68 --out model.ert
    """
    out = Path(options.out)
    given = _given_parameters(options)
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
        common.log(f"{out}: training kind=dlib; a .dat file stores no landmark names, notes or mirror map")
    options.part_order = options.part_order or "natural"
    claim(out, "model", "--out")
    page = common.report_page(options.report)
    checkpoint = out.with_name(f"{out.stem}.checkpoint.ert")
    checkpoints = [checkpoint, *fold_checkpoints(checkpoint, options.confidence)]
    for file in checkpoints:
        if file.exists() and not options.resume:
            raise InputError(f"{file}: left by an interrupted training: continue with --resume, or remove it")
        claim(file, "model", f"the checkpoint {file.name}")
    random_state = int(ShapePredictor(**given).random_state or 0)
    dataset, validation = _read_datasets(options, random_state)
    _check_number(options, dataset, validation, random_state)
    # In these formats, tools count y from the top or from the bottom.
    upside_down = any(dataset_format(path) in ("csv", "tps") for path in options.datasets)
    with common.compiling_notice():
        better = better_readings(dataset, count_threads(options.n_jobs), upside_down=upside_down)
    for text in better.values():
        common.log(f"ert: {text}")
    chosen = {}
    if options.preset != "none":
        kind = given.get("kind", "ert")
        chosen = choose_parameters(options.preset, dataset.y, dataset.boxes, kind=kind)
        chosen = {name: value for name, value in chosen.items() if name not in given}
    model = ShapePredictor(**chosen | given, verbose=1)
    check_parameters(model.get_params())
    resolve_mirror_map(model.mirror, len(dataset.landmark_names))
    if chosen:
        common.log(f"ert: {explain_choice(options.preset, chosen, len(dataset))}")
        notes = {"preset": options.preset} | notes
    advice = pool_advice(dataset.y, dataset.boxes) if model.padding <= 0 and not model.pool_spread else None
    if advice:
        common.log(f"ert: {advice}")
    done = 0
    if options.resume:
        done = _finished_stages(checkpoint)
        found = f"{done} finished stages" if done else "no checkpoint found; starting from scratch"
        common.log(f"{checkpoint}: {found}")
    report = None
    if page is not None:
        report = _open_report(options, page, model, len(dataset), 0 if validation is None else len(validation), done)
    try:
        with report or nullcontext(), common.compiling_notice():
            model.fit(
                dataset.X,
                dataset.y,
                validation=None if validation is None else (validation.X, validation.y),
                landmark_names=dataset.landmark_names,
                notes=notes,
                checkpoint=checkpoint,
                resume=options.resume,
                on_stage=None if report is None else report.stage,
            )
        if options.confidence:
            model.fit_confidence(
                dataset.X, dataset.y, n_folds=options.confidence, checkpoint=checkpoint, resume=options.resume
            )
    except KeyboardInterrupt:
        if done := _finished_stages(checkpoint):
            common.log(f"ert: interrupted; {done} finished stages are in {checkpoint}: continue with --resume")
            return 130
        raise
    model.save(out)
    for file in checkpoints:
        file.unlink(missing_ok=True)
    summary = (
        f"{out}: {out.stat().st_size / 1e6:.2f} MB from {len(dataset)} objects, "
        f"{len(dataset.landmark_names)} landmarks; {common.stage_errors(model.history_[-1], ' NME')} "
        f"of the {common.normalizer_text(model)}"
    )
    if report is not None:
        report.end(f"Finished: {summary}")
    common.log(summary)
    return 0


def _given_parameters(options: argparse.Namespace) -> dict[str, Any]:
    names = inspect.signature(ShapePredictor.__init__).parameters
    params = {name: value for name, value in vars(options).items() if name in names}
    if "," in params.get("mirror", ""):
        params["mirror"] = common.parse_integers("--mirror", params["mirror"], "the name of a scheme, or ")
    return params


def _finished_stages(checkpoint: Path) -> int:
    return len(load(checkpoint).cascade_.anchors) if checkpoint.exists() else 0


def _read_datasets(options: argparse.Namespace, random_state: int) -> tuple[Dataset, Dataset | None]:
    """Read all datasets, with each of the boxes, and split off the validation images."""
    datasets = [
        common.read_dataset(options, path, boxes) for boxes in options.boxes or [None] for path in options.datasets
    ]
    dataset = sum(datasets[1:], datasets[0])
    if not options.validation:
        return dataset, None
    if not 0 < options.validation < 1:
        raise InputError(f"--validation {options.validation:g}: expected a fraction between 0 and 1")
    # Split by image file, so that no image is on both sides.
    files = sorted(set(dataset.files))
    n_held_out = max(1, round(options.validation * len(files)))
    drawn = np.random.default_rng(random_state).permutation(len(files))[:n_held_out]
    chosen = {files[i] for i in drawn}
    held_out = np.array([file in chosen for file in dataset.files])
    return dataset.subset(~held_out), dataset.subset(held_out)


def _check_number(options: argparse.Namespace, dataset: Dataset, validation: Dataset | None, random_state: int) -> None:
    """Raise now, not after the training, if there are too few images for it or for the folds."""
    n = len(set(dataset.files))
    where = ", ".join(options.datasets)
    if validation is not None:
        n_all = n + len(set(validation.files))
        where += f": --validation {options.validation:g} leaves {n} of {n_all} images for training"
    if len(dataset) < MIN_TRAINING_OBJECTS:
        raise InputError(f"{where}: at least {MIN_TRAINING_OBJECTS} images are needed, got {n}")
    if options.confidence:
        try:
            check_folds(dataset.y, group_folds(dataset.X, None, options.confidence, random_state))
        except InputError as error:
            raise InputError(f"{where}: --confidence: {error}") from None


def _open_report(
    options: argparse.Namespace, page: Path, model: ShapePredictor, n_objects: int, n_validation: int, finished: int
) -> TrainingReport:
    held_out = f", {n_validation} held out for validation" if n_validation else ""
    about = {
        "Datasets": ", ".join(options.datasets),
        "Boxes": ", ".join(options.boxes) or "from the annotations",
        "Objects": f"{n_objects} for training{held_out}",
        "Model file": options.out,
    }
    if options.split is not None:
        about["Split"] = options.split
    return TrainingReport(page, f"Training {Path(options.out).name}", model, about, finished=finished)
