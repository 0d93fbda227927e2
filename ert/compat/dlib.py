"""dlib's interface for shape predictors on top of ert: `from ert.compat import dlib`.

Names, arguments and integer coordinates are those of dlib. Models are dlib's `.dat` files, which give the
same points as in dlib, `.ert` files, and bundled models by name ("face68"). Models trained here run in dlib,
except those written to an `.ert` file, which are of ert's more accurate kind. Errors are :class:`DlibError`,
both a RuntimeError, as in dlib, and an InputError, as in ert.

Where dlib is installed, its other names are here too, and take and return the objects of this module, so that
face recognition and tracking go on as before; :func:`to_dlib` and :func:`from_dlib` convert for everything
else. A package that says ``import dlib`` itself runs on ert after :func:`replace_dlib`.

>>> import ert
>>> from ert.compat import dlib
>>> detector = dlib.get_frontal_face_detector()
>>> predictor = dlib.shape_predictor("face68")  # or a .dat file
>>> image = dlib.load_rgb_image(str(ert.sample_image()))
>>> for rect in detector(image, 1):
...     shape = predictor(image, rect)
...     print(shape.num_parts, type(shape.part(30).x).__name__)
68 int
"""

import sys
from opcode import opmap
from typing import Any

from ert.compat import detector as _detector
from ert.compat.detector import fhog_object_detector, get_frontal_face_detector
from ert.compat.errors import DlibError
from ert.compat.files import load_grayscale_image, load_rgb_image, save_image
from ert.compat.installed import from_dlib, installed_dlib, pass_through, to_dlib
from ert.compat.objects import (
    full_object_detection,
    full_object_detections,
    mmod_rectangle,
    mmod_rectangles,
    mmod_rectangless,
)
from ert.compat.points import dpoint, dpoints, length, point, points, polygon_area
from ert.compat.predictor import shape_predictor
from ert.compat.rectangles import (
    center,
    centered_rect,
    centered_rects,
    drectangle,
    get_rect,
    grow_rect,
    rectangle,
    rectangles,
    rectangless,
    scale_rect,
    shrink_rect,
    translate_rect,
)
from ert.compat.training import shape_predictor_training_options, test_shape_predictor, train_shape_predictor

__all__ = [
    "DlibError",
    "center",
    "centered_rect",
    "centered_rects",
    "dpoint",
    "dpoints",
    "drectangle",
    "fhog_object_detector",
    "from_dlib",
    "full_object_detection",
    "full_object_detections",
    "get_frontal_face_detector",
    "get_rect",
    "grow_rect",
    "length",
    "load_grayscale_image",
    "load_rgb_image",
    "mmod_rectangle",
    "mmod_rectangles",
    "mmod_rectangless",
    "point",
    "points",
    "polygon_area",
    "rectangle",
    "rectangles",
    "rectangless",
    "replace_dlib",
    "save_image",
    "scale_rect",
    "shape_predictor",
    "shape_predictor_training_options",
    "shrink_rect",
    "test_shape_predictor",
    "to_dlib",
    "train_shape_predictor",
    "translate_rect",
]

# The version of dlib that these names are from.
__version__ = "20.0.1"
# What programs ask for before they choose a detector; an installed dlib knows better.
_WITHOUT_DLIB = {"DLIB_USE_CUDA": False, "USE_AVX_INSTRUCTIONS": False, "USE_NEON_INSTRUCTIONS": False}


def replace_dlib(detector: Any = "auto") -> None:
    """Let every later ``import dlib`` of this process, as in other packages, import this module.

    Parameters
    ----------
    detector : str or callable
        What ``dlib.get_frontal_face_detector()`` returns then, see :func:`get_frontal_face_detector`. "dlib" is
        the choice for programs that recognize faces, or use a `.dat` model trained on the boxes of dlib's
        detector.
    """
    installed_dlib()
    _detector.default_detector = detector
    sys.modules["dlib"] = sys.modules[__name__]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _WITHOUT_DLIB and installed_dlib() is None:
        return _WITHOUT_DLIB[name]
    try:
        return pass_through(name)
    except AttributeError as error:
        caller = sys._getframe(1)
        if caller.f_code.co_code[caller.f_lasti] == opmap["IMPORT_FROM"]:
            # `from ert.compat.dlib import name` would replace the message of an AttributeError.
            raise ImportError(str(error), name=name, path=__file__) from None
        raise
