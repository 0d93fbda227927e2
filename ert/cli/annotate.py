"""``ert annotate``: mark landmarks in photos in the browser."""

import argparse
import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ert._core.exceptions import InputError, counted
from ert._core.file_kinds import is_of_kind
from ert._core.files import claim, protect
from ert._core.image_paths import is_stored
from ert._core.runtime import count_threads
from ert.cli import common
from ert.cli.parser import Parser
from ert.datasets.formats import FILE_FORMATS, dataset_format
from ert.datasets.formats.registry import FORMATS, READ_ONLY
from ert.measurements.measure import UNITS
from ert.predictor import ShapePredictor, load

if TYPE_CHECKING:
    from ert.annotation.opening import Request
    from ert.annotation.project import Project
    from ert.annotation.scheme import Scheme
    from ert.annotation.second_round import SecondRound
    from ert.annotation.storage import Target

DEFAULT_PORT = 8317
DEFAULT_OUTPUT = "annotations.csv"
_DATASET_SUFFIXES = {*FILE_FORMATS, *(format.suffix for format in READ_ONLY.values())}
# Options with which a part of a dataset is read, or in another way than ert would read what it writes.
_DEFAULTS = (None, False, "natural")
_PARTIAL = ("boxes", "split", "category", "label", "y_origin", "curves")


