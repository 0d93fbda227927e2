"""The dataset type: images, boxes and landmarks of annotated objects."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ert._core.exceptions import InputError, printable
from ert._core.images import load_image
from ert._core.types import Floats
from ert.model.schemes import resolve_mirror_map

# In notebooks.
MAX_THUMBNAILS = 12
_COLUMNS = 6
_THUMBNAIL_PIXELS = 128


class Skipped(NamedTuple):
    """An object of a file that was not loaded.

    Attributes
    ----------
    kind : str
        "no landmarks", "image not found", "invalid annotation" or "unreadable image".
    file : pathlib.Path
        The image, or where it was expected.
    text : str
        Place and reason, in one line.
    """

    kind: str
    file: Path
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Annotated objects in images.

    Parameters
    ----------
    files : list of pathlib.Path
        The image of each object; an image with several objects is repeated.
    boxes : float64 array (n, 4)
        Left, top, width, height of each object in pixels.
    landmarks : float64 array (n, n_landmarks, 2)
        x and y in pixels; the center of the first pixel is 0, 0. NaN is a missing landmark.
    landmark_names : tuple of str
        Landmark names, in the order of the array.
    name : str
        Name of the dataset in reports.
    skipped : tuple of Skipped
        Objects of the file that were not loaded.
    notes : tuple of str
        What else was passed over in loading, one line each.
    ids : tuple of str, optional
        The user's number or name of each object, ``ID=`` in .tps files; "" is none.
    scales : float64 array (n,), optional
        Length of a pixel in the user's unit, ``SCALE=`` in .tps files; NaN is unknown.
    box_source : {"given", "landmarks", "whole"}
        Where boxes come from: the file or a table, the squares around the landmarks, or the whole images.
    std : float64 array (n, n_landmarks), optional
        Standard error of each predicted landmark along either axis, in pixels; NaN is unknown.

    Raises
    ------
    InputError
        Arrays with inconsistent shapes.
    """

    files: list[Path]
    boxes: Floats
    landmarks: Floats
    landmark_names: tuple[str, ...]
    name: str
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    scales: Floats | None = None
    box_source: str = "given"
    std: Floats | None = None

    def __post_init__(self) -> None:
        n, n_landmarks = len(self.files), len(self.landmark_names)
        for what, values, shape in (("boxes", self.boxes, (n, 4)), ("landmarks", self.landmarks, (n, n_landmarks, 2))):
            if values.shape != shape:
                raise InputError(f"{self.name}: {what} have shape {values.shape}, expected {shape}")
        for what, column in (("ids", self.ids), ("scales", self.scales)):
            if column is not None and len(column) != n:
                raise InputError(f"{self.name}: {len(column)} {what}, expected one for each of {n} objects")
        if self.std is not None and self.std.shape != (n, n_landmarks):
            raise InputError(f"{self.name}: std has shape {self.std.shape}, expected {(n, n_landmarks)}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        """Return the pair (image file, box) of an object; of a slice, a mask or a list of integers, see `subset`."""
        if isinstance(index, (int, np.integer)):
            return self.files[index], self.boxes[index]
        return self.subset(index)

    def __repr__(self) -> str:
        counts, folder = self._overview()
        sizes = ", ".join(f"{value} {key}" for key, value in counts.items())
        return f"<Dataset {self.name!r}: {sizes}" + (f",\n images in {printable(folder)}>" if folder else ">")

    def _repr_html_(self) -> str:
        counts, folder = self._overview()
        cells = "".join(
            f'<tr><th style="text-align: left">{escape(key)}</th>'
            f'<td style="text-align: left">{escape(str(value))}</td></tr>'
            for key, value in {**counts, "image folder": folder or "-"}.items()
        )
        sheet = _contact_sheet(self)
        picture = f'<img alt="objects with landmarks" src="data:image/jpeg;base64,{sheet}">' if sheet else ""
        return f"<div><b>{escape(self.name)}</b><table>{cells}</table>{picture}</div>"

    def _overview(self) -> tuple[dict[str, int], str]:
        """Return sizes, and the folder that contains all images, "" if there is none."""
        counts = {
            "objects": len(self),
            "images": len(set(self.files)),
            "landmarks": len(self.landmark_names),
            "missing points": int(np.isnan(self.landmarks[:, :, 0]).sum()),
        }
        if self.skipped:
            counts["objects left out"] = len(self.skipped)
        try:
            return counts, os.path.commonpath({str(file.parent) for file in self.files})
        except ValueError:  # no images, several drives, or both absolute and relative paths
            return counts, ""

    @property
    def X(self) -> list[tuple[Path, Floats]]:  # noqa: N802
        """Input of an estimator: a pair (image file, box) for each object."""
        return list(zip(self.files, self.boxes, strict=True))

    @property
    def y(self) -> Floats:
        """Target of an estimator: the landmarks, (n, n_landmarks, 2)."""
        return self.landmarks

    def subset(self, indices: slice | Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> "Dataset":
        """Return the objects at `indices` (integers, a mask or a slice) as a new dataset, without `skipped`."""
        if not isinstance(indices, slice):
            # An empty list would become an array of floats, which is not an index.
            indices = np.asarray(indices) if len(indices) else slice(0)
        chosen = np.arange(len(self))[indices]
        files = [self.files[i] for i in chosen]
        ids = None if self.ids is None else tuple(self.ids[i] for i in chosen)
        scales = None if self.scales is None else self.scales[chosen]
        std = None if self.std is None else self.std[chosen]
        arrays: dict[str, Any] = {
            "boxes": self.boxes[chosen],
            "landmarks": self.landmarks[chosen],
            "scales": scales,
            "std": std,
        }
        return replace(self, files=files, skipped=(), notes=(), ids=ids, **arrays)

    def with_landmarks(self, indices: Sequence[int] | NDArray[np.integer]) -> "Dataset":
        """Return the landmarks at `indices` (integers), in that order, as a new dataset."""
        names = tuple(self.landmark_names[k] for k in indices)
        std = None if self.std is None else self.std[:, indices]
        return replace(self, landmarks=self.landmarks[:, indices], landmark_names=names, std=std)

    def __add__(self, other: "Dataset") -> "Dataset":
        return concatenate([self, other])


def _contact_sheet(dataset: Dataset) -> str:
    """Return a JPEG of up to `MAX_THUMBNAILS` objects, evenly spaced, in base64; "" if none can be drawn."""
    from PIL import Image

    from ert.plotting.landmarks import contact_sheet, object_thumbnail

    n_known = np.isfinite(dataset.landmarks).all(axis=2).sum(axis=1)
    items = np.flatnonzero(np.isfinite(dataset.boxes).all(axis=1) & (n_known > 0))
    thumbnails = []
    for i in items[np.linspace(0, len(items) - 1, min(len(items), MAX_THUMBNAILS)).astype(int)]:
        try:
            image = load_image(dataset.files[i])
        except InputError:
            continue
        thumbnails.append(object_thumbnail(image, dataset.boxes[i], [dataset.landmarks[i]], [None], _THUMBNAIL_PIXELS))
    if not thumbnails:
        return ""
    sheet = contact_sheet(thumbnails, min(_COLUMNS, len(thumbnails)), tile_size=_THUMBNAIL_PIXELS)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "JPEG", quality=88)
    return base64.b64encode(stream.getvalue()).decode()


def concatenate(datasets: Sequence[Dataset]) -> Dataset:
    """Concatenate datasets.

    Parameters
    ----------
    datasets : sequence of Dataset
        At least one; all with the same landmark names in the same order.

    Returns
    -------
    Dataset
        Its name is the names of the parts joined by " + ".

    Raises
    ------
    InputError
        No datasets, or different landmark names.
    """
    if not datasets:
        raise InputError("no datasets to concatenate, expected at least one")
    names, as_in = datasets[0].landmark_names, f"as in {datasets[0].name}"
    for other in datasets[1:]:
        if len(other.landmark_names) != len(names):
            raise InputError(f"{other.name}: {len(other.landmark_names)} landmarks, expected {len(names)} {as_in}")
        for i, (found, name) in enumerate(zip(other.landmark_names, names, strict=True)):
            if found != name:
                raise InputError(f"{other.name}: landmark {i} is {found!r}, expected {name!r} {as_in}")
    return Dataset(
        [file for dataset in datasets for file in dataset.files],
        np.concatenate([dataset.boxes for dataset in datasets]),
        np.concatenate([dataset.landmarks for dataset in datasets]),
        names,
        " + ".join(dataset.name for dataset in datasets),
        tuple(skipped for dataset in datasets for skipped in dataset.skipped),
        tuple(note for dataset in datasets for note in dataset.notes),
        _joined_ids(datasets),
        _joined([dataset.scales for dataset in datasets], [dataset.boxes[:, 0] for dataset in datasets]),
        datasets[0].box_source if len({dataset.box_source for dataset in datasets}) == 1 else "given",
        _joined([dataset.std for dataset in datasets], [dataset.landmarks[:, :, 0] for dataset in datasets]),
    )


def _joined_ids(datasets: Sequence[Dataset]) -> tuple[str, ...] | None:
    if all(dataset.ids is None for dataset in datasets):
        return None
    return tuple(id for dataset in datasets for id in dataset.ids or [""] * len(dataset))


def _joined(parts: Sequence[Floats | None], like: Sequence[Floats]) -> Floats | None:
    """Concatenate arrays, with NaN in the shape of `like` for None; None if all are None."""
    if all(part is None for part in parts):
        return None
    pairs = zip(parts, like, strict=True)
    return np.concatenate([np.full_like(other, np.nan) if part is None else part for part, other in pairs])


def mirror_dataset(
    dataset: Dataset,
    widths: ArrayLike,
    mirror_map: str | Sequence[int] | NDArray[np.integer],
    files: Sequence[Path] | None = None,
) -> Dataset:
    """Return the annotations of mirrored images: x becomes width - 1 - x, and landmark pairs are swapped.

    Parameters
    ----------
    dataset : Dataset
        Annotations to mirror.
    widths : array-like (n,)
        Width of the image of each object in pixels.
    mirror_map : str or sequence of int
        Name of a mirror scheme, or for each landmark the index of its mirror partner.
    files : sequence of pathlib.Path, optional
        The mirrored image of each object; by default the files of `dataset`.

    Returns
    -------
    Dataset
        Mirroring twice gives the original, up to rounding.

    Raises
    ------
    InputError
        An unknown scheme, or a map that is not made of pairs.
    """
    numbers = mirror_map if isinstance(mirror_map, str) else np.asarray(mirror_map).tolist()
    partners = resolve_mirror_map(numbers, len(dataset.landmark_names))
    columns = np.asarray(widths, float)
    landmarks = dataset.landmarks[:, partners]
    landmarks[:, :, 0] = columns[:, None] - 1 - landmarks[:, :, 0]
    boxes = dataset.boxes.copy()
    boxes[:, 0] = columns - boxes[:, 0] - boxes[:, 2]
    mirrored = list(dataset.files if files is None else files)
    name, std = f"{dataset.name} mirrored", None if dataset.std is None else dataset.std[:, partners]
    changed: dict[str, Any] = {"boxes": boxes, "landmarks": landmarks, "std": std}
    return replace(dataset, files=mirrored, name=name, skipped=(), notes=(), **changed)
