"""``ert dataset``: describe, check and show annotations, split them, and mirror them."""

import argparse
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError, counted
from ert._core.files import claim
from ert._core.images import image_size, load_image
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert._core.types import Pixels
from ert.cli import common
from ert.cli.parser import Parser, add_commands
from ert.datasets.assembly import check_not_empty, without_empty_landmarks
from ert.datasets.checks import NOT_LOADED, Finding, check_dataset, describe_dataset, known_scheme
from ert.datasets.dataset import Dataset, Skipped, mirror_dataset
from ert.datasets.formats import FILE_FORMATS, dataset_format, read_annotations, write_dataset
from ert.datasets.parsing import read_images, read_picture, read_size
from ert.datasets.split import file_groups, fold_groups, join_groups, split_groups
from ert.evaluation.orientation import better_readings
from ert.model.schemes import MIRROR_MAPS, resolve_mirror_map
from ert.plotting.landmarks import (
    contact_sheet,
    crop_thumbnail,
    draw_landmarks,
    object_view,
    save_image,
    to_thumbnail_pixels,
)
from ert.training.parameters import pool_advice

_T = TypeVar("_T")
MAX_PRINTED_FINDINGS = 10  # of one kind
THUMBNAIL_PIXELS = 256
_DEFAULT_PARTS = "train=0.8,test=0.2"
_TEXT = """Describe, check, show, split or mirror annotated images.

ert dataset check landmarks.xml
ert dataset split landmarks.csv --out parts
"""
_COMMANDS = {
    "info": ("dataset", "Count the objects, images and landmarks, and measure the images and boxes."),
    "check": ("dataset", "Find likely mistakes in the annotations, and corrupt or duplicate images."),
    "show": ("dataset", "Draw a contact sheet of objects with their boxes and landmarks."),
    "split": ("dataset", "Split the objects into parts or folds by groups, one file each."),
    "mirror": ("dataset", "Write mirrored images and their annotations."),
}


def add_dataset_options(parser: Parser) -> None:
    """Add the subcommands."""
    parser.describe(_TEXT)
    add_commands(parser, _COMMANDS)


def _add_dataset(parser: Parser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help=common.DATASET_HELP)
    common.add_annotation_options(parser)


def _read_images(read: Callable[[Path], _T], options: argparse.Namespace, dataset: Dataset) -> dict[Path, _T]:
    n_images = len(set(dataset.files))
    show = partial(common.with_progress, total=n_images, unit="image")
    return read_images(read, dataset.files, count_threads(options.jobs), show)


def _add_seed(parser: Parser) -> None:
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random choice (default: 0)")


def _read(options: argparse.Namespace) -> Dataset:
    return common.read_dataset(options, options.dataset, options.boxes)


def _read_all(options: argparse.Namespace) -> Dataset:
    """Read annotations up to the end, whatever is wrong with single objects."""
    arguments = common.annotation_options(options) | {"boxes": options.boxes}
    dataset = read_annotations(options.dataset, skip_bad=True, **arguments)
    common.protect_dataset(dataset, options.dataset)
    for note in dataset.notes:
        common.log(f"{options.dataset}: {note}")
    if not dataset.skipped and not len(dataset):
        check_not_empty(dataset, Path(options.dataset))
    kept = without_empty_landmarks(dataset)
    empty = (
        Skipped("missing landmarks", Path(options.dataset), f"landmark {name!r} is missing in all objects")
        for name in dataset.landmark_names
        if len(dataset) and name not in kept.landmark_names
    )
    return replace(kept, skipped=(*kept.skipped, *empty))


def add_info_options(parser: Parser) -> None:
    """Add the options."""
    common.add_json(parser, "everything")
    common.add_force(parser)
    common.add_jobs(parser)
    _add_dataset(parser)


def run_info(options: argparse.Namespace) -> int:
    """Count the objects, images and landmarks, and measure the images and boxes.

    ert dataset info landmarks.xml
    ert dataset info 300w/afw --boxes boxes.csv:dlib --json -
    """
    common.check_json_file(options.json)
    dataset = _read(options)
    facts = {"dataset": str(options.dataset), "format": dataset_format(options.dataset)}
    facts |= describe_dataset(dataset, _read_images(read_size, options, dataset))
    common.output(facts, options.json, _describe(facts))
    return 0


