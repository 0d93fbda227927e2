"""A training as a process of its own: killed at once, and at the end of the process that has started it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ert
from ert._core.exceptions import one_line


class TrainingProcess:
    """A process that does what the request in a folder asks for, see :mod:`ert.annotation.assistance.trainer`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._lock = threading.Lock()

    @property
    def killed(self) -> bool:
        """Whether somebody has called `kill`."""
        return self._killed

    def kill(self) -> None:
        """End the process at once, or never start it."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def reports(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Start the process and yield its reports; the last one is {"failed": ...} if it ends by an error."""
        errors = folder / "errors.txt"
        with errors.open("wb") as log:
            with self._lock:
                if self._killed:
                    return
                # Its standard input is closed when this process ends, however it does.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "ert.annotation.assistance.trainer", str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | {"PYTHONPATH": _python_path()},
                )
            process = self._process
            assert process.stdin is not None
            assert process.stdout is not None
            with process.stdout, process.stdin:
                for line in process.stdout:
                    try:
                        yield json.loads(line)
                    except ValueError:
                        continue
            status = process.wait()
        if status and not self._killed:
            lines = errors.read_text("utf-8", "replace").strip().splitlines()
            yield {"failed": one_line(lines[-1]) if lines else f"the training ended with status {status}"}


def _python_path() -> str:
    """Return where a new interpreter finds this package."""
    here = str(Path(ert.__file__).parents[1])
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
