"""``ert measure``: distances, angles, areas and shapes of annotated or predicted objects, as a table."""

import argparse
import math
import os
import sys
from dataclasses import replace

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import claim
from ert._core.types import Floats
from ert.cli import common
from ert.cli.parser import Parser
from ert.datasets.dataset import Dataset
from ert.measurements.measure import UNITS, measure
from ert.measurements.objects import specimen_names
from ert.measurements.table import table_kind
from ert.pipeline.inputs import read_scale_table


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
        common.log(f"wrote {options.out}: {len(table)} objects, {len(table.columns)} columns")
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
