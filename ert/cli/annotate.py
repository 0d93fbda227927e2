"""``ert annotate``: mark landmarks in photos in the browser."""

import argparse
import os
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ert._core.exceptions import InputError
from ert._core.files import claim, protect
from ert._core.runtime import count_threads
from ert.cli import common
from ert.cli.parser import Parser
from ert.datasets.formats import FILE_FORMATS, dataset_format
from ert.datasets.formats.registry import FORMATS, READ_ONLY
from ert.measurements.measure import UNITS
from ert.predictor import ShapePredictor, load

DEFAULT_PORT = 8317
DEFAULT_OUTPUT = "annotations.csv"
_DATASET_SUFFIXES = {*FILE_FORMATS, *(format.suffix for format in READ_ONLY.values())}
# Options with which a part of a dataset is read, or in another way than ert would read what it writes.
_PARTIAL = ("boxes", "split", "category", "label", "y_origin", "curves")


def add_annotate_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    inputs = "a folder of photos, photos, patterns such as 'photos/*.jpg', or annotations to go on with: .xml, .csv, "
    add("inputs", nargs="+", metavar="PHOTOS", help=inputs + ".tps, .json, or a folder of .pts, .tem or .ljson files")
    out = f"where to write annotations (default: {DEFAULT_OUTPUT} in the folder of the photos, or the annotations)"
    add("--out", metavar="FILE", help=out)
    add("--format", choices=tuple(FORMATS), help="format of FILE (default: that of its suffix); pts, tem and ljson are")
    add("--recursive", action="store_true", help="also take the photos in subfolders of folders")
    landmarks = parser.add_argument_group("landmarks")
    landmarks.add_argument("--points", type=int, metavar="N", help="mark N landmarks, whose names are numbers from 0")
    scheme = "mark the landmarks of a scheme: face68, face5, or a file with a name in each line, or JSON with names "
    landmarks.add_argument("--scheme", metavar="NAME|FILE", help=scheme + "and links")
    landmarks.add_argument("--unit", choices=UNITS, help="unit of the lengths that are typed for scales (default: mm)")
    models = parser.add_argument_group("help by a model")
    model = f"propose landmarks by this model: {common.MODEL_HELP}"
    models.add_argument("--model", metavar="MODEL", help=model)
    first = "train a model as soon as N photos are done; 0 is never (default: 10)"
    models.add_argument("--first-training", type=int, default=10, metavar="N", help=first)
    common.add_jobs(models)
    second = "mark N photos of a finished dataset a second time, drawn at random, in FILE of --out"
    add("--second-round", type=int, metavar="N", help=second)
    page = parser.add_argument_group("page")
    page.add_argument(
        "--port", type=int, metavar="P", help=f"port of the page (default: {DEFAULT_PORT}, or a free one)"
    )
    page.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to serve (default: 127.0.0.1)")
    page.add_argument("--no-browser", action="store_true", help="print the address, and do not open it")
    common.add_force(parser)
    common.add_annotation_options(parser)


def run_annotate(options: argparse.Namespace) -> int:
    """Mark landmarks in photos in the browser, with a model that helps.

    The page opens in the browser and is served by this machine alone, until Ctrl-C. Every change is saved at once.

    ert annotate photos --points 12
    ert annotate photos --scheme wing.txt --out wings.tps
    ert annotate wings.tps --model wings.ert
    """
    from ert.annotation.opening import open_project
    from ert.annotation.server import LOOPBACK, make_app, open_socket, require_packages, serve

    require_packages()
    count_threads(options.jobs)
    if options.first_training < 0:
        raise InputError(f"--first-training {options.first_training}: expected a number from 0")
    model = None if options.model is None else load(options.model)
    request = _request(options, model)
    with ExitStack() as stack:
        listening = open_socket(options.host, options.port, DEFAULT_PORT)
        stack.callback(listening.close)
        opened = open_project(request)
        stack.callback(opened.close)
        project = opened.project
        assistant = checker = None
        counts = project.counts()
        common.log(f"{request.target.path}: {len(project)} photos, {counts['done']} done")
        for note in opened.notes:
            common.log(note)
        if options.host not in LOOPBACK:
            common.log(f"ert: --host {options.host}: others in the network can reach the page if they know the token")

        def make(token: str, hosts: Collection[str]) -> Any:
            rest: Any = {"saver": opened.saver, "notes": opened.notes}
            return make_app(project, assistant, checker, token=token, hosts=hosts, **rest)

        def announce(address: str) -> None:
            common.show(f"ert annotate: {address} (Ctrl-C ends it)")

        serve(make, listening, host=options.host, announce=announce, browser=not options.no_browser)
    common.log(f"ert: {request.target.path}: {opened.saver.summary()}")
    return 0 if opened.saver.is_saved else 2