def _describe(facts: dict[str, Any]) -> Iterator[str]:
    n, names, n_squares = facts["objects"], facts["landmark_names"], facts["boxes_around_landmarks"]
    yield f"{facts['dataset']}: {facts['format']}, {counted(n, 'object')} in {counted(facts['images'], 'image')}"
    if facts["objects_per_image"]["max"] > 1:
        yield f"  objects in an image: {_range_text(facts['objects_per_image'])}"
    yield f"  {len(names)} landmarks: {', '.join(names if len(names) <= 20 else [*names[:4], '...', names[-1]])}"
    missing = [f"{name} in {count}" for name, count in facts["missing"].items() if count]
    yield f"  missing: {', '.join(missing) or 'none'}"
    for what in ("image", "box"):
        width, height = facts[f"{what}_width"], facts[f"{what}_height"]
        if width is not None:
            yield f"  {what} width: {_range_text(width)}; height: {_range_text(height)} pixels"
    if n_squares:
        yield f"  boxes: {'all' if n_squares == n else n_squares} are the squares around the landmarks"
    yield f"  mirror scheme: {facts['mirror_scheme'] or 'unknown'}"
    bad = facts["unreadable_images"]
    if bad:
        yield f"  {counted(len(bad), 'image')} cannot be read, {bad[0]} first; see ert dataset check"


def _range_text(values: dict[str, float]) -> str:
    return f"{values['min']:g} to {values['max']:g}, median {values['median']:g}"


def add_split_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="output folder, with a file for each part")
    parts = f"names and fractions of the parts, which sum to 1 (default: {_DEFAULT_PARTS})"
    add("--parts", metavar="NAME=FRACTION,...", help=parts)
    add("--folds", type=int, metavar="N", help="N folds in place of parts: fold0_train, fold0_test, ...")
    group = "what is never split: image, folder, FILE.csv:COLUMN, or a regular expression whose first group "
    group += "is matched in file names, such as (.+)_[0-9]+; copies of an image stay together (default: image)"
    add("--group", default="image", metavar="GROUP", help=group)
    _add_seed(parser)
    to = ".csv, which stores everything, .xml, .json or .tps (default: .csv)"
    add("--to", default=".csv", metavar="SUFFIX", help=to)
    common.add_jobs(parser)
    _add_dataset(parser)


def run_split(options: argparse.Namespace) -> int:
    """Split the objects into parts or folds by groups, one file each.

    ert dataset split landmarks.csv --out parts --parts train=0.7,val=0.1,test=0.2
    ert dataset split landmarks.csv --out folds --folds 5 --group people.csv:person
    """
    if options.parts is not None and options.folds is not None:
        raise InputError("--parts and --folds: expected one of the two")
    suffix = "." + options.to.lower().lstrip(".")
    if suffix not in FILE_FORMATS:
        raise InputError(f"--to {options.to}: expected one of {', '.join(FILE_FORMATS)}")
    fractions = _parse_parts(options.parts or _DEFAULT_PARTS)
    dataset = _read(options)
    pictures = _read_images(read_picture, options, dataset)
    for picture in pictures.values():
        if picture.error is not None:
            raise InputError(picture.error)
    # Copies of an image under other names must not be on both sides.
    contents = [pictures[file].digest for file in dataset.files]
    groups = join_groups(contents, file_groups(dataset.files, options.group))
    if options.folds is None:
        part_of = split_groups(groups, fractions, options.seed)
        parts = {name: part_of == k for k, name in enumerate(fractions)}
    else:
        fold_of = fold_groups(groups, options.folds, options.seed)
        parts = {}
        for k in range(options.folds):
            parts |= {f"fold{k}_train": fold_of != k, f"fold{k}_test": fold_of == k}
    folder = Path(options.out)
    targets = [folder / (name + suffix) for name in parts]
    for target in targets:
        if target.exists():
            raise InputError(f"{target}: already exists, expected another folder or other names")
    common.make_folder(folder)
    notes: list[str] = []
    for target, chosen in zip(targets, parts.values(), strict=True):
        part = dataset.subset(chosen)
        notes += write_dataset(part, target)
        n, n_groups = len(part), len(set(groups[chosen]))
        common.log(f"{target}: {counted(n, 'object')} ({n / len(dataset):.1%}), {counted(n_groups, 'group')}")
    for note in dict.fromkeys(notes):
        common.log(f"  {note}")
    return 0


def _parse_parts(text: str) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = piece.partition("=")
        name = name.strip()
        try:
            value = float(share)
        except ValueError:
            value = -1
        # They are also names of files, which are not case sensitive on every system.
        if not re.fullmatch(r"[\w][\w.-]*", name) or name.lower() in map(str.lower, fractions) or value < 0:
            raise InputError(f"--parts {text}: expected NAME=FRACTION separated by commas, each name once")
        fractions[name] = value
    return fractions


