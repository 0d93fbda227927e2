"""The cache of compiled kernels on disk: a file for each kernel, argument types and processor.

fingerprint      16 bytes: of numba's version, the sources, the types, the processor and numba's settings
digest           16 bytes: of the rest
compile result   pickled by numba

numba's own cache trusts its files: a damaged one is an error at every call or runs damaged machine code, a change in
another source file than the kernel's goes unnoticed, and processes that start at once can mix up their files. Here a
file that is not as expected is removed and its kernel is compiled anew; folders that other users can write to are not
used, since what is in the cache is executed; and where no folder can be written to, kernels stay in memory only.
"""

import pickle
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config
from numba.core import dispatcher as numba_dispatcher
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ert._kernels.start import choice
from ert._kernels.start.cache_folders import DIGEST_BYTES, digest_of, replace_file, source_stamp, trusted_folders

config: Any = numba_config
dispatcher: Any = numba_dispatcher
# Temporary files older than this were left by processes that were killed.
ABANDONED_SECONDS = 3600


class KernelCache:
    """The cached machine code of one function, with the methods that numba's dispatcher calls.

    The function has no closure: its name and the sources say all about it.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        # The folder of the files of this kernel, once one is read or written.
        self.cache_path: str | None = None

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compile result of a signature, None where it is to be compiled."""
        target_context.refresh()
        name, fingerprint = self._identify(signature, target_context.codegen())
        for folder in trusted_folders():
            path = folder / name
            try:
                found = path.read_bytes()
            except OSError:
                continue
            digest, payload = found[DIGEST_BYTES : 2 * DIGEST_BYTES], found[2 * DIGEST_BYTES :]
            # Files of other versions are replaced when the kernel has been compiled.
            if found.startswith(fingerprint) and digest == digest_of(payload):
                try:
                    result = CompileResult._rebuild(target_context, *pickle.loads(payload))
                except Exception:  # Whatever another version of numba or Python raises here.
                    result = None
                if result is not None:
                    self.cache_path = str(folder)
                    choice.files_used.add(name)
                    return result
            with suppress(OSError):
                path.unlink()
        choice.compiling()
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Write a compile result to the first folder that can be written to, if there is one."""
        name, fingerprint = self._identify(signature, result.codegen)
        if result.lifted or result.library.has_dynamic_globals:
            warnings.warn(f"{self._function.__qualname__}: cannot be cached", stacklevel=2)
            return
        payload = dumps(result._reduce())
        reason = "there is no folder that only its owner can write to"
        for folder in trusted_folders(create=True):
            try:
                replace_file(folder / name, fingerprint + digest_of(payload) + payload)
            except OSError as error:
                reason = f"{folder}: {error.strerror or error}"
                continue
            self.cache_path = str(folder)
            choice.files_used.add(name)
            _remove_abandoned(folder, name)
            return
        choice.not_kept = reason

    def flush(self) -> None:
        """Remove all files of this kernel."""
        for folder in trusted_folders():
            for path in folder.glob(f"{self._stem}.*.nbc"):
                with suppress(OSError):
                    path.unlink()

    @property
    def _stem(self) -> str:
        # Not all characters of <locals> are allowed in names of files.
        name = f"{self._function.__module__}.{self._function.__qualname__}".replace("<", "").replace(">", "")
        return f"{name}.{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"

    def _identify(self, signature: Any, codegen: Any) -> tuple[str, bytes]:
        """Return the name of the file for a signature and a processor, and its fingerprint."""
        # Kernels have forms for some processors, which are not used where numba is set to compile for another.
        is_portable = choice.setting(choice.KERNELS_VARIABLE) == "portable"
        settings = config.CPU_NAME, config.CPU_FEATURES, config.BOUNDSCHECK, config.OPT, is_portable
        kind = repr((signature, codegen.magic_tuple(), settings)).encode()
        # Versions are not in the name, so that files of old ones are replaced.
        stamp = source_stamp(self._function.__code__.co_filename)
        fingerprint = digest_of(kind + numba.__version__.encode() + stamp)
        return f"{self._stem}.{digest_of(kind).hex()[:16]}.nbc", fingerprint


def _remove_abandoned(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}.*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _is_kernel(function: Any) -> bool:
    # Functions made by `exec` may have no module.
    return (function.__module__ or "").partition(".")[0] == __name__.partition(".")[0]


def _choose_cache(function: Any) -> Any:
    return KernelCache(function) if _is_kernel(function) else _NUMBAS_CACHE(function)


# numba has no setting for the class of a cache. Functions of other packages keep numba's own.
_NUMBAS_CACHE = dispatcher.FunctionCache
dispatcher.FunctionCache = _choose_cache


def _without_c_function(compiler: Any, flags: Any) -> Any:
    """Leave out the form of a kernel that C code could call, which takes a sixth of the time to compile."""
    flags = _CUSTOMIZE_FLAGS(compiler, flags)
    if _is_kernel(compiler.py_func):
        flags.no_cfunc_wrapper = True
    return flags


_CUSTOMIZE_FLAGS = dispatcher._FunctionCompiler._customize_flags
dispatcher._FunctionCompiler._customize_flags = _without_c_function
# For functions of other packages.
njit: Any = numba.njit(cache=True, nogil=True)
