"""Two models on the same objects: their errors, the distance between their landmarks, their times, and pictures.

The models are called A and B. A difference is A minus B, so negative differences are in favor of A. Intervals
are 95 % bootstrap intervals over the objects.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import image_size, load_image, to_gray
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert._core.types import Floats, Pixels, StrPath
from ert.datasets.dataset import Dataset
from ert.inference.validation import read_face
from ert.metrics import bootstrap_interval, evaluate, nme, normalizer_lengths, normalizer_text
from ert.plotting.charts import check_chart_file, plot_ced
from ert.plotting.landmarks import (
    PHOTO_COLORS,
    TRUTH,
    contact_sheet,
    object_thumbnail,
    save_image,
    shortened,
    write_text,
)
from ert.predictor import ShapePredictor

# A batch of images is in memory at a time, so that two calls for the same object are far apart: otherwise its
# leaves would still be in the processor's cache, as they never are in practice.
BATCH_FACES = 64
BATCH_BYTES = 2**28

_THUMBNAIL_SIZE = 420


class BenchmarkModel(NamedTuple):
    """A model to be compared.

    Parameters
    ----------
    name : str
        Name in tables and pictures.
    n_landmarks : int
        Number of landmarks.
    n_bytes : int
        Size of the model file.
    prepare : function
        Takes an image (gray or RGB), a box and, for rotated objects, a roll in degrees, and returns the call that
        predicts landmarks and is timed.
    points : function
        Takes the result of the call and returns the landmarks, (n_landmarks, 2).
    landmark_names : tuple of str
        Names of the landmarks, in their order; empty if the model has none.
    model : ShapePredictor or None
        The predictor; None for one of another library.
    """

    name: str
    n_landmarks: int
    n_bytes: int
    prepare: Callable[..., Callable[[], Any]]
    points: Callable[[Any], npt.ArrayLike]
    landmark_names: tuple[str, ...] = ()
    model: ShapePredictor | None = None


def make_benchmark_model(name: str, model: ShapePredictor, n_bytes: int) -> BenchmarkModel:
    """Return a fitted predictor as a model to be compared.

    Parameters
    ----------
    name : str
        Name in tables and pictures.
    model : ShapePredictor
        Fitted.
    n_bytes : int
        Size of the model file.

    Returns
    -------
    BenchmarkModel
    """

    def prepare(image: Pixels, box: Floats, roll: float | None = None) -> Callable[[], Any]:
        return lambda: model.predict([(image, box)], rolls=roll, channel_order="rgb")

    names = model.landmark_names_
    return BenchmarkModel(name, model.n_landmarks_, n_bytes, prepare, lambda found: found[0], names, model)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparison of the landmarks of two models on n objects.

    Parameters
    ----------
    normalizer : str
        Normalizer of the errors, see :func:`ert.metrics.normalizer_lengths`.
    errors : (2, n) array
        NME of A and B on each object, in percent.
    distances : (n,) array
        Mean distance between the landmarks of A and B, in pixels.
    relative_distances : (n,) array
        The same in percent of the normalizer.
    figures : dict
        Summary that can be written as JSON.
    """

    normalizer: str
    errors: Floats
    distances: Floats
    relative_distances: Floats
    figures: dict[str, Any]

    def __repr__(self) -> str:
        a, b, difference = (self.figures[key]["mean"] for key in ("a", "b", "difference"))
        low, high = self.figures["difference"]["interval_95"]
        return (
            f"Comparison of 2 models on {len(self.distances)} objects, NME ({self.normalizer}) in %:\n"
            f"  A {a:.3f}, B {b:.3f}, A - B {difference:.3f} (95 % interval {low:.3f} to {high:.3f})"
        )


