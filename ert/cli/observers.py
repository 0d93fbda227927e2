"""``ert compare`` of two annotations of the same images: their repeatability."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import bundled_models, claim
from ert._core.images import load_image
from ert.cli import common
from ert.cli.measure import read_scales
from ert.datasets.dataset import Dataset
from ert.measurements.repeatability import compare_annotations, match_annotations
from ert.plotting.landmarks import draw_landmarks, save_image

# Options of `ert compare` that only models have, with their defaults.
_OF_MODELS = {"limit": None, "normalizer": None, "repeats": 5, "gray": False, "plot": None, "out": None}
_MODEL_SUFFIXES = (".ert", ".dat")
_PICTURE_PIXELS = 1600
# With fewer objects a bootstrap interval is far too narrow.
MIN_OBJECTS = 10
_UNITS = {"px": "px", "percent": "%", "mm": "mm"}


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
    lines = [f"{options.b} against {options.a}: {n} object{'s' * (n != 1)} in both"]
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
