"""Two models on the same objects: who is nearer the truth, how far apart they are, who is faster.

The models are called A and B. A difference is A's figure minus B's, so that a negative one is in favor of A.
All intervals are 95 % bootstrap intervals over the objects.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import load_image, to_gray
from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.inference.validation import read_face
from ert.metrics import bootstrap_interval, evaluate, nme, normalizer_lengths
from ert.predictor import ShapePredictor

__all__ = [
    "BenchmarkModel",
    "Comparison",
    "compare_shapes",
    "compare_times",
    "make_benchmark_model",
    "measure",
    "most_different",
]


# Images are held in memory by batches, so that calls on one face are far apart: a model that has just seen
# the same face finds its leaves in the processor's cache, as it would never do in use.
BATCH_FACES = 64
BATCH_BYTES = 2**28


class BenchmarkModel(NamedTuple):
    """A model that takes part in a comparison."""

    name: str
    """What tables and pictures call it."""
    n_landmarks: int
    n_bytes: int
    """Size of its file."""
    prepare: Callable[[npt.NDArray[np.uint8], Floats], Callable[[], Any]]
    """Of an image (gray or RGB) and a box: the call that locates the landmarks, which alone is timed."""
    points: Callable[[Any], npt.ArrayLike]
    """Of what the call returns: the landmarks, (n_landmarks, 2)."""


def make_benchmark_model(name: str, model: ShapePredictor, n_bytes: int) -> BenchmarkModel:
    """Return a fitted predictor as one that takes part; the arguments as :class:`BenchmarkModel` has them."""

    def prepare(image: npt.NDArray[np.uint8], box: Floats) -> Callable[[], Any]:
        return lambda: model.predict([(image, box)], channel_order="rgb")

    return BenchmarkModel(name, model.n_landmarks_, n_bytes, prepare, lambda found: found[0])


class Comparison(NamedTuple):
    """How the landmarks of two models compare on n objects."""

    normalizer: str
    """The normalizer, see :func:`ert.metrics.normalizer_lengths`."""
    errors: Floats
    """(2, n) NME of A and B on each object, in percent."""
    distances: Floats
    """(n,) mean distance between a landmark of A and that of B, in pixels."""
    relative_distances: Floats
    """(n,) the same in percent of the normalizer."""
    figures: dict[str, Any]
    """The summary, as JSON can hold it."""


def compare_shapes(
    y_true: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike, normalizer: str | None = None
) -> Comparison:
    """Compare the landmarks that two models gave for the same objects.

    Parameters
    ----------
    y_true : (n, n_landmarks, 2) array-like
        True landmarks, x and y in pixels; NaN = missing, and left out of the errors.
    a, b : (n, n_landmarks, 2) array-like
        Landmarks of the models A and B.
    normalizer : str, optional
        One of `ert.metrics.NORMALIZERS`; by default the first that :func:`ert.metrics.evaluate` takes:
        "inter-ocular" for 68 points with all eye points, else "box".

    Returns
    -------
    Comparison
        Its figures are ``n``, ``n_landmarks``, ``normalizer``, ``a`` and ``b`` (as in
        :func:`ert.metrics.evaluate`), ``difference`` (of the NME: ``mean``, ``interval_95``, and on how many
        objects ``a_better``, ``b_better`` or ``equal``), ``mean_distance_px`` and ``same_whole_pixels``, the
        share of objects whose landmarks are all the same when rounded, halves up.

    Raises
    ------
    InputError
        As :func:`ert.metrics.evaluate`.
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
    return Comparison(
        normalizer, errors, distances, 100 * distances / normalizer_lengths(y_true, normalizer), figures
    )


def most_different(comparison: Comparison, n: int = 12) -> npt.NDArray[np.intp]:
    """Return the objects on which the models are farthest apart, in percent of the normalizer.

    Parameters
    ----------
    comparison : Comparison
    n : int
        At most so many.

    Returns
    -------
    int array
        Their numbers, the farthest first; of equal ones the earlier first.
    """
    return np.argsort(-comparison.relative_distances, kind="stable")[:n]