def compare_shapes(
    y_true: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike, normalizer: str | None = None
) -> Comparison:
    """Compare the landmarks of two models for the same objects.

    Parameters
    ----------
    y_true : (n, n_landmarks, 2) array-like
        True landmarks, x and y in pixels; NaN = missing, ignored in the errors.
    a, b : (n, n_landmarks, 2) array-like
        Landmarks predicted by the models A and B.
    normalizer : str, optional
        One of `ert.metrics.NORMALIZERS`; by default "inter-ocular" for 68 points without missing eye points,
        else "box".

    Returns
    -------
    Comparison
        Its figures are ``n``, ``n_landmarks``, ``normalizer``, ``a`` and ``b`` (as in
        :func:`ert.metrics.evaluate`), ``difference`` (of the NME: ``mean``, ``interval_95``, and the numbers
        of objects ``a_better``, ``b_better`` and ``equal``), ``mean_distance_px`` and ``same_whole_pixels``,
        the fraction of objects whose landmarks are identical after rounding to integers.

    Raises
    ------
    InputError
        As :func:`ert.metrics.evaluate`.

    Examples
    --------
    >>> truth = [[[0, 0], [40, 30]]]
    >>> ert.evaluation.compare_shapes(truth, [[[3, 4], [43, 34]]], truth, "diagonal").figures["difference"]["mean"]
    10.0
    """
    shapes = [np.asarray(each, np.float64) for each in (a, b)]
    norms = None if normalizer is None else [normalizer]
    summaries = [evaluate(y_true, each, norms) for each in shapes]
    normalizer = next(iter(summaries[0]["norms"]))
    errors = np.stack([nme(y_true, each, normalizer) for each in shapes])
    difference = errors[0] - errors[1]
    distances = np.hypot(*np.moveaxis(shapes[0] - shapes[1], 2, 0)).mean(axis=1)
    rounded = [np.floor(each + 0.5) for each in shapes]
    figures = {
        "n": summaries[0]["n"],
        "n_landmarks": summaries[0]["n_landmarks"],
        "normalizer": normalizer,
        "a": summaries[0]["norms"][normalizer],
        "b": summaries[1]["norms"][normalizer],
        "difference": {
            "mean": float(difference.mean()),
            "interval_95": list(bootstrap_interval(difference)),
            "a_better": int((difference < 0).sum()),
            "b_better": int((difference > 0).sum()),
            "equal": int((difference == 0).sum()),
        },
        "mean_distance_px": float(distances.mean()),
        "same_whole_pixels": float((rounded[0] == rounded[1]).all(axis=(1, 2)).mean()),
    }
    return Comparison(normalizer, errors, distances, 100 * distances / normalizer_lengths(y_true, normalizer), figures)


def most_different(comparison: Comparison, n: int = 12) -> npt.NDArray[np.intp]:
    """Return the objects with the largest distance between the models, relative to the normalizer.

    Parameters
    ----------
    comparison : Comparison
        Result of `compare_shapes`.
    n : int
        Maximum number of objects.

    Returns
    -------
    int array
        Indices of the objects, the largest distance first.
    """
    return np.argsort(-comparison.relative_distances, kind="stable")[:n]


