"""Models by name and from files."""

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path

from ert.errors import InputError, one_line
from ert.fitted import read_fitted
from ert.parameters import NOT_SAVED, check_parameters, plain_params
from ert.predictor import ShapePredictor
from ert.shapes import mirror_map

__all__ = ["bundled_models", "load"]


def bundled_models() -> dict[str, Path]:
    """Return the files of the models that come with the package, by name."""
    folder = Path(str(resources.files("ert"))) / "models"
    return {file.stem: file for file in sorted(folder.glob("*.ert"))}


def load(name_or_path: str | os.PathLike[str]) -> ShapePredictor:
    """Load a model: a bundled one by name ("face68"), or a file.

    Parameters
    ----------
    name_or_path : str or path-like
        `"face68"`, or the path of an `.ert` file, or of a `.dat` file in dlib's format.

    Returns
    -------
    ShapePredictor
        Fitted.

    Raises
    ------
    InputError
        When there is no such model, or the file is damaged, cut short, foreign or of a newer version.
    """
    path = Path(name_or_path)
    bundled = bundled_models()
    if str(name_or_path) in bundled:
        path = bundled[str(name_or_path)]
    elif path.name == str(name_or_path) and not path.suffix and not path.exists():
        known = ", ".join(bundled)
        raise InputError(f"{path}: no such file, and no bundled model of that name; bundled: {known}")
    fitted = read_fitted(path)
    try:
        if not set(NOT_SAVED).isdisjoint(fitted.params):
            raise InputError(f"params hold one of {', '.join(NOT_SAVED)}")
        model = ShapePredictor(**fitted.params)
        check_parameters(model.get_params())
        mirror_map(model.mirror, len(fitted.cascade.mean_shape))
    except (InputError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: the model file does not hold a valid model: {one_line(str(error))}"
        ) from error
    # A file of an older version lacks the parameters that came later.
    model.fitted_ = replace(fitted, params=plain_params(model.get_params()))
    return model
