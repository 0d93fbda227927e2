"""Type aliases that several packages share."""

import os
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
# An image, (rows, columns) or (rows, columns, 3).
Pixels: TypeAlias = npt.NDArray[np.uint8]
# Left, top, width, height in pixels.
Box: TypeAlias = tuple[float, float, float, float]
StrPath: TypeAlias = str | os.PathLike[str]
