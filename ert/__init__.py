"""Ensembles of regression trees for landmark localization: training, prediction and evaluation.

>>> import ert
>>> faces = ert.align(ert.sample_image())
>>> faces[0].landmarks.shape
(68, 2)
"""

import lazy_loader

import ert._core.numba_cache  # noqa: F401 - it must run before numba's decorators look for a cache folder

# The public names are those of `__init__.pyi`; each is imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
