"""The report of an evaluation: one HTML page with curves, groups, landmarks, faces, times and the model."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ert._core.files import write_atomically
from ert._core.images import load_image
from ert._core.system import provenance
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.evaluation.attributes import Column, by_groups, group_notes
from ert.evaluation.reports.html import facts, figure, gallery, key_figures, page, plain, table
from ert.metrics import evaluate, landmark_errors, nme, normalizer_lengths, normalizer_text
from ert.model.confidence import FAILED, WITHIN
from ert.model.fitted import cascade_sizes
from ert.model.geometry import box_frames
from ert.model.schemes import FACE68_REGIONS
from ert.plotting.charts import ced_curve, landmark_map, line_chart, reliability_chart, stage_chart, x_limit
from ert.plotting.thumbnails import ON_PHOTOS, TRUTH, object_thumbnail, shortened
from ert.predictor import ShapePredictor
from ert.training.calibration import coverage, reliability, roc_auc

__all__ = [
    "Evaluation",
    "parameter_table",
    "provenance_facts",
    "write_report",
]


_FAILURE = 8.0
_PERCENTILES = (50, 90, 95, 99)
_BEST, _WORST = 6, 12
_TILE = 320
_LEVELS = (0.5, 0.8, 0.9, 0.95)
_NORMS = {"inter-ocular": "outer eye corners", "inter-pupil": "pupils"}


@dataclass(frozen=True)
class Evaluation:
    """A model, and what it did on a dataset.

    Parameters
    ----------
    model : ShapePredictor
        Fitted.
    dataset : Dataset
        Its images are read again for the pictures of faces.
    predicted : (n, n_landmarks, 2) array
        The model's landmarks.
    norms : sequence of str or None
        Normalizers, the first for all that has one only; None as :func:`ert.metrics.evaluate`.
    columns : dict of str to Column
        What tells the groups of the objects, see :func:`ert.group_columns.group_columns`.
    milliseconds : (n_timed, repeats) array or None
        Times of single calls of one object, on one thread.
    about : dict of str to str
        What was measured on what, in words: "Model", "Dataset", ...
    notes : sequence of str
        What must be known to judge the figures.
    """

    model: ShapePredictor
    dataset: Dataset
    predicted: Floats
    norms: Sequence[str] | None
    columns: Mapping[str, Column]
    milliseconds: Floats | None
    about: Mapping[str, str]
    notes: Sequence[str] = ()


def write_report(path: str | os.PathLike[str], title: str, evaluation: Evaluation) -> None:
    """Write the report of an evaluation: one HTML file that holds all it needs.

    Parameters
    ----------
    path : path-like
        ``.html``; an existing file is replaced when the page is complete.
    title : str
    evaluation : Evaluation

    Raises
    ------
    InputError
        When the landmarks do not fit the dataset, an image cannot be read or the file cannot be written.
    """
    dataset, predicted = evaluation.dataset, evaluation.predicted
    summary = evaluate(dataset.y, predicted, evaluation.norms)
    normalizer = next(iter(summary["norms"]))
    errors = nme(dataset.y, predicted, normalizer)
    made = provenance(("pillow",))
    sections = [("Errors", _errors(summary, errors, normalizer))]
    if evaluation.columns:
        sections.append(("By groups", _groups(by_groups(evaluation.columns, errors, normalizer))))
    sections += [
        (
            "Landmark by landmark",
            _landmarks(evaluation.model, summary["norms"][normalizer]["per_landmark"], normalizer),
        ),
        ("Faces" if summary["n_landmarks"] == 68 else "Objects", _faces(dataset, predicted, errors)),
    ]
    if evaluation.model.confidence_model_ is not None:
        sections.append(("Confidence", _confidence(evaluation)))
    if evaluation.milliseconds is not None:
        sections.append(("Time", _times(evaluation.milliseconds, evaluation.notes)))
    sections += [
        ("Model", _model(evaluation.model)),
        ("How it was measured", facts({**evaluation.about, **provenance_facts(made)})),
    ]
    lead = f"{summary['n']} objects; errors in % of the {normalizer_text(normalizer)}"
    top = key_figures(list(_key_figures(summary["norms"][normalizer], evaluation.milliseconds)))
    text = page(title, lead, sections, top=top)
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _key_figures(row: Mapping[str, Any], milliseconds: Floats | None) -> Iterator[tuple[str, str, str]]:
    yield "mean error", f"{row['mean']:.2f} %", f"95 % interval {_span(row['interval_95'])}"
    yield "median error", f"{row['median']:.2f} %", "half of the objects have less"
    yield "failures", f"{row['failure_rate_8']:.1%}".replace("%", " %"), f"error above {_FAILURE:g} %"
    yield "AUC", f"{row['auc_8']:.3f}", f"area under the curve to {_FAILURE:g} %; 1 is perfect"
    if milliseconds is not None:
        slow = f"99th percentile {np.percentile(milliseconds, 99):.2f} ms"
        yield "time for one", f"{np.median(milliseconds):.2f} ms", slow


def _errors(summary: Mapping[str, Any], errors: Floats, normalizer: str) -> str:
    end = x_limit(errors)
    below = {percent: float(np.percentile(errors, percent)) for percent in _PERCENTILES}
    said = ", ".join(f"{percent} % of the objects up to {value:.2f} %" for percent, value in below.items())
    chart = line_chart(
        [ced_curve("", errors, end)],
        title=f"Cumulative distribution of the errors: {said}",
        x_label="mean error of an object, %",
        y_label="objects with at most this, %",
        x_end=end,
        y_end=100,
        mark=(_FAILURE, "failure") if end > _FAILURE else None,
    )
    beyond = int((errors > end).sum())
    more = f" {beyond} with more than {end:g} % lie beyond the drawing." if beyond else ""
    caption = f"Share of the objects whose error is at most so large, in % of the {normalizer_text(normalizer)}.{more}"
    rows = [
        (
            name,
            f"{row['mean']:.3f}",
            _span(row["interval_95"], 3),
            f"{row['median']:.3f}",
            f"{row['auc_8']:.3f}",
            f"{row['failure_rate_8']:.2%}",
        )
        for name, row in summary["norms"].items()
    ]
    head = ("normalizer", "mean, %", "95 % interval", "median", "AUC 8 %", "over 8 %")
    said_norms = "; ".join(
        f"{name}: {f'between the {_NORMS[name]}' if name in _NORMS else normalizer_text(name)}"
        for name in summary["norms"]
    )
    percentiles = [(f"{percent} %", f"{value:.2f}") for percent, value in below.items()]
    return (
        f'<div class="columns">\n{figure(chart, caption)}<div>\n'
        f"{table('Error by what it is divided by', head, rows)}"
        f'<p class="note">{plain(said_norms)}.</p>\n'
        f"{table('How large the errors are', ('of the objects', 'have at most, %'), percentiles)}"
        "</div>\n</div>"
    )


def _groups(by: Mapping[str, Any]) -> str:
    parts = []
    for name, column in by["columns"].items():
        rows = [
            (
                row["group"],
                row["n"],
                f"{row['mean']:.2f}",
                "-" if row["interval_95"] is None else _span(row["interval_95"]),
                f"{row['failure_rate']:.1%}",
                "-" if row["times_others"] is None else f"{row['times_others']:.2f}",
            )
            for row in column["groups"]
        ]
        head = (name, "objects", "mean, %", "95 % interval", "over 8 %", "times others")
        parts.append(table(f"By {name}", head, rows))
    notes = "".join(f"<li>{plain(note)}</li>\n" for note in group_notes(by))
    return f'<div class="columns">\n{"".join(parts)}</div>\n<ul class="note">\n{notes}</ul>'


def _landmarks(model: ShapePredictor, per_landmark: Sequence[float | None], normalizer: str) -> str:
    values = np.array([np.nan if value is None else value for value in per_landmark])
    shape, names = model.cascade_.mean_shape.astype(float), model.landmark_names_
    unit = f"in % of the {normalizer_text(normalizer)}"
    length = float(normalizer_lengths(shape[None], normalizer)[0])
    drawn = landmark_map(shape, values, names, length=length, label="mean error, %")
    caption = (
        f"The mean error of each landmark, {unit}, round its place in the model's mean shape: radius and "
        "color both tell it."
    )
    head = ("landmark", "mean error, %")
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-values[known], kind="stable")]
    listed = [(names[i], f"{values[i]:.2f}") for i in order]
    tables = []
    if len(values) == 68:
        regions = [
            (name.replace("_", " "), f"{np.nanmean(values[list(part)]):.2f}")
            for name, part in FACE68_REGIONS.items()
            if np.isfinite(values[list(part)]).any()
        ]
        # Right and left as the subject has them.
        tables.append(
            table(f"By part of the face, subject's right and left, {unit}", ("part", head[1]), regions)
        )
    if len(listed) > 10:
        tables.append(table(f"The ten least exact, {unit}", head, listed[:10]))
        rest = table(f"All, the least exact first, {unit}", head, listed)
        tables.append(f"<details>\n<summary>All {len(listed)} landmarks</summary>\n{rest}</details>\n")
    else:
        tables.append(table(f"The least exact first, {unit}", head, listed))
    return f'<div class="columns">\n{figure(drawn, caption)}<div>\n{"".join(tables)}</div>\n</div>'


def _confidence(evaluation: Evaluation) -> str:
    """Tell whether the judge's intervals and probabilities hold what they say."""
    model, dataset = evaluation.model, evaluation.dataset
    normalizer = model.fitted_.params["normalizer"]
    errors = landmark_errors(dataset.y, evaluation.predicted)
    lengths = (
        box_frames(dataset.boxes)[:, 0] if normalizer is None else normalizer_lengths(dataset.y, normalizer)
    )
    said = model.assess(dataset.X, evaluation.predicted, n_jobs=-1)
    known = np.isfinite(errors)
    good = np.nanmean(errors, axis=1) <= FAILED * lengths
    tables = {
        f"landmarks, within {100 * WITHIN:g} %": reliability(
            said.within[known], (errors <= WITHIN * lengths[:, None])[known]
        ),
        "objects, not failed": reliability(said.confidence, good),
    }
    bound = coverage(errors, said.std, [model.std_radius(level) for level in _LEVELS])
    rows = [
        (f"{level:.0%}".replace("%", " %"), f"{share:.1%}".replace("%", " %"))
        for level, share in zip(_LEVELS, bound, strict=True)
    ]
    failed = int((~good).sum())
    auc = "" if not 0 < failed < len(good) else f": area under the ROC {roc_auc(said.confidence, good):.3f}"
    caption = (
        f"How often comes true what is told: that a landmark lies within {100 * WITHIN:g} % of the "
        f"{normalizer_text(normalizer)} of the true one, and that an object's mean error is at most {100 * FAILED:g} %. "
        "The larger a dot, the more it stands for."
    )
    told = f"{failed} of {len(good)} objects failed; how well the confidence tells them from the others{auc}."
    return (
        f'<div class="columns">\n{figure(reliability_chart(tables), caption)}<div>\n'
        f"{table('Circles of the standard errors', ('meant to hold', 'hold of the landmarks'), rows)}"
        f'<p class="note">{plain(told)}</p>\n</div>\n</div>'
    )


