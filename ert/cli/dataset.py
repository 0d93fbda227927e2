"""What `ert dataset` does: info, split, mirror, check, show; each returns the exit status."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.files import check_writable
from ert._core.images import image_size, load_image
from ert._core.threads import count_threads
from ert.cli.commands import log, make_folder, with_progress, write_json
from ert.datasets.checks import Finding, Picture, check_dataset, read_picture
from ert.datasets.dataset import FILE_FORMATS, Dataset, dataset_format, load_dataset
from ert.datasets.split import fold_groups, join_groups, pattern_groups, split_groups, table_groups
from ert.datasets.summary import describe_dataset, known_scheme, mirror_dataset
from ert.datasets.write import write_dataset
from ert.model.schemes import resolve_mirror_map
from ert.plotting.landmarks import contact_sheet, draw_landmarks, save_image

__all__ = [
    "run_dataset_check",
    "run_dataset_info",
    "run_dataset_mirror",
    "run_dataset_show",
    "run_dataset_split",
]


_SHOWN = 10  # findings of one kind that are printed
_TILE = 256
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def _load(options: argparse.Namespace) -> Dataset:
    return load_dataset(
        options.dataset,
        boxes=options.boxes,
        split=options.split,
        part_order=options.part_order,
        image_folder=options.images,
    )


def _check_json(file: str | None) -> None:
    if file not in (None, "-"):
        check_writable(str(file))


def run_dataset_info(options: argparse.Namespace) -> int:
    """Tell what is in a dataset."""
    _check_json(options.json)
    dataset = _load(options)
    sizes: dict[Path, tuple[int, int] | None] = {}
    for name in with_progress(list(dict.fromkeys(map(str, dataset.files))), "image"):
        try:
            sizes[Path(name)] = image_size(name)
        except InputError:
            sizes[Path(name)] = None
    facts = {
        "dataset": str(options.dataset),
        "format": dataset_format(options.dataset),
        **describe_dataset(dataset, sizes),
    }
    if options.json:
        write_json(facts, options.json)
    if options.json != "-":
        _print_info(facts)
    return 0


def _print_info(facts: dict[str, Any]) -> None:
    n = facts["objects"]
    print(f"{facts['dataset']}: {facts['format']}, {n} objects in {facts['images']} images")
    most = facts["objects_per_image"]["max"]
    if most > 1:
        print(f"  objects in an image: {_three(facts['objects_per_image'])}")
    names = facts["landmark_names"]
    shown = ", ".join(names) if len(names) <= 20 else ", ".join([*names[:4], "...", names[-1]])
    print(f"  {len(names)} landmarks: {shown}")
    missing = [f"{name} in {count}" for name, count in facts["missing"].items() if count]
    print(f"  missing: {', '.join(missing) or 'none'}")
    for what in ("image", "box"):
        width, height = facts[f"{what}_width"], facts[f"{what}_height"]
        if width is not None:
            print(f"  {what} width: {_three(width)}; height: {_three(height)} pixels")
    drawn = facts["boxes_around_landmarks"]
    if drawn:
        print(f"  boxes: {'all' if drawn == n else drawn} are the squares round the landmarks")
    scheme = facts["mirror_scheme"]
    print(f"  mirror scheme: {scheme or 'none that is known'}")
    if facts["unreadable_images"]:
        bad = facts["unreadable_images"]
        print(f"  {len(bad)} images cannot be read, {bad[0]} first; see ert dataset check")


def _three(values: dict[str, float]) -> str:
    return f"{values['min']:g} to {values['max']:g}, median {values['median']:g}"


def run_dataset_split(options: argparse.Namespace) -> int:
    """Split a dataset into parts or folds, by groups; a file for each."""
    if options.parts is not None and options.folds is not None:
        raise InputError("--parts and --folds: expected one of the two")
    suffix = "." + options.to.lower().lstrip(".")
    if suffix not in FILE_FORMATS:
        raise InputError(f"--to {options.to}: expected one of {', '.join(FILE_FORMATS)}")
    fractions = _fractions(options.parts or "train=0.8,test=0.2")
    dataset = _load(options)
    pictures = _read_pictures(dataset)
    for picture in pictures.values():
        if picture.error is not None:
            raise InputError(picture.error)
    # Copies of an image under other names would stand on both sides.
    contents = [pictures[file].digest for file in dataset.files]
    groups = join_groups(contents, _groups(dataset.files, options.group))
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
            raise InputError(f"{target}: is there already, expected another folder or other names")
    make_folder(folder)
    notes: list[str] = []
    for target, chosen in zip(targets, parts.values(), strict=True):
        part = dataset.subset(chosen)
        notes += write_dataset(part, target)
        n, n_groups = len(part), len(set(groups[chosen]))
        log(f"{target}: {n} objects ({n / len(dataset):.1%}), {n_groups} groups")
    for note in dict.fromkeys(notes):
        log(f"  {note}")
    return 0


def _fractions(text: str) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for piece in text.split(","):
        name, _, share = piece.partition("=")
        name = name.strip()
        try:
            value = float(share)
        except ValueError:
            value = -1
        # Names become names of files; some systems know no difference of case.
        if not re.fullmatch(r"[\w][\w.-]*", name) or name.lower() in map(str.lower, fractions) or value < 0:
            raise InputError(f"--parts {text}: expected NAME=FRACTION with commas, each name once")
        fractions[name] = value
    return fractions


def _groups(files: Sequence[Path], spec: str) -> list[str]:
    if spec == "image":
        return [str(file) for file in files]
    if spec == "folder":
        return [str(file.parent) for file in files]
    if spec.rpartition(":")[0].lower().endswith(".csv"):
        return table_groups(files, spec)
    return pattern_groups(files, spec)


def _read_pictures(dataset: Dataset) -> dict[Path, Picture]:
    files = list(dict.fromkeys(dataset.files))
    pool = ThreadPoolExecutor(count_threads(-1))
    try:
        # Decoders release the GIL.
        pictures = pool.map(read_picture, files)
        return {Path(name): next(pictures) for name in with_progress(list(map(str, files)), "image")}
    finally:
        pool.shutdown(cancel_futures=True)


def run_dataset_mirror(options: argparse.Namespace) -> int:
    """Write mirrored images and their annotations."""
    out = Path(options.out)
    if out.suffix.lower() in FILE_FORMATS:
        target, folder = out, out.with_suffix("")
    else:
        target, folder = out / "mirrored.csv", out
    if target.exists():
        raise InputError(f"{target}: is there already, expected a new file or folder")
    dataset = _load(options)
    mirror_map = _mirror_map(options, dataset)
    files = list(dict.fromkeys(dataset.files))
    for file in files:
        image_size(file)  # what is no image is better found before the work than after
    make_folder(folder)
    check_writable(target)
    copies = _free_names(files, folder)
    written: list[Path] = []
    widths: dict[Path, int] = {}
    try:
        for name in with_progress(list(map(str, files)), "image"):
            image = load_image(name)
            widths[Path(name)] = image.shape[1]
            save_image(copies[Path(name)], np.ascontiguousarray(image[:, ::-1]))
            written.append(copies[Path(name)])
        mirrored = mirror_dataset(
            dataset,
            [widths[file] for file in dataset.files],
            mirror_map,
            [copies[file] for file in dataset.files],
        )
        notes = write_dataset(mirrored, target)
    except BaseException:
        # Images without annotations are of no use, and would be in the way of the next attempt.
        for copy in written:
            copy.unlink(missing_ok=True)
        raise
    log(f"{target}: {len(dataset)} objects in {len(files)} mirrored images in {folder}")
    for note in notes:
        log(f"  {note}")
    return 0


def _mirror_map(options: argparse.Namespace, dataset: Dataset) -> NDArray[np.intp]:
    n_landmarks = len(dataset.landmark_names)
    if options.map is not None:
        if options.scheme is not None:
            raise InputError("--scheme and --map: expected one of the two")
        chosen: str | list[int] | None = _map_numbers(options.map)
    else:
        chosen = options.scheme or known_scheme(dataset)
    mirror_map = resolve_mirror_map(chosen, n_landmarks)
    if mirror_map is None:
        raise InputError(
            f"{options.dataset}: no known scheme of {n_landmarks} landmarks, expected --map with the number "
            "of the landmark that takes the place of each: 1,0,2 for two that change places and one between"
        )
    return mirror_map


def _map_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--map {text}: expected whole numbers with commas") from None


def _free_names(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Name the mirror image of each file, so that no two share a name and none is there yet."""
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