def add_mirror_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    out = "annotations to write, with the images in a folder of the same name; or a folder for both"
    add("--out", required=True, metavar="FILE_OR_DIR", help=out)
    scheme = "landmark scheme, which gives the mirror map (default: the one that the landmarks fit)"
    add("--scheme", choices=tuple(MIRROR_MAPS), help=scheme)
    mirror_map = "mirror map: for each landmark the index, from 0, of the landmark that takes its place"
    add("--map", metavar="I,J,...", help=mirror_map)
    _add_dataset(parser)


def run_mirror(options: argparse.Namespace) -> int:
    """Write mirrored images and their annotations.

    ert dataset mirror landmarks.csv --out mirrored
    ert dataset mirror landmarks.csv --map 1,0,2 --out mirrored.csv
    """
    out = Path(options.out)
    if out.suffix.lower() in FILE_FORMATS:
        target, folder = out, out.with_suffix("")
    else:
        target, folder = out / "mirrored.csv", out
    if target.exists():
        raise InputError(f"{target}: already exists, expected a new file or folder")
    dataset = _read(options)
    mirror_map = _mirror_map(options, dataset)
    files = list(dict.fromkeys(dataset.files))
    for file in files:
        image_size(file)  # raises before any work if it is not an image
    common.make_folder(folder)
    claim(target, FILE_FORMATS[target.suffix.lower()], "--out")
    copies = _free_names(files, folder)
    written: list[Path] = []
    widths: dict[Path, int] = {}
    try:
        for file in common.with_progress(files, len(files), "image"):
            image = load_image(file)
            widths[file] = image.shape[1]
            save_image(copies[file], np.ascontiguousarray(image[:, ::-1]))
            written.append(copies[file])
        mirrored = mirror_dataset(
            dataset, [widths[file] for file in dataset.files], mirror_map, [copies[file] for file in dataset.files]
        )
        notes = write_dataset(mirrored, target)
    except BaseException:
        # Images without annotations are useless, and would block the next attempt.
        for copy in written:
            copy.unlink(missing_ok=True)
        raise
    common.log(f"{target}: {counted(len(dataset), 'object')} in {counted(len(files), 'mirrored image')} in {folder}")
    for note in notes:
        common.log(f"  {note}")
    return 0


def _mirror_map(options: argparse.Namespace, dataset: Dataset) -> NDArray[np.intp]:
    n_landmarks = len(dataset.landmark_names)
    if options.map is not None:
        if options.scheme is not None:
            raise InputError("--scheme and --map: expected one of the two")
        chosen: str | list[int] | None = common.parse_integers("--map", options.map)
    else:
        chosen = options.scheme or known_scheme(dataset)
    mirror_map = resolve_mirror_map(chosen, n_landmarks)
    if mirror_map is None:
        raise InputError(
            f"{options.dataset}: no known scheme of {n_landmarks} landmarks, expected --map with the index "
            "of the landmark that takes the place of each, such as 1,0,2 to swap the first two"
        )
    return mirror_map


