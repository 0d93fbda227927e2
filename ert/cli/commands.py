"""What the commands of the command line do; each takes the parsed options and returns the exit status."""

import argparse
import inspect
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ert._core.exceptions import InputError
from ert._core.files import check_writable, remove_temporaries, write_atomically

if TYPE_CHECKING:
    from ert.datasets.dataset import Dataset
    from ert.evaluation.attributes import Column
    from ert.faces.align import AlignedFace
    from ert.predictor import ShapePredictor

__all__ = [
    "compiling_notice",
    "log",
    "make_folder",
    "normalizer_text",
    "run_align",
    "run_convert",
    "run_demo",
    "run_evaluate",
    "run_train",
    "stage_errors",
    "with_progress",
    "write_json",
]


def log(text: str) -> None:
    """Print a line for the user on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def compiling_notice() -> Iterator[None]:
    """Say what is going on when the first prediction has to be compiled."""
    timer = threading.Timer(
        1.0, log, ["ert: compiling for this processor, once; the next run starts at once ..."]
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def write_json(data: Any, file: str) -> None:
    """Write to a file, or with "-" to standard output."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    with write_atomically(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def run_align(options: argparse.Namespace) -> int:
    """Find faces and landmarks in images: JSON, pictures, a line for each."""
    from ert.predictor import load

    model = load(options.model)
    if model.confidence_model_ is None and (options.min_confidence or options.show_std):
        raise InputError(f"{options.model}: has no judge, which --min-confidence and --show-std need")
    if options.json not in (None, "-"):
        check_writable(options.json)
    pictures = _picture_paths(options.images, options.draw)
    results: list[dict[str, Any]] = []
    try:
        with compiling_notice():
            model.warm_up(rotated=options.any_roll)
        for file in with_progress(options.images, "image"):
            try:
                results.append(_align_one(file, model, options, pictures[file]))
            except InputError as error:
                # The other images are still worth doing.
                log(f"ert: {error}")
                results.append({"file": file, "error": str(error)})
    finally:
        # An interrupted run keeps what it has done.
        if options.json:
            names = list(model.landmark_names_)
            write_json(
                {"model": str(options.model), "landmark_names": names, "images": results}, options.json
            )
    return 2 if any("error" in result for result in results) else 0


def _picture_paths(images: Sequence[str], folder: str | None) -> dict[str, Path | None]:
    """Name the picture of each image after its stem, with a number where two images share one."""
    if folder is None:
        return dict.fromkeys(images)
    paths: dict[str, Path | None] = {}
    taken: set[str] = set()
    for image in dict.fromkeys(images):
        stem, number = Path(image).stem, 1
        name = f"{stem}_landmarks.png"
        while name in taken:
            number += 1
            name = f"{stem}_landmarks_{number}.png"
        taken.add(name)
        paths[image] = Path(folder) / name
    return paths


def _align_one(
    file: str, model: "ShapePredictor", options: argparse.Namespace, picture: Path | None
) -> dict[str, Any]:
    from ert._core.images import load_image
    from ert.faces.align import align

    image = load_image(file)
    boxes = None if options.box is None else [options.box]
    faces = align(
        image,
        model,
        boxes=boxes,
        detector=options.detector,
        any_roll=options.any_roll,
        min_confidence=options.min_confidence,
        what=file,
    )
    if picture is not None:
        radius = model.std_radius() if options.show_std else None
        _draw(image, faces, picture, radius)
    if faces:
        found = f"{len(faces)} face{'s' * (len(faces) != 1)}: "
        found += ", ".join(_described(face) for face in faces)
    else:
        found = "no face found (--any-roll finds turned ones, --detector takes another detector, --box a box)"
    log(f"{file}: {found}" + (f" -> {picture}" if picture else ""))
    rows, columns = image.shape[:2]
    return {
        "file": file,
        "width": columns,
        "height": rows,
        "faces": [_face_entry(face) for face in faces],
    }


def _described(face: "AlignedFace") -> str:
    box = "box " + ",".join(f"{number:.0f}" for number in face.box)
    return box if face.confidence is None else f"{box} ({face.confidence:.2f})"


