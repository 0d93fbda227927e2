"""What a measured figure depends on besides the code: versions, processor, date, other work."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ert._core.version import __version__

__all__ = [
    "busy_notes",
    "machine_load",
    "provenance",
]


# Above this load times say little: other processes take the memory's bandwidth, of a large model's more.
_BUSY = 0.5


def provenance(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return on what a measurement was made, in values that can be written as JSON.

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
    """Return how many processes were busy in the last minute, per processor; None where the system does not."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):
        return None


def busy_notes(load: float | None) -> list[str]:
    """Say so when times were measured on a machine that had other things to do."""
    if load is None or load <= _BUSY:
        return []
    return [
        f"The machine was busy ({load:.0%} of its processors in the minute before): the times mean "
        "little, measure them again when it is idle."
    ]


def _processor() -> str:
    # Linux keeps the processor's name here, and platform.processor() is often empty there.
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