def compare_times(milliseconds: npt.ArrayLike, n_draws: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Summarize the times of single calls of two models.

    Parameters
    ----------
    milliseconds : (2, n, repeats) array-like
        Times of A and B for each object.
    n_draws : int
        Number of resamples for the interval.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    dict
        ``a`` and ``b``: ``median_ms`` and ``quartiles_ms`` of all calls; ``ratio_b_to_a`` of the two medians
        and its ``interval_95``, which is valid for this run only: it does not cover other machines or loads.

    Raises
    ------
    InputError
        When the shape is different or there is no call.
    """
    times = np.asarray(milliseconds, np.float64)
    if times.ndim != 3 or len(times) != 2 or not times.size:
        raise InputError(f"milliseconds: expected shape (2, n, repeats), got {times.shape}")

    def ratio(by_object: Floats) -> float:
        medians = np.median(by_object, axis=(0, 2))
        return float(medians[1] / medians[0])

    by_object = times.swapaxes(0, 1)
    summary: dict[str, Any] = {
        which: {"median_ms": float(np.median(each)), "quartiles_ms": np.percentile(each, [25, 75]).tolist()}
        for which, each in zip("ab", times, strict=True)
    }
    summary["ratio_b_to_a"] = ratio(by_object)
    summary["interval_95"] = list(bootstrap_interval(by_object, n=n_draws, seed=seed, statistic=ratio))
    return summary


def measure(
    benchmark_models: Sequence[BenchmarkModel],
    dataset: Dataset,
    repeats: int = 5,
    *,
    poses: Sequence[tuple[Floats, Floats | None]] | None = None,
    gray: bool = False,
    progress: Callable[[int], Any] = lambda n_calls: None,
    n_jobs: int = -1,
) -> tuple[Floats, Floats]:
    """Run models on each object of a dataset, one call per object, and time the calls.

    Each model predicts an object once before its calls are timed. The models alternate object by object, and
    each is first equally often, so that other load on the machine affects all of them alike.

    Parameters
    ----------
    benchmark_models : sequence of BenchmarkModel
        The models.
    dataset : Dataset
        The objects.
    repeats : int
        Timed calls of each model for each object, at least 1.
    poses : sequence of (boxes, rolls), optional
        For each model, the boxes (n, 4) of the objects and their rolls (n,) in degrees, or None where they are
        upright; by default the boxes of the dataset.
    gray : bool
        Whether to pass all images in gray (luma); otherwise color images are passed as they are, and the
        conversion to gray is part of the call.
    progress : function, optional
        Called with the number of calls made since the last time, in total ``n_models * (repeats + 1) * len(dataset)``.
    n_jobs : int
        Threads that read images, while no call is timed; -1 uses all processors.

    Returns
    -------
    shapes : (n_models, n, n_landmarks, 2) float64 array
        Pixels.
    milliseconds : (n_models, n, repeats) float64 array

    Raises
    ------
    InputError
        When `repeats` is less than 1, an image cannot be read or a box is invalid.
    """
    from threadpoolctl import threadpool_limits

    if repeats < 1:
        raise InputError(f"repeats: expected at least 1, got {repeats}")
    poses = poses or [(dataset.boxes, None)] * len(benchmark_models)
    n_landmarks = len(dataset.landmark_names)
    shapes = np.empty((len(benchmark_models), len(dataset), n_landmarks, 2))
    milliseconds = np.empty((len(benchmark_models), len(dataset), repeats))
    with threadpool_limits(1):
        for batch in _batches(dataset, gray, count_threads(n_jobs)):
            calls = {
                i: [
                    each.prepare(image, boxes[i], *(() if rolls is None else (float(rolls[i]),)))
                    for each, (boxes, rolls) in zip(benchmark_models, poses, strict=True)
                ]
                for i, image in batch.items()
            }
            for i, of_face in calls.items():
                for which, call in enumerate(of_face):
                    shapes[which, i] = benchmark_models[which].points(call())
            progress(len(calls) * len(benchmark_models))
            for repeat in range(repeats):
                for i, of_face in calls.items():
                    for turn in range(len(benchmark_models)):
                        which = (turn + i + repeat) % len(benchmark_models)
                        call = of_face[which]
                        begin = perf_counter_ns()
                        call()
                        milliseconds[which, i, repeat] = (perf_counter_ns() - begin) / 1e6
                progress(len(calls) * len(benchmark_models))
    return shapes, milliseconds


def _batches(dataset: Dataset, gray: bool, n_threads: int) -> Iterator[dict[int, Pixels]]:
    """Yield batches of images by the indices of their objects."""

    def read(file: Path) -> Pixels:
        image = load_image(file)
        return to_gray(image) if gray else image

    for items in _parts(dataset):
        files = list(dict.fromkeys(dataset.files[i] for i in items))
        images = zip(files, map_in_threads(read, files, min(n_threads, len(files))), strict=True)
        batch, of_file = {}, dict[Path, Pixels]()
        for i in items:
            while (file := dataset.files[i]) not in of_file:
                of_file.update([next(images)])
            read_face(of_file[file], dataset.boxes[i], "rgb", str(file))  # checks the box; errors name the file
            batch[i] = of_file[file]
        yield batch


def _parts(dataset: Dataset) -> Iterator[list[int]]:
    """Yield the indices of the objects whose images are in memory together."""
    part: list[int] = []
    n_bytes = 0
    last: Path | None = None
    for i, file in enumerate(dataset.files):
        if file != last:  # objects of one image are consecutive
            last = file
            with suppress(InputError):  # raised where the image is read
                n_bytes += 3 * math.prod(image_size(file))
        part.append(i)
        if len(part) == BATCH_FACES or n_bytes > BATCH_BYTES:
            yield part
            part, n_bytes = [], 0
            last = None
    if part:
        yield part


def plot_errors(path: StrPath, comparison: Comparison, names: Sequence[str], title: str) -> None:
    """Write a plot of the error distributions of both models, in a format that matplotlib writes."""
    check_chart_file(path)
    errors = dict(zip(names, comparison.errors, strict=True))
    x_label = f"mean error of an object (% of the {normalizer_text(comparison.normalizer)})"
    plot_ced(errors, x_label=x_label, title=title, size=(6.4, 4.3)).save(path)


def draw_most_different(
    path: StrPath, dataset: Dataset, shapes: Floats, comparison: Comparison, names: Sequence[str], n: int = 12
) -> None:
    """Write a contact sheet of the objects on which the models differ most, with both shapes and the truth.

    `shapes` (2, n_objects, n_landmarks, 2) are the landmarks of both models; at most `n` objects are shown.
    """
    chosen = most_different(comparison, n)
    thumbnails = [_thumbnail(dataset, shapes, comparison, int(i)) for i in chosen]
    captions = [shortened(dataset.files[i].name) for i in chosen]
    sheet = contact_sheet(thumbnails, 4, captions, tile_size=_THUMBNAIL_SIZE)
    head = f"{len(chosen)} of {len(dataset)} objects, those on which the models differ most"
    save_image(path, np.vstack([_legend(sheet.shape[1], head, names, comparison.normalizer), sheet]))


def _thumbnail(dataset: Dataset, shapes: Floats, comparison: Comparison, i: int) -> Pixels:
    from PIL import Image

    image, drawn = load_image(dataset.files[i]), [dataset.landmarks[i], *shapes[:, i]]
    colors = [TRUTH, *PHOTO_COLORS]
    picture = Image.fromarray(object_thumbnail(image, dataset.boxes[i], drawn, colors, 2 * _THUMBNAIL_SIZE))
    scale = max(picture.size) / _THUMBNAIL_SIZE
    for which, color in enumerate(PHOTO_COLORS):
        place = (8 * scale, picture.height - (34 - 27 * which) * scale)
        text = f"{'AB'[which]} {comparison.errors[which, i]:.2f} %"
        write_text(picture, place, text, 23 * scale, "lb", round(2 * scale), color)
    return np.array(picture, np.uint8)


def _legend(width: int, head: str, names: Sequence[str], normalizer: str) -> Pixels:
    """Draw the legend of the colors; long lines are written smaller."""
    from PIL import Image, ImageDraw, ImageFont

    left, line = 16, 32
    texts = [
        (head, "#ffffff"),
        *zip(names, PHOTO_COLORS, strict=True),
        (f"truth; errors in % of the {normalizer_text(normalizer)}", TRUTH),
    ]
    picture = Image.new("RGB", (width, line * len(texts) + 14), "#16181d")
    pen = ImageDraw.Draw(picture)
    for number, (text, color) in enumerate(texts):
        middle = 8 + line * number + line / 2
        indent = 0 if number == 0 else 44
        if indent:
            pen.line((left, middle, left + 34, middle), color, 4)
            pen.ellipse((left + 11, middle - 6, left + 23, middle + 6), color)
        size = 23.0
        while pen.textlength(text, ImageFont.load_default(size)) > width - indent - 2 * left and size > 9:
            size -= 1
        pen.text((left + indent, middle), text, color, ImageFont.load_default(size), anchor="lm")
    return np.array(picture, np.uint8)
