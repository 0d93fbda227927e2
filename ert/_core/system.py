"""The system that a figure was measured on: versions, processor, date, load."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ert._core.version import __version__

# Above this load per processor, timings are unreliable: other processes share the memory bandwidth.
_MAX_LOAD = 0.5


def provenance(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return the system that a measurement is made on, as JSON types.

    Parameters
    ----------
    packages : sequence of str
        Distributions whose versions to add, by their names on PyPI ("dlib-bin").

    Returns
    -------
    dict
        ``date`` (ISO 8601), ``python``, ``cpu``, ``cores`` and ``versions``: of ert-landmarks, numpy, numba
        and `packages`, None for one that is not installed.
    """
    versions: dict[str, str | None] = {"ert-landmarks": __version__}
    for package in ("numpy", "numba", *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "versions": versions,
    }


def machine_load() -> float | None:
    """Return the load of the last minute per processor; None where the system does not report it."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):
        return None


def busy_notes(load: float | None) -> list[str]:
    """Return a warning if timings were measured on a busy machine."""
    if load is None or load <= _MAX_LOAD:
        return []
    return [
        f"The machine was busy (a load of {load:.0%} in the minute before): the timings are unreliable, "
        "measure them again when it is idle."
    ]


def _processor() -> str:
    # Linux keeps the processor's name here, and platform.processor() is often empty there.
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
