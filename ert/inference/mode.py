"""Prediction modes: how many initializations and passes a prediction makes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ert._core.exceptions import InputError
from ert.model.geometry import INITS

if TYPE_CHECKING:
    from ert.model.fitted import Fitted

MAX_PASSES = 5


@dataclass(frozen=True)
class PredictionMode:
    """How many times a prediction runs the cascade, and from where.

    Parameters
    ----------
    n_inits : int
        Initializations, 1 to 7: the mean shape in the box, in boxes shifted by a twentieth of its side, in a
        smaller and a larger one. The result is the median of the shapes found, landmark by landmark. They are
        shared out among the members of a model, mirror images too: the first is the first member's.
    n_passes : int
        1 to 5. Each pass but the first starts from a box redrawn around the shape that the pass before it
        found from one initialization: for boxes that another detector drew, or drew badly.
    flip : bool
        Run every initialization on the mirror image too. The model must have a mirror map.
    restart : bool
        Where the confidence is low, try again from boxes moved and resized (smart restarts: Burgos-Artizzu et
        al., ICCV 2013). The model must have a confidence model.

    Examples
    --------
    >>> mode = ert.PredictionMode(n_inits=5, flip=True)
    >>> ert.align(ert.sample_image(), mode=mode)[0].landmarks.shape
    (68, 2)
    """

    n_inits: int = 1
    n_passes: int = 1
    flip: bool = False
    restart: bool = False


FAST = PredictionMode()
Mode: TypeAlias = str | PredictionMode


def resolve_mode(mode: Mode, fitted: "Fitted") -> PredictionMode:
    """Return the mode of a name, checked against what the model can do.

    Parameters
    ----------
    mode : {"fast", "accurate"} or PredictionMode
        "fast" runs the cascade once. "accurate" takes three initializations, two passes, and what the model
        supports of `flip` and `restart`.
    fitted : Fitted

    Returns
    -------
    PredictionMode

    Raises
    ------
    InputError
    """
    if isinstance(mode, str):
        if mode == "fast":
            return FAST
        if mode == "accurate":
            has_map, has_confidence = fitted.mirror_map is not None, fitted.confidence_model is not None
            return PredictionMode(n_inits=3, n_passes=2, flip=has_map, restart=has_confidence)
    if not isinstance(mode, PredictionMode):
        raise InputError(f"mode={mode!r}: expected 'fast', 'accurate' or a PredictionMode")
    for name, high in (("n_inits", len(INITS)), ("n_passes", MAX_PASSES)):
        value = getattr(mode, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not 1 <= value <= high:
            raise InputError(f"{name}={value!r}: expected an integer from 1 to {high}")
    for name in ("flip", "restart"):
        if getattr(mode, name) not in (False, True):
            raise InputError(f"{name}={getattr(mode, name)!r}: expected True or False")
    if mode.flip and fitted.mirror_map is None:
        raise InputError("flip=True: the model was trained without a mirror map")
    if mode.restart:
        fitted.require_confidence_model()
    return mode
