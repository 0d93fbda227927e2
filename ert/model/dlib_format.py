"""dlib's model files, `.dat`: a `shape_predictor` of format version 1.

INT       a byte (low nibble: how many bytes follow, 1-8; 0x80: negative), then those bytes, little-endian
FLOAT     INT mantissa m, INT exponent e: m * 2**e; m = 0 with e >= 32000 is an infinity or no number
MATRIX    INT -rows, INT -columns, FLOATs row by row
VECTOR    INT count, then the items

file      INT 1 | MATRIX mean shape (2L x 1) | VECTOR of stages of VECTOR of trees
| VECTOR of stages of VECTOR of INT anchors | VECTOR of stages of VECTOR of FLOAT x, y deltas
tree      VECTOR of splits {INT first pixel, INT second pixel, FLOAT threshold} | VECTOR of MATRIX (2L x 1)
"""

import os
from pathlib import Path
from types import ModuleType

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._kernels import choice
from ert.model.dlib_cascade import DlibCascade, expand
from ert.model.dlib_numpy import DamagedError
from ert.model.ert_format import check_download, open_model_file

_FIRST_BYTES = 16
_ERRORS = {
    -1: "is truncated",
    -2: "holds numbers as text, as very old versions of dlib wrote them",
    -3: "holds a number that is not finite",
    -4: "holds a count that does not fit the rest of the file",
    -5: "holds the number of a pixel or landmark that does not exist",
    -6: "is no shape_predictor of dlib's format version 1",
    -7: "is longer than the model in it",
}


def read_dlib_file(path: str | os.PathLike[str]) -> DlibCascade:
    """Read a `shape_predictor` that dlib wrote.

    Raises
    ------
    InputError
        When the file cannot be read, is truncated, damaged, or of another kind; nothing large is allocated on
        the word of a damaged count.
    """
    path, form = Path(path), _form()
    try:
        with open_model_file(path, "a model file of dlib") as file:
            # The first number distinguishes most other files before all of a large one is read.
            start = np.fromfile(file, np.uint8, _FIRST_BYTES)
            check_download(path, start.tobytes())
            form.check_version(start)
            file.seek(0)
            data = np.fromfile(file, np.uint8)
        mean_shape, anchors, deltas, pairs, thresholds, leaves = form.read_model(data)
        if anchors.max() >= len(mean_shape) or pairs.max() >= anchors.shape[1]:
            raise DamagedError(-5)
    except DamagedError as error:
        raise InputError(f"{path}: the dlib model file {_ERRORS[error.args[0]]}") from None
    n_stages = len(anchors)
    scales, basis = np.empty((n_stages, 0), np.float32), np.empty((n_stages, 0, mean_shape.size), np.int16)
    return DlibCascade(mean_shape, anchors, deltas, pairs, thresholds, leaves, scales, basis)


def _form() -> ModuleType:
    """Return what reads and writes numbers: compiled functions, or NumPy, which takes ten times as long."""
    if choice.never_compiles():
        from ert.model import dlib_numpy

        return dlib_numpy
    from ert.model import dlib_kernels

    return dlib_kernels


def write_dlib_file(path: str | os.PathLike[str], cascade: DlibCascade) -> None:
    """Write a cascade as dlib does; what was read from such a file comes out byte for byte.

    Parameters
    ----------
    cascade : DlibCascade
        Of a compact one the leaves are written as the floats that they stand for.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    whole = cascade if not cascade.basis.shape[1] else expand(cascade)
    arrays = [array for name, array in whole.arrays().items() if name not in ("scales", "basis")]
    data = _form().write_model(*arrays)
    with write_atomically(path, "model") as temporary:
        data.tofile(temporary)
