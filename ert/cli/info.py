"""``ert info`` and ``ert models``: the contents of a model file, and the bundled models."""

import argparse
import os
import platform
from collections.abc import Iterator
from typing import Any

from ert._core.exceptions import InputError, counted, one_line
from ert._core.files import bundled_models
from ert._core.runtime import count_threads
from ert._core.system import provenance
from ert._kernels import choice
from ert.cli import common
from ert.cli.parser import Parser
from ert.metrics import normalizer_text
from ert.model.fitted import array_bytes, model_sizes, stage_text
from ert.predictor import ShapePredictor, load

# Beginnings of the names of variables that change what computes, and how.
_SETTINGS = ("ERT_", "NUMBA_", "OMP_NUM_THREADS")
_BOXES = {
    "given": "given by the user",
    "whole": "the whole image",
    "face": "of a face detector",
    "learned": "of the locator in the model",
}


def add_info_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help=common.MODEL_HELP)
    text = "print versions, processor, kernels and cache in place of a model: what a report of a fault needs"
    parser.add_argument("--system", action="store_true", help=text)
    common.add_json(parser, "everything")
    common.add_force(parser)


def run_info(options: argparse.Namespace) -> int:
    """Print the contents of a model file.

    With --system, print versions, processor, kernels and cache instead.

    ert info face68 --json -
    ert info --system
    """
    if options.system == (options.model is not None):
        raise InputError("ert info: expected either MODEL or --system")
    common.check_json_file(options.json)
    if options.system:
        system = _system()
        common.output(system, options.json, (f"{name}: {_text(value)}" for name, value in system.items()))
        return 0
    model = load(options.model)
    facts: dict[str, Any] = {
        "model": str(options.model),
        "box_source": model.box_source_,
        "n_landmarks": model.n_landmarks_,
        "landmark_names": list(model.landmark_names_),
        **model_sizes(model.fitted_),
        "member_bytes": [array_bytes(member) for member in model.members_],
        "summary": model.summary_,
        "history": model.history_,
        "parameters": model.get_params(),
        "confidence": model.fitted_.confidence_summary or None,
    }
    common.output(facts, options.json, _describe(facts, model))
    return 0


def _system() -> dict[str, Any]:
    ready = choice.ahead.ready_folder()
    return {
        **provenance(("llvmlite", "scikit-image", "opencv-python-headless", "opencv-python", "pillow")),
        "system": platform.platform(),
        "threads": count_threads(-1),
        "kernels": None if choice.never_compiles() else choice.kernel_level(),
        "compiled kernels": None if ready is None else str(ready),
        "settings": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_SETTINGS)},
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in value.items() if text is not None) or "none"
    return "none" if value is None else str(value)


def _describe(facts: dict[str, Any], model: ShapePredictor) -> Iterator[str]:
    yield f"{facts['model']}: {facts['n_landmarks']} landmarks, {facts['array_bytes'] / 1e6:.2f} MB in memory"
    trees = f"{counted(facts['stages'], 'stage')} of {facts['trees_per_stage']} trees"
    yield f"  {trees} with {facts['leaves_per_tree']} leaves of {facts['components']} components"
    if facts["members"] > 1:
        megabytes = ", ".join(f"{n_bytes / 1e6:.2f}" for n_bytes in facts["member_bytes"])
        yield f"  {facts['members']} members of {megabytes} MB: mode='accurate' uses all of them, 'fast' the first"
    if model.summary_["n_objects"]:
        yield f"  trained on {counted(model.summary_['n_objects'], 'object')}, {model.summary_['n_samples']} samples"
    if (more := model.summary_.get("unlabelled")) is not None:
        photos = counted(more["n_photos"], "photo")
        yield f"  {more['n_kept']} of them marked by teachers in {photos} without annotations"
    yield f"  boxes: {_BOXES[facts['box_source']]}"
    if (found := model.summary_.get("validation")) is not None:
        yield f"  {_validation(found)}"
    for key, text in model.summary_["notes"].items():
        yield f"  {one_line(f'{key}: {text}')}"
    yield f"  {_confidence(facts['confidence'])}"
    for entry in model.history_:
        errors = common.stage_errors(entry)
        yield f"  error after {stage_text(entry)}: {errors} of the {common.normalizer_text(model)}"
    if model.history_:
        yield "  " + ", ".join(f"{key}={value}" for key, value in model.fitted_.params.items())


def _validation(found: dict[str, Any]) -> str:
    text = f"error of new photos {found['error']:.2f} % of the {normalizer_text(found['normalizer'])}"
    text += f" (95 % interval {found['low']:.2f} - {found['high']:.2f}; {found['method']}, "
    text += f"{counted(found['n_objects'], 'object')} in {counted(found['n_images'], 'image')}"
    if found["n_found"] < found["n_objects"]:
        text += f", {found['n_found']} found"
    text += f"); {found['pixels']:.3g} px"
    if found["length"] is not None:
        text += f", {found['length']:.3g} {one_line(found['unit'], 20)}"
    if found["scattered_error"] is not None:
        text += f"; boxes around the true landmarks: {found['scattered_error']:.2f} % in boxes scattered by 10 %"
    return text


def _confidence(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return "no confidence model (ert train --confidence)"
    text = f"confidence model fitted in {summary['n_folds']} folds"
    if summary["failed_auc"] is not None:
        text += f"; held out, failed alignments: area under the ROC curve {summary['failed_auc']:.3f}"
    if summary["background_rejected"] is not None:
        text += f", background rejected {summary['background_rejected']:.1%}"
    return text


def add_models_options(_: Parser) -> None:
    """Add nothing: the command has no options."""


def run_models(options: argparse.Namespace) -> int:
    """List the bundled models.

    ert models
    ert models | grep landmarks
    """
    for name, path in bundled_models().items():
        model = load(name)
        stages = f"{counted(model.n_stages, 'stage')} of {model.n_trees} trees"
        common.show(f"{name}: {model.n_landmarks_} landmarks, {stages}, {path.stat().st_size / 1e6:.2f} MB")
        for key, text in model.summary_["notes"].items():
            common.show(f"  {one_line(f'{key}: {text}')}")
    return 0
