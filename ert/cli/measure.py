"""``ert measure``: distances, angles, areas and shapes as a table; ``ert compare`` of two annotations."""

import argparse
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, counted
from ert._core.files import bundled_models, claim
from ert._core.images import load_image
from ert._core.types import Floats
from ert.cli import common
from ert.cli.parser import Parser
from ert.datasets.dataset import Dataset
from ert.measurements.measure import UNITS, measure
from ert.measurements.objects import specimen_names
from ert.measurements.repeatability import compare_annotations, match_annotations
from ert.measurements.table import table_kind
from ert.pipeline.inputs import read_scale_table
from ert.plotting.landmarks import draw_landmarks, save_image

# Options of `ert compare` that only models have, with their defaults.
_OF_MODELS = {"limit": None, "normalizer": None, "repeats": 5, "gray": False, "plot": None, "out": None}
_MODEL_SUFFIXES = (".ert", ".dat")
_PICTURE_PIXELS = 1600
# With fewer objects a bootstrap interval is far too narrow.
MIN_OBJECTS = 10
_UNITS = {"px": "px", "percent": "%", "mm": "mm"}


def add_measure_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help=common.DATASET_HELP)
    distances = "distances between landmarks: names, or numbers from 0 if no name is a number; a name with '-' in "
    distances += "it stands in double quotes if it could be read in two ways. LABEL=A-B names the column"
    add("--distances", metavar="A-B,...", default="", help=distances)
    add("--angles", metavar="A-B-C,...", default="", help="angles at B in degrees, 0 to 180")
    add(
        "--areas",
        metavar="A-B-C-...,...",
        default="",
        help="areas of polygons, the landmarks in their order along them",
    )
    add("--perimeters", metavar="A-B-C-...,...", default="", help="perimeters of such polygons")
    size = "centroid size: the root of the sum of the squared distances of all landmarks from their centroid"
    add("--centroid-size", action="store_true", help=size)
    procrustes = "coordinates after generalized Procrustes analysis, y upwards, and the distance from the mean"
    add("--procrustes", action="store_true", help=procrustes)
    add_scale(parser)
    points = "a known length: A-B=LENGTH, two landmarks in each photo, or X,Y:X,Y=LENGTH, two points of all photos "
    add("--scale-points", metavar="A-B=LENGTH", help=points + "in pixels")
    unit = "px, or what the unit of the scale is called; nothing is converted (default: mm if a scale is known)"
    add("--unit", choices=UNITS, help=unit)
    add("--out", metavar="FILE", default="-", help="table to write (.csv, .json); - is standard output (default: -)")
    common.add_force(parser)
    common.add_annotation_options(parser)


def add_scale(parser: Parser) -> None:
    """Add `--scale`, which `read_scales` reads."""
    text = "length of a pixel, for instance in mm; or a table with a column image, specimen or id, and this column "
    text += "(default: the scales in the file, SCALE= in .tps files, the column scale in tables)"
    parser.add_argument("--scale", metavar="LENGTH|CSV:COLUMN", help=text)


def run_measure(options: argparse.Namespace) -> int:
    """Measure distances, angles, areas and shapes by landmarks.

    Where the file has standard errors of landmarks, the table has those of the measurements.

    ert measure wings.tps --distances 0-4,width=2-7 --centroid-size --out wings.csv
    ert measure predicted.csv --angles nose-neck-tail --scale 0.25 --procrustes
    """
    if options.scale is not None and options.scale_points is not None:
        raise InputError("--scale and --scale-points: expected one of them")
    if options.out != "-":
        claim(options.out, table_kind(options.out), "--out")
    dataset = common.read_dataset(options, options.dataset, options.boxes)
    table = measure(
        dataset,
        distances=options.distances,
        angles=options.angles,
        areas=options.areas,
        perimeters=options.perimeters,
        centroid_size=options.centroid_size,
        procrustes=options.procrustes,
        scales=read_scales(options, dataset),
        scale_points=options.scale_points,
        unit=options.unit,
    )
    for note in table.notes:
        common.log(f"{options.dataset}: {note}")
    if options.out == "-":
        sys.stdout.write(table.text(".csv"))
    else:
        table.write(options.out)
        common.log(f"wrote {options.out}: {counted(len(table), 'object')}, {counted(len(table.columns), 'column')}")
    return 0


def read_scales(options: argparse.Namespace, dataset: Dataset) -> float | Floats | None:
    """Return the scale that `--scale` gives, or one for each object; None without it."""
    text = options.scale
    if text is None:
        return None
    try:
        scale = float(text)
    except ValueError:
        return _scale_column(text, dataset, options.images)
    if not 0 < scale < math.inf:
        raise InputError(f"--scale {text}: expected the length of a pixel, above 0, or CSV:COLUMN")
    return scale


def with_scales(options: argparse.Namespace, dataset: Dataset) -> Dataset:
    """Return a dataset with the scale that `--scale` gives, if it does."""
    scale = read_scales(options, dataset)
    return dataset if scale is None else replace(dataset, scales=np.broadcast_to(scale, len(dataset)).astype(float))


