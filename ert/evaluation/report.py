"""The report of an evaluation: an HTML page with errors, charts, pictures of objects, times and the model."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ert._core.exceptions import one_line
from ert._core.files import write_text
from ert._core.images import load_image
from ert._core.system import provenance
from ert._core.types import Floats, Pixels, StrPath
from ert.datasets.dataset import Dataset
from ert.evaluation.attributes import Column
from ert.evaluation.groups import by_groups, group_notes, group_rows
from ert.evaluation.radial import landmark_rows, normalizer_or_pair
from ert.metrics import landmark_errors, nme, normalizer_lengths, normalizer_text
from ert.model.confidence import FAILED, WITHIN
from ert.model.fitted import model_sizes
from ert.model.geometry import box_transforms
from ert.model.schemes import FACE68_REGIONS
from ert.plotting.charts import (
    plot_ced,
    plot_landmark_errors,
    plot_reliability,
    plot_stages,
    require_plot_packages,
    x_limit,
)
from ert.plotting.landmarks import PHOTO_COLORS, TRUTH, data_uri, object_thumbnail, shortened
from ert.predictor import ShapePredictor
from ert.training.calibration import coverage, reliability, roc_auc

if TYPE_CHECKING:
    from jinja2 import Environment

_FAILURE_PERCENT = 8.0
# Of the pictures of objects, which are shown small and open large.
_PICTURE_PIXELS = 320, 800
_PERCENTILES = (50, 90, 95, 99)
_LEVELS = (0.5, 0.8, 0.9, 0.95)
_NORMALIZERS = {"inter-ocular": "distance between the outer eye corners", "inter-pupil": "distance between the pupils"}


class Evaluation(NamedTuple):
    """A fitted model and its predictions on a dataset, whose images are read again for the pictures of objects."""

    model: ShapePredictor
    dataset: Dataset
    predicted: Floats  # (n, n_landmarks, 2)
    # Of `ert.metrics.evaluate`, with more about lengths; the first normalizer is that of all charts and other tables.
    figures: Mapping[str, Any]
    columns: Mapping[str, Column]  # to group the objects by
    milliseconds: Floats | None  # (n_timed, repeats): times of single calls for one object, on one thread
    about: Mapping[str, str]  # what was evaluated: "Model", "Dataset", ...
    notes: Sequence[str] = ()  # remarks on the times
    remarks: Sequence[str] = ()  # what is to be said before any error


def write_report(path: StrPath, title: str, evaluation: Evaluation) -> None:
    """Write the report of an evaluation as one self-contained HTML file."""
    check_report_packages(path)
    model, dataset, predicted = evaluation.model, evaluation.dataset, evaluation.predicted
    summary = evaluation.figures
    normalizer, row = next(iter(summary["norms"].items()))
    lengths = normalizer_or_pair(normalizer, dataset.y, dataset.landmark_names)
    errors = nme(dataset.y, predicted, lengths)
    unit = normalizer_text(normalizer)
    values: dict[str, Any] = {
        "title": title,
        "lead": f"{summary['n']} objects; errors in % of the {unit}",
        "remarks": evaluation.remarks,
        "unit": f"in % of the {unit}",
        "figures": list(_key_figures(summary, row, evaluation.milliseconds)),
        "errors": _errors(summary, errors, unit),
        "landmarks": _landmarks(model, summary, normalizer) | {"picture": _numbered(dataset, errors)},
        "model": _model(model),
        "about": {**evaluation.about, **provenance_facts(provenance(("pillow",)))},
        "notes": evaluation.notes,
    }
    values["best"], values["worst"] = _objects(dataset, predicted, errors)
    sections = {"errors": "Errors"}
    if evaluation.columns:
        sections["attributes"] = "Errors by attribute"
        by = by_groups(evaluation.columns, errors, normalizer)
        tables = {name: group_rows(column) for name, column in by["columns"].items()}
        values["groups"] = {"tables": tables, "notes": group_notes(by)}
    sections["landmarks"] = "Errors by landmark"
    sections["objects"] = "Faces" if summary["n_landmarks"] == 68 else "Objects"
    if model.confidence_model_ is not None:
        sections["confidence"] = "Confidence"
        values["confidence"] = _confidence(evaluation)
    if evaluation.milliseconds is not None:
        sections["time"] = "Time"
        values["times"] = _times(evaluation.milliseconds)
    sections |= {"model": "Model", "setup": "Setup"}
    write_page(path, "evaluation.html.j2", sections=sections, refresh=None, **values)


def _key_figures(
    summary: Mapping[str, Any], row: Mapping[str, Any], milliseconds: Floats | None
) -> Iterator[tuple[str, str, str]]:
    yield "mean error", f"{row['mean']:.2f} %", f"95 % interval {_interval(row['interval_95'])}"
    for radial in _radial(summary):
        low, high = radial["interval_95"]
        yield "mean radial error", f"{radial['mean']:.3g} {radial['unit']}", f"95 % interval {low:.3g} - {high:.3g}"
    yield "median error", f"{row['median']:.2f} %", "half of the objects have less"
    yield "failure rate", _percent(row["failure_rate_8"]), f"error above {_FAILURE_PERCENT:g} %"
    yield "AUC", f"{row['auc_8']:.3f}", f"area under the CED up to {_FAILURE_PERCENT:g} %; 1 is perfect"
    if milliseconds is not None:
        slow = f"99th percentile {np.percentile(milliseconds, 99):.2f} ms"
        yield "time per object", f"{np.median(milliseconds):.2f} ms", slow


def _errors(summary: Mapping[str, Any], errors: Floats, unit: str) -> dict[str, Any]:
    end = x_limit([errors])
    caption = f"Cumulative error distribution: objects with at most a given error, in % of the {unit}."
    if beyond := int((errors > end).sum()):
        caption += f" {beyond} with an error above {end:g} % are not shown."
    texts = (f"{name}: {_NORMALIZERS.get(name, normalizer_text(name))}" for name in summary["norms"])
    return {
        "chart": plot_ced({"": errors}, failure_limit=_FAILURE_PERCENT, x_end=end),
        "caption": caption,
        "normalizers": "; ".join(texts),
        "percentiles": [(f"{percent} %", f"{np.percentile(errors, percent):.2f}") for percent in _PERCENTILES],
        "lengths": _lengths(summary),
        "rows": [
            (
                name,
                f"{row['mean']:.3f}",
                _interval(row["interval_95"], 3),
                f"{row['median']:.3f}",
                f"{row['auc_8']:.3f}",
                f"{row['failure_rate_8']:.2%}",
            )
            for name, row in summary["norms"].items()
        ],
    }


def _lengths(summary: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of the table of errors as lengths."""
    radii = sorted({each["radius"] for radial in _radial(summary) for each in radial["within"]})
    head = ("unit", "objects", "mean", "95 % interval", "median", *(f"within {radius:g}" for radius in radii))
    rows = []
    for radial in _radial(summary):
        low, high = radial["interval_95"]
        shares = {each["radius"]: f"{each['share']:.1%}" for each in radial["within"]}
        numbers = f"{radial['mean']:.3g}", f"{low:.3g} - {high:.3g}", f"{radial['median']:.3g}"
        rows.append((radial["unit"], str(radial["n"]), *numbers, *(shares.get(radius, "-") for radius in radii)))
    return head, rows


