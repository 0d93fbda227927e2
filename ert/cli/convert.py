"""``ert convert``: convert a model, or annotations; ``ert export``: a model as a web page."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from ert._core.exceptions import InputError, counted
from ert._core.files import claim
from ert.cli import common
from ert.cli.parser import Parser, add_commands
from ert.datasets.dataset import Dataset
from ert.datasets.embedded import write_images
from ert.datasets.formats import FILE_FORMATS, FOLDER_FORMATS, dataset_format, import_sleap, write_dataset
from ert.datasets.formats.sleap import SLEAP_SUFFIXES
from ert.model.dlib_cascade import DlibCascade
from ert.predictor import load
from ert.web.export import export_page
from ert.web.npm import export_npm

_EXPORT_TEXT = """Write a model for use without Python.

ert export web face68 --out faces.html
ert export web wings.ert --out wings.html --title Wings
"""
_EXPORTS = {
    "web": ("convert", "Write a web page that locates landmarks in photos and in the picture of a camera."),
    "npm": ("convert", "Write a folder for npm with the model and the modules that run it."),
}
_MODEL_SUFFIXES = (".ert", ".dat")
# What a dataset has no place for, and every conversion therefore drops, by the format that is read.
_NOT_READ = {
    "tps": "COMMENT= and VARIABLES=, if any, are not kept",
    "coco": "whether a keypoint is hidden (v = 1) or visible (v = 2) is not kept",
    "tem": "the lines that webmorph draws, if any, are not kept",
    "ljson": "connectivity and labels of regions, if any, are not kept",
}


def add_convert_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    source = "model (.ert, .dat), annotations of any format, or SLEAP's .slp with the package sleap-io"
    add("source", metavar="SRC", help=source)
    destination = "model (.ert, .dat) or annotations (.xml, .csv, .tps, .json, or a folder with --to)"
    add("destination", metavar="DST", help=destination)
    add("--exact", action="store_true", help="keep every bit of the leaves of a .dat, in a larger .ert")
    add("--compress", action="store_true", help="write an .ert of half the size that loads more slowly")
    add("--to", choices=tuple(FOLDER_FORMATS.values()), help="format of the files in the folder DST")
    common.add_force(parser)
    write_images = "write images that are pixels in the table SRC (Kaggle's facial keypoints) to this folder"
    add("--write-images", metavar="DIR", help=write_images)
    common.add_annotation_options(parser)


def run_convert(options: argparse.Namespace) -> int:
    """Convert a model or annotations to another format.

    ert convert shape_predictor.dat model.ert
    ert convert landmarks.xml landmarks.csv
    """
    suffixes = {Path(file).suffix for file in (options.source, options.destination)}
    return _convert_model(options) if suffixes & set(_MODEL_SUFFIXES) else _convert_dataset(options)


def _convert_model(options: argparse.Namespace) -> int:
    for_datasets = (options.to, options.boxes, options.write_images, *common.annotation_options(options).values())
    if any(option not in (None, "natural") for option in for_datasets):
        raise InputError("--to, --boxes, --images and the like are for annotations, expected none with a model")
    destination = Path(options.destination)
    if destination.suffix not in _MODEL_SUFFIXES:
        raise InputError(f"{destination}: expected a model file ending in .ert or .dat")
    claim(destination, "model", "DST")
    model = load(options.source)
    if destination.suffix == ".ert" and not options.exact:
        model = model.compact()
    model.save(destination, compress=options.compress)
    if isinstance(model.cascade_, DlibCascade) and model.cascade_.basis.shape[1]:
        common.log("  compact: single landmarks move slightly; --exact keeps every bit")
    common.log(f"{options.source} -> {destination}: {destination.stat().st_size / 1e6:.1f} MB")
    return 0


def _convert_dataset(options: argparse.Namespace) -> int:
    if options.exact or options.compress:
        raise InputError("--exact and --compress are for models, expected none with annotations")
    if Path(options.destination).suffix.lower() in FILE_FORMATS and options.to is None:
        claim(options.destination, FILE_FORMATS[Path(options.destination).suffix.lower()], "DST")
    if Path(options.source).suffix.lower() in SLEAP_SUFFIXES:
        return _convert_sleap(options)
    dataset = common.read_dataset(options, options.source, options.boxes)
    if options.write_images is not None:
        dataset = write_images(dataset, options.write_images)
    notes = write_dataset(dataset, options.destination, options.to)
    _log_conversion(options, dataset, [_NOT_READ.get(dataset_format(options.source)), *notes])
    return 0


def _convert_sleap(options: argparse.Namespace) -> int:
    """Convert a file that the package sleap-io reads; the frames of a video become images beside the annotations."""
    if any(value is not None for value in (options.split, options.category, options.label)):
        raise InputError(f"{options.source}: expected none of --split, --category and --label")
    destination = Path(options.destination)
    frames = destination.with_name(f"{destination.stem}_frames") if options.to is None else destination
    dataset = import_sleap(
        options.source, frames, boxes=options.boxes, image_folder=options.images, skip_bad=options.skip_bad
    )
    common.protect_dataset(dataset, options.source)
    common.log_skipped(dataset, options.source)
    notes = write_dataset(dataset, destination, options.to)
    written = f"images of the frames are in {frames}" if frames in {file.parent for file in dataset.files} else None
    _log_conversion(options, dataset, [written, "skeleton, tracks and scores are not kept", *notes])
    return 0


def _log_conversion(options: argparse.Namespace, dataset: Dataset, notes: Iterable[str | None]) -> None:
    n, n_landmarks = len(dataset), len(dataset.landmark_names)
    common.log(f"{options.source} -> {options.destination}: {counted(n, 'object')}, {counted(n_landmarks, 'landmark')}")
    for note in filter(None, notes):
        common.log(f"  {note}")


def add_export_options(parser: Parser) -> None:
    """Add the subcommands."""
    parser.describe(_EXPORT_TEXT)
    add_commands(parser, _EXPORTS)


def add_web_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("model", metavar="MODEL", help=common.MODEL_HELP)
    add("--out", required=True, metavar="FILE", help="the page to write, ending in .html")
    add("--title", metavar="TEXT", help="the heading of the page (default: Landmarks by the model NAME)")
    add("--image", metavar="IMAGE", help="a photo that is put into the page and shown when it is opened")
    source = (
        "auto: as the model was trained; whole: the whole photo; given: drawn on the page; learned: the locator in the "
    )
    common.add_box_from(parser, source + "model; face: a face detector, which is put into the page (default: auto)")
    common.add_force(parser)


def run_web(options: argparse.Namespace) -> int:
    """Write a web page that locates landmarks in photos and in the picture of a camera.

    It is a single file with the model in it, which opens by a double click and uses no network. Objects
    are found as the model was trained for: by a face detector, by its locator, in the whole photo, or in boxes that are
    drawn on the page.

    ert export web face68 --out faces.html --title Faces
    ert export web shape_predictor.dat --out faces.html --box-from face
    """
    claim(options.out, "web page", "--out")
    size = export_page(options.model, options.out, title=options.title, image=options.image, box_from=options.box_from)
    common.log(f"{options.model} -> {options.out}: {size / 1e6:.1f} MB")
    return 0


def add_npm_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("model", metavar="MODEL", help=common.MODEL_HELP)
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to write, new or empty")


def run_npm(options: argparse.Namespace) -> int:
    """Write a folder for npm with the model and the modules that run it.

    A program in JavaScript gets the same landmarks as in Python, in a browser or in Node; README.md in the folder says
    how.

    ert export npm face68 --out face68-npm
    ert export npm wings.ert --out wings-npm
    """
    export_npm(options.model, options.out)
    common.log(f"{options.model} -> {options.out}: see {Path(options.out, 'README.md')}")
    return 0
