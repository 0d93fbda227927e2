"""Annotated images: datasets, file formats, checks, splits and synthetic faces.

Draw some faces, read their annotations, check them, and write them in another format:

>>> import ert
>>> folder = ert.datasets.synthetic_dataset("faces", 12)
>>> faces = ert.load_dataset(folder / "landmarks.xml")
>>> len(faces), faces.landmarks.shape
(12, (12, 68, 2))
>>> ert.datasets.check_dataset(faces)
[]
>>> ert.write_dataset(faces, "faces.csv")  # what the format rounds, drops or changes
[]

Split them so that the objects of one group, here those of one image, stay together:

>>> part = ert.datasets.split_groups(faces.files, {"train": 0.75, "test": 0.25})
>>> train, test = faces.subset(part == 0), faces.subset(part == 1)
>>> len(train), len(test)
(9, 3)
"""

from ert.datasets.checks import Finding, check_dataset, describe_dataset, known_scheme
from ert.datasets.dataset import Dataset, Skipped, concatenate, mirror_dataset
from ert.datasets.embedded import write_images
from ert.datasets.formats import dataset_format, load_dataset, write_dataset
from ert.datasets.split import fold_groups, join_groups, pattern_groups, split_groups, table_groups
from ert.datasets.synthetic import FACE68_TEMPLATE, synthetic_dataset, synthetic_faces

__all__ = [
    "FACE68_TEMPLATE",
    "Dataset",
    "Finding",
    "Skipped",
    "check_dataset",
    "concatenate",
    "dataset_format",
    "describe_dataset",
    "fold_groups",
    "join_groups",
    "known_scheme",
    "load_dataset",
    "mirror_dataset",
    "pattern_groups",
    "split_groups",
    "synthetic_dataset",
    "synthetic_faces",
    "table_groups",
    "write_dataset",
    "write_images",
]
