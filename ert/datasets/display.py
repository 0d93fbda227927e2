"""How a dataset shows itself: one line of text, and HTML in a notebook."""

import base64
import io
import os
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ert._core.exceptions import InputError
from ert._core.images import load_image

if TYPE_CHECKING:
    from ert.datasets.dataset import Dataset

MAX_THUMBNAILS = 12
_COLUMNS = 6
_THUMBNAIL_PIXELS = 128


def dataset_repr(dataset: "Dataset") -> str:
    """Return the name, the sizes and the folder of the images."""
    counts = ", ".join(f"{value} {key}" for key, value in _counts(dataset).items())
    folder = _folder(dataset)
    return f"<Dataset {dataset.name!r}: {counts}" + (f",\n images in {folder}>" if folder else ">")


def dataset_html(dataset: "Dataset") -> str:
    """Return a table of the sizes and a contact sheet of some objects with landmarks (table only if none)."""
    rows: dict[str, object] = {**_counts(dataset), "image folder": _folder(dataset) or "-"}
    cells = "".join(
        f'<tr><th style="text-align: left">{escape(key)}</th>'
        f'<td style="text-align: left">{escape(str(value))}</td></tr>'
        for key, value in rows.items()
    )
    sheet = _contact_sheet(dataset)
    picture = f'<img alt="objects with landmarks" src="data:image/jpeg;base64,{sheet}">' if sheet else ""
    return f"<div><b>{escape(dataset.name)}</b><table>{cells}</table>{picture}</div>"


def _counts(dataset: "Dataset") -> dict[str, int]:
    return {
        "objects": len(dataset),
        "images": len(set(dataset.files)),
        "landmarks": len(dataset.landmark_names),
        "missing points": int(np.isnan(dataset.landmarks[:, :, 0]).sum()),
    }


def _folder(dataset: "Dataset") -> str:
    """Return the folder that contains all images, or "" if there is none."""
    try:
        return os.path.commonpath({str(file.parent) for file in dataset.files})
    except ValueError:  # no images, several drives, or both absolute and relative paths
        return ""


def _contact_sheet(dataset: "Dataset") -> str:
    """Return a JPEG of up to `MAX_THUMBNAILS` objects, evenly spaced, in base64; "" if none can be drawn."""
    from PIL import Image

    from ert.plotting.landmarks import contact_sheet, object_thumbnail

    n_known = np.isfinite(dataset.landmarks).all(axis=2).sum(axis=1)
    items = np.flatnonzero(np.isfinite(dataset.boxes).all(axis=1) & (n_known > 0))
    chosen = items[np.linspace(0, len(items) - 1, min(len(items), MAX_THUMBNAILS)).astype(int)]
    thumbnails = []
    for i in chosen:
        try:
            image = load_image(dataset.files[i])
        except InputError:
            continue
        box, shape = dataset.boxes[i], dataset.landmarks[i]
        thumbnails.append(object_thumbnail(image, box, [shape], [None], _THUMBNAIL_PIXELS))
    if not thumbnails:
        return ""
    columns = min(_COLUMNS, len(thumbnails))
    sheet = contact_sheet(thumbnails, columns, tile_size=_THUMBNAIL_PIXELS)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "JPEG", quality=88)
    return base64.b64encode(stream.getvalue()).decode()
