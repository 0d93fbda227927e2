"""What the commands share: options, messages, progress, and the files they write."""

import argparse
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ert import metrics
from ert._core.exceptions import InputError, counted, one_line, printable
from ert._core.files import claim, descriptor, protect, write_text
from ert._core.image_paths import Levels, image_path, parse_levels
from ert._core.images import load_image
from ert._core.types import Pixels
from ert.datasets.dataset import Dataset
from ert.datasets.finder import walk
from ert.datasets.formats import load_dataset
from ert.evaluation.radial import landmark_rows
from ert.evaluation.report import check_report_packages
from ert.inference.mode import PredictionMode, resolve_mode
from ert.measurements.measure import UNITS
from ert.predictor import ShapePredictor

_T = TypeVar("_T")

DATASET_HELP = (
    "annotations: imglab .xml, .csv, .tps, COCO .json, WFLW .txt, .jsonl of ert predict, or a folder of .pts, "
)
DATASET_HELP += ".tem or .ljson files"
MODEL_HELP = "bundled model or model file"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PROGRESS_SECONDS = 5.0
MIN_PROGRESS_ITEMS = 5


# Options


def add_annotation_options(
    parser: argparse.ArgumentParser, *, part_order: str | None = "natural", many: bool = False
) -> None:
    """Add the options that `read_dataset` reads; with `many`, `--boxes` may be repeated."""
    add = parser.add_argument_group("reading annotations").add_argument
    boxes = "read the boxes from a CSV file, columns image, PREFIX_left, PREFIX_top, PREFIX_width, ...; "
    boxes += "or image: the whole image is the box"
    if many:
        boxes += "; if repeated, every object is used with each of its boxes"
        add("--boxes", action="append", default=[], metavar="CSV:PREFIX", help=boxes)
    else:
        add("--boxes", metavar="CSV:PREFIX", help=boxes)
    add("--split", metavar="NAME", help="use only the images of this split (column split of the boxes file)")
    order = "order of the parts in an imglab file: 2 before 10, or as dlib sorts them, 10 before 2 "
    order += f"(default: {part_order or 'natural, or dlib for a .dat file'})"
    add("--part-order", choices=("natural", "dlib"), default=part_order, help=order)
    images = "folder of the images, if they are not beside the annotations; a path of another machine or a URL in "
    add("--images", metavar="DIR", help=images + "the file is looked for there by its end")
    category = "use only the objects of this category of a COCO file; may be repeated, and '*' is all"
    add("--category", action="append", metavar="NAME", help=category)
    label = "use only the objects with this label of an imglab or CSV file; may be repeated, and '*' is all"
    add("--label", action="append", metavar="NAME", help=label)
    exif = "read images with a turn noted in them (EXIF) as stored, as dlib does, or upright (default: as their size "
    exif += "or the landmarks in the file fit; else as stored for .xml files and a .dat model, and upright for others)"
    add("--exif", choices=("stored", "upright"), help=exif)
    add_levels(add)
    skip_bad = "go on without objects whose annotation is invalid or whose image is missing or damaged"
    add("--skip-bad", action="store_true", help=skip_bad)
    y_origin = "the row of pixels from which y is counted (default: bottom in .tps files, else top)"
    add("--y-origin", choices=("top", "bottom"), help=y_origin)
    missing = "V,... such as -1: landmarks at V,V in the file are missing; none: no such number stands for that"
    add("--missing", type=_numbers, metavar="V,...", help=missing)
    curves = "take the points of curves and outlines of a .tps file as landmarks"
    add("--curves", choices=("as-landmarks",), help=curves)