def _request(options: argparse.Namespace, model: ShapePredictor | None) -> Any:
    from ert.annotation.opening import Request, recorded_options
    from ert.annotation.storage import Target

    dataset = _dataset_among(options.inputs)
    out, format = _output(options, dataset)
    target = Target(out, format)
    reading = common.annotation_options(options) | {"boxes": options.boxes, "skip_bad": options.skip_bad}
    before = recorded_options(target)
    for name, value in before.items():
        if reading.get(name) in (None, False):
            reading[name] = value
    is_same = dataset is not None and _is_same(dataset, out)
    if is_same:
        for name in _PARTIAL:
            if getattr(options, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise InputError(
                    f"{option}: not all of {dataset} is read as it is written, expected --out FILE with it"
                )
    elif options.out is not None:
        target.check(force=options.force)
        if not out.is_dir() and FORMATS[format].folder is False:
            claim(out, format, "--out")
    target.check(force=options.force or is_same)
    photos: list[Path] = []
    if dataset is None:
        photos = _photos(options, out)
        if reading["exif"] is None:
            reading["exif"] = "upright"
    protect(photos)
    title = Path(os.path.abspath(options.inputs[0])).name
    return Request(
        photos,
        target,
        dataset=None if dataset is None or is_same else dataset,
        reading=reading,
        scheme=_scheme(options, model),
        unit=options.unit,
        title=title,
        force=options.force,
    )


def _dataset_among(inputs: list[str]) -> str | None:
    """Return the annotations to go on with, or None where the inputs are photos."""
    for text in inputs:
        is_file = os.path.isfile(text) and Path(text).suffix.lower() in _DATASET_SUFFIXES
        if is_file or (os.path.isdir(text) and _holds_annotations(text)):
            if len(inputs) > 1:
                raise InputError(f"{text}: annotations, expected nothing beside them")
            return text
    return None


def _holds_annotations(folder: str) -> bool:
    try:
        dataset_format(folder)
    except InputError:
        return False
    return True


def _output(options: argparse.Namespace, dataset: str | None) -> tuple[Path, str]:
    if options.out is None:
        if dataset is not None:
            format = dataset_format(dataset)
            if format in READ_ONLY:
                raise InputError(f"{dataset}: ert does not write {format} files, expected --out FILE")
            return Path(dataset), format
        first = options.inputs[0]
        folder = Path(first) if os.path.isdir(first) else Path(first).parent
        return folder / DEFAULT_OUTPUT, "csv"
    out = Path(options.out)
    format = options.format or FILE_FORMATS.get(out.suffix.lower())
    if format is None and out.is_dir() and _holds_annotations(options.out):
        format = dataset_format(out)
    if format is None:
        raise InputError(f"{out}: expected a file ending in {', '.join(FILE_FORMATS)}, or --format for a folder")
    if not FORMATS[format].folder and out.suffix.lower() != FORMATS[format].suffix:
        raise InputError(f"{out}: expected a file ending in {FORMATS[format].suffix} for the format {format}")
    return out, format


def _is_same(one: str, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _photos(options: argparse.Namespace, out: Path) -> list[Path]:
    from ert.pipeline.inputs import Inputs

    inputs = Inputs(options.recursive, options.images, options.exif, options.levels).add(options.inputs)
    inputs.leave_out_names(out.parent)
    if not inputs.items:
        raise InputError(inputs.faults[0] if inputs.faults else "no photos")
    for line in inputs.faults + inputs.notes:
        common.log(f"ert: {line}")
    return [item.file for item in inputs.items.values()]


def _scheme(options: argparse.Namespace, model: ShapePredictor | None) -> Any:
    from ert.annotation.scheme import Scheme, known_links, numbered_scheme, read_scheme

    if options.points is not None and options.scheme is not None:
        raise InputError("--points and --scheme: expected one of them")
    scheme = None
    if options.points is not None:
        scheme = numbered_scheme(options.points)
    elif options.scheme is not None:
        scheme = read_scheme(options.scheme)
    if model is not None:
        names = tuple(model.landmark_names_)
        if scheme is None:
            return Scheme(names, known_links(len(names)))
        if len(scheme.names) != len(names):
            raise InputError(f"{options.model}: {len(names)} landmarks, {len(scheme.names)} are to be marked")
    return scheme
