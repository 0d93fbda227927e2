"""A folder for npm with a model: what a JavaScript program needs to run it."""

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError
from ert._core.files import as_path
from ert._core.types import StrPath
from ert.predictor import ShapePredictor, load
from ert.web.export import FOLDER

_FILES = ("*.js", "*.d.ts", "README.md", "example.mjs", "internal/*.js")
_LICENSE = "page/license.txt"


@checked_arguments
def export_npm(model: ShapePredictor | str | os.PathLike[str], out: StrPath) -> None:
    """Write a folder for npm with the modules that run a model, the model, types, a README and an example.

    Parameters
    ----------
    model : ShapePredictor, str or path-like
        A fitted model, or a name or file for :func:`ert.load`.
    out : path-like
        The folder, which must not exist or be empty. It gets the model as ``NAME.ert``, and ``faces.json``, the cascade
        of the face detector, if the boxes of the model are those of faces.

    Raises
    ------
    InputError
        When the model cannot be read, or the folder exists or cannot be written.
    """
    out = as_path(out)
    name = "model" if isinstance(model, ShapePredictor) else Path(model).stem
    predictor = model if isinstance(model, ShapePredictor) else load(model)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: exists, expected a new or an empty folder")
        with TemporaryDirectory(prefix=".ert-", dir=out.parent) as temporary:
            folder = Path(temporary, "npm")
            folder.mkdir()
            _write(predictor, name, folder)
            os.replace(folder, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error


def _write(model: ShapePredictor, name: str, folder: Path) -> None:
    package = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    package["files"] += ["LICENSE", f"{name}.ert"]
    for file in [file for pattern in _FILES for file in sorted(FOLDER.glob(pattern))]:
        copy = folder / file.relative_to(FOLDER)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
    shutil.copyfile(FOLDER / _LICENSE, folder / "LICENSE")
    model.save(folder / f"{name}.ert", compress=True)
    if model.box_source_ == "face":
        from ert.web.lbp import face_cascade

        package["files"].append("faces.json")
        (folder / "faces.json").write_text(json.dumps(face_cascade()), encoding="utf-8")
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n", encoding="utf-8")
