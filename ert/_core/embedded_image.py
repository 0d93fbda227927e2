"""Images whose pixels are in an annotation file, with a path like others."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if sys.platform == "win32":
    from pathlib import WindowsPath as _PlatformPath
else:
    from pathlib import PosixPath as _PlatformPath


class EmbeddedImagePath(_PlatformPath):
    """The path of an image that is no file: the annotation file and a name in it.

    Attributes
    ----------
    pixels : ndarray of uint8 (rows, columns), or None
        What `load_image` returns a copy of. None for paths derived from it, such as its parent.
    """

    # Of the class, because methods of Path make paths without calling __init__.
    pixels: NDArray[np.uint8] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return embedded_image, (Path(self), self.pixels)


def embedded_image(path: Path, pixels: NDArray[np.uint8] | None) -> EmbeddedImagePath:
    """Return the path of an image with these pixels."""
    result = EmbeddedImagePath(path)
    result.pixels = pixels
    return result


def embedded_pixels(path: Any) -> NDArray[np.uint8] | None:
    """Return the pixels of an embedded image, or None for another path."""
    return path.pixels if isinstance(path, EmbeddedImagePath) else None
