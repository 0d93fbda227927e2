"""Models by name and from files."""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from ert._core.exceptions import InputError, one_line
from ert.inference.locate import Request, assess, locate
from ert.inference.mode import FAST, PredictionMode, resolve_mode
from ert.inference.single import locate_gray_face
from ert.inference.validation import Face, box_array, check_pairs
from ert.inference.warmup import warm_up
from ert.metrics import nme, normalizer_lengths
from ert.model.cascade import Cascade
from ert.model.confidence import Assessment, ConfidenceModel
from ert.model.dlib_cascade import DlibCascade, compact
from ert.model.fitted import Fitted, read_fitted, write_fitted
from ert.model.geometry import box_frames
from ert.model.schemes import resolve_mirror_map
from ert.training.parameters import NOT_SAVED, check_parameters, plain_params

__all__ = ["ShapePredictor", "bundled_models", "load"]


class ShapePredictor:
    """Locate landmarks with a cascade of regression trees (Kazemi & Sullivan, CVPR 2014).

    Parameters
    ----------
    kind : {"ert", "dlib"}
        "dlib" trains what dlib's format can express, and `save` can then write `.dat`: pixels are read from
        the image as it is, the box is stretched to a square, displacements are not turned with the shape.
        It takes ``rgb="dlib"``; `working_size` and `blur` mean nothing to it. `compact` makes a small `.ert`
        of it.
    n_stages : int
        Stages of the cascade (the paper's T).
    n_trees : int
        Trees of each stage (K).
    max_depth : int
        Splits between the root and a leaf: a tree has 2**max_depth leaves.
    learning_rate : float
        Shrinkage of each tree, or of each group of averaged trees (nu).
    n_trees_averaged : int
        Trees that are grown on the same residuals and averaged; 1 is plain boosting with shrinkage. The
        paper's alternative is e.g. ``n_averaged=10, learning_rate=1``.
    n_pixels : int
        Pixels in the feature pool of each stage (P).
    n_pool_candidates : int
        Above `n_pixels`, so many are drawn for the pool, some trees are grown with all of them, and those
        that their splits use most are kept: a better pool that takes no longer to read.
    n_split_tests : int
        Random candidates tried for each split (S).
    prior_length : float
        Length of the exponential prior on the distance of a split's two pixels, in sides of the box (1 /
        lambda).
    padding : float
        How far pool pixels may lie outside the mean shape's bounding rectangle, in sides of the box.
    pool_spread : float
        Above 0, pool pixels are drawn around the landmarks with this standard deviation, in sides of the box,
        not evenly over the mean shape's rectangle; `padding` then only widens the crops.
    n_inits : int
        Starts of each training object (R): the mean shape first, then shapes of training objects.
    n_shapes_mixed : int
        Training shapes that each of those starts is a random mix of: 1 is the most diverse, which is best
        without jitter; with jitter, 3 are.
    shift_jitter, scale_jitter, roll_jitter : float
        Standard deviations of the box of every start but the first: shift in sides of the box, logarithm of
        the size, rotation in degrees.
    occlusion : float
        Share of the objects whose pixels are blurred or partly covered by a block for training: a model that
        met such is less lost where a hand or a mask hides a part, and hardly worse elsewhere.
    mirror : str, sequence of int or None
        Train on mirror images too: the mirror map (for each landmark the number of the one that takes its
        place), or the name of a known one ("face68").
    n_components : int
        Principal shape displacements that a stage's leaves are expressed in.
    stages_per_basis : int
        How many stages one after another share these: more make the file smaller and leave more of the model
        in the caches. dlib's kind of cascade is trained so, but keeps no basis.
    leaf_bits : {8, 16}
        Size of the integers in the leaves.
    working_size : int
        Pixels per side of the box at which images are read.
    blur : float
        Half-width of the smoothing when images are brought to that size, in those pixels. With 0 they are
        reduced by the integer factor that brings the box nearest to it, to at most 1.5 times as many: hardly
        any work, and nearly as good for boxes of more than that size.
    min_contrast : float
        Crops whose gray levels have a smaller standard deviation, of dim or flat images, are stretched to
        it; 0 leaves all as they are.
    normalizer : {None, "box", "diagonal", "inter-ocular", "inter-pupil"}
        Normalizer of the errors in `score` and `history_`, see :func:`ert.metrics.normalizer_lengths`; None is the
        side of the box given with each object.
    channel_order : {"rgb", "bgr"}
        Order of the colors in images given as arrays.
    gray_weights : {"luma", "dlib"}
        How colors are converted to gray: luma (ITU-R BT.601), or the plain mean of the three, as dlib has it.
    n_jobs : int
        Threads; -1 is all processors. Never changes the result.
    max_memory : float or None
        Bound in MB on what `fit` takes beyond what the process already holds; None is no bound. Images while
        they are read, one a thread, and compiled code (about 80 MB) come on top. To keep within it, crops lie
        in a temporary file, and if that is not enough every object gets fewer starts: then the model, with
        its parameters in the file, is that of a smaller `n_inits`.
    random_state : int
        Seed.
    verbose : int
        1 shows a progress bar while fitting.

    Attributes
    ----------
    fitted_ : Fitted
        All that fitting made; its parts are also attributes of their own:
    cascade_ : Cascade or DlibCascade
        The fitted arrays.
    landmark_names_ : tuple of str
    mirror_map_ : int array (n_landmarks,) or None
    history_ : list of dict
        For each stage: "stage", "train_nme" and, with validation data, "validation_nme", in percent.
    summary_ : dict
        What it was trained on: counts, the library's version and the notes given to `fit`.
    n_landmarks_ : int
    confidence_model_ : Judge or None
        What `fit_confidence` made, and `assess` needs.

    Notes
    -----
    When a landmark is missing anywhere in y, leaves hold every coordinate for itself in place of
    `n_components`, so that what is missing can be left out of each mean: a larger file, and a slower fit.
    Splits are chosen with the residual of a missing landmark taken as zero.
    """

    fitted_: Fitted

    def __init__(
        self,
        *,
        kind: str = "ert",
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
        n_inits: int = 20,
        n_shapes_mixed: int = 1,
        shift_jitter: float = 0.0,
        scale_jitter: float = 0.0,
        roll_jitter: float = 0.0,
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
        random_state: int = 0,
        verbose: int = 0,
    ) -> None:
        self.kind = kind
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
        self.n_inits = n_inits
        self.n_shapes_mixed = n_shapes_mixed
        self.shift_jitter = shift_jitter
        self.scale_jitter = scale_jitter
        self.roll_jitter = roll_jitter
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

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name (`deep` is there for scikit-learn)."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name and return the estimator.

        Raises
        ------
        InputError
            For a name that is no parameter.
        """
        known = self._parameter_names()
        for name, value in params.items():
            if name not in known:
                raise InputError(f"ShapePredictor has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = {k: v for k, v in self.get_params().items() if v is not defaults[k].default}
        return f"ShapePredictor({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this, so it is there to import.
        from sklearn.utils import RegressorTags, Tags, TargetTags

        target = TargetTags(required=True, two_d_labels=True, multi_output=True, single_output=False)
        return Tags(estimator_type="regressor", target_tags=target, regressor_tags=RegressorTags())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def fit(
        self,
        X: Sequence[Face],
        y: npt.ArrayLike,
        *,
        validation: tuple[Sequence[Face], npt.ArrayLike] | None = None,
        landmark_names: Sequence[str] | None = None,
        notes: dict[str, str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        on_stage: Callable[[Self], object] | None = None,
    ) -> Self:
        """Train the cascade.

        Parameters
        ----------
        X : sequence of (image, box)
            Images are arrays (uint8, gray or color) or paths; of each image only a crop around the box is
            kept. Boxes are left, top, width, height in pixels, drawn as the detector will draw them at
            prediction.
        y : array (n, n_landmarks, 2)
            Landmarks in image pixels; NaN = missing, which neither pulls nor pushes.
        validation : (X, y), optional
            Objects that are not trained on; `history_` gets their error after each stage.
        landmark_names : sequence of str, optional
            Kept in the model; "0", "1", ... by default.
        notes : dict of str, optional
            Kept in the model, for instance "data" and "license".
        checkpoint : path-like, optional
            A file written after each stage, so that an interrupted fit can go on.
        resume : bool
            Go on from `checkpoint`, if it is there, with the stages that are finished. The result is the
            same, byte for byte, as that of a fit that was never interrupted.
        on_stage : callable, optional
            Called with the predictor after each stage, those that `resume` replays included: it is fitted
            with the stages so far.

        Returns
        -------
        ShapePredictor

        Raises
        ------
        InputError
            When parameters, images, boxes or landmarks cannot be used, or the checkpoint belongs to another
            fit.
        """
        from ert.training.fit import fit_cascade

        def keep(fitted: Fitted) -> None:
            self.fitted_ = fitted
            if on_stage is not None:
                on_stage(self)

        self.fitted_ = fit_cascade(
            self.get_params(),
            X,
            y,
            validation=validation,
            landmark_names=landmark_names,
            notes=notes,
            checkpoint=checkpoint,
            resume=resume,
            on_stage=keep,
        )
        return self

    def fit_confidence(
        self,
        X: Sequence[Face],
        y: npt.ArrayLike,
        *,
        n_folds: int = 3,
        groups: Sequence[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> Self:
        """Train what tells how far landmarks can be trusted, on the objects that the model was fitted on.

        Objects must be judged by a cascade that never saw them: for each fold one is trained without it, so
        this takes nearly `n_folds` times as long as `fit` did, and a few minutes more for many objects.
        The same `random_state` and objects give the same bytes for any number of threads.

        Parameters
        ----------
        X, y
            What `fit` was given.
        n_folds : int
            How many parts are left out in turn. Cascades of more folds have seen more of the objects, and err
            more nearly as this model does.
        groups : sequence, optional
            For each object what must not be on both sides, such as a person's name; by default the image.
        checkpoint : path-like, optional
            An `.ert` file that is not written itself: the fold models are beside it, see
            :func:`fold_checkpoints`, so that an interrupted call can go on.
        resume : bool
            Go on from what is there of these.

        Returns
        -------
        ShapePredictor

        Raises
        ------
        InputError
            As `fit`; and when there are fewer images or groups than folds, or a fold lacks a landmark.
        """
        from ert.training.confidence import fit_confidence

        self.fitted_ = fit_confidence(
            self.get_params(),
            self._fitted(),
            X,
            y,
            n_folds=n_folds,
            groups=groups,
            checkpoint=checkpoint,
            resume=resume,
        )
        return self

    @overload
    def predict(
        self,
        X: Sequence[Face],
        mode: str | PredictionMode = "fast",
        *,
        return_std: Literal[False] = False,
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None = None,
        max_roll: float | None = None,
        channel_order: str | None = None,
        n_jobs: int | None = None,
        what: str = "X",
    ) -> npt.NDArray[np.float64]: ...

    @overload
    def predict(
        self,
        X: Sequence[Face],
        mode: str | PredictionMode = "fast",
        *,
        return_std: Literal[True],
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None = None,
        max_roll: float | None = None,
        channel_order: str | None = None,
        n_jobs: int | None = None,
        what: str = "X",
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...

    def predict(
        self,
        X: Sequence[Face],
        mode: str | PredictionMode = "fast",
        *,
        return_std: bool = False,
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None = None,
        max_roll: float | None = None,
        channel_order: str | None = None,
        n_jobs: int | None = None,
        what: str = "X",
    ) -> npt.NDArray[np.float64] | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Locate the landmarks of one face or many.

        Parameters
        ----------
        X : sequence of (image, box)
            As for `fit`. Boxes may lie partly outside the image.
        return_std : bool
            Return the standard errors of the landmarks as well, see :class:`Assessment`; the model must have
            a confidence model.
        rolls : float or array (n,), optional
            How far each object is turned in the image plane, in degrees, clockwise. Its box is not turned:
            it has the center and the sides of the box around the upright object.
        max_roll : float, optional
            Search up to so many degrees to either side of `rolls`, or of upright: 45, or 180 for all the
            way round. Each object is looked at from several rolls, in two passes, and the one chosen
            where nine starts agree best; `n_inits` means nothing then. Up to 15 it is those two passes
            alone, which finds upright objects more accurately too.
        channel_order : {"rgb", "bgr"}, optional
            Order of the colors in images given as arrays; the parameter `channel_order` by default.
        n_jobs : int
            Threads that share the faces; the result is the same for any number.
        what : str
            What error messages call X.

        Returns
        -------
        float array (n, n_landmarks, 2)
            x, y in image pixels, pixel centers at integers; not rounded.
        std : float array (n, n_landmarks)
            With `return_std`: of each landmark, in pixels.

        Raises
        ------
        InputError
            When an image, a box or a roll cannot be used; the message names it. When there is no confidence model.
        """
        plain = mode == "fast" and rolls is None and max_roll is None and not return_std
        if plain and type(X) is list and len(X) == 1 and hasattr(self, "fitted_"):
            # Where other programs have emptied the processor's caches, each Python call on the way to the
            # kernel costs a hundredth of the face.
            found = locate_gray_face(self.fitted_, X[0])
            if found is not None:
                return found
        fitted = self._fitted()
        request = Request(
            resolve_mode(mode, fitted),
            rolls,
            max_roll,
            return_std,
            channel_order or self.channel_order,
            self.gray_weights,
            self.n_jobs if n_jobs is None else n_jobs,
            what,
        )
        shapes, std = locate(fitted, X, request)
        return (shapes, std) if return_std else shapes

    def assess(
        self,
        X: Sequence[Face],
        landmarks: npt.ArrayLike,
        *,
        channel_order: str | None = None,
        n_jobs: int | None = None,
        what: str = "X",
    ) -> Assessment:
        """Return how far landmarks can be trusted; the model must have a confidence model, see `fit_confidence`.

        The confidence model was trained on what this model predicts. Landmarks from elsewhere it takes for that.

        Parameters
        ----------
        X : sequence of (image, box)
            As for `predict`. The box hardly matters: it bounds the size of what is looked at, and is the norm
            length of a model without a `normalizer`.
        landmarks : array (n, n_landmarks, 2)
            What `predict` returned, in image pixels.
        channels, n_jobs, what
            As for `predict`.

        Returns
        -------
        Assessment

        Raises
        ------
        InputError
            When an image or a box cannot be used, landmarks are not finite or not as many, or there is no
            judge.
        """
        request = Request(
            FAST,
            None,
            None,
            True,
            channel_order or self.channel_order,
            self.gray_weights,
            self.n_jobs if n_jobs is None else n_jobs,
            what,
        )
        return assess(self._fitted(), X, landmarks, request)

    def std_radius(self, level: float = 0.9) -> float:
        """Return the radius, in standard errors, of the circle that holds the true landmark that often.

        Parameters
        ----------
        level : float
            0 to 1. For 0.9 it is 2.146, nearly, by the definition of the standard error.
        """
        if not 0 <= level <= 1:
            raise InputError(f"level={level!r}: expected 0 to 1")
        return self._fitted().require_confidence_model().radius(level)

    def warm_up(self, *, rotated: bool = False) -> None:
        """Compile what `predict` needs, or load it from the cache; it does so itself the first time.

        Ctrl-C is held off meanwhile.

        Parameters
        ----------
        rotated : bool
            What it needs with `rolls` or `max_roll` as well.
        """
        warm_up(self._fitted(), rotated=rotated)

    def score(self, X: Sequence[Face], y: npt.ArrayLike) -> float:
        """Return minus the mean NME in percent, with the normalizer `normalizer`: greater is better."""
        truth = np.asarray(y, dtype=np.float64)
        lengths = (
            box_frames(box_array(check_pairs(X)))[:, 0]
            if self.normalizer is None
            else normalizer_lengths(truth, self.normalizer)
        )
        return -float(nme(truth, self.predict(X), lengths).mean())

    @property
    def cascade_(self) -> Cascade | DlibCascade:
        """The fitted arrays."""
        return self._fitted().cascade

    @property
    def landmark_names_(self) -> tuple[str, ...]:
        """The names of the landmarks."""
        return self._fitted().landmark_names

    @property
    def mirror_map_(self) -> npt.NDArray[np.intp] | None:
        """For each landmark the one that takes its place in a mirror image."""
        return self._fitted().mirror_map

    @property
    def history_(self) -> list[dict[str, float]]:
        """The errors after each stage of the fit, in percent."""
        return self._fitted().history

    @property
    def summary_(self) -> dict[str, Any]:
        """What the model was trained on."""
        return self._fitted().summary

    @property
    def confidence_model_(self) -> ConfidenceModel | None:
        """What `assess` needs; None when the model has none."""
        return self._fitted().confidence_model

    @property
    def n_landmarks_(self) -> int:
        """How many landmarks the model locates."""
        return len(self._fitted().cascade.mean_shape)

    def save(self, path: str | os.PathLike[str], *, compress: bool = False) -> None:
        """Write the fitted model to a compact file; an existing file is replaced when all is written.

        Parameters
        ----------
        path : path-like
            `.ert`. The suffix `.dat` stands for dlib's format, which holds what came from it and what `fit`
            trained with ``kind="dlib"``.
        compress : bool
            Write an `.ert` of about half the size, which takes some milliseconds more to load.

        Raises
        ------
        InputError
            When the file cannot be written, or its format cannot express the model.
        """
        write_fitted(path, self._fitted(), compress)

    def compact(self) -> Self:
        """Return the model with leaves of small integers; one that `fit` trained has them already."""
        fitted = self._fitted()
        model = type(self)(**self.get_params())
        cascade = fitted.cascade
        model.fitted_ = replace(
            fitted, cascade=compact(cascade) if isinstance(cascade, DlibCascade) else cascade
        )
        return model

    def _fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise InputError("this ShapePredictor is not fitted: call fit, or load a model")
        return self.fitted_


def bundled_models() -> dict[str, Path]:
    """Return the files of the models that come with the package, by name."""
    folder = Path(str(resources.files("ert._core"))) / "data" / "models"
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
        When there is no such model, or the file is corrupt, truncated, not an .ert file, or from a newer version.
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
        resolve_mirror_map(model.mirror, len(fitted.cascade.mean_shape))
    except (InputError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: the model file does not hold a valid model: {one_line(str(error))}"
        ) from error
    # A file of an older version lacks the parameters that came later.
    model.fitted_ = replace(fitted, params=plain_params(model.get_params()))
    return model
