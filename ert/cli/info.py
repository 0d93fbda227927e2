"""``ert info`` and ``ert models``: the contents of a model file, and the bundled models."""

import argparse
from collections.abc import Iterator
from typing import Any

from ert._core.exceptions import one_line
from ert._core.files import bundled_models
from ert.cli import common
from ert.cli.parser import Parser
from ert.model.fitted import cascade_sizes
from ert.predictor import ShapePredictor, load


def add_info_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("model", metavar="MODEL", help=common.MODEL_HELP)
    common.add_json(parser, "everything")
    common.add_force(parser)


def run_info(options: argparse.Namespace) -> int:
    """Print the contents of a model file.

    ert info face68
    ert info model.ert --json -
    """
    common.check_json_file(options.json)
    model = load(options.model)
    facts: dict[str, Any] = {
        "model": str(options.model),
        "n_landmarks": model.n_landmarks_,
        "landmark_names": list(model.landmark_names_),
        **cascade_sizes(model.cascade_),
        "summary": model.summary_,
        "history": model.history_,
        "parameters": model.get_params(),
        "confidence": model.fitted_.confidence_summary or None,
    }
    common.output(facts, options.json, _describe(facts, model))
    return 0


def _describe(facts: dict[str, Any], model: ShapePredictor) -> Iterator[str]:
    yield f"{facts['model']}: {facts['n_landmarks']} landmarks, {facts['array_bytes'] / 1e6:.2f} MB in memory"
    trees = f"{facts['stages']} stages of {facts['trees_per_stage']} trees"
    yield f"  {trees} with {facts['leaves_per_tree']} leaves of {facts['components']} components"
    if model.summary_["n_objects"]:
        yield f"  trained on {model.summary_['n_objects']} objects, {model.summary_['n_samples']} samples"
    for key, text in model.summary_["notes"].items():
        yield f"  {one_line(f'{key}: {text}')}"
    yield f"  {_confidence(facts['confidence'])}"
    for entry in model.history_:
        errors = common.stage_errors(entry)
        yield f"  error after stage {entry['stage']}: {errors} of the {common.normalizer_text(model)}"
    if model.history_:
        yield "  " + ", ".join(f"{key}={value}" for key, value in model.fitted_.params.items())


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
        stages = f"{model.n_stages} stages of {model.n_trees} trees"
        common.show(f"{name}: {model.n_landmarks_} landmarks, {stages}, {path.stat().st_size / 1e6:.2f} MB")
        for key, text in model.summary_["notes"].items():
            common.show(f"  {one_line(f'{key}: {text}')}")
    return 0
