"""The files that come with the package: bundled models and a photograph."""

from importlib import resources
from pathlib import Path

_FOLDER = Path(str(resources.files("ert._core"))) / "data"


def bundled_models() -> dict[str, Path]:
    """Return the files of the bundled models by name."""
    return {file.stem: file for file in sorted((_FOLDER / "models").glob("*.ert"))}


def sample_image() -> Path:
    """Return the path of the bundled photograph: astronaut Eileen Collins, by NASA, public domain."""
    return _FOLDER / "samples" / "astronaut.jpg"