def _free_names(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return a path for the mirror image of each file: all different, and none exists."""
    taken = {name.lower() for name in os.listdir(folder)}
    names = {}
    for file in files:
        number, name = 1, f"{file.stem}_mirrored.png"
        while name.lower() in taken:
            number += 1
            name = f"{file.stem}_mirrored_{number}.png"
        taken.add(name.lower())
        names[file] = folder / name
    return names


def add_check_options(parser: Parser) -> None:
    """Add the options."""
    common.add_json(parser, "all findings")
    common.add_force(parser)
    common.add_jobs(parser)
    _add_dataset(parser)


def run_check(options: argparse.Namespace) -> int:
    """Find likely mistakes in the annotations, and corrupt or duplicate images.

    The exit status is 0 without findings and 1 with findings.

    ert dataset check landmarks.xml
    ert dataset check landmarks.csv --json findings.json
    """
    common.check_json_file(options.json)
    dataset = _read_all(options)
    findings = _findings(options, dataset)
    # Not about single objects, so first.
    better = better_readings(dataset, count_threads(options.jobs))
    findings = [*(Finding(kind, Path(options.dataset), None, text, 0) for kind, text in better.items()), *findings]
    data = {
        "dataset": str(options.dataset),
        "images": len(set(dataset.files)),
        "objects": len(dataset),
        "findings": [
            {
                "kind": finding.kind,
                "file": str(finding.file),
                "object": finding.item,
                "text": finding.text,
                "severity": round(finding.severity, 4),
            }
            for finding in findings
        ],
    }
    common.output(data, options.json, _finding_lines(findings, dataset))
    if advice := pool_advice(dataset.y, dataset.boxes):
        common.log(f"ert: {advice}")
    return 1 if findings else 0


def _findings(options: argparse.Namespace, dataset: Dataset) -> list[Finding]:
    scheme = known_scheme(dataset) if len(dataset) else None
    mirror_map = resolve_mirror_map(scheme, len(dataset.landmark_names))
    return check_dataset(dataset, _read_images(read_picture, options, dataset), mirror_map)


def _finding_lines(findings: Sequence[Finding], dataset: Dataset) -> Iterator[str]:
    for kind, group in groupby(findings, key=lambda finding: finding.kind):
        of_kind = list(group)
        yield f"{kind}: {len(of_kind)}"
        for finding in of_kind[:MAX_PRINTED_FINDINGS]:
            place = f"{finding.file}: " if finding.item is None else f"{finding.file}: object {finding.item}: "
            yield f"  {finding.text if finding.kind in NOT_LOADED else place + finding.text}"
        if len(of_kind) > MAX_PRINTED_FINDINGS:
            yield f"  ... and {len(of_kind) - MAX_PRINTED_FINDINGS} more; --json lists all"
    checked = f"{counted(len(dataset), 'object')} in {counted(len(set(dataset.files)), 'image')}"
    yield f"{checked}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}"


def add_show_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--out", required=True, metavar="FILE", help="image to write: .png or .jpg")
    add("--n", type=int, default=24, metavar="N", help="number of objects (default: 24)")
    _add_seed(parser)
    suspicious = "show the objects with findings of ert dataset check, the worst first"
    add("--suspicious", action="store_true", help=suspicious)
    common.add_force(parser)
    common.add_jobs(parser)
    _add_dataset(parser)


def run_show(options: argparse.Namespace) -> int:
    """Draw a contact sheet of objects with their boxes and landmarks.

    ert dataset show landmarks.xml --out sheet.png
    ert dataset show landmarks.xml --suspicious --n 40 --out sheet.png
    """
    if options.n < 1:
        raise InputError(f"--n {options.n}: expected at least 1")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: expected 0 or more")
    if Path(options.out).suffix.lower() not in common.IMAGE_SUFFIXES:
        raise InputError(f"{options.out}: expected an image file ending in {', '.join(common.IMAGE_SUFFIXES)}")
    claim(options.out, "image", "--out")
    dataset = _read(options)
    if options.suspicious:
        chosen = _worst(_findings(options, dataset), dataset, options.n)
    else:
        rng = np.random.default_rng(options.seed)
        drawn = rng.choice(len(dataset), min(options.n, len(dataset)), replace=False)
        chosen = {int(i): dataset.files[i].name for i in sorted(drawn)}
    if not chosen:
        common.log(f"{options.dataset}: no findings that can be shown; nothing written")
        return 0
    thumbnails = list(map_in_threads(partial(_thumbnail, dataset), chosen, count_threads(options.jobs)))
    columns = int(np.ceil(np.sqrt(len(thumbnails) * 1.5)))
    sheet = contact_sheet(thumbnails, columns, list(chosen.values()), tile_size=THUMBNAIL_PIXELS)
    save_image(options.out, sheet)
    common.log(f"{options.out}: {len(thumbnails)} of {len(dataset)} objects")
    return 0


def _worst(findings: Sequence[Finding], dataset: Dataset, n: int) -> dict[int, str]:
    """Return up to n objects and captions: the worst of each kind, then the second worst, and so on."""
    first = {file: i for i, file in reversed(list(enumerate(dataset.files)))}
    invisible = {finding.file for finding in findings if finding.kind == "unreadable image"}
    visible = [finding for finding in findings if finding.file not in invisible and finding.kind not in NOT_LOADED]
    kinds = [list(group) for _, group in groupby(visible, key=lambda finding: finding.kind)]
    chosen: dict[int, str] = {}
    for rank in zip_longest(*kinds):
        for finding in filter(None, rank):
            item = first[finding.file] if finding.item is None else finding.item
            if len(chosen) < n:
                chosen.setdefault(item, f"{finding.file.name}: {finding.kind}")
    return chosen


def _thumbnail(dataset: Dataset, i: int) -> Pixels:
    """Crop an object from its image, and draw its box and landmarks."""
    image, box, shape = load_image(dataset.files[i]), dataset.boxes[i], dataset.landmarks[i]
    left, top, side = object_view(np.vstack([shape, box[:2], box[:2] + box[2:]]), box)
    # The view of a huge box still shows the image, with at most its size of black around it.
    rows, columns = image.shape[:2]
    view = max(left, -columns), max(top, -rows), min(side, 3 * max(rows, columns))
    # Twice as large, for thin lines in the contact sheet.
    size = 2 * THUMBNAIL_PIXELS
    placed_box = np.concatenate([(box[:2] - view[:2]) * (size / view[2]), box[2:] * (size / view[2])])
    placed_shape = to_thumbnail_pixels(shape, view, size)
    return draw_landmarks(crop_thumbnail(image, view, size), [placed_shape], [placed_box], min_size=1)
