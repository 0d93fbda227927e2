"""The estimator, and models by name and from files."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from ert._core.arguments import checked_arguments
from ert._core.estimator import Estimator
from ert._core.exceptions import InputError, one_line
from ert._core.files import model_path
from ert._core.types import Floats
from ert.inference.locate import Request, assess, locate
from ert.inference.mode import FAST, Mode, resolve_mode
from ert.inference.single import locate_plain_face
from ert.inference.validation import Face, box_array, check_pairs, face_list, landmark_list
from ert.inference.warm_up import warm_up
from ert.metrics import nme, normalizer_lengths
from ert.model.confidence import Assessment
from ert.model.fitted import Fitted, FittedAttributes, compacted, read_fitted, write_fitted
from ert.model.geometry import box_transforms
from ert.model.schemes import resolve_mirror_map
from ert.training.parameters import NOT_SAVED, check_parameters, plain_params

__all__ = ["ShapePredictor", "load"]


class ShapePredictor(Estimator, FittedAttributes):
    """Locate landmarks with a cascade of regression trees (Kazemi & Sullivan, CVPR 2014).

    Parameters
    ----------
    kind : {"ert", "dlib"}
        "dlib" trains what a `.dat` file can express: pixels of the image itself, in boxes stretched to a square.
        It needs ``gray_weights="dlib"``, and ignores `working_size`, `blur` and `min_contrast`.
    n_members : int
        Cascades, 1 to 4, of other seeds that share the initializations of ``mode="accurate"``, for smaller errors.
    n_stages : int
        Stages of the cascade (the paper's T).
    n_trees : int
        Trees per stage (K).
    max_depth : int
        Splits from the root to a leaf: a tree has ``2**max_depth`` leaves.
    learning_rate : float
        Shrinkage of each tree, or of each group of averaged trees (nu).
    n_trees_averaged : int
        Trees grown on the same residuals and averaged; 1 is plain boosting, the paper's alternative e.g. 10.
    n_pixels : int
        Pixels in the feature pool of a stage (P).
    n_pool_candidates : int
        Above `n_pixels`: pixels that are drawn for a pool, of which those are kept that trial trees use most.
    n_split_tests : int
        Random candidates per split (S).
    prior_length : float
        Length of the exponential prior on the distance of a split's pixels, in sides of the box (1 / lambda).
    padding : float
        Margin of the feature pool around the mean shape's bounding rectangle, in sides of the box.
    pool_spread : float
        Above 0: standard deviation of pool pixels around landmarks, in sides of the box; `padding` widens only crops.
    spread_decay : float
        Factor of `pool_spread` from each stage to the next.
    tree_target : {"shape", "landmark"}
        What splits are chosen for: the shape, or a landmark in turn, among pixels near it (Ren et al., CVPR 2014).
    channels : {"gray", "gray+orientation"}
        What pixels are read from: gray levels, or also how steep they are in each of four directions.
    n_inits : int
        Initializations per training object (R): the mean shape, then mixes of training shapes.
    n_shapes_mixed : int
        Training shapes in each mix. 1 is the most diverse, and best without jitter; with jitter, 3 are.
    shift_jitter, scale_jitter, roll_jitter : float
        Standard deviations of all boxes but the first: shift in sides of the box, logarithm of the size, degrees.
    warp, lighting : float
        Probabilities that a training object is warped towards the shape of another, and that its light changes.
    occlusion : float
        Probability that a training object is blurred or partly covered by a block.
    mirror : str, sequence of int or None
        Train on mirror images too: the index of each landmark's mirror image, or a scheme's name ("face68").
    n_components : int
        Principal shape displacements that the leaves of a stage are expressed in.
    stages_per_basis : int
        Consecutive stages that share these displacements: more make the file smaller.
    leaf_bits : {8, 16}
        Size of the integers in the leaves.
    working_size : int
        Pixels per side of the box at which images are read.
    blur : float
        Half-width of the filter that resamples images to that size, in those pixels. 0 reduces by the nearest
        integer factor: much faster, and nearly as accurate for boxes larger than `working_size`.
    min_contrast : float
        Crops whose gray levels have a smaller standard deviation are stretched to it; 0 leaves them as is.
    normalizer : {None, "box", "diagonal", "inter-ocular", "inter-pupil"}
        Of the errors in `score` and `history_`, see :func:`ert.metrics.normalizer_lengths`; None: side of the box.
    channel_order : {"rgb", "bgr"}
        Order of the channels of images given as arrays.
    gray_weights : {"luma", "dlib"}
        Conversion to gray: luma (ITU-R BT.601), or the mean of the three channels, as in dlib.
    n_jobs : int
        Threads of every method at most; -1 is all processors that are allowed. Never changes a result.
    max_memory : float or None
        Bound in MB on what `fit` allocates beside images and code: crops, then pools, are mapped to temporary files.
    random_state : int or None
        Seed. None takes another for each fit, which NumPy's global generator draws.
    verbose : int
        1 reports the progress of `fit`: a bar in a terminal, else a line per stage.

    Attributes
    ----------
    fitted_ : Fitted
        The fitted model; the properties below are its parts.

    Notes
    -----
    When y has missing landmarks, leaves hold coordinates, not components: the file is larger, and fitting slower.
    """

    def __init__(
        self,
        *,
        kind: str = "ert",
        n_members: int = 1,
        n_stages: int = 10,
        n_trees: int = 500,
        max_depth: int = 4,
        learning_rate: float = 0.1,
        n_trees_averaged: int = 1,
        n_pixels: int = 400,
        n_pool_candidates: int = 0,
        n_split_tests: int = 20,
        prior_length: float = 0.1,
        padding: float = 0.0,
        pool_spread: float = 0.0,
        spread_decay: float = 1.0,
        tree_target: str = "shape",
        channels: str = "gray",
        n_inits: int = 20,
        n_shapes_mixed: int = 1,
        shift_jitter: float = 0.0,
        scale_jitter: float = 0.0,
        roll_jitter: float = 0.0,
        warp: float = 0.0,
        lighting: float = 0.0,
        occlusion: float = 0.0,
        mirror: str | Sequence[int] | None = None,
        n_components: int = 32,
        stages_per_basis: int = 1,
        leaf_bits: int = 8,
        working_size: int = 140,
        blur: float = 1.0,
        min_contrast: float = 0.0,
        normalizer: str | None = None,
        channel_order: str = "rgb",
        gray_weights: str = "luma",
        n_jobs: int = -1,
        max_memory: float | None = None,
        random_state: int | None = 0,
        verbose: int = 0,
    ) -> None:
        self.kind = kind
        self.n_members = n_members
        self.n_stages = n_stages
        self.n_trees = n_trees
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.n_trees_averaged = n_trees_averaged
        self.n_pixels = n_pixels
        self.n_pool_candidates = n_pool_candidates
        self.n_split_tests = n_split_tests
        self.prior_length = prior_length
        self.padding = padding
        self.pool_spread = pool_spread
        self.spread_decay = spread_decay
        self.tree_target = tree_target
        self.channels = channels
        self.n_inits = n_inits
        self.n_shapes_mixed = n_shapes_mixed
        self.shift_jitter = shift_jitter
        self.scale_jitter = scale_jitter
        self.roll_jitter = roll_jitter
        self.warp = warp
        self.lighting = lighting
        self.occlusion = occlusion
        self.mirror = mirror
        self.n_components = n_components
        self.stages_per_basis = stages_per_basis
        self.leaf_bits = leaf_bits
        self.working_size = working_size
        self.blur = blur
        self.min_contrast = min_contrast
        self.normalizer = normalizer
        self.channel_order = channel_order
        self.gray_weights = gray_weights
        self.n_jobs = n_jobs
        self.max_memory = max_memory
        self.random_state = random_state
        self.verbose = verbose

    @checked_arguments
    def fit(
        self,
        X: Sequence[Face] | Any,
        y: npt.ArrayLike,
        *,
        rolls: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        validation: tuple[Any, ...] | None = None,
        landmark_names: Sequence[str] | None = None,
        notes: dict[str, str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        on_stage: Callable[[Self], object] | None = None,
    ) -> Self:
        """Train the cascade.

        Parameters
        ----------
        X : sequence, array of objects, pandas column or Dask Bag of (image, box), or pandas columns image and box
            Images are arrays (uint8, gray or color) or paths. Boxes are left, top, width, height in pixels, drawn
            as they will be at prediction. A bag is trained on by the workers of the current Dask client.
        y : array (n, n_landmarks, 2)
            Landmarks in image pixels. NaN landmarks are missing and are ignored in the loss.
        rolls : float or array (n,), optional
            As for `predict`: with them the cascade sees upright objects, read as `predict` reads them with rolls.
        sample_weight : array (n,), optional
            How often an object counts, 1 by default: it gets `n_inits` initializations times its weight, a part of
            one at random. An object without any is not used.
        validation : (X, y) or (X, y, rolls), optional
            Objects that are not trained on: `history_` gets their error after each stage.
        landmark_names, notes : sequence of str and dict of str, optional
            Kept in the model: names, "0", "1", ... by default, and for instance "data" and "license".
        checkpoint : path-like, optional
            A model file written after each stage.
        resume : bool
            Continue from `checkpoint`, if it exists. The result is the same, byte for byte, as without a break.
        on_stage : callable, optional
            Called with the predictor, fitted with the stages so far, after each stage.

        Returns
        -------
        ShapePredictor
            Itself.

        Raises
        ------
        InputError
            When parameters, images, boxes or landmarks cannot be used, or the checkpoint is of another fit.
        """
        from ert.training.fit import fit_cascade

        def keep(fitted: Fitted) -> None:
            self.fitted_ = fitted
            if on_stage is not None:
                on_stage(self)

        self.fitted_ = fit_cascade(
            self.get_params(),
            face_list(X),
            y,
            rolls=rolls,
            sample_weight=sample_weight,
            validation=validation and (face_list(validation[0]), *validation[1:]),
            landmark_names=landmark_names,
            notes=notes,
            checkpoint=checkpoint,
            resume=resume,
            on_stage=keep,
        )
        return self

    @checked_arguments
    def fit_confidence(
        self,
        X: Sequence[Face],
        y: npt.ArrayLike,
        *,
        rolls: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        assessed: npt.ArrayLike | None = None,
        n_folds: int = 3,
        groups: Sequence[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> Self:
        """Train the confidence model, on objects that the model was fitted on.

        Landmarks are assessed that a cascade found in objects it was not trained on: each fold is left out of a
        cascade of its own, which takes nearly `n_folds` times as long as `fit`.

        Parameters
        ----------
        X, y, rolls, sample_weight
            As given to `fit`.
        assessed : bool array (n,), optional
            Objects whose landmarks are assessed, all by default. Others, such as those that a model has marked,
            are in the training data of every fold.
        n_folds : int
            With more folds, their cascades err more like this model.
        groups : sequence, optional
            A label for each object, such as a person's name: a group is in one fold. The image by default.
        checkpoint : path-like, optional
            The fold models are written beside it, as ``name.fold1.ert`` and so on.
        resume : bool
            Continue from existing fold models.

        Returns
        -------
        ShapePredictor
            Itself.

        Raises
        ------
        InputError
            As `fit`; when there are fewer groups than folds, or a fold lacks a landmark.
        """
        from ert.training.confidence import fit_confidence

        self.fitted_ = fit_confidence(
            self.get_params(),
            self._fitted(),
            face_list(X),
            y,
            rolls=rolls,
            sample_weight=sample_weight,
            assessed=assessed,
            n_folds=n_folds,
            groups=groups,
            checkpoint=checkpoint,
            resume=resume,
        )
        return self

    @overload
    def predict(
        self, X: Sequence[Face], mode: Mode = ..., *, return_std: Literal[False] = ..., **options: Any
    ) -> Floats: ...

    @overload
    def predict(
        self, X: Sequence[Face], mode: Mode = ..., *, return_std: Literal[True], **options: Any
    ) -> tuple[Floats, Floats]: ...

    def predict(  # type: ignore[misc]  # the overloads leave out what all calls share
        self,
        X: Sequence[Face],
        mode: Mode = "fast",
        *,
        return_std: bool = False,
        rolls: npt.ArrayLike | None = None,
        max_roll: float | None = None,
        channel_order: str | None = None,
        n_jobs: int | None = None,
        what: str = "X",
    ) -> Floats | tuple[Floats, Floats]:
        """Locate the landmarks of one face or many.

        Parameters
        ----------
        X : sequence of (image, box)
            As for `fit`. Boxes may lie partly outside the image.
        mode : {"fast", "accurate"} or PredictionMode
            "accurate" takes some five times as long: initializations, a second pass, the mirror image, restarts.
        return_std : bool
            Also return the standard errors of the landmarks; the model must have a confidence model.
        rolls : float or array (n,), optional
            Roll of each object, degrees clockwise. Boxes have the center and sides of those of upright objects.
        max_roll : float, optional
            Search this many degrees to either side of `rolls` or of upright: 180 for any rotation. The roll is
            chosen at which nine initializations agree best; `mode` is ignored.
        channel_order, n_jobs : str and int, optional
            The parameters of these names by default.
        what : str
            The name of X in error messages.

        Returns
        -------
        float64 array (n, n_landmarks, 2)
            x, y in image pixels; pixel centers are at integers.
        std : float64 array (n, n_landmarks)
            With `return_std`: standard errors in pixels.

        Raises
        ------
        InputError
            Naming the image, box or roll that cannot be used.
        """
        plain = mode == "fast" and rolls is None and max_roll is None and not return_std
        if plain and type(X) is list and len(X) == 1 and hasattr(self, "fitted_"):
            # Where other programs have emptied the processor's caches, each Python call costs a hundredth of the face.
            found = locate_plain_face(self.fitted_, X[0], channel_order or self.channel_order, self.gray_weights)
            if found is not None:
                return found
        fitted = self._fitted()
        options = self._request_options(channel_order, n_jobs, what)
        request = Request(resolve_mode(mode, fitted), *options, rolls, max_roll, return_std)
        shapes, std = locate(fitted, face_list(X), request)
        return (shapes, std) if return_std else shapes

    @checked_arguments
    def assess(
        self,
        X: Sequence[Face],
        landmarks: npt.ArrayLike,
        *,
        channel_order: str | None = None,
        n_jobs: int | None = None,
        what: str = "X",
    ) -> Assessment:
        """Assess landmarks that this model predicted; it must have a confidence model.

        Parameters
        ----------
        X : sequence of (image, box)
            As for `predict`.
        landmarks : array (n, n_landmarks, 2)
            The result of `predict`, in image pixels.
        channel_order, n_jobs, what
            As for `predict`.

        Returns
        -------
        Assessment

        Raises
        ------
        InputError
            When an image or a box cannot be used, or landmarks do not match them.
        """
        request = Request(FAST, *self._request_options(channel_order, n_jobs, what))
        return assess(self._fitted(), face_list(X), landmarks, request)

    def _request_options(self, channel_order: str | None, n_jobs: int | None, what: str) -> tuple[str, str, int, str]:
        return channel_order or self.channel_order, self.gray_weights, self.n_jobs if n_jobs is None else n_jobs, what

    def warm_up(self, *, rotated: bool = False) -> None:
        """Compile the kernels of `predict`, with `rolls` too if `rotated`, or load them from the cache."""
        warm_up(self._fitted(), rotated=rotated)

    @checked_arguments
    def score(self, X: Sequence[Face], y: npt.ArrayLike) -> float:
        """Return minus the mean NME in percent, so that greater is better."""
        X, truth = face_list(X), np.asarray(landmark_list(y), dtype=np.float64)
        sides = box_transforms(box_array(check_pairs(X)))[:, 0]
        lengths = sides if self.normalizer is None else normalizer_lengths(truth, self.normalizer)
        return -float(nme(truth, self.predict(X), lengths).mean())

    def save(self, path: str | os.PathLike[str], *, compress: bool = False) -> None:
        """Write the fitted model to a file, atomically.

        Parameters
        ----------
        path : path-like
            `.ert`, or `.dat` for dlib's format, which holds models of ``kind="dlib"``.
        compress : bool
            Write an `.ert` of about half the size, which takes some milliseconds longer to load.

        Raises
        ------
        InputError
            When the file cannot be written, exists and is no model, or its format cannot express the model.
        """
        write_fitted(path, self._fitted(), compress)

    def compact(self) -> Self:
        """Return a copy whose leaves are small integers."""
        model = type(self)(**self.get_params())
        model.fitted_ = compacted(self._fitted())
        return model


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
        When there is no such model, or the file is corrupt, truncated, of another kind or a newer version.
    """
    fitted = read_fitted(path := model_path(name_or_path))
    try:
        if not set(NOT_SAVED).isdisjoint(fitted.params):
            raise InputError(f"params hold one of {', '.join(NOT_SAVED)}")
        model = ShapePredictor(**fitted.params)
        check_parameters(model.get_params())
        resolve_mirror_map(model.mirror, len(fitted.cascade.mean_shape))
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the model file does not hold a valid model: {one_line(str(error))}") from error
    model.fitted_ = replace(fitted, params=plain_params(model.get_params()))
    return model
