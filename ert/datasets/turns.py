"""Images that note how to turn them (EXIF): find out whether they were annotated as stored, or upright.

dlib, imglab and many trainers ignore the turn, other tools apply it. The size of an image in the file decides, or
landmarks that are inside the image in one of the two ways only; what some images of a file show holds for its others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ert._core.embedded_image import embedded_pixels
from ert._core.exceptions import InputError
from ert._core.image_paths import Levels, check_levels, image_path, is_stored, quick_header
from ert._core.images import has_turn, image_size
from ert.datasets.parsing import Annotation

# Landmarks may be outside the image by this many pixels, by rounding and other conventions of counting.
_TOLERANCE_PIXELS = 1.5

Size = tuple[int, int]


class _Image(NamedTuple):
    """What is known of an image, from its header and from the first object in it."""

    stored: Size | None = None  # None where it is not needed
    upright: Size | None = None
    turned: bool = False
    as_stored: bool | None = None  # None where only the others of the file can decide
    fault: str | None = None


_NOTHING = _Image()


class Turns:
    """Reads annotations on so that each image with a turn is read in the way that it was annotated in.

    Parameters
    ----------
    exif : {"stored", "upright"} or None
        Decides for all images; None is to find out.
    levels : (float, float), "auto" or None
        See :func:`ert.load_image`.
    stored_by_default : bool
        Whether images are read as stored where nothing decides.
    """

    def __init__(self, exif: str | None, levels: Levels | None, stored_by_default: bool) -> None:
        if exif not in (None, "stored", "upright"):
            raise InputError(f"exif is {exif!r}, expected 'stored' or 'upright'")
        self._exif, self._stored_by_default = exif, stored_by_default
        self._levels = None if levels is None else check_levels(levels)
        self._images: dict[Path, _Image] = {}
        self._votes = {True: 0, False: 0}

    def read(self, annotations: Iterable[Annotation]) -> Iterator[Annotation]:
        """Yield the annotations, with the way to read an image in its path."""
        waiting: list[Annotation] = []
        for annotation in annotations:
            image = _NOTHING if annotation.fault is not None else self._look_at(annotation)
            if image.turned and image.as_stored is None:
                self._vote(annotation, image)
            if waiting or (image.turned and image.as_stored is None):
                waiting.append(annotation)
            else:
                yield self._placed(annotation, image)
        n_stored, n_upright = self._votes[True], self._votes[False]
        as_stored = n_stored > n_upright or (n_stored == n_upright and self._stored_by_default)
        for file, image in self._images.items():
            if image.turned and image.as_stored is None:
                self._images[file] = image._replace(as_stored=as_stored)
        for annotation in waiting:
            yield self._placed(annotation, self._images.get(annotation.file, _NOTHING))

    def notes(self) -> Iterator[str]:
        """Yield what was done with images that have a turn, one line for each of both ways."""
        turned = [bool(image.as_stored) for image in self._images.values() if image.turned and not image.fault]
        for as_stored, way in (
            (True, "read as stored, without it; --exif upright applies it"),
            (False, "read upright; --exif stored reads them without it"),
        ):
            n = turned.count(as_stored)
            if n:
                yield f"{n} image{'s carry' if n > 1 else ' carries'} a turn (EXIF): {way}"

    def _look_at(self, annotation: Annotation) -> _Image:
        image = self._images.get(annotation.file)
        if image is None:
            image = self._images[annotation.file] = self._examine(annotation)
        return image

    def _examine(self, annotation: Annotation) -> _Image:
        file, stated = annotation.file, annotation.size if self._exif is None else None
        may_turn, stored = quick_header(file)
        turned = may_turn and has_turn(file)
        if self._exif is not None:
            return _Image(turned=turned, as_stored=self._exif == "stored")
        if not turned and stated is None:
            return _NOTHING
        try:
            stored = stored or image_size(image_path(file, stored=True))
            upright = image_size(file) if turned else stored
        except InputError:
            return _NOTHING  # the error comes when the image is read
        if stated is None or (stated == stored == upright):
            return _Image(stored, upright, turned)
        if stated not in (stored, upright):
            either = {f"{width} x {height}": None for width, height in (stored, upright)}
            found = f"expected {' or '.join(either)} as in {file}; --exif stored or upright takes it as it is"
            size = f"the size of the image is {stated[0]} x {stated[1]}"
            return _Image(turned=turned, as_stored=False, fault=f"{size}, {found}")
        self._votes[stated == stored] += turned
        return _Image(stored, upright, turned, stated == stored)

    def _vote(self, annotation: Annotation, image: _Image) -> None:
        """Count an object that is inside its image in one of the two ways only."""
        fits = [
            all(
                -_TOLERANCE_PIXELS <= x <= width - 1 + _TOLERANCE_PIXELS
                and -_TOLERANCE_PIXELS <= y <= height - 1 + _TOLERANCE_PIXELS
                for x, y in annotation.landmarks.values()
                if x == x
            )
            for width, height in filter(None, (image.stored, image.upright))
        ]
        if len(fits) == 2 and fits[0] != fits[1]:
            self._votes[fits[0]] += 1

    def _placed(self, annotation: Annotation, image: _Image) -> Annotation:
        stored = image.turned and bool(image.as_stored)
        if image.fault is not None:
            return replace(annotation, fault=f"{annotation.where}: {image.fault}")
        if stored or (self._levels is not None and embedded_pixels(annotation.file) is None):
            return replace(annotation, file=image_path(annotation.file, stored, self._levels))
        return annotation


def turn_notes(files: Iterable[Path], *, stored_by_default: bool) -> Iterator[str]:
    """Yield how to read a file that is written for these images, unless that is the default of its format."""
    other = [file for file in set(files) if is_stored(file) != stored_by_default and has_turn(file)]
    if other:
        way, pixels = ("upright", "upright images") if stored_by_default else ("stored", "pixels as stored")
        n = f"{len(other)} image{'s carry' if len(other) > 1 else ' carries'} a turn (EXIF)"
        yield f"{n}, and the coordinates are those of the {pixels}: read this file with --exif {way}"