def _scale_column(spec: str, dataset: Dataset, folder: str | None) -> Floats:
    if ":" not in spec:
        raise InputError(f"--scale {spec}: expected the length of a pixel, or CSV:COLUMN, a table and its column")
    table, is_specimen = read_scale_table(spec, folder)
    files = [os.path.realpath(file) for file in dataset.files]
    keys = specimen_names(dataset) if is_specimen else files
    if not set(keys) & set(table):
        what = "specimen" if is_specimen else "image"
        raise InputError(f"--scale {spec}: no row has the {what} of an object of {dataset.name}, expected at least one")
    scales = [table.get(key) for key in keys]
    return np.array([math.nan if scale is None else scale for scale in scales])


def run_observers(options: argparse.Namespace) -> int:
    """Compare two annotations of the same images."""
    for file in (options.a, options.b):
        if file in bundled_models() or Path(file).suffix.lower() in _MODEL_SUFFIXES or file.startswith("dlib:"):
            raise InputError(f"{file}: a model; expected MODEL_A MODEL_B DATASET, or two files of annotations")
    for name, default in _OF_MODELS.items():
        if getattr(options, name) != default:
            raise InputError(f"--{name}: only for two models and a dataset, not for two files of annotations")
    common.check_json_file(options.json)
    if options.draw is not None:
        common.check_image_suffix(options.draw)
        claim(options.draw, "image", "--draw")
    a, b = (_read(options, file) for file in (options.a, options.b))
    figures = compare_annotations(a, b)
    for note in figures["notes"]:
        common.log(note)
    common.output({"a": options.a, "b": options.b} | figures, options.json, _table(options, figures))
    if options.draw is not None:
        _draw(options.draw, a, b, figures)
        common.log(f"wrote {options.draw}")
    return 0


def _read(options: argparse.Namespace, file: str) -> Dataset:
    dataset = common.read_dataset(options, file, options.boxes)
    scales = read_scales(options, dataset)
    if scales is not None:
        dataset = replace(dataset, scales=np.broadcast_to(scales, len(dataset)))
    return replace(dataset, name=file)


def _table(options: argparse.Namespace, figures: dict[str, Any]) -> list[str]:
    n, units = figures["n"], figures["units"]
    lines = [f"{options.b} against {options.a}: {counted(n, 'object')} in both"]
    for unit in units:
        row, text = figures["overall"][unit], _UNITS[unit]
        spans = {key: "{:.3g} - {:.3g}".format(*row[f"{key}_95"]) for key in ("mean", "deviation")}
        lines.append(
            f"distance {row['mean']:.3g} {text} (95 % interval {spans['mean']}), "
            f"standard deviation of one annotation {row['deviation']:.3g} {text} ({spans['deviation']})"
        )
    if n < MIN_OBJECTS:
        lines.append(f"fewer than {MIN_OBJECTS} objects: the intervals are too narrow")
    width = max(8, *(len(row["name"]) for row in figures["landmarks"])) + 2
    lines.append(f"{'landmark':<{width}}{'n':>5}" + "".join(_header(_UNITS[unit]) for unit in units))
    for row in figures["landmarks"]:
        lines.append(f"{row['name']:<{width}}{row['n']:>5}" + "".join(_cells(row[unit]) for unit in units))
    lines.append("dev.: standard deviation of one annotation, sqrt(sum d^2 / 2n); bias: mean of the second minus the")
    lines.append("first, x to the right, y downwards" + ("; %: of the landmarks' diagonal" * ("percent" in units)))
    lines.append("largest distances:")
    for row in figures["largest"]:
        worst = f"landmark {row['landmark']} {row['distance_px']:.2f}"
        lines.append(f"  {row['image']} ({row['specimen']}): mean {row['mean_px']:.2f} px, {worst} px")
    return lines


def _header(unit: str) -> str:
    return f"{f'mean {unit}':>11}{'dev.':>8}{'bias x':>8}{'bias y':>8}"


def _cells(row: dict[str, float | None]) -> str:
    texts = ["-" if value is None else f"{value:.3f}" for value in row.values()]
    return f"{texts[0]:>11}{texts[1]:>8}{texts[2]:>8}{texts[3]:>8}"


def _draw(file: str, a: Dataset, b: Dataset, figures: dict[str, Any]) -> None:
    """Draw the landmarks of a usual object, numbered, with a circle of the mean distance around each."""
    pairs = match_annotations(a, b)
    distances = np.hypot(*np.moveaxis(pairs.b.landmarks - pairs.a.landmarks, 2, 0))
    n_known = (~np.isnan(distances)).sum(axis=1)
    middle = np.nansum(distances, axis=1) / np.maximum(n_known, 1)
    # Of those with most landmarks, the one with the median distance.
    fullest = np.flatnonzero(n_known == n_known.max())
    i = int(fullest[np.argsort(middle[fullest], kind="stable")[len(fullest) // 2]])
    unit = "mm" if "mm" in figures["units"] else "px"
    radii = [row["px"]["mean"] or 0.0 for row in figures["landmarks"]]
    texts = [f"{row['name']}: {row[unit]['mean'] or 0:.2g} {unit}" for row in figures["landmarks"]]
    image = load_image(pairs.a.files[i])
    shapes = [pairs.a.landmarks[i]]
    save_image(
        file, draw_landmarks(image, shapes, names=texts, radii=[radii], scheme="points", min_size=_PICTURE_PIXELS)
    )