def add_annotate_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    inputs = "a folder of photos, photos, patterns such as 'photos/*.jpg', or annotations to go on with: .xml, .csv, "
    add("inputs", nargs="+", metavar="PHOTOS", help=inputs + ".tps, .json, or a folder of .pts, .tem or .ljson files")
    out = f"where to write annotations (default: {DEFAULT_OUTPUT} in the folder of the photos, or the annotations)"
    add("--out", metavar="FILE", help=out)
    add(
        "--format",
        choices=tuple(FORMATS),
        help="format of FILE (default: that of its suffix); pts, tem, ljson: folders",
    )
    add("--recursive", action="store_true", help="also take the photos in subfolders of folders")
    landmarks = parser.add_argument_group("landmarks")
    landmarks.add_argument("--points", type=int, metavar="N", help="mark N landmarks, whose names are numbers from 0")
    scheme = "mark the landmarks of a scheme: face68, face5, or a file with a name in each line, or JSON with names "
    landmarks.add_argument("--scheme", metavar="NAME|FILE", help=scheme + "and links")
    landmarks.add_argument(
        "--unit", choices=UNITS[1:], help="unit of the lengths that are typed for scales (default: mm)"
    )
    models = parser.add_argument_group("help by a model")
    model = f"propose landmarks by this model: {common.MODEL_HELP}"
    models.add_argument("--model", metavar="MODEL", help=model)
    first = "train a model as soon as N photos are done; 0 is never (default: 10)"
    models.add_argument("--first-training", type=int, default=10, metavar="N", help=first)
    common.add_jobs(models)
    second = "mark N photos of annotations, or a percentage such as 20%%, drawn at random, a second time in FILE"
    add("--second-round", metavar="N", help=second)
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
    With annotations in place of photos, those are shown, checked and changed.

    ert annotate photos --points 12 --out wings.tps
    ert annotate wings.tps --second-round 20 --out second.tps
    """
    from ert.annotation.opening import open_project
    from ert.annotation.server import LOOPBACK, make_app, open_socket, require_packages, serve

    require_packages()
    count_threads(options.jobs)
    if options.first_training < 0 or options.first_training == 1:
        raise InputError(f"--first-training {options.first_training}: expected 0, which is never, or at least 2")
    model = None if options.model is None else load(options.model)
    request, second_round = _request(options, model)
    with ExitStack() as stack:
        listening = open_socket(options.host, options.port, DEFAULT_PORT)
        stack.callback(listening.close)
        opened = open_project(request)
        stack.callback(opened.close)
        project, saver = opened.project, opened.saver
        assistant, checker = _helpers(options, project, model, stack)
        common.log(f"{saver.target.path}: {counted(len(project), 'photo')}, {project.counts()['done']} done")
        for note in opened.notes:
            common.log(note)
        if options.host not in LOOPBACK:
            common.log(f"ert: --host {options.host}: other machines can reach the page, whose address is its password")

        def make(token: str, hosts: Collection[str]) -> Any:
            rest: Any = {"saver": saver, "notes": opened.notes, "second_round": second_round}
            return make_app(project, assistant, checker, token=token, hosts=hosts, **rest)

        def announce(address: str) -> None:
            where = "open in a browser: " if options.no_browser else ""
            common.show(f"ert annotate: {where}{address} (Ctrl-C ends it)")

        serve(make, listening, host=options.host, announce=announce, browser=not options.no_browser)
    common.log(f"ert: {saver.target.path}: {saver.summary()}")
    return 0 if saver.is_saved else 2


def _helpers(
    options: argparse.Namespace, project: "Project", model: ShapePredictor | None, stack: ExitStack
) -> tuple[Any, Any]:
    """Return what helps and what checks; both end with the command."""
    from ert.annotation.assistant import Assistant
    from ert.annotation.checking import Checker

    checker = Checker(project, n_jobs=options.jobs)
    stack.callback(checker.close)
    if options.second_round is not None:
        # Marks are to be those of the person alone.
        return None, checker
    assistant = Assistant(project, model=model, first_at=options.first_training, n_jobs=options.jobs)
    stack.callback(assistant.close)
    return assistant, checker


def _request(options: argparse.Namespace, model: ShapePredictor | None) -> tuple["Request", "SecondRound | None"]:
    from ert.annotation.opening import Request, recorded_reading
    from ert.annotation.scheme import Scheme, known_links
    from ert.annotation.second_round import draw_second_round
    from ert.annotation.storage import Target

    dataset = _dataset_among(options.inputs)
    if options.second_round is not None and (dataset is None or options.out is None):
        raise InputError("--second-round: expected annotations in place of photos, and --out FILE")
    if options.second_round is not None and options.model is not None:
        raise InputError("--second-round and --model: expected one of them, a second round is without help")
    target = Target(*_output(options, dataset))
    reading = common.annotation_options(options) | {"boxes": options.boxes, "skip_bad": options.skip_bad}
    if options.out is not None and not target.kind.folder:
        claim(target.path, target.format, "--out")
    elif dataset is not None and options.out is None:
        _check_whole(options, target)
    # As in earlier sessions: what ert wrote is read in the same way.
    reading |= {name: value for name, value in recorded_reading(target).items() if reading.get(name) in _DEFAULTS}
    request = Request([], target, reading=reading, scheme=_scheme(options, model), unit=options.unit)
    request.title = Path(os.path.abspath(options.inputs[0])).name
    request.replaces = options.force and (dataset is not None or not is_of_kind(target.path, target.format))
    if dataset is not None and options.out is None:
        request.replaces = False
        return request, None
    second_round = None
    if dataset is None:
        reading["exif"] = reading["exif"] or "upright"
        request.photos = _photos(options, target.folder)
        protect(request.photos)
    else:
        given = replace(common.read_dataset(options, dataset, options.boxes), name=Path(dataset).name)
        # The options are those of the other dataset. The target is read as its photos are.
        request.reading = {
            "exif": "stored" if any(map(is_stored, given.files)) else "upright",
            "levels": options.levels,
        }
        request.given = given
        if options.second_round is not None:
            second_round = draw_second_round(given, options.second_round)
            names = given.landmark_names
            request.given, request.photos = None, second_round.files
            request.scheme = request.scheme or Scheme(names, known_links(len(names)))
    target.check(force=options.force)
    return request, second_round


def _check_whole(options: argparse.Namespace, target: "Target") -> None:
    """Raise InputError where a file would be replaced by a part of it, or by what would be read in another way."""
    for name in _PARTIAL:
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option}: {target.path} would lose what is not read, expected --out FILE with it")


def _dataset_among(inputs: list[str]) -> str | None:
    """Return the annotations to go on with, or None where the inputs are photos."""
    for text in inputs:
        is_file = os.path.isfile(text) and Path(text).suffix.lower() in _DATASET_SUFFIXES
        if is_file or (os.path.isdir(text) and _format_of(text) is not None):
            if len(inputs) > 1:
                raise InputError(f"{text}: annotations, expected nothing beside them")
            return text
    return None


def _format_of(folder: str) -> str | None:
    try:
        return dataset_format(folder)
    except InputError:
        return None


def _output(options: argparse.Namespace, dataset: str | None) -> tuple[Path, str]:
    """Return the file or folder that is written, and its format."""
    if options.out is None:
        if dataset is None:
            first = Path(options.inputs[0])
            return (first if first.is_dir() else first.parent) / DEFAULT_OUTPUT, "csv"
        format = dataset_format(dataset)
        if format in READ_ONLY:
            raise InputError(f"{dataset}: ert does not write {READ_ONLY[format].suffix} files, expected --out FILE")
        return Path(dataset), format
    out = Path(options.out)
    chosen: str | None = options.format or FILE_FORMATS.get(out.suffix.lower())
    if chosen is None and out.is_dir():
        chosen = _format_of(options.out)
    if chosen is None:
        raise InputError(f"{out}: expected a file ending in {', '.join(FILE_FORMATS)}, or --format for a folder")
    if not FORMATS[chosen].folder and out.suffix.lower() != FORMATS[chosen].suffix:
        raise InputError(f"{out}: expected a file ending in {FORMATS[chosen].suffix} for the format {chosen}")
    return out, chosen


def _photos(options: argparse.Namespace, folder: Path) -> list[Path]:
    from ert.pipeline.inputs import Inputs

    inputs = Inputs(options.recursive, options.images, options.exif, options.levels).add(options.inputs)
    inputs.leave_out_names(folder)
    files = [item.file for item in inputs.items.values()]
    faults = [*inputs.faults, *(f"{file}: no such file" for file in files if not file.is_file())]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InputError(faults[0])
    for line in faults + inputs.notes:
        common.log(f"ert: {line}")
    return files


def _scheme(options: argparse.Namespace, model: ShapePredictor | None) -> "Scheme | None":
    from ert.annotation.scheme import Scheme, known_links, numbered_scheme, read_scheme

    if options.points is not None and options.scheme is not None:
        raise InputError("--points and --scheme: expected one of them")
    scheme = None if options.points is None else numbered_scheme(options.points)
    if options.scheme is not None:
        scheme = read_scheme(options.scheme)
    if model is not None:
        names = tuple(model.landmark_names_)
        if scheme is None:
            return Scheme(names, known_links(len(names)))
        if len(scheme.names) != len(names):
            raise InputError(
                f"{options.model}: {counted(len(names), 'landmark')}, {len(scheme.names)} are to be marked"
            )
    return scheme