def _radial(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in (summary.get("pixels"), summary.get("lengths")) if each and each["n"]]


def _landmarks(model: ShapePredictor, summary: Mapping[str, Any], normalizer: str) -> dict[str, Any]:
    values = np.array(summary["norms"][normalizer]["per_landmark"], float)  # NaN for None
    shape, names = model.cascade_.mean_shape.astype(float), model.landmark_names_
    lengths = normalizer_or_pair(normalizer, shape[None], names)
    length = float(normalizer_lengths(shape[None], lengths)[0])
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(-values[known], kind="stable")]
    head, rows = landmark_rows(summary)
    regions = FACE68_REGIONS.items() if len(values) == 68 else ()
    return {
        "chart": plot_landmark_errors(shape, values, names, length=length, label="mean error (%)"),
        "head": ("landmark", "mean error (%)", *head[2:]),
        "rows": [(names[i], *rows[i][1:]) for i in order],
        "regions": [
            (name.replace("_", " "), f"{np.nanmean(values[list(region)]):.2f}")
            for name, region in regions
            if np.isfinite(values[list(region)]).any()
        ],
    }


def _confidence(evaluation: Evaluation) -> dict[str, Any]:
    """Compare the probabilities and standard errors of the confidence model with the errors."""
    model, dataset = evaluation.model, evaluation.dataset
    normalizer = model.fitted_.params["normalizer"]
    errors = landmark_errors(dataset.y, evaluation.predicted)
    lengths = box_transforms(dataset.boxes)[:, 0] if normalizer is None else normalizer_lengths(dataset.y, normalizer)
    assessment = model.assess(dataset.X, evaluation.predicted, n_jobs=-1)
    known = np.isfinite(errors)
    good = np.nanmean(errors, axis=1) <= FAILED * lengths
    tables = {
        f"landmark within {100 * WITHIN:g} %": reliability(
            assessment.within[known], (errors <= WITHIN * lengths[:, None])[known]
        ),
        "object not failed": reliability(assessment.confidence, good),
    }
    shares = coverage(errors, assessment.std, [model.std_radius(level) for level in _LEVELS])
    n_failed = int((~good).sum())
    failures = f"{n_failed} of {len(good)} objects failed"
    if 0 < n_failed < len(good):
        failures += f"; area under the ROC curve of the confidence: {roc_auc(assessment.confidence, good):.3f}"
    return {
        "chart": plot_reliability(tables),
        "caption": (
            "Observed frequency against predicted probability: that a landmark is within "
            f"{100 * WITHIN:g} % of the {normalizer_text(normalizer)} of the true one, and that the mean "
            f"error of an object is at most {100 * FAILED:g} %. A calibrated model lies on the diagonal. "
            "Larger markers stand for more predictions."
        ),
        "coverage": [(f"{100 * level:.0f} %", _percent(share)) for level, share in zip(_LEVELS, shares, strict=True)],
        "failures": f"{failures}.",
    }


