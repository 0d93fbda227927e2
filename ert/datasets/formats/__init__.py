"""File formats of annotations: one module per format, with its reader and its writer.

To add a format:

1. Write a module in this folder with two functions. `pts.py` is the shortest example of a format with one
   file per image, `tps.py` of a format with one file per dataset.

   ``read(path, *, image_folder=None)`` yields an `Annotation` per object. Coordinates are x, y in pixels, and
   the center of the first pixel is 0, 0. Every error is an `InputError` that starts with file and line.

   ``write(dataset, images)`` yields the text: in pieces, or one text per object if the format has one file
   per image. ``images[i]`` is the image name of object i, relative to the folder of the file.
2. Add one line to `FORMATS` below.
3. Add ``tests/datasets/formats/test_x.py``, and a sample of the file to ``tests/fuzz_readers.py``.

`load_dataset`, `write_dataset` and the command line take everything else from the table.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ert.datasets.formats.coco import read_coco, write_coco
from ert.datasets.formats.csv import read_csv, write_csv
from ert.datasets.formats.imglab import imglab_notes, read_imglab, write_imglab
from ert.datasets.formats.ljson import read_ljson_folder, write_ljson
from ert.datasets.formats.pts import read_pts_folder, write_pts
from ert.datasets.formats.tem import read_tem_folder, tem_notes, write_tem
from ert.datasets.formats.tps import read_tps, write_tps
from ert.datasets.parsing import Annotation

if TYPE_CHECKING:
    from ert.datasets.dataset import Dataset

__all__ = ["FILE_FORMATS", "FOLDER_FORMATS", "FORMATS", "Format"]


class Format(NamedTuple):
    """A file format."""

    suffix: str
    read: Callable[..., Iterator[Annotation]]
    write: Callable[["Dataset", list[str]], Iterator[str]]
    folder: bool = False  # one file per image
    boxes: bool = True  # stores boxes
    names: bool = True  # stores landmark names
    ordered: bool = True  # defines the order of the landmarks; otherwise they are sorted by name
    notes: Callable[["Dataset"], Iterator[str]] = lambda dataset: iter(())  # further losses in writing


FORMATS = {
    "imglab": Format(".xml", read_imglab, write_imglab, ordered=False, notes=imglab_notes),
    "csv": Format(".csv", read_csv, write_csv),
    "tps": Format(".tps", read_tps, write_tps, boxes=False, names=False),
    "coco": Format(".json", read_coco, write_coco),
    "pts": Format(".pts", read_pts_folder, write_pts, folder=True, boxes=False, names=False),
    "tem": Format(".tem", read_tem_folder, write_tem, folder=True, boxes=False, names=False, notes=tem_notes),
    "ljson": Format(".ljson", read_ljson_folder, write_ljson, folder=True, boxes=False),
}

# Suffix -> name of the format.
FILE_FORMATS = {format.suffix: name for name, format in FORMATS.items() if not format.folder}
FOLDER_FORMATS = {format.suffix: name for name, format in FORMATS.items() if format.folder}
