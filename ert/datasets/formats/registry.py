"""The table of file formats."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ert.datasets.dataset import Dataset
from ert.datasets.formats.coco import read_coco, write_coco
from ert.datasets.formats.csv import read_csv, write_csv
from ert.datasets.formats.imglab import imglab_notes, read_imglab, write_imglab
from ert.datasets.formats.jsonl import read_json_lines
from ert.datasets.formats.ljson import read_ljson_folder, write_ljson
from ert.datasets.formats.pts import read_pts_folder, write_pts
from ert.datasets.formats.tem import read_tem_folder, tem_notes, write_tem
from ert.datasets.formats.tps import read_specimens, write_tps
from ert.datasets.formats.wflw import read_wflw
from ert.datasets.parsing import Annotation


class Format(NamedTuple):
    """A file format."""

    suffix: str
    read: Callable[..., Iterator[Annotation]]
    write: Callable[[Dataset, list[str]], Iterator[str]]
    folder: bool = False  # one file per image
    boxes: bool = True  # stores boxes
    names: bool = True  # stores landmark names
    ids: bool = False  # stores ids and scales of objects
    std: bool = False  # stores standard errors of landmarks
    ordered: bool = True  # defines the order of the landmarks; otherwise they are sorted by name
    notes: Callable[[Dataset], Iterator[str]] = lambda dataset: iter(())  # further losses in writing
    options: tuple[str, ...] = ()  # of `missing` and `curves`, those that the reader takes
    y_origin: str = "top"  # where the reader's y starts


FORMATS = {
    "imglab": Format(".xml", read_imglab, write_imglab, ordered=False, notes=imglab_notes),
    "csv": Format(".csv", read_csv, write_csv, ids=True, std=True, options=("missing",)),
    "tps": Format(
        *(".tps", read_specimens, write_tps),
        boxes=False,
        names=False,
        ids=True,
        options=("missing", "curves"),
        y_origin="bottom",
    ),
    "coco": Format(".json", read_coco, write_coco, ids=True),
    "pts": Format(*(".pts", read_pts_folder, write_pts), folder=True, boxes=False, names=False, options=("missing",)),
    "tem": Format(".tem", read_tem_folder, write_tem, folder=True, boxes=False, names=False, notes=tem_notes),
    "ljson": Format(".ljson", read_ljson_folder, write_ljson, folder=True, boxes=False),
}
# Formats that `write_dataset` does not write: lists of WFLW, predictions.
READ_ONLY = {
    "wflw": Format(".txt", read_wflw, lambda dataset, images: iter(()), options=("missing",)),
    "jsonl": Format(".jsonl", read_json_lines, lambda dataset, images: iter(())),
}
# Suffix -> name of the format.
FILE_FORMATS = {format.suffix: name for name, format in FORMATS.items() if not format.folder}
FOLDER_FORMATS = {format.suffix: name for name, format in FORMATS.items() if format.folder}
