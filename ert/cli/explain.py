"""The command line's reports: `--report` of `ert evaluate` and `ert train`, and `ert explain`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ert._core.exceptions import InputError
from ert._core.files import check_writable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ert.datasets.dataset import Dataset
    from ert.evaluation.attributes import Column
    from ert.evaluation.reports.training import TrainingReport
    from ert.predictor import ShapePredictor

__all__ = [
    "report_columns",
    "report_evaluation",
    "report_file",
    "run_explain",
    "training_report",
]


NAME = "report.html"
# So many objects and calls of each are timed: enough for a 99th percentile, and over in some seconds.
_TIMED, _REPEATS = 300, 5
# What a report groups by when it is not told: what landmarks, boxes and names of files tell.
_GROUPS, _GROUPS_OF_FACES = ("size", "source"), ("yaw", "roll", "mouth")


def report_file(folder: str) -> Path:
    """Make the folder of a report, and check before long work that the page can be written there."""
    from ert.cli.commands import make_folder

    make_folder(Path(folder))
    check_writable(Path(folder) / NAME)
    return Path(folder) / NAME


def report_columns(dataset: "Dataset") -> tuple[str, ...]:
    """Name the columns that a report groups by when it is not told."""
    return (*_GROUPS, *_GROUPS_OF_FACES) if dataset.landmarks.shape[1] == 68 else _GROUPS


def report_evaluation(
    options: argparse.Namespace,
    file: Path,
    model: "ShapePredictor",
    dataset: "Dataset",
    predicted: "npt.NDArray[np.float64]",
    columns: "dict[str, Column]",
    load: float | None,
) -> None:
    """Write the report of ``ert evaluate``; `load` is that of the machine before the model ran."""
    from ert._core.system import busy_notes
    from ert.cli.commands import log
    from ert.evaluation.reports.evaluation import Evaluation, write_report

    name = Path(options.model).name
    parts = [dataset.name]
    if options.split is not None:
        parts.append(f"split {options.split}")
    about = {
        "Model": str(options.model),
        "Dataset": f"{options.dataset}, {len(dataset)} objects",
        "Boxes": options.boxes or "those of the annotations",
        "Mode": options.mode,
    }
    if options.split is not None:
        about["Split"] = options.split
    evaluation = Evaluation(
        model,
        dataset,
        predicted,
        None if options.normalizer is None else [options.normalizer],
        # A group of all objects tells nothing.
        {key: column for key, column in columns.items() if len(set(column.values.tolist())) > 1},
        _call_times(model, dataset),
        about,
        busy_notes(load),
    )
    write_report(file, f"{name} on {', '.join(parts)}", evaluation)
    log(f"wrote {file}")


def training_report(
    options: argparse.Namespace,
    file: Path,
    model: "ShapePredictor",
    n_objects: int,
    n_validation: int,
    finished: int,
) -> "TrainingReport":
    """Return the live report of ``ert train``."""
    from ert.evaluation.reports.training import TrainingReport

    about = {
        "Datasets": ", ".join(options.datasets),
        "Boxes": ", ".join(options.boxes) or "those of the annotations",
        "Objects": f"{n_objects} to learn from"
        + (f", {n_validation} held out for validation" if n_validation else ""),
        "Model file": options.out,
    }
    if options.split is not None:
        about["Split"] = options.split
    return TrainingReport(file, f"Training {Path(options.out).name}", model, about, finished=finished)


def _call_times(model: "ShapePredictor", dataset: "Dataset") -> "npt.NDArray[np.float64]":
    import numpy as np

    from ert.evaluation.comparison import make_benchmark_model, measure

    # Drawn, because neighbors in a dataset are often alike; always the same, so that runs compare.
    drawn = np.sort(np.random.default_rng(0).permutation(len(dataset))[:_TIMED])
    _, milliseconds = measure([make_benchmark_model("", model, 0)], dataset.subset(drawn), _REPEATS)
    times: npt.NDArray[np.float64] = milliseconds[0]
    return times


def run_explain(options: argparse.Namespace) -> int:
    """Draw where a model looked in an image, and the shape after each stage."""
    from ert._core.images import load_image
    from ert.cli.commands import compiling_notice, log
    from ert.evaluation.explanation import explain
    from ert.evaluation.reports.explanation import check_explanation_file, save_explanation
    from ert.faces.detection import detect_faces
    from ert.predictor import load

    model = load(options.model)
    check_explanation_file(options.out)
    check_writable(options.out)
    image = load_image(options.image)
    box = options.box
    if box is None:
        boxes = detect_faces(image, options.detector)
        if not len(boxes):
            raise InputError(f"{options.image}: no face found, expected one or --box L,T,W,H")
        box = boxes[0]
    with compiling_notice():
        model.warm_up()
    explanation = explain(model, image, box, channel_order="rgb", what=str(options.image))
    save_explanation(options.out, image, box, explanation)
    moved = abs(explanation.shapes[-1] - explanation.shapes[0]).max()
    n_reads = int(explanation.reads.sum()) // 2
    place = ",".join(f"{number:.0f}" for number in box)
    log(
        f"{options.image}: box {place}, {n_reads} pairs of pixels compared, "
        f"landmarks moved by up to {moved:.1f} px -> {options.out}"
    )
    return 0
