"""The kernels of prediction in NumPy, for jobs that are over before compiled kernels could begin.

The functions have the names and the arguments of the compiled ones, and give the same bits: sums are in the same order
and precision. Each computes whole arrays at once; :mod:`ert.reference` is easier to read.
"""

from ert._kernels.numpy_forms.confidence import compile_confidence
from ert._kernels.numpy_forms.crop import crop_resampled
from ert._kernels.numpy_forms.dlib import compile_dlib_cascade
from ert._kernels.numpy_forms.images import rotate_image, to_gray
from ert._kernels.numpy_forms.predict import compile_cascade

__all__ = ["compile_cascade", "compile_confidence", "compile_dlib_cascade", "crop_resampled", "rotate_image", "to_gray"]
