"""Which photo a person should annotate next.

thumbnails ──> histograms of gradients ──> distances of photos ──> the first ones: those most different from each other
model ──> doubt of the next ones at random, times their distances ──> the others
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError
from ert._core.images import load_preview, to_gray
from ert._core.types import Floats, Pixels
from ert.inference.gradients import gradient_histograms

# The sides of a thumbnail that photos are compared by.
SIDE = 48
# Photos that are compared with each other, a part of them first; of more photos, these are drawn at random.
N_COMPARED = 60, 400
# The photos that are done first are the most different ones, the others follow at random: this takes the fewest actions
# until all are done. Of many photos, of which a part is done, those follow in which a model is in doubt and which are
# unlike those done, among the next ones at random: of shells, models of 33 photos have a tenth less error then.
N_DIFFERENT, N_CANDIDATES, MANY_PHOTOS = 10, 40, 1000


def photo_features(gray: Pixels) -> npt.NDArray[np.float32]:
    """Return what a photo is compared by, of its thumbnail in gray with `SIDE` pixels a side."""
    return gradient_histograms(gray).ravel()


def thumbnail(gray: Pixels) -> Pixels:
    """Return a photo in gray as a thumbnail of `SIDE` pixels a side."""
    from PIL import Image

    small = Image.fromarray(gray).resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return np.array(small)


def distances(features: Floats) -> Floats:
    """Return the distances (n, n) of photos from each other."""
    products = features @ features.T
    squares = np.diag(products)
    between: Floats = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0))
    return between


def most_different(between: Floats, done: Sequence[int], left: Sequence[int], n: int) -> list[int]:
    """Return photos that are left, each the one that is farthest from the nearest one done or chosen before it.

    Parameters
    ----------
    between : float64 array (n, n)
        Distances.
    done, left : sequence of int
    n : int
        How many are wanted. The first one of all is in the middle of the others.
    """
    return _farthest_first(between, done, left, np.ones(len(left)), -between.sum(axis=1), n)


def most_helpful(between: Floats, done: Sequence[int], left: Sequence[int], doubts: Sequence[float]) -> list[int]:
    """Order photos that are left, each the one with the largest product of its doubt and its distance from the others.

    Parameters
    ----------
    between : float64 array (n, n)
        Distances.
    done, left : sequence of int
    doubts : sequence of float
        Of the photos that are left: how uncertain a model is.

    Returns
    -------
    list of int
        The distance is that from the nearest photo that is done or comes before it.
    """
    weights = np.asarray(doubts, np.float64)
    return _farthest_first(between, done, left, weights, np.ones(len(between)), len(left))


def _farthest_first(
    between: Floats, done: Sequence[int], left: Sequence[int], weights: Floats, start: Floats, n: int
) -> list[int]:
    """Return n photos, each with the largest product of its weight and its distance from the nearest one before it.

    Before any photo, `start` (n_photos,) is in place of the distances.
    """
    order: list[int] = []
    rest = list(left)
    while rest and len(order) < n:
        before = [*done, *order]
        nearest = between[np.ix_(rest, before)].min(axis=1) if before else start[rest]
        best = int(np.argmax(weights * nearest))
        order.append(rest.pop(best))
        weights = np.delete(weights, best)
    return order


class Ranking:
    """The order of the photos of a project, as far as it is known; photos are compared in the background.

    Parameters
    ----------
    files : sequence of pathlib.Path
    seed : int
        Of the order of photos that nothing is known of.
    """

    def __init__(self, files: Sequence[Path], seed: int = 0) -> None:
        self._files = files
        self._random = np.random.default_rng([seed, 7]).permutation(len(files)).tolist()
        self._lock = threading.Lock()
        # The photos that are compared, and their distances from each other.
        self._compared: list[int] = []
        self._between: Floats = np.zeros((0, 0))
        self._closed = False
        self._thread = threading.Thread(target=self._compare, name="ert photos", daemon=True)
        self._thread.start()

    def candidates(self, left: Collection[int]) -> list[int]:
        """Return the photos that may be next, of which a model's doubts are needed for the order of many photos."""
        return list(islice(self._at_random(left), N_CANDIDATES))

    def order(
        self, left: Collection[int], done: Collection[int], doubts: Mapping[int, float] | None = None
    ) -> list[int]:
        """Return the photos that are left, the one that helps most first.

        Parameters
        ----------
        left, done : collection of int
        doubts : mapping
            How uncertain the model is of candidates, as far as it is known; empty without a model.
        """
        doubts = doubts or {}
        with self._lock:
            compared, between = self._compared, self._between
        places = {i: k for k, i in enumerate(compared)}
        finished = [places[i] for i in done if i in places]
        many = len(left) + len(done) >= MANY_PHOTOS
        doubted = [i for i in self.candidates(left) if i in doubts] if many else []
        if doubted:
            known = [i for i in doubted if i in places]
            order = most_helpful(between, finished, [places[i] for i in known], [doubts[i] for i in known])
            first = [compared[k] for k in order]
            first += sorted((i for i in doubted if i not in places), key=lambda i: -doubts[i])
        else:
            n = max(0, N_DIFFERENT - len(done))
            open_ones = set(left)
            order = most_different(between, finished, [k for k, i in enumerate(compared) if i in open_ones], n)
            first = [compared[k] for k in order]
        taken = set(first)
        return first + [i for i in self._at_random(left) if i not in taken]

    def _at_random(self, left: Collection[int]) -> Iterator[int]:
        wanted = set(left)
        # Photos that were added since come last.
        others = [*self._random, *sorted(i for i in wanted if i >= len(self._random))]
        return (i for i in others if i in wanted)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until photos have been compared."""
        self._thread.join(seconds)

    def close(self) -> None:
        """End the comparison."""
        self._closed = True

    def _compare(self) -> None:
        features: list[npt.NDArray[np.float32]] = []
        compared: list[int] = []
        for n in N_COMPARED:
            for i in self._random[len(features) : n]:
                if self._closed:
                    return
                try:
                    features.append(photo_features(thumbnail(to_gray(load_preview(self._files[i], SIDE)))))
                except InputError:
                    features.append(
                        np.zeros_like(features[-1]) if features else photo_features(np.zeros((SIDE, SIDE), np.uint8))
                    )
                compared.append(i)
            between = distances(np.array(features, np.float64).reshape(len(features), -1))
            with self._lock:
                self._compared, self._between = list(compared), between
