"""Images that are pixels in an annotation file, written as files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ert._core.embedded_image import embedded_pixels
from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert._core.types import StrPath
from ert.datasets.dataset import Dataset
from ert.plotting.landmarks import save_image


def write_images(dataset: Dataset, folder: StrPath) -> Dataset:
    """Write the images that are pixels in an annotation file (Kaggle's facial keypoints) as PNG files.

    Parameters
    ----------
    dataset : Dataset
        Images that are files stay as they are.
    folder : path-like
        It is created if necessary. The name of an image is that of the table and the line in it.

    Returns
    -------
    Dataset
        The same annotations, of the files.

    Raises
    ------
    InputError
        A file that cannot be written, or that exists and is another image.
    """
    folder = Path(folder)
    files: dict[Path, Path] = {}
    for file in dict.fromkeys(dataset.files):
        pixels = embedded_pixels(file)
        files[file] = file if pixels is None else folder / file.name
        if pixels is not None and files[file].exists() and not np.array_equal(load_image(files[file]), pixels):
            raise InputError(f"{files[file]}: exists and is another image, expected a new file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create folder: {error.strerror}") from None
    for file, target in files.items():
        pixels = embedded_pixels(file)
        if pixels is not None and not target.exists():
            save_image(target, pixels)
    return replace(dataset, files=[files[file] for file in dataset.files])
