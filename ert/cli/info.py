"""``ert info`` and ``ert models``: what is in a model file, and which models come along."""

import argparse
from typing import Any

from ert.cli.commands import normalizer_text, stage_errors, write_json

__all__ = [
    "run_info",
    "run_models",
]


def run_info(options: argparse.Namespace) -> int:
    """Tell what is in a model file."""
    from ert.model.fitted import cascade_sizes
    from ert.predictor import load

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
    if options.json:
        write_json(facts, options.json)
    if options.json != "-":
        size = facts["array_bytes"] / 1e6
        print(f"{facts['model']}: {facts['n_landmarks']} landmarks, {size:.2f} MB in memory")
        trees = f"{facts['stages']} stages of {facts['trees_per_stage']} trees"
        print(f"  {trees} with {facts['leaves_per_tree']} leaves of {facts['components']} numbers")
        if model.summary_["n_objects"]:
            counts = f"{model.summary_['n_objects']} objects, {model.summary_['n_samples']} samples"
            print(f"  trained on {counts}")
        for key, text in model.summary_["notes"].items():
            print(f"  {key}: {text}")
        print(f"  {_confidence(facts['confidence'])}")
        for entry in model.history_:
            shown = ", ".join(
                f"{key.replace('_nme', '')} {value:.2f} %" for key, value in stage_errors(entry)
            )
            print(f"  error after stage {entry['stage']}: {shown} of the {normalizer_text(model)}")
        if model.history_:
            print("  " + ", ".join(f"{key}={value}" for key, value in model.fitted_.params.items()))
    return 0


def _confidence(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return "tells no confidence of its landmarks (ert train --confidence)"
    told = f"tells the confidence of its landmarks, learned in {summary['n_folds']} folds"
    if summary["failed_auc"] is not None:
        told += f"; left out, failed alignments: area under the ROC {summary['failed_auc']:.3f}"
    if summary["background_rejected"] is not None:
        told += f", background told {summary['background_rejected']:.1%}"
    return told


def run_models(options: argparse.Namespace) -> int:
    """List the models that come with the package."""
    from ert._core.resources import bundled_models
    from ert.predictor import load

    for name, path in bundled_models().items():
        model = load(name)
        size = path.stat().st_size / 1e6
        stages = f"{model.n_stages} stages of {model.n_trees} trees"
        print(f"{name}: {model.n_landmarks_} landmarks, {stages}, {size:.2f} MB")
        for key, text in model.summary_["notes"].items():
            print(f"  {key}: {text}")
    return 0
