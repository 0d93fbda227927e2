"""Find out by the pixels whether the landmarks fit the images better upside down, or with images turned.

Tools count y from the top or from the bottom of an image, and turn photos by their EXIF orientation or do not.
Landmarks that are read the wrong way have plausible shapes; only the pixels show it. A small cascade is trained
on half of the objects and tried on the other half, in boxes that are slightly off; then the same with the other
reading. The right one has the smaller error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import InputError
from ert._core.image_paths import ImagePath, image_path
from ert._core.images import has_turn, load_image, to_gray
from ert._core.runtime import count_threads
from ert._core.types import Floats, Pixels
from ert.datasets.dataset import Dataset
from ert.inference.validation import sides_from_box
from ert.predictor import ShapePredictor

# Half a second for the fits; reading as many images takes longer where they are large.
MAX_OBJECTS = 150
MIN_OBJECTS = 30
MAX_LANDMARKS = 24
# Landmarks that fewer objects have are left out, and then objects that lack one.
MIN_SHARE_KNOWN = 0.9
# Objects with a landmark farther from their box are left out: those are mistakes, which training may refuse.
MAX_SIDES_FROM_BOX = 5
# The other reading fits far better where the median error is smaller by this factor, and the error is smaller in this
# share of the objects. Wings, shells and cephalograms read upside down: all of 45 draws of 40 objects are beyond both.
# Nine datasets read right, 15 draws each of 20 to 150 objects: no share is above 0.65.
MIN_RATIO = 1.25
MIN_SHARE = 0.7

# The side of the patch of an object, in pixels; its box is half as wide.
_PATCH_PIXELS = 80
# Boxes are off by up to this part of their sides, so that the object has to be found in the pixels.
_SHIFT_SIDES = 0.15
_PARAMETERS: dict[str, Any] = {
    "n_stages": 4,
    "n_trees": 50,
    "max_depth": 3,
    "n_inits": 8,
    "n_pixels": 150,
    "n_components": 8,
    "working_size": _PATCH_PIXELS // 2,
    "shift_jitter": _SHIFT_SIDES / 3**0.5,
}


@dataclass(frozen=True)
class Readings:
    """Two readings of the same annotations, compared.

    Attributes
    ----------
    n_objects : int
        Number of objects.
    ratio : float
        Median error of the landmarks as they are, divided by that of the other reading.
    share : float
        Share of the objects whose error is smaller in the other reading.
    """

    n_objects: int
    ratio: float
    share: float

    @property
    def other_is_better(self) -> bool:
        """Whether the other reading fits far better."""
        return self.ratio >= MIN_RATIO and self.share >= MIN_SHARE

    def text(self, other: str) -> str:
        """Return the finding as text; `other` names the other reading."""
        figures = f"on {self.share:.0%} of {self.n_objects} objects, error {self.ratio:.1f} times smaller"
        return f"the landmarks fit the images far better {other} ({figures})"


def compare_upside_down(dataset: Dataset, n_jobs: int = -1) -> Readings | None:
    """Compare the landmarks with themselves upside down, as if y were counted from the other side of the image.

    Parameters
    ----------
    dataset : Dataset
        Of many objects 150 are used, in every call the same.
    n_jobs : int
        Threads; -1 is all processors.

    Returns
    -------
    Readings or None
        None where fewer than 30 objects have images that can be read.
    """
    return _compare(dataset, lambda file, image: image[::-1], n_jobs)


def compare_turned(dataset: Dataset, n_jobs: int = -1) -> Readings | None:
    """Compare the two ways to read images with a turn (EXIF): as the dataset reads them, and the other.

    Parameters
    ----------
    dataset : Dataset
        Objects in other images are left out.
    n_jobs : int
        Threads; -1 is all processors.

    Returns
    -------
    Readings or None
        As :func:`compare_upside_down`.
    """
    turned = {file for file in dict.fromkeys(dataset.files) if has_turn(file)}

    def other(file: Path, image: Pixels) -> Pixels:
        stored, levels = (file.stored, file.levels) if isinstance(file, ImagePath) else (False, None)
        return load_image(image_path(file, not stored, levels))

    return _compare(dataset.subset(np.array([file in turned for file in dataset.files], bool)), other, n_jobs)


def better_readings(dataset: Dataset, n_jobs: int = -1, *, upside_down: bool = True) -> dict[str, str]:
    """Find the ways to read the annotations in which they fit the images far better.

    Parameters
    ----------
    dataset : Dataset
        At least 30 objects, otherwise nothing is found.
    n_jobs : int
        Threads; -1 is all processors.
    upside_down : bool
        Whether to try the landmarks upside down, which takes a second. Images with a turn are tried anyway.

    Returns
    -------
    dict of str
        "images turned" or "upside down" -> a line that says what to do; empty if the reading is right.
    """
    turned = compare_turned(dataset, n_jobs)
    if turned is not None and turned.other_is_better:
        text = f"{turned.text('with the images turned the other way')}: try the other --exif, stored or upright"
        return {"images turned": text}
    mirrored = compare_upside_down(dataset, n_jobs) if upside_down else None
    if mirrored is not None and mirrored.other_is_better:
        way = "y may be counted from the other side: try the other --y-origin, top or bottom"
        return {"upside down": f"{mirrored.text('upside down')}: {way}"}
    return {}


# Pixels, box and landmarks.
_Patch: TypeAlias = tuple[Pixels, Floats, Floats]


def _compare(dataset: Dataset, other: Callable[[Path, Pixels], Pixels], n_jobs: int) -> Readings | None:
    """Compare the images of a dataset with what `other` makes of a file and its image."""
    from joblib import Parallel, delayed

    known = ~np.isnan(dataset.landmarks[:, :, 0])
    if len(dataset) < MIN_OBJECTS:
        return None
    often = np.flatnonzero(known.mean(axis=0) >= MIN_SHARE_KNOWN)
    if not len(often):
        return None
    chosen = often[np.linspace(0, len(often) - 1, min(len(often), MAX_LANDMARKS)).astype(int)]
    complete = np.flatnonzero(known[:, chosen].all(axis=1))
    distance = sides_from_box(dataset.landmarks[complete][:, chosen], dataset.boxes[complete])
    complete = complete[distance < MAX_SIDES_FROM_BOX]
    if len(complete) < MIN_OBJECTS:
        return None
    drawn = np.sort(np.random.default_rng(0).permutation(complete)[:MAX_OBJECTS])

    def cut(i: int) -> tuple[_Patch, _Patch] | None:
        file, box, shape = dataset.files[i], dataset.boxes[i], dataset.landmarks[i, chosen]
        try:
            image = load_image(file)
            return _cut_patch(image, box, shape), _cut_patch(other(file, image), box, shape)
        except InputError:
            return None

    # Image decoders release the GIL.
    pairs = Parallel(count_threads(n_jobs), prefer="threads")(delayed(cut)(i) for i in drawn.tolist())
    found = [(i, pair) for i, pair in zip(drawn, pairs, strict=True) if pair is not None]
    if len(found) < MIN_OBJECTS:
        return None
    half = _halves([dataset.files[i] for i, _ in found])
    as_is, otherwise = (_errors([pair[which] for _, pair in found], half, n_jobs) for which in (0, 1))
    # Errors of zero are no worse than tiny ones.
    ratio = (float(np.median(as_is)) + 1e-6) / (float(np.median(otherwise)) + 1e-6)
    return Readings(len(found), ratio, float(np.mean(otherwise < as_is)))


def _halves(files: list[Path]) -> NDArray[np.intp]:
    """Return the half, 0 or 1, that each object is in: the same for all in an image, unless the images are few."""
    _, image = np.unique([str(file) for file in files], return_inverse=True)
    if image.max() < MIN_OBJECTS // 2:
        image = np.arange(len(files))
    half: NDArray[np.intp] = np.random.default_rng(0).permutation(int(image.max()) + 1)[image] % 2
    return half


def _cut_patch(image: Pixels, box: Floats, shape: Floats) -> _Patch:
    """Cut the square around a box with twice its longer side, in gray; the border of the image continues."""
    from PIL import Image

    side = float(box[2:].max())
    shrink = max(1, int(2 * side / _PATCH_PIXELS))
    gray = to_gray(image)
    small = np.asarray(Image.fromarray(gray).reduce(shrink)) if shrink > 1 else gray
    step = 2 * side / _PATCH_PIXELS
    corner = box[:2] + box[2:] / 2 - side
    centers = (np.arange(_PATCH_PIXELS)[:, None] + 0.5) * step + corner
    columns, rows = np.clip(np.floor(centers / shrink), 0, np.array(small.shape[::-1]) - 1).astype(int).T
    return np.ascontiguousarray(small[rows[:, None], columns]), (box - [*corner, 0, 0]) / step, (shape - corner) / step


def _errors(patches: list[_Patch], half: NDArray[np.intp], n_jobs: int) -> Floats:
    """Return the mean error of each object, in pixels of its patch, by a cascade trained on the other half."""
    images = [image for image, _, _ in patches]
    boxes, shapes = (np.array([patch[which] for patch in patches]) for which in (1, 2))
    moved = boxes.copy()
    moved[:, :2] += np.random.default_rng(0).uniform(-_SHIFT_SIDES, _SHIFT_SIDES, (len(boxes), 2)) * boxes[:, 2:]
    errors = np.empty(len(patches))
    for k in (0, 1):
        model = ShapePredictor(**_PARAMETERS, n_jobs=n_jobs)
        seen, unseen = np.flatnonzero(half != k), np.flatnonzero(half == k)
        model.fit([(images[i], boxes[i]) for i in seen], shapes[seen])
        found = model.predict([(images[i], moved[i]) for i in unseen])
        errors[unseen] = np.linalg.norm(found - shapes[unseen], axis=2).mean(axis=1)
    return errors
