"""The command line: align, train, evaluate, convert, info, demo."""

import argparse
import inspect
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ert.errors import InputError
from ert.files import check_writable, write_atomically

if TYPE_CHECKING:
    from ert.alignment import AlignedFace
    from ert.datasets import Dataset
    from ert.predictor import ShapePredictor

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0, or 2 for bad input (one line on standard error), or 130 when interrupted.
    """
    options = _parser().parse_args(_join_box(sys.argv[1:] if arguments is None else arguments))
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except InputError as error:
        _say(f"ert: {error}")
        return 2
    except KeyboardInterrupt:
        _say("ert: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; so that Python's own flush at exit does not complain:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _say(f"ert: {error.filename or 'standard output'}: {error.strerror or error}")
        return 2


def _join_box(arguments: Sequence[str]) -> list[str]:
    """Write ``--box -5,..`` as ``--box=-5,..``: argparse takes what begins with a minus for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--box":
            joined[-1] = f"--box={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    from ert import __version__

    parser = argparse.ArgumentParser(prog="ert", description="Landmarks by ensembles of regression trees.")
    parser.add_argument("--version", action="version", version=f"ert {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    align = commands.add_parser("align", help="find the faces in images and their landmarks")
    align.set_defaults(run=_align)
    align.add_argument("images", nargs="+", metavar="IMAGE")
    align.add_argument("--model", default="face68", help="bundled model or model file (default: face68)")
    align.add_argument(
        "--box", type=_box, metavar="L,T,W,H", help="where the object is; nothing is detected then"
    )
    align.add_argument(
        "--detector", default="auto", help="auto, haar, lbp, dlib or yunet:FILE.onnx (default: auto)"
    )
    align.add_argument("--json", metavar="FILE", help="write the landmarks to FILE, - for standard output")
    align.add_argument("--draw", metavar="DIR", help="write annotated pictures to DIR")

    train = commands.add_parser("train", help="train a model on annotated images")
    train.set_defaults(run=_train)
    train.add_argument("datasets", nargs="+", metavar="DATASET", help="imglab .xml, folder of .pts, or .csv")
    train.add_argument("--out", required=True, metavar="FILE", help="the model file to write (.ert)")
    _add_dataset_options(train, many=True)
    train.add_argument(
        "--validation",
        type=float,
        default=0,
        metavar="FRACTION",
        help="hold out this part of the images and report",
    )
    train.add_argument(
        "--resume", action="store_true", help="go on with the stages an interrupted run has finished"
    )
    train.add_argument(
        "--note", action="append", default=[], metavar="KEY=TEXT", help="kept in the model: licence=..."
    )
    _add_parameters(train)

    evaluate = commands.add_parser("evaluate", help="measure a model on annotated images")
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("model", metavar="MODEL")
    evaluate.add_argument("dataset", metavar="DATASET")
    _add_dataset_options(evaluate, many=False)
    evaluate.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for standard output")
    evaluate.add_argument("--jobs", type=int, default=-1, help="threads (default: all processors)")

    convert = commands.add_parser("convert", help="convert a model between dlib's .dat and .ert")
    convert.set_defaults(run=_convert)
    convert.add_argument("source", metavar="SRC")
    convert.add_argument("destination", metavar="DST")
    convert.add_argument(
        "--exact", action="store_true", help="keep dlib's leaves as they are: a larger .ert, to the last bit"
    )

    info = commands.add_parser("info", help="tell what is in a model file")
    info.set_defaults(run=_info)
    info.add_argument("model", metavar="MODEL")
    info.add_argument("--json", metavar="FILE", help="write it to FILE, - for standard output")

    demo = commands.add_parser("demo", help="run the bundled model on the bundled picture")
    demo.set_defaults(run=_demo)
    demo.add_argument("--out", default="ert-demo", metavar="DIR", help="where to write (default: ert-demo)")
    return parser


def _add_dataset_options(parser: argparse.ArgumentParser, *, many: bool) -> None:
    text = "take the boxes from a CSV file, columns PREFIX_left, PREFIX_top, ..."
    if many:
        text += "; given twice, every object is used with both boxes"
        parser.add_argument("--boxes", action="append", default=[], metavar="CSV:PREFIX", help=text)
    else:
        parser.add_argument("--boxes", metavar="CSV:PREFIX", help=text)
    parser.add_argument(
        "--split", metavar="NAME", help="only the images of this split (column `split` of the boxes)"
    )


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    """Offer the estimator's parameters as options, with its defaults."""
    from ert.predictor import ShapePredictor

    group = parser.add_argument_group("parameters of the predictor, see ert.ShapePredictor")
    for name, parameter in inspect.signature(ShapePredictor.__init__).parameters.items():
        if name in ("self", "verbose", "channels"):
            continue
        kind = str if parameter.default is None else type(parameter.default)
        flag = "--" + name.replace("_", "-")
        group.add_argument(flag, type=kind, default=parameter.default, help=f"(default: {parameter.default})")


def _box(text: str) -> list[float]:
    try:
        box = [float(number) for number in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise argparse.ArgumentTypeError(f"{text!r}: expected LEFT,TOP,WIDTH,HEIGHT")
    return box


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _patience() -> Iterator[None]:
    """Say what is going on when the first prediction has to be compiled."""
    timer = threading.Timer(
        1.0, _say, ["ert: compiling for this processor, once; the next run starts at once ..."]
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _write_json(data: Any, file: str) -> None:
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    with write_atomically(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _align(options: argparse.Namespace) -> int:
    from ert.predictor import load

    model = load(options.model)
    if options.json not in (None, "-"):
        check_writable(options.json)
    pictures = _picture_paths(options.images, options.draw)
    results: list[dict[str, Any]] = []
    try:
        with _patience():
            for file in _with_progress(options.images, "image"):
                try:
                    results.append(_align_one(file, model, options.box, options.detector, pictures[file]))
                except InputError as error:
                    # The other images are still worth doing.
                    _say(f"ert: {error}")
                    results.append({"file": file, "error": str(error)})
    finally:
        # An interrupted run keeps what it has done.
        if options.json:
            names = list(model.landmark_names_)
            _write_json(
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
    file: str, model: "ShapePredictor", box: list[float] | None, detector: str, picture: Path | None
) -> dict[str, Any]:
    from ert.alignment import align
    from ert.images import load_image

    image = load_image(file)
    faces = align(image, model, boxes=None if box is None else [box], detector=detector, what=file)
    if picture is not None:
        _draw(image, faces, picture)
    boxes = ", ".join("box " + ",".join(f"{number:.0f}" for number in face.box) for face in faces)
    count = "no face found" if not faces else f"{len(faces)} face{'s' * (len(faces) != 1)}: {boxes}"
    _say(f"{file}: {count}" + (f" -> {picture}" if picture else ""))
    rows, columns = image.shape[:2]
    return {
        "file": file,
        "width": columns,
        "height": rows,
        "faces": [
            {"box": face.box.round(3).tolist(), "landmarks": face.landmarks.round(3).tolist()}
            for face in faces
        ],
    }


def _draw(image: Any, faces: "list[AlignedFace]", path: Path) -> None:
    from ert.draw import draw_landmarks, save_image

    _make_folder(path.parent)
    shapes, boxes = [face.landmarks for face in faces], [face.box for face in faces]
    save_image(path, draw_landmarks(image, shapes, boxes))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror}") from error


def _with_progress(items: Sequence[str], unit: str) -> Iterator[str]:
    from tqdm import tqdm

    yield from tqdm(items, unit=unit, disable=len(items) < 5 or not sys.stderr.isatty(), leave=False)


def _train(options: argparse.Namespace) -> int:
    from ert.datasets import load_dataset
    from ert.predictor import ShapePredictor, load

    names = inspect.signature(ShapePredictor.__init__).parameters
    params = {name: value for name, value in vars(options).items() if name in names}
    if params["mirror"] and "," in params["mirror"]:
        params["mirror"] = _numbers(params["mirror"])
    notes = dict(_note(note) for note in options.note)
    out = Path(options.out)
    if out.suffix != ".ert":
        raise InputError(f"{out}: expected a model file ending in .ert")
    check_writable(out)
    checkpoint = out.with_name(f"{out.stem}.checkpoint.ert")
    if checkpoint.exists() and not options.resume:
        raise InputError(
            f"{checkpoint}: stages of an interrupted run are there: go on with --resume, or remove the file"
        )
    datasets = [
        load_dataset(path, boxes=boxes, split=options.split)
        for boxes in options.boxes or [None]
        for path in options.datasets
    ]
    dataset = sum(datasets[1:], datasets[0])
    validation = None
    if options.validation:
        dataset, held_out = _hold_out(dataset, options.validation, options.random_state)
        validation = (held_out.X, held_out.y)
    model = ShapePredictor(**params, verbose=1)
    try:
        model.fit(
            dataset.X,
            dataset.y,
            validation=validation,
            landmark_names=dataset.landmark_names,
            notes=notes,
            checkpoint=checkpoint,
            resume=options.resume,
        )
    except KeyboardInterrupt:
        if checkpoint.exists():
            done = load(checkpoint).cascade_.anchors.shape[0]
            _say(f"ert: interrupted; {done} finished stages are kept in {checkpoint}: go on with --resume")
            return 130
        raise
    model.save(out)
    checkpoint.unlink(missing_ok=True)
    last = ", ".join(
        f"{key.replace('_nme', '')} NME {value:.2f} %" for key, value in _errors(model.history_[-1])
    )
    learnt = f"{len(dataset)} objects, {len(dataset.landmark_names)} landmarks"
    _say(f"{out}: {out.stat().st_size / 1e6:.2f} MB from {learnt}; {last} of the {model.norm or 'box side'}")
    return 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--mirror {text}: expected a scheme's name, or whole numbers with commas") from None


def _errors(entry: dict[str, float]) -> list[tuple[str, float]]:
    return [(key, value) for key, value in entry.items() if key.endswith("_nme")]


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


def _evaluate(options: argparse.Namespace) -> int:
    from ert.datasets import load_dataset
    from ert.metrics import evaluate
    from ert.predictor import load

    model = load(options.model)
    if options.json not in (None, "-"):
        check_writable(options.json)
    dataset = load_dataset(options.dataset, boxes=options.boxes, split=options.split)
    if len(dataset.landmark_names) != model.n_landmarks_:
        found = len(dataset.landmark_names)
        raise InputError(f"{options.dataset}: {found} landmarks, {options.model} has {model.n_landmarks_}")
    with _patience():
        predicted = model.predict(dataset.X, n_jobs=options.jobs, what=str(options.dataset))
    figures = evaluate(dataset.y, predicted)
    if options.json:
        details = {"model": str(options.model), "dataset": str(options.dataset), "boxes": options.boxes}
        _write_json(details | figures, options.json)
    if options.json != "-":
        print(f"{options.model} on {options.dataset}, {figures['n']} objects")
        print(f"{'normaliser':<14}{'NME %':>8}{'95 % interval':>18}{'median':>9}{'AUC 8 %':>9}{'failed':>9}")
        for norm, row in figures["norms"].items():
            low, high = row["interval_95"]
            print(
                f"{norm:<14}{row['mean']:>8.3f}{f'{low:.3f} - {high:.3f}':>18}{row['median']:>9.3f}"
                f"{row['auc_8']:>9.3f}{row['failure_rate_8']:>9.2%}"
            )
    return 0


def _convert(options: argparse.Namespace) -> int:
    from ert.predictor import load

    model = load(options.source)
    if Path(options.destination).suffix not in (".ert", ".dat"):
        raise InputError(f"{options.destination}: expected a model file ending in .ert or .dat")
    if Path(options.destination).suffix == ".ert" and not options.exact:
        model = model.compact()
    model.save(options.destination)
    before, after = (Path(file).stat().st_size / 1e6 for file in (options.source, options.destination))
    _say(f"{options.source} ({before:.1f} MB) -> {options.destination} ({after:.1f} MB)")
    return 0


def _info(options: argparse.Namespace) -> int:
    from ert.predictor import load

    model = load(options.model)
    cascade = model.cascade_
    n_stages, n_trees, n_leaves, n_components = cascade.leaves.shape
    facts: dict[str, Any] = {
        "model": str(options.model),
        "n_landmarks": model.n_landmarks_,
        "landmark_names": list(model.landmark_names_),
        "stages": n_stages,
        "trees_per_stage": n_trees,
        "leaves_per_tree": n_leaves,
        "components": n_components,
        "bits_per_leaf_number": 8 * cascade.leaves.dtype.itemsize,
        "array_bytes": sum(array.nbytes for array in cascade.arrays().values()),
        "summary": model.summary_,
        "history": model.history_,
        "parameters": model.get_params(),
    }
    if options.json:
        _write_json(facts, options.json)
    if options.json != "-":
        print(f"{facts['model']}: {facts['n_landmarks']} landmarks, {facts['array_bytes'] / 1e6:.2f} MB")
        print(f"  {n_stages} stages of {n_trees} trees with {n_leaves} leaves of {n_components} numbers")
        print(f"  trained on {model.summary_['n_objects']} objects, {model.summary_['n_samples']} samples")
        for key, text in model.summary_["notes"].items():
            print(f"  {key}: {text}")
        for entry in model.history_:
            print(f"  stage {entry['stage']}: " + ", ".join(f"{k} {v:.2f} %" for k, v in _errors(entry)))
        print("  " + ", ".join(f"{key}={value}" for key, value in model.get_params().items()))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from ert.images import sample_image

    picture = sample_image()
    out = Path(options.out)
    _make_folder(out)
    status = main(["align", str(picture), "--draw", str(out), "--json", str(out / "astronaut.json")])
    if status == 0:
        print(f"Wrote {out / 'astronaut_landmarks.png'} and {out / 'astronaut.json'}")
    return status