def run_dataset_check(options: argparse.Namespace) -> int:
    """Name what deserves a look in a dataset; 1 when there is anything."""
    _check_json(options.json)
    dataset = _load(options)
    findings = _findings(dataset)
    if options.json:
        listed = [
            {
                "kind": finding.kind,
                "file": str(finding.file),
                "object": finding.item,
                "text": finding.text,
                "severity": round(finding.severity, 4),
            }
            for finding in findings
        ]
        counts = {"images": len(set(dataset.files)), "objects": len(dataset)}
        write_json({"dataset": str(options.dataset), **counts, "findings": listed}, options.json)
    if options.json != "-":
        _print_findings(findings, dataset)
    return 1 if findings else 0


def _findings(dataset: Dataset) -> list[Finding]:
    scheme = known_scheme(dataset)
    mirror_map = resolve_mirror_map(scheme, len(dataset.landmark_names))
    return check_dataset(dataset, _read_pictures(dataset), mirror_map)


def _print_findings(findings: Sequence[Finding], dataset: Dataset) -> None:
    for kind, group in groupby(findings, key=lambda finding: finding.kind):
        of_kind = list(group)
        print(f"{kind}: {len(of_kind)}")
        for finding in of_kind[:_SHOWN]:
            where = "" if finding.item is None else f": object {finding.item}"
            print(f"  {finding.file}{where}: {finding.text}")
        if len(of_kind) > _SHOWN:
            print(f"  ... and {len(of_kind) - _SHOWN} more, all in --json")
    looked = f"{len(dataset)} objects in {len(set(dataset.files))} images"
    print(f"{looked}: {len(findings) or 'nothing'} to look at")


