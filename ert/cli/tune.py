"""``ert tune``: search the parameters of training that suit a dataset, and train a model with them."""

import argparse
import re
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError, counted
from ert._core.file_kinds import is_of_kind
from ert._core.files import claim
from ert.cli import common
from ert.cli.measure import add_scale, with_scales
from ert.cli.parser import Parser
from ert.cli.train import add_parameters, given_parameters, read_datasets
from ert.datasets.split import file_groups
from ert.pipeline.plan import make_plan
from ert.pipeline.train import Checks, check_splits
from ert.pipeline.tuning.report import write_tuning_report
from ert.pipeline.tuning.storage import check_storage, is_url, require_optuna
from ert.pipeline.tuning.study import OBJECTIVES, Settings
from ert.pipeline.tuning.tune import Tuned, default_storage, run_tuning
from ert.training.presets import PRESETS

_SECONDS = {"s": 1, "m": 60, "h": 3600}
# What arguments of `ert.tune` are called here.
_OPTIONS = {"seconds": "time", "n_trials": "trials", "n_workers": "workers", "max_ms": "max-ms", "max_mb": "max-mb"}


def add_tune_options(parser: Parser) -> None:
    """Add the options."""
    parser.usage = "ert tune DATASET [DATASET ...] --out FILE [options]"
    add = parser.add_argument
    add("datasets", nargs="+", metavar="DATASET", help=common.DATASET_HELP)
    add("--out", required=True, metavar="FILE", help="model file to write: .ert")
    add("--time", type=_parse_time, metavar="T", help="time for all, such as 90s, 30m or 2h (default: 30m)")
    trials = "trials of the study, with those of earlier runs and of other processes; with it and without --time, the "
    add(
        "--trials",
        type=int,
        metavar="N",
        help=trials + "model is the same in every run (default: what the time allows)",
    )
    objective = "minimize the error of new photos, or search for all models that no other beats in error and time of "
    objective += "a face, or error and size of the file; the one with the smallest error is written (default: error)"
    add("--objective", choices=OBJECTIVES, default="error", help=objective)
    ms = "milliseconds that a face may take on one thread, without reading the image and finding the object"
    add("--max-ms", type=float, metavar="X", help=ms)
    add("--max-mb", type=float, metavar="X", help="megabytes that the model may have")
    storage = (
        "where the study is kept: a file, SQLite if it ends in .db, or the URL of a database. The same command goes "
    )
    storage += "on with it, and several processes and machines share it (default: beside the model, MODEL.tune.log)"
    add("--storage", metavar="FILE", help=storage)
    add(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that run trials, each with --jobs threads (default: 1)",
    )
    add("--cv", type=int, default=5, metavar="K", help="folds of the cross-validations (default: 5)")
    group = "what is never split by --cv: image, folder, FILE.csv:COLUMN, or a regular expression whose first group is "
    add("--group", metavar="GROUP", help=group + "matched in file names (default: image)")
    boxes = "where boxes come from: whole, given, learned, face or auto, as for ert train (default: auto)"
    common.add_box_from(parser, boxes)
    common.add_detector(parser)
    preset = "where the search starts, and what is compared with; parameters that are given are not searched "
    add("--preset", choices=(*PRESETS, "none"), default="auto", help=preset + "(default: auto)")
    add("--report", metavar="DIR", help="write DIR/report.html: the trials, with Optuna's charts")
    common.add_json(parser, "all trials")
    add_scale(parser)
    common.add_force(parser)
    common.add_annotation_options(parser, many=True)
    add_parameters(parser)


def _parse_time(text: str) -> float:
    found = re.fullmatch(r"(\d+\.?\d*)([smh]?)", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time such as 90s, 30m or 2h")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def run_tune(options: argparse.Namespace) -> int:
    """Search the parameters of training that suit annotated images, and train a model with them.

    ert tune wings.tps --out wings.ert --time 30m
    ert tune wings.tps --out wings.ert --trials 100 --max-mb 1 --report tuning
    """
    require_optuna()
    out = Path(options.out)
    if out.suffix != ".ert":
        raise InputError(f"{out}: expected a model file ending in .ert")
    given, norms = given_parameters(options)
    try:
        settings = Settings(options.time, options.trials, options.objective, options.max_ms, options.max_mb)
        checks = Checks(cv=options.cv, norms=norms)
        if options.cv < 2:
            raise InputError(f"cv {options.cv}: expected at least 2 folds")
        if options.workers < 1:
            raise InputError(f"n_workers {options.workers}: expected at least 1")
        if options.storage == "":
            raise InputError("storage '': expected a file, or the URL of a database")
    except InputError as error:
        name, _, rest = str(error).partition(" ")
        raise InputError(f"--{_OPTIONS.get(name, name)} {rest}") from None
    claim(out, "model", "--out")
    page = common.report_page(options.report)
    common.check_json_file(options.json)
    storage = str(options.storage or default_storage(out))
    if not is_url(storage):
        claim(storage, "study", "--storage")
    # Images of the dataset are known, and protected, from here on.
    dataset = with_scales(options, read_datasets(options))
    if options.force and not is_url(storage) and Path(storage).exists() and not is_of_kind(Path(storage), "study"):
        Path(storage).unlink()
    check_storage(storage)
    if options.group is not None:
        checks = Checks(cv=options.cv, norms=norms, groups=file_groups(dataset.files, options.group))
    choice: Any = {"box_from": options.box_from, "preset": options.preset, "detector": options.detector}
    plan = make_plan(dataset, **choice, suffix=out.suffix, given=given)
    try:
        check_splits(dataset, checks, plan.random_state)
    except InputError as error:
        raise InputError(f"{', '.join(options.datasets)}: --cv: {error}") from None
    try:
        tuned = run_tuning(
            plan,
            dataset,
            checks,
            settings,
            storage=storage,
            n_workers=options.workers,
            say=lambda text: common.log(f"ert: {text}"),
        )
    except KeyboardInterrupt:
        common.log("ert: interrupted; finished trials are kept: the same command goes on")
        return 130
    tuned.model.save(out)
    common.log(f"{out}: {out.stat().st_size / 1e6:.2f} MB from {counted(tuned.model.summary_['n_objects'], 'object')}")
    if page is not None:
        about = {"Datasets": ", ".join(options.datasets), "Model file": str(out), "Boxes": plan.text.partition(": ")[2]}
        write_tuning_report(page, f"Tuning {out.name}", tuned, about)
    for line in tuned.lines:
        common.log(line)
    if options.json:
        common.write_json(_record(options, tuned), options.json)
    return 0


def _record(options: argparse.Namespace, tuned: Tuned) -> dict[str, Any]:
    return {
        "model": options.out,
        "datasets": options.datasets,
        "objective": options.objective,
        "best": tuned.best,
        "front": tuned.front,
        "parameters": tuned.parameters,
        "trials": tuned.trials,
    }
