"""What computes a prediction: NumPy for small jobs, kernels that are compiled or in the cache for all others.

    small job ──> NumPy                          kernels in the cache: loaded after FEW_RUNS
                    └─ none in the cache ──> a process of its own compiles them ──> loaded when it is done
    large job, training ──> kernels, compiled here where they are not in the cache

A *run* is a cascade that is run on a face from one initialization. ``ERT_COMPILE=now`` takes the kernels at once,
``never`` leaves them alone; so does numba's ``NUMBA_DISABLE_JIT``. Then nothing is compiled, and what only kernels
can do, such as training, is refused.
"""

import os
import sys
import threading
from collections.abc import Callable

from ert._kernels.start import ahead as ahead
from ert._kernels.start import cache_folders as cache_folders

# Runs of NumPy that take as long as loading the kernels, and as long as compiling them: 5 ms each.
FEW_RUNS, MANY_RUNS = 100, 3000
# Variables of the environment, and their values; the first is the default. Kernels: "auto", the fastest for this
# processor; "avx512", "avx2" or "neon", those that use no more than this; "portable", those for any processor.
VARIABLE, KERNELS_VARIABLE = "ERT_COMPILE", "ERT_KERNELS"
SETTINGS = {VARIABLE: ("auto", "now", "never"), KERNELS_VARIABLE: ("auto", "avx512", "avx2", "neon", "portable")}

# What a program shows of the lines that say what is compiled.
notice: Callable[[str], object] | None = None
# The names of the files in the cache that this process has read or written, and why one could not be written.
files_used: set[str] = set()
not_kept = ""

_lock = threading.RLock()
_compiled = False
_n_runs = 0
# Whether all kernels were in the cache when this process began.
_were_ready: bool | None = None
_has_compiled = False


class SettingError(ValueError):
    """A variable of the environment asks for what there is not; the message is a line that begins with its name."""


def setting(variable: str) -> str:
    """Return what a variable of the environment asks for.

    Raises
    ------
    SettingError
        When that is unknown.
    """
    known = SETTINGS[variable]
    value = os.environ.get(variable) or known[0]
    if value not in known:
        raise SettingError(f"{variable}={value}: expected {', '.join(known[:-1])} or {known[-1]}")
    return value


def is_compiled() -> bool:
    """Return whether kernels compute in this process; once they do, they always will."""
    return _compiled


def never_compiles() -> bool:
    """Return whether numba must not compile."""
    config = sys.modules.get("numba.core.config")
    disabled = getattr(config, "DISABLE_JIT", 0) if config else os.environ.get("NUMBA_DISABLE_JIT", "0").strip() or "0"
    return setting(VARIABLE) == "never" or disabled not in (0, False, "0")


def kernel_level() -> str:
    """Return which kernels are compiled here, see :func:`ert._kernels.llvm.kernel_level`."""
    from ert._kernels import llvm

    return llvm.kernel_level()


def count_runs(n_runs: int) -> None:
    """Count runs that NumPy has made."""
    global _n_runs
    _n_runs += n_runs


def use_compiled() -> bool:
    """Let kernels compute from here on, compiled in this process where need be; return whether they do."""
    global _compiled
    if not _compiled and not never_compiles():
        with _lock:
            # Imports numba. An error, for instance about ERT_KERNELS, leaves all as it was.
            import ert._kernels.start.compiled  # noqa: F401

            _compiled = True
    return _compiled


def take_over(n_runs: int = 1) -> bool:
    """Choose what computes the next runs, of which there are this many as far as is known.

    Returns
    -------
    bool
        Whether kernels do.

    Raises
    ------
    SettingError
        When ERT_COMPILE or ERT_KERNELS has an unknown value.
    """
    global _were_ready
    if _compiled or never_compiles():
        return _compiled
    if n_runs >= MANY_RUNS or setting(VARIABLE) == "now" or setting(KERNELS_VARIABLE) != "auto":
        return use_compiled()
    with _lock:
        if _were_ready is None:
            _were_ready = ahead.is_ready()
            if not _were_ready and ahead.start():
                _show("compiling for this processor in the background, once; until that is done NumPy computes")
        total = _n_runs + n_runs
        if total <= FEW_RUNS:
            return False
        if _were_ready or ahead.is_ready() or (total >= MANY_RUNS and not ahead.is_running()):
            return use_compiled()
    return False


def compiling() -> None:
    """Note that a kernel is not in the cache, and say so once."""
    global _has_compiled
    if not _has_compiled:
        _has_compiled = True
        kept = (
            "the next run starts at once" if cache_folders.can_write() else "there is no folder to keep the result in"
        )
        _show(f"compiling for this processor; {kept} ...")


def _show(text: str) -> None:
    if notice is not None:
        notice(text)