def _face_entry(face: "AlignedFace") -> dict[str, Any]:
    entry: dict[str, Any] = {
        "box": face.box.round(3).tolist(),
        "roll": round(face.roll, 3),
        "landmarks": face.landmarks.round(3).tolist(),
    }
    if face.std is not None and face.confidence is not None:
        entry |= {"std": face.std.round(3).tolist(), "confidence": round(face.confidence, 4)}
    return entry


def _draw(image: Any, faces: "list[AlignedFace]", path: Path, radius: float | None) -> None:
    from ert.plotting.landmarks import draw_landmarks, save_image

    make_folder(path.parent)
    shapes, boxes = [face.landmarks for face in faces], [face.box for face in faces]
    radii = None if radius is None else [radius * face.std for face in faces if face.std is not None]
    save_image(path, draw_landmarks(image, shapes, boxes, radii=radii))


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror}") from error


def with_progress(items: Sequence[str], unit: str) -> Iterator[str]:
    """Go through items, of many with a progress bar."""
    from tqdm import tqdm

    yield from tqdm(items, unit=unit, disable=len(items) < 5 or not sys.stderr.isatty(), leave=False)


_DLIB_KIND = (
    "trained as dlib can express it; names of landmarks, notes and the mirror map have no place there"
)


def run_train(options: argparse.Namespace) -> int:
    """Train a model on annotated images, with a checkpoint after each stage."""
    from ert.cli.explain import report_file, training_report
    from ert.datasets.dataset import load_dataset
    from ert.predictor import ShapePredictor, load
    from ert.training.confidence import fold_checkpoints
    from ert.training.confidence_samples import group_folds

    names = inspect.signature(ShapePredictor.__init__).parameters
    params = {name: value for name, value in vars(options).items() if name in names}
    if params["mirror"] and "," in params["mirror"]:
        params["mirror"] = _numbers(params["mirror"])
    notes = dict(_note(note) for note in options.note)
    out = Path(options.out)
    if out.suffix not in (".ert", ".dat"):
        raise InputError(f"{out}: expected a model file ending in .ert, or in .dat for dlib")
    part_order = options.part_order
    if options.confidence and out.suffix == ".dat":
        raise InputError(f"{out}: dlib's format has no room for a judge, expected .ert with --confidence")
    if out.suffix == ".dat":
        params |= {"kind": "dlib", "gray_weights": "dlib"}
        # The points of a `.dat` have no names: scripts know them by the numbers that dlib gives them.
        part_order = part_order or "dlib"
        log(f"{out}: {_DLIB_KIND}")
    part_order = part_order or "natural"
    check_writable(out)
    page = None if options.report is None else report_file(options.report)
    checkpoint = out.with_name(f"{out.stem}.checkpoint.ert")
    if checkpoint.exists() and not options.resume:
        raise InputError(
            f"{checkpoint}: stages of an interrupted run are there: go on with --resume, or remove the file"
        )
    datasets = [
        load_dataset(
            path, boxes=boxes, split=options.split, part_order=part_order, image_folder=options.images
        )
        for boxes in options.boxes or [None]
        for path in options.datasets
    ]
    dataset = sum(datasets[1:], datasets[0])
    validation = None
    if options.validation:
        dataset, held_out = _hold_out(dataset, options.validation, options.random_state)
        validation = (held_out.X, held_out.y)
    if options.confidence:
        # Now, not after the training, if there are too few images for it.
        group_folds(dataset.X, None, options.confidence, options.random_state)
    model = ShapePredictor(**params, verbose=1)
    done = 0
    if options.resume:
        remove_temporaries(out)
        done = load(checkpoint).cascade_.anchors.shape[0] if checkpoint.exists() else 0
        log(
            f"{checkpoint}: {done} finished stages"
            if done
            else f"{checkpoint}: nothing to go on with, starting"
        )
    report = None
    if page is not None:
        n_validation = 0 if validation is None else len(validation[0])
        report = training_report(options, page, model, len(dataset), n_validation, done)
    try:
        with report or nullcontext():
            model.fit(
                dataset.X,
                dataset.y,
                validation=validation,
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
        if checkpoint.exists():
            done = load(checkpoint).cascade_.anchors.shape[0]
            log(f"ert: interrupted; {done} finished stages are kept in {checkpoint}: go on with --resume")
            return 130
        raise
    model.save(out)
    for file in (checkpoint, *fold_checkpoints(checkpoint, options.confidence)):
        file.unlink(missing_ok=True)
    last = ", ".join(
        f"{key.replace('_nme', '')} NME {value:.2f} %" for key, value in stage_errors(model.history_[-1])
    )
    learned = f"{len(dataset)} objects, {len(dataset.landmark_names)} landmarks"
    told = f"{out}: {out.stat().st_size / 1e6:.2f} MB from {learned}; {last} of the {normalizer_text(model)}"
    if report is not None:
        report.end(f"Finished: {told}")
    log(told)
    return 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--mirror {text}: expected a scheme's name, or whole numbers with commas") from None


def _note(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--note {text!r}: expected KEY=TEXT")
    return key, value


def _hold_out(dataset: "Dataset", fraction: float, seed: int) -> "tuple[Dataset, Dataset]":
    """Split by image file, so that no image stands on both sides."""
    import numpy as np

    if not 0 < fraction < 1:
        raise InputError(f"--validation {fraction:g}: expected a fraction between 0 and 1")
    files = sorted(set(dataset.files))
    drawn = np.random.default_rng(seed).permutation(len(files))[: max(1, round(fraction * len(files)))]
    chosen = {files[i] for i in drawn}
    held_out = np.array([file in chosen for file in dataset.files])
    return dataset.subset(np.flatnonzero(~held_out)), dataset.subset(np.flatnonzero(held_out))


def run_evaluate(options: argparse.Namespace) -> int:
    """Measure a model on annotated images; by groups of them as well, if asked."""
    from ert._core.system import machine_load
    from ert.cli.explain import report_columns, report_evaluation, report_file
    from ert.datasets.dataset import load_dataset
    from ert.evaluation.attributes import by_groups, group_lines
    from ert.metrics import evaluate, nme
    from ert.predictor import load

    model = load(options.model)
    if options.json not in (None, "-"):
        check_writable(options.json)
    report = None if options.report is None else report_file(options.report)
    load_before = machine_load()
    dataset = load_dataset(
        options.dataset,
        boxes=options.boxes,
        split=options.split,
        part_order=options.part_order,
        image_folder=options.images,
    )
    if len(dataset.landmark_names) != model.n_landmarks_:
        found = len(dataset.landmark_names)
        raise InputError(f"{options.dataset}: {found} landmarks, {options.model} has {model.n_landmarks_}")
    columns = _group_columns(options, dataset)
    with compiling_notice():
        model.warm_up()
    predicted = model.predict(dataset.X, n_jobs=options.jobs, what=str(options.dataset))
    figures = evaluate(dataset.y, predicted, None if options.normalizer is None else [options.normalizer])
    if columns:
        normalizer = next(iter(figures["norms"]))
        figures["by"] = by_groups(columns, nme(dataset.y, predicted, normalizer), normalizer)
    if options.json:
        details = {"model": str(options.model), "dataset": str(options.dataset), "boxes": options.boxes}
        write_json(details | figures, options.json)
    if options.json != "-":
        print(f"{options.model} on {options.dataset}, {figures['n']} objects")
        print(
            f"{'normalizer':<14}{'NME %':>8}{'95 % interval':>18}{'median':>9}{'AUC 8 %':>9}{'over 8 %':>9}"
        )
        for normalizer, row in figures["norms"].items():
            low, high = row["interval_95"]
            print(
                f"{normalizer:<14}{row['mean']:>8.3f}{f'{low:.3f} - {high:.3f}':>18}{row['median']:>9.3f}"
                f"{row['auc_8']:>9.3f}{row['failure_rate_8']:>9.2%}"
            )
        if {"box", "diagonal"} & set(figures["norms"]):
            print("box, diagonal: of the rectangle round the true landmarks")
        if columns:
            print("\n".join(group_lines(figures["by"])))
    if report is not None:
        shown = columns or _group_columns(options, dataset, report_columns(dataset))
        report_evaluation(options, report, model, dataset, predicted, shown, load_before)
    return 0


def _group_columns(
    options: argparse.Namespace, dataset: "Dataset", names: Sequence[str] = ()
) -> "dict[str, Column]":
    """Return the columns of --by, or without it those of `names`."""
    from ert.evaluation.attributes import group_columns

    if options.by is not None:
        names = list(dict.fromkeys(name.strip() for name in options.by.split(",")))
    elif options.columns is not None:
        raise InputError(f"--columns {options.columns} without --by, expected the columns to group by")
    path = Path(options.dataset)
    folder = Path(options.images or (path if path.is_dir() else path.parent))
    table = None if options.columns is None else Path(options.columns)
    part = options.split is not None
    return group_columns(names, dataset, folder, table, part=part, n_jobs=options.jobs)


def run_convert(options: argparse.Namespace) -> int:
    """Convert a model, or annotations."""
    from ert.model.dlib_cascade import DlibCascade
    from ert.predictor import load

    for_datasets = (options.to, options.boxes, options.split, options.images)
    if not {Path(file).suffix for file in (options.source, options.destination)} & {".ert", ".dat"}:
        return _convert_dataset(options)
    if any(option is not None for option in for_datasets) or options.part_order != "natural":
        raise InputError(
            "--to, --boxes, --split, --part-order and --images are for annotations,"
            " expected none with a model"
        )
    model = load(options.source)
    if Path(options.destination).suffix not in (".ert", ".dat"):
        raise InputError(f"{options.destination}: expected a model file ending in .ert or .dat")
    if Path(options.destination).suffix == ".ert" and not options.exact:
        model = model.compact()
    model.save(options.destination, compress=options.compress)
    if isinstance(model.cascade_, DlibCascade) and model.cascade_.basis.shape[1]:
        log("  compact: single points move a little; --exact keeps them to the last bit")
    log(f"{options.source} -> {options.destination}: {Path(options.destination).stat().st_size / 1e6:.1f} MB")
    return 0


# What a dataset does not hold, so that it goes whatever the target.
_NOT_READ = {
    "tps": "SCALE= and ID= are not kept",
    "coco": "whether a keypoint is hidden (v = 1) or visible (v = 2) is not kept",
    "tem": "the lines that webmorph draws are not kept",
    "ljson": "connectivity, and labels of regions, are not kept",
}


def _convert_dataset(options: argparse.Namespace) -> int:
    from ert.datasets.dataset import dataset_format, load_dataset
    from ert.datasets.write import write_dataset

    if options.exact or options.compress:
        raise InputError("--exact and --compress are for models, expected none with annotations")
    dataset = load_dataset(
        options.source,
        boxes=options.boxes,
        split=options.split,
        part_order=options.part_order,
        image_folder=options.images,
    )
    notes = write_dataset(dataset, options.destination, options.to)
    read = _NOT_READ.get(dataset_format(options.source))
    n, n_landmarks = len(dataset), len(dataset.landmark_names)
    log(f"{options.source} -> {options.destination}: {n} objects, {n_landmarks} landmarks")
    for note in [*([read] if read else []), *notes]:
        log(f"  {note}")
    return 0


def run_demo(options: argparse.Namespace) -> int:
    """Run the bundled model on the bundled picture."""
    from ert._core.resources import sample_image

    out = Path(options.out)
    make_folder(out)
    points = out / "astronaut.json"
    align = {
        "images": [str(sample_image())],
        "model": "face68",
        "box": None,
        "detector": "auto",
        "any_roll": False,
        "starts": None,
        "best": False,
        "min_confidence": 0.0,
        "show_std": False,
    }
    status = run_align(argparse.Namespace(**align, json=str(points), draw=str(out)))
    if status == 0:
        print(f"Wrote {out / 'astronaut_landmarks.png'} and {points}")
    return status


def stage_errors(entry: dict[str, float]) -> list[tuple[str, float]]:
    """Return the errors of an entry of `history_`."""
    return [(key, value) for key, value in entry.items() if key.endswith("_nme")]


def normalizer_text(model: "ShapePredictor") -> str:
    """Say what the errors of a model are parts of."""
    from ert import metrics

    return (
        f"landmarks' {model.normalizer}"
        if model.normalizer in ("box", "diagonal")
        else metrics.normalizer_text(model.normalizer)
    )