def _numbers(text: str) -> list[float]:
    try:
        return [] if text == "none" else [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers such as -1, or none") from None


def annotation_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `add_annotation_options` as arguments of `load_dataset`, without the boxes."""
    return {
        "split": options.split,
        "part_order": options.part_order,
        "image_folder": options.images,
        "category": options.category,
        "label": options.label,
        "exif": options.exif,
        "levels": options.levels,
        "y_origin": options.y_origin,
        "missing": options.missing,
        "curves": options.curves,
    }


def read_dataset(options: argparse.Namespace, path: str, boxes: str | None) -> Dataset:
    """Read annotations as the options of `add_annotation_options` say, and print what was left out."""
    dataset = load_dataset(path, boxes=boxes, skip_bad=options.skip_bad, **annotation_options(options))
    protect_dataset(dataset, path)
    log_skipped(dataset, path)
    return dataset


def protect_dataset(dataset: Dataset, path: str) -> None:
    """Keep the images of a dataset, and the files of a folder of annotations, from being written over."""
    protect([*dataset.files, *(skipped.file for skipped in dataset.skipped)])
    if Path(path).is_dir():
        protect(Path(parent, name) for parent, names in walk(Path(path)) for name in names)


def log_skipped(dataset: Dataset, path: str) -> None:
    """Print how many objects of a file were left out, and what else was passed over."""
    for kind, count in Counter(skipped.kind for skipped in dataset.skipped).items():
        first = next(skipped.text for skipped in dataset.skipped if skipped.kind == kind)
        what = f"{count} of {len(dataset) + len(dataset.skipped)} objects left out ({kind})"
        log(f"{path}: {what}, first: {first}")
    for note in dataset.notes:
        log(f"{path}: {note}")


def in_order_of(model: str, names: Sequence[str], dataset: Dataset, path: str) -> Dataset:
    """Return a dataset with its landmarks in the order of a model's `names`, and say if that is another order.

    A model without names has numbers in their place, which say nothing about the order. Raises InputError for
    another number of landmarks.
    """
    found = dataset.landmark_names
    if len(found) != len(names):
        raise InputError(f"{path}: {counted(len(found), 'landmark')}, {model} has {len(names)}")
    numbers = [str(i) for i in range(len(names))]
    if list(found) == list(names) or list(names) == numbers or set(found) != set(names):
        return dataset
    log(f"{path}: the landmarks are put in the order of their names in {model}")
    return dataset.with_landmarks([found.index(name) for name in names])


def random_subset(dataset: Dataset, n: int) -> Dataset:
    """Return n objects drawn at random, since neighbors in a dataset are often alike; the same in every run."""
    return dataset.subset(random_items(len(dataset), n))


def random_items(total: int, n: int) -> NDArray[np.intp]:
    """Return n of the integers below a total, drawn at random, in ascending order; the same in every run."""
    return np.sort(np.random.default_rng(0).permutation(total)[:n])


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, with a default."""
    parser.add_argument("--model", default="face68", metavar="MODEL", help=f"{MODEL_HELP} (default: face68)")


def add_levels(add: Callable[..., object]) -> None:
    """Add `--levels`."""
    text = "scale gray images of 16 bits or floats from these values to black and white; auto takes the 0.1 and 99.9 "
    add("--levels", type=_levels, metavar="MIN,MAX", help=text + "percentiles of each image")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add `--exif` and `--levels`, which `read_image` takes."""
    text = "read images with a turn noted in them (EXIF) as stored, which is how dlib and imglab count the pixels of "
    text += "boxes, or upright (default: upright)"
    parser.add_argument("--exif", choices=("stored", "upright"), default="upright", help=text)
    add_levels(parser.add_argument)


def path_as_asked(file: str, options: argparse.Namespace) -> Path:
    """Return the path of an image that is read as the options of `add_reading` say."""
    return image_path(file, options.exif == "stored", options.levels)


def read_image(file: str, options: argparse.Namespace) -> Pixels:
    """Read an image as the options of `add_reading` say."""
    return load_image(path_as_asked(file, options))


def _levels(text: str) -> Levels:
    try:
        return parse_levels(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_box(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--box`; `default` is what happens without it."""
    text = f"left, top, width and height of the object in pixels (default: {default})"
    parser.add_argument("--box", type=parse_box, metavar="L,T,W,H", help=text)


def parse_box(text: str) -> list[float]:
    """Parse left, top, width and height."""
    try:
        box = [float(number) for number in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise argparse.ArgumentTypeError(f"{text!r}: expected LEFT,TOP,WIDTH,HEIGHT")
    return box


def add_detector(parser: argparse.ArgumentParser) -> None:
    """Add `--detector`."""
    text = "face detector: haar (OpenCV 4), lbp, dlib, yunet:FILE.onnx, or auto: haar if available, else lbp "
    parser.add_argument("--detector", default="auto", metavar="NAME", help=text + "(default: auto)")


def add_box_from(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--box-from`; "learnt" is a spelling of "learned"."""
    kinds = "auto", "whole", "given", "learned", "learnt", "face"
    parser.add_argument("--box-from", choices=kinds, default="auto", help=text)


def add_lengths(parser: argparse.ArgumentParser) -> None:
    """Add the options of errors as lengths, which `length_options` reads, and `--per-landmark`."""
    add = parser.add_argument_group("errors as lengths").add_argument
    add("--unit", choices=UNITS, default="mm", help="what the unit of the scale is called (default: mm)")
    within = "also the share of landmarks at most R from the true ones, in the unit of the scale, or pixels without one"
    add("--within", type=_radii, default=[], metavar="R,...", help=within)
    add("--per-landmark", action="store_true", help="also print the errors of each landmark")


def _radii(text: str) -> list[float]:
    radii = _numbers(text)
    if not radii or not all(0 < radius < np.inf for radius in radii):
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers above 0, such as 2,2.5,3,4")
    return radii


def length_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `add_lengths` as arguments of `error_figures`."""
    return {"unit": options.unit, "within": options.within}


def landmark_table(figures: dict[str, Any]) -> list[str]:
    """Return the errors of each landmark as lines of text."""
    head, rows = landmark_rows(figures)
    shown = [head, *rows]
    first = max(len(one_line(row[0], 40)) for row in shown)
    widths = [max(len(row[i]) for row in shown) + 2 for i in range(1, len(head))]
    return [
        f"{one_line(row[0], 40):<{first}}"
        + "".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
        for row in shown
    ]


def add_mode(parser: argparse.ArgumentParser, default: str = "fast") -> None:
    """Add `--mode` and `--inits`, which `prediction_mode` reads."""
    mode = "accurate: three initializations, a second pass and, if the model supports them, the mirror image "
    mode += f"and restarts; all members of a model take part; about five times slower (default: {default})"
    parser.add_argument("--mode", choices=("fast", "accurate"), default=default, help=mode)
    inits = "use the median of N initializations, 1 to 7, whatever the mode; N times slower"
    parser.add_argument("--inits", type=int, metavar="N", help=inits)


def prediction_mode(options: argparse.Namespace, model: ShapePredictor) -> PredictionMode:
    """Return the mode that `--mode` and `--inits` ask for, checked against the model."""
    mode = resolve_mode(options.mode, model.fitted_)
    return mode if options.inits is None else resolve_mode(replace(mode, n_inits=options.inits), model.fitted_)


def add_jobs(parser: argparse._ActionsContainer, dest: str = "jobs", text: str = "threads") -> None:
    """Add `--jobs`; `text` is what there are N of."""
    text += "; -1 = all processors (default: -1)"
    parser.add_argument("--jobs", type=int, default=-1, metavar="N", dest=dest, help=text)


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--json`, which `check_json_file` and `write_json` take."""
    parser.add_argument("--json", metavar="FILE", help=f"write {what} to FILE as JSON; - is standard output")


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add `--force`, which the main program reads."""
    text = "also replace files of another kind than what is written; never a file that is read"
    parser.add_argument("--force", action="store_true", help=text)


def parse_integers(option: str, text: str, expected: str = "") -> list[int]:
    """Return the integers in an option's value such as ``1,0,2``; `expected` is what else it takes."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: expected {expected}integers separated by commas") from None


# Messages and progress


_THIS_THREAD = threading.local()


def log(text: str) -> None:
    """Print a line for the user on standard error."""
    lines = getattr(_THIS_THREAD, "lines", None)
    if lines is not None:
        lines.append(text)
    else:
        print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def held_back() -> Iterator[list[str]]:
    """Collect what this thread would `log`, warnings included, to be printed in the order of the images."""
    lines: list[str] = []
    _THIS_THREAD.lines = lines
    try:
        yield lines
    finally:
        _THIS_THREAD.lines = None


def show(*lines: str) -> None:
    """Print the lines of a result on standard output."""
    print("\n".join(map(printable, lines)))


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Callable[..., object]]:
    """Show how far a loop is: with a bar on a terminal, with a line every few seconds elsewhere.

    It yields a function to call with the number of items that are done since the last call, by default 1.
    `unit` is what an item is, in the singular.
    """
    if sys.stderr.isatty():
        few = total is not None and total < MIN_PROGRESS_ITEMS
        with tqdm(total=total, unit=unit, leave=False, disable=few) as bar:
            yield bar.update
        return
    done, begin = 0, monotonic()
    printed = begin

    def update(n: int = 1) -> None:
        nonlocal done, printed
        done, now = done + n, monotonic()
        if now - printed < PROGRESS_SECONDS:
            return
        printed, rate = now, done / (now - begin)
        of_total = left = ""
        if total is not None:
            of_total, left = f" of {total}", f", {max(total - done, 0) / rate:.0f} s left"
        log(f"ert: {done}{of_total} {unit}s, {rate:.3g} {unit}s/s{left}")

    yield update


def with_progress(items: Iterable[_T], total: int, unit: str) -> Iterator[_T]:
    """Iterate over items and show the progress."""
    with progress(total, unit) as update:
        for item in items:
            yield item
            update()


def stage_errors(entry: dict[str, float], what: str = "") -> str:
    """Return the errors in an entry of `history_` as text, with `what` before each number."""
    errors = {key.removesuffix("_nme"): value for key, value in entry.items() if key.endswith("_nme")}
    return ", ".join(f"{name}{what} {value:.2f} %" for name, value in errors.items())


def normalizer_text(model: ShapePredictor) -> str:
    """Return what the errors of a model are percentages of."""
    if model.normalizer in ("box", "diagonal"):
        return f"landmarks' {model.normalizer}"
    return metrics.normalizer_text(model.normalizer)


# Output


def output(data: Any, json_file: str | None, lines: Iterable[str]) -> None:
    """Write the data to the file of `--json`, and print the lines unless the data go to standard output."""
    if json_file:
        write_json(data, json_file)
    if json_file is None or not _is_standard_output(json_file):
        show(*lines)


def check_image_suffix(file: str) -> None:
    """Check that a file to draw into has the suffix of an image."""
    suffix = Path(file).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{file}: unknown suffix {suffix!r}, expected {', '.join(IMAGE_SUFFIXES)}")


def check_json_file(file: str | None) -> None:
    """Check, before long work, that the file of `--json` can be written."""
    if file is not None and not _is_standard_output(file):
        claim(file, "json", "--json")


def _is_standard_output(file: str) -> bool:
    return file == "-" or descriptor(file) == 1


def write_json(data: Any, file: str) -> None:
    """Write to a file, or with "-" to standard output."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    if _is_standard_output(file):
        sys.stdout.write(text)
        return
    with write_text(file, "json") as target:
        target.write(text)


def report_page(folder: str | None) -> Path | None:
    """Create the folder of a report, and return the path of its page, which can be written; None for None."""
    if folder is None:
        return None
    page = make_folder(folder) / "report.html"
    claim(page, "page", "--report")
    check_report_packages(page)
    return page


def make_folder(folder: str | Path) -> Path:
    """Create a folder if it does not exist, and return its path."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror}") from error
    return Path(folder)