def compare_times(milliseconds: npt.ArrayLike, n_draws: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Summarize how long single calls of two models took.

    Parameters
    ----------
    milliseconds : (2, n, repeats) array-like
        Of A and B, for each object; the calls of one object and repeat followed each other.
    n_draws : int
        How many times objects are drawn again for the interval.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    dict
        ``a`` and ``b``: ``median_ms`` and ``quartiles_ms`` of all calls; ``ratio_b_to_a`` of the two medians
        and its ``interval_95``, which holds for this run: another machine or a busier one gives others.

    Raises
    ------
    InputError
        When the shape is another or there is no call.
    """
    times = np.asarray(milliseconds, np.float64)
    if times.ndim != 3 or len(times) != 2 or not times.size:
        raise InputError(f"milliseconds: expected shape (2, n, repeats), got {times.shape}")
    rng = np.random.default_rng(seed)
    n = times.shape[1]
    ratios = []
    for _ in range(n_draws):
        medians = np.median(times[:, rng.integers(n, size=n)], axis=(1, 2))
        ratios.append(medians[1] / medians[0])
    medians = np.median(times, axis=(1, 2))
    summary: dict[str, Any] = {
        which: {"median_ms": float(median), "quartiles_ms": np.percentile(each, [25, 75]).tolist()}
        for which, median, each in zip("ab", medians, times, strict=True)
    }
    summary["ratio_b_to_a"] = float(medians[1] / medians[0])
    summary["interval_95"] = np.quantile(ratios, [0.025, 0.975]).tolist()
    return summary


def measure(
    benchmark_models: Sequence[BenchmarkModel],
    dataset: Dataset,
    repeats: int = 5,
    *,
    gray: bool = False,
    progress: Callable[[int], Any] | None = None,
) -> tuple[Floats, Floats]:
    """Run models on every object of a dataset, one call an object, and time the calls.

    Every model has seen the object once before its calls are timed. The models take turns, face by face, and
    each goes first as often as the others, so that what disturbs the machine disturbs all of them.

    Parameters
    ----------
    benchmark_models : sequence of Contender
    dataset : Dataset
    repeats : int
        Timed calls of each model for each object, at least 1.
    gray : bool
        Whether to hand all images over in gray (luma); otherwise what has color keeps it, and turning it to
        gray is part of a call.
    progress : function, optional
        Called with a number of calls made, in all ``n_contenders * (repeats + 1) * len(dataset)``.

    Returns
    -------
    shapes : (n_contenders, n, n_landmarks, 2) float64 array
    milliseconds : (n_contenders, n, repeats) float64 array

    Raises
    ------
    InputError
        When `repeats` is less than 1, an image cannot be read or a box cannot be used.
    """
    from threadpoolctl import threadpool_limits

    if repeats < 1:
        raise InputError(f"repeats: expected at least 1, got {repeats}")
    n_landmarks = len(dataset.landmark_names)
    shapes = np.empty((len(benchmark_models), len(dataset), n_landmarks, 2))
    milliseconds = np.empty((len(benchmark_models), len(dataset), repeats))
    with threadpool_limits(1):
        for batch in _batches(dataset, gray):
            calls = {
                i: [each.prepare(image, dataset.boxes[i]) for each in benchmark_models]
                for i, image in batch.items()
            }
            for i, of_face in calls.items():
                for which, call in enumerate(of_face):
                    shapes[which, i] = benchmark_models[which].points(call())
            _tell(progress, len(calls) * len(benchmark_models))
            for repeat in range(repeats):
                for i, of_face in calls.items():
                    for turn in range(len(benchmark_models)):
                        which = (turn + i + repeat) % len(benchmark_models)
                        call = of_face[which]
                        begin = perf_counter_ns()
                        call()
                        milliseconds[which, i, repeat] = (perf_counter_ns() - begin) / 1e6
                _tell(progress, len(calls) * len(benchmark_models))
    return shapes, milliseconds


def _tell(progress: Callable[[int], Any] | None, n: int) -> None:
    if progress is not None:
        progress(n)


def _batches(dataset: Dataset, gray: bool) -> Iterator[dict[int, npt.NDArray[np.uint8]]]:
    """Yield the images of some objects at a time, by the objects' numbers."""
    batch: dict[int, npt.NDArray[np.uint8]] = {}
    n_bytes = 0
    last: Path | None = None
    for i, file in enumerate(dataset.files):
        if file != last or not batch:  # objects of one image follow each other
            image, last = load_image(file), file
            image = to_gray(image) if gray else image
            n_bytes += image.nbytes
        read_face(image, dataset.boxes[i], "rgb", str(file))  # names the file in its errors
        batch[i] = image
        if len(batch) == BATCH_FACES or n_bytes > BATCH_BYTES:
            yield batch
            batch, n_bytes = {}, 0
    if batch:
        yield batch