def run_dataset_show(options: argparse.Namespace) -> int:
    """Write a contact sheet of objects with their landmarks."""
    if options.n < 1:
        raise InputError(f"--n {options.n}: expected at least 1")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: expected 0 or more")
    if Path(options.out).suffix.lower() not in _PICTURES:
        raise InputError(f"{options.out}: expected a picture ending in {', '.join(_PICTURES)}")
    check_writable(options.out)
    dataset = _load(options)
    if options.suspicious:
        chosen = dict(_worst(_findings(dataset), dataset, options.n))
    else:
        rng = np.random.default_rng(options.seed)
        drawn = rng.choice(len(dataset), min(options.n, len(dataset)), replace=False)
        chosen = {int(i): dataset.files[i].name for i in sorted(drawn)}
    if not chosen:
        log(f"{options.dataset}: nothing suspicious that can be shown, nothing written")
        return 0
    thumbnails = [_tile(dataset, i) for i in chosen]
    columns = int(np.ceil(np.sqrt(len(thumbnails) * 1.5)))
    sheet = contact_sheet(thumbnails, columns, list(chosen.values()), tile_size=_TILE)
    save_image(options.out, sheet)
    log(f"{options.out}: {len(thumbnails)} of {len(dataset)} objects")
    return 0


def _worst(findings: Sequence[Finding], dataset: Dataset, n: int) -> Iterator[tuple[int, str]]:
    """Yield up to n objects and captions: the worst of each kind, then the second worst, and so on."""
    first = {file: i for i, file in reversed(list(enumerate(dataset.files)))}
    unreadable = {finding.file for finding in findings if finding.kind == "unreadable image"}
    visible = [finding for finding in findings if finding.file not in unreadable]
    kinds = [list(group) for _, group in groupby(visible, key=lambda finding: finding.kind)]
    chosen: dict[int, str] = {}
    for rank in zip_longest(*kinds):
        for finding in filter(None, rank):
            item = first[finding.file] if finding.item is None else finding.item
            if len(chosen) < n:
                chosen.setdefault(item, f"{finding.file.name}: {finding.kind}")
    yield from chosen.items()


def _tile(dataset: Dataset, i: int) -> NDArray[np.uint8]:
    """Cut an object out of its image, black where that ends, and draw box and landmarks."""
    from PIL import Image

    image = load_image(dataset.files[i])
    box, shape = dataset.boxes[i], dataset.landmarks[i]
    low = np.fmin(box[:2], np.nanmin(shape, axis=0))
    high = np.fmax(box[:2] + box[2:], np.nanmax(shape, axis=0))
    # A landmark far away would leave of the object a dot.
    low, high = np.fmax(low, box[:2] - box[2:]), np.fmin(high, box[:2] + 2 * box[2:])
    margin = 0.1 * (high - low).max()
    left, top = np.floor(low - margin).astype(int).tolist()
    right, bottom = np.ceil(high + margin).astype(int).tolist()
    # A box may be absurdly large: black is shown round the image for a width of it at most.
    rows, columns = image.shape[:2]
    left, top = max(left, -columns), max(top, -rows)
    right, bottom = max(min(right, 2 * columns), left + 1), max(min(bottom, 2 * rows), top + 1)
    crop = Image.fromarray(image).crop((left, top, right, bottom))
    side = 2 * _TILE / max(crop.size)
    size = max(1, round(crop.width * side)), max(1, round(crop.height * side))
    scale = np.array(size) / crop.size
    picture = np.asarray(crop.resize(size, Image.Resampling.BICUBIC))
    moved = (shape - (left, top) + 0.5) * scale - 0.5
    placed = np.concatenate([(box[:2] - (left, top)) * scale, box[2:] * scale])
    return draw_landmarks(picture, [moved], [placed], min_size=1)