def _faces(dataset: Dataset, predicted: Floats, errors: Floats) -> str:
    order = np.argsort(errors, kind="stable")
    best = order[: min(_BEST, len(order) // 2)]
    worst = order[::-1][: min(_WORST, len(order) - len(best))]
    parts = [
        f"<p>The true points are white, those that the model found are blue. Shown are the {len(worst)} "
        f"with the largest error and the {len(best)} with the smallest.</p>\n"
    ]
    for heading, chosen in (("Worst", worst), ("Best", best)):
        if len(chosen):
            thumbnails = [_face(dataset, predicted, errors, int(i), heading) for i in chosen]
            parts.append(f"<h3>{heading}</h3>\n{gallery(thumbnails)}")
    return "".join(parts)


def _face(
    dataset: Dataset, predicted: Floats, errors: Floats, i: int, which: str
) -> tuple[npt.NDArray[np.uint8], str, str]:
    image, box = load_image(dataset.files[i]), dataset.boxes[i]
    shapes, colors = (dataset.landmarks[i], predicted[i]), (TRUTH, ON_PHOTOS[0])
    name = dataset.files[i].name
    alt = f"{which}: {name} with its true points in white and those found in blue"
    thumbnail = object_thumbnail(image, box, shapes, colors, _TILE)
    return thumbnail, f"{errors[i]:.2f} % {shortened(name)}", f"{alt}, error {errors[i]:.2f} %"


def _times(milliseconds: Floats, notes: Sequence[str]) -> str:
    values = np.percentile(milliseconds, [50, 25, 75, 99, 100])
    names = ("median", "lower quartile", "upper quartile", "99th percentile", "longest")
    rows = [(name, f"{value:.3f}") for name, value in zip(names, values, strict=True)]
    n, repeats = milliseconds.shape
    caption = f"{n * repeats} calls: {n} objects, {repeats} times each"
    said = (
        "One call for one object, on one thread, with the image in memory: turning it to gray and cutting "
        "out the object is part of a call, reading the file is not."
    )
    told = "".join(f"<p>{plain(note)}</p>\n" for note in notes)
    listed = table(caption, ("of the calls", "milliseconds"), rows)
    return f'<div class="columns">\n<div>\n<p>{said}</p>\n{told}</div>\n{listed}</div>'


def _model(model: ShapePredictor) -> str:
    sizes, summary = cascade_sizes(model.cascade_), model.summary_
    trees = f"{sizes['stages']} stages of {sizes['trees_per_stage']} trees"
    leaves = f"{sizes['leaves_per_tree']} leaves of {sizes['components']} numbers"
    told: dict[str, object] = {
        "Landmarks": model.n_landmarks_,
        "Cascade": f"{trees}; a tree has {leaves} of {sizes['bits_per_leaf_number']} bits",
        "In memory": f"{sizes['array_bytes'] / 1e6:.2f} MB",
    }
    if summary["n_objects"]:
        told["Learned from"] = f"{summary['n_objects']} objects ({summary['n_samples']} samples)"
        told["Trained by"] = f"ert {summary['library_version']}"
    told |= {str(key).capitalize(): text for key, text in summary["notes"].items()}
    parts = [facts(told)]
    history = model.history_
    if history:
        said = (
            f"Mean error after each stage of the training, in % of the {normalizer_text(model.normalizer)}."
        )
        parts.append(figure(stage_chart(history, sizes["stages"]), said))
    return f'<div class="columns">\n<div>\n{"".join(parts)}</div>\n{parameter_table(model)}</div>'


def parameter_table(model: ShapePredictor) -> str:
    """Return a table of a predictor's parameters; those that are not as they are by default come first."""
    defaults = inspect.signature(ShapePredictor.__init__).parameters
    params = {name: value for name, value in model.get_params().items() if name != "verbose"}
    changed = {name for name, value in params.items() if value != defaults[name].default}
    rows = [
        (name, params[name], defaults[name].default if name in changed else "")
        for name in sorted(params, key=lambda name: name not in changed)
    ]
    caption = f"Parameters; {len(changed)} of them are not the default"
    return table(caption, ("parameter", "value", "default"), rows, numbers=False)


def provenance_facts(made: Mapping[str, Any]) -> dict[str, str]:
    """Put what :func:`ert.provenance.provenance` tells into words."""
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items() if version)
    return {
        "Date": made["date"],
        "Versions": f"Python {made['python']}, {versions}",
        "Processor": f"{made['cpu']}, {made['cores']} cores",
    }


def _span(pair: Sequence[float], digits: int = 2) -> str:
    return f"{pair[0]:.{digits}f} - {pair[1]:.{digits}f}"