def _numbered(dataset: Dataset, errors: Floats) -> tuple[Pixels, str, str]:
    """Return a picture of the object with the median error and the names of its landmarks."""
    i = int(np.argsort(errors, kind="stable")[len(errors) // 2])
    names, name = list(dataset.landmark_names), dataset.files[i].name
    picture = object_thumbnail(
        load_image(dataset.files[i]), dataset.boxes[i], [dataset.landmarks[i]], [TRUTH], _PICTURE_PIXELS[1], names
    )
    return picture, f"The landmarks by name on {shortened(name)}", f"{name} with the names of its landmarks"


def _objects(dataset: Dataset, predicted: Floats, errors: Floats) -> tuple[list[Any], list[Any]]:
    """Return the objects with the smallest and largest errors: picture, caption, alternative text, large picture."""

    def picture(i: int) -> tuple[Pixels, str, str, Pixels]:
        shapes, colors = (dataset.landmarks[i], predicted[i]), (TRUTH, PHOTO_COLORS[0])
        image, name = load_image(dataset.files[i]), dataset.files[i].name
        small, large = (object_thumbnail(image, dataset.boxes[i], shapes, colors, size) for size in _PICTURE_PIXELS)
        error = f"{errors[i]:.2f} %"
        alt = f"{name} with its true landmarks in white and the predicted ones in blue, error {error}"
        return small, f"{error} {shortened(name)}", alt, large

    order = np.argsort(errors, kind="stable").tolist()
    n_best = min(6, len(order) // 2)
    worst = order[n_best:][::-1][:12]
    return [picture(i) for i in order[:n_best]], [picture(i) for i in worst]


def _times(milliseconds: Floats) -> dict[str, Any]:
    n, repeats = milliseconds.shape
    names = ("median", "lower quartile", "upper quartile", "99th percentile", "maximum")
    times = np.percentile(milliseconds, [50, 25, 75, 99, 100])
    return {
        "caption": f"{n * repeats} calls: {n} objects, {repeats} times each",
        "rows": [(name, f"{value:.3f}") for name, value in zip(names, times, strict=True)],
    }


def _model(model: ShapePredictor) -> dict[str, Any]:
    sizes, summary = model_sizes(model.fitted_), model.summary_
    facts: dict[str, object] = {
        "Landmarks": model.n_landmarks_,
        "Cascade": f"{sizes['stages']} stages of {sizes['trees_per_stage']} trees",
        "Trees": f"{sizes['leaves_per_tree']} leaves of {sizes['components']} values, "
        f"{sizes['bits_per_leaf_number']} bits each",
        **({"Members": sizes["members"]} if sizes["members"] > 1 else {}),
        "In memory": f"{sizes['array_bytes'] / 1e6:.2f} MB",
    }
    if summary["n_objects"]:
        facts["Trained on"] = f"{summary['n_objects']} objects ({summary['n_samples']} samples)"
        facts["Trained by"] = f"ert {summary['library_version']}"
    facts |= {str(key).capitalize(): text for key, text in summary["notes"].items()}
    return {
        "facts": facts,
        "chart": plot_stages(model.history_, sizes["stages"]) if model.history_ else None,
        "unit": normalizer_text(model.normalizer),
        "parameters": parameter_table(model),
    }


def parameter_table(model: ShapePredictor) -> tuple[str, tuple[str, ...], list[tuple[object, ...]]]:
    """Return caption, head and rows of a table of a predictor's parameters, changed ones first."""
    defaults = inspect.signature(ShapePredictor.__init__).parameters
    params = {name: value for name, value in model.get_params().items() if name != "verbose"}
    changed = {name for name, value in params.items() if value != defaults[name].default}
    rows: list[tuple[object, ...]] = [
        (name, str(params[name]), str(defaults[name].default) if name in changed else "")
        for name in sorted(params, key=lambda name: name not in changed)
    ]
    return f"Parameters; {len(changed)} differ from the default", ("parameter", "value", "default"), rows


def provenance_facts(made: Mapping[str, Any]) -> dict[str, str]:
    """Return what :func:`ert._core.system.provenance` found as names and texts."""
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items() if version)
    return {
        "Date": made["date"],
        "Versions": f"Python {made['python']}, {versions}",
        "Processor": f"{made['cpu']}, {made['cores']} cores",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(pair: Sequence[float], digits: int = 2) -> str:
    return f"{pair[0]:.{digits}f} - {pair[1]:.{digits}f}"


def check_report_packages(path: StrPath) -> None:
    """Raise an InputError, before long work, if a package is missing that a report needs."""
    require_plot_packages(str(path), "jinja2", "matplotlib")


def write_page(path: StrPath, template: str, **values: Any) -> None:
    """Render a template of the folder ``templates`` with its variables, and write the page.

    Texts may come from anywhere: each is escaped, and shortened to one line.
    """
    check_report_packages(path)
    text = environment().get_template(template).render(values)
    with write_text(path, "page") as file:
        file.write(text)


@cache
def environment() -> "Environment":
    """Return the Jinja2 environment of the templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("ert.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: one_line(value) if type(value) is str else value,
    )
    made.filters["data_uri"] = lambda image: Markup(data_uri(image))
    return made
