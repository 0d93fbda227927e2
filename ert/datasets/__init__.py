"""Annotated images: datasets, file formats, checks, splits and synthetic faces."""

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
