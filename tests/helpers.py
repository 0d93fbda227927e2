"""What several test modules build on."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from ert import InputError, ShapePredictor

SHARED = Path(__file__).parents[2] / "shared" / "data"


def small_predictor(**params):
    defaults = {"n_stages": 3, "n_trees": 40, "n_inits": 5, "n_pixels": 150, "working_size": 64}
    return ShapePredictor(**(defaults | params))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_with_image(path: Path, content: str) -> Path:
    """Write a file of annotations and an empty file in place of its image."""
    write(path.with_suffix(".jpg"), b"")
    return write(path, content)


def raise_faults(annotations: Iterable) -> Iterator:
    """Yield annotations up to the first with a fault, which is raised, as `load_dataset` does."""
    for annotation in annotations:
        if getattr(annotation, "fault", None) is not None:
            raise InputError(annotation.fault)
        yield annotation


def refused_at(annotations: Iterable, start: str, *fragments: str) -> None:
    """Read annotations that must be refused in one line, which begins with the place; a fault counts as refusal."""
    with pytest.raises(InputError) as info:
        list(raise_faults(annotations))
    message = str(info.value)
    assert "\n" not in message
    assert message.startswith(start)
    for fragment in fragments:
        assert fragment in message


def refused(annotations: Iterable, *fragments: str) -> None:
    refused_at(annotations, "", *fragments)
