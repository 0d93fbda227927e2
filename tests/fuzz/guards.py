"""Arrays between two pages of memory that must not be touched: a kernel that touches them ends the process."""

import ctypes
import gc
import mmap
import resource
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ert._kernels import crop, pixels, predict, predict_dlib, simd, traversal

PAGE = mmap.PAGESIZE
PROT_NONE = 0
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_USERS_OF_ALIGNED = crop, pixels, predict, predict_dlib, simd, traversal


def guarded(array, at_end=True):
    """Return a copy that ends, or begins, where a page that must not be touched begins, or ends."""
    array = np.asarray(array, order="C")
    n_pages = max(1, -(-array.nbytes // PAGE))
    memory = mmap.mmap(-1, (n_pages + 2) * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = PAGE if not at_end else PAGE + n_pages * PAGE - array.nbytes
    copy = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    for page in (0, n_pages + 1):
        if _LIBC.mprotect(whole.ctypes.data + page * PAGE, PAGE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    return copy


@contextmanager
def guarded_kernels(random):
    """Guard the arrays of all models that kernels are compiled for meanwhile."""
    original = simd.aligned

    def aligned(array):
        return guarded(array, random.random() < 0.7)

    for module in _USERS_OF_ALIGNED:
        module.aligned = aligned
    try:
        yield
    finally:
        for module in _USERS_OF_ALIGNED:
            module.aligned = original


class PeakMemory:
    """The most memory that the process has had beyond that at the last :meth:`start`, in bytes; 0 if unknown."""

    def start(self):
        self._known = False
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
            self._before, self._known = _status("VmRSS"), True

    def growth(self):
        return max(0, _status("VmHWM") - self._before) if self._known else 0


def _status(name):
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise OSError(name)


def limit_memory(n_bytes):
    """Make allocations fail that no input can justify, before the machine suffers."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def collect(every, number):
    """Free guarded arrays in time: each has a mapping of its own, whose number is limited."""
    if number % every == 0:
        gc.collect()
