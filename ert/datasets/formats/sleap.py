"""Files that the optional package sleap-io reads, such as SLEAP's labels: a source for conversions only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, one_line
from ert._core.files import check_input
from ert._core.images import check_image, load_image
from ert._core.types import StrPath
from ert.datasets.finder import Found, ImageFinder
from ert.datasets.formats.foreign import tool_of_suffix
from ert.datasets.parsing import Annotation
from ert.plotting.landmarks import save_image

SLEAP_SUFFIXES = (".slp", ".h5", ".mat", ".nwb")


def read_sleap(path: StrPath, frames: Path, *, image_folder: StrPath | None = None) -> Iterator[Annotation]:
    """Read the instances of a file with the package sleap-io; in a frame, those of a person before predicted ones.

    Frames that are image files are looked for as those of other formats. Others, of a video or stored in the file,
    are written to the folder `frames` as PNG files. Landmark names are the nodes of the skeleton, coordinates are
    not changed, and there are no boxes.
    """
    path = Path(path)
    finder = ImageFinder(path, image_folder)
    for i, frame in enumerate(_load(path)):
        here = f"{path}: frame {i}"
        file, fault = _image_of(frame, finder, frames, here)
        for instance in frame.user_instances or frame.predicted_instances:
            points = np.asarray(instance.numpy(), float)[:, :2].tolist()
            names = [str(node.name) for node in instance.skeleton.nodes]
            landmarks = {name: (x, y) for name, (x, y) in zip(names, points, strict=True)}
            yield Annotation(file, None, landmarks, here, fault)


def _load(path: Path) -> Any:
    check_input(path, "labels of SLEAP")
    try:
        import sleap_io
    except ImportError:
        raise InputError(f"{path}: {tool_of_suffix(path)}") from None
    try:
        return sleap_io.load_file(str(path))
    except Exception as error:
        # Its readers raise nearly anything for files of other kinds.
        reason = one_line(str(error)) or type(error).__name__
        raise InputError(f"{path}: the package sleap-io cannot read it: {reason}") from None


def _image_of(frame: Any, finder: ImageFinder, frames: Path, here: str) -> Found:
    names, index = frame.video.filename, int(frame.frame_idx)
    if isinstance(names, list):
        return finder.find(names[index], here)
    file = frames / f"{Path(str(names).replace(chr(92), '/')).stem}_{index:06d}.png"
    try:
        pixels = np.ascontiguousarray(check_image(np.asarray(frame.image)))
    except Exception as error:
        return Found(file, f"{here}: frame {index} of {names} cannot be read: {one_line(str(error))}")
    if not file.exists():
        frames.mkdir(exist_ok=True)
        save_image(file, pixels)
    elif not np.array_equal(load_image(file), pixels):
        raise InputError(f"{file}: already exists and is another image, expected a folder without frames")
    return Found(file, None)
