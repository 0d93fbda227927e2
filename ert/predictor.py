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
from numpy import empty

from ert._core.exceptions import InputError, one_line
from ert._core.images import UINT8, Part, plain_grey, read_part
from ert._core.interrupts import uninterrupted
from ert._core.threads import count_threads
from ert._kernels.bound_args import BLANK
from ert._kernels.workers import Workers
from ert.inference.batch import TOGETHER, predict_together, warm_up_together
from ert.inference.restart import rescue
from ert.inference.rotated import check_max_roll, check_rolls, locate_turned, search_roll
from ert.inference.validation import (
    MAX_COORDINATE,
    Face,
    box_array,
    check_box,
    check_landmarks,
    check_near,
    check_pairs,
    read_face,
)
from ert.metrics import nme, normalisers
from ert.model.cascade import NO_SWAP, Cascade
from ert.model.confidence import Assessment, Judge
from ert.model.dlib_cascade import DlibCascade, compact
from ert.model.fitted import Fitted, read_fitted, write_fitted
from ert.model.geometry import ONE_START, STARTS, box_frames, redraw_box
from ert.model.schemes import mirror_map
from ert.training.parameters import NOT_SAVED, check_parameters, plain_params, training_options

__all__ = [
    "ShapePredictor",
    "bundled_models",
    "fold_checkpoints",
    "load",
]

# How much wider than the box's, in sides of it, the part of an image is that cascade and judge share.
SPARE = 0.1
# Fewer objects are not worth the wait for the kernel that takes several at a time.
ENOUGH = 4 * TOGETHER
# Whose kernels this process has compiled or loaded, and whether for turned objects too.
_WARM: set[tuple[tuple[object, ...], bool]] = set()


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
    n_averaged : int
        Trees that are grown on the same residuals and averaged; 1 is plain boosting with shrinkage. The
        paper's alternative is e.g. ``n_averaged=10, learning_rate=1``.
    n_pixels : int
        Pixels in the feature pool of each stage (P).
    n_candidates : int
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
        Above 0, pool pixels are drawn round the landmarks with this standard deviation, in sides of the box,
        not evenly over the mean shape's rectangle; `padding` then only widens the crops.
    n_inits : int
        Starts of each training object (R): the mean shape first, then shapes of training objects.
    n_mixed : int
        Training shapes that each of those starts is a random mix of: 1 is the most diverse, which is best
        without jitter; with jitter, 3 are.
    shift_jitter, scale_jitter, roll_jitter : float
        Standard deviations of the box of every start but the first: shift in sides of the box, logarithm of
        the size, rotation in degrees.
    obscured : float
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
        Size of the whole numbers in the leaves.
    working_size : int
        Pixels per side of the box at which images are read.
    blur : float
        Half-width of the smoothing when images are brought to that size, in those pixels. With 0 they are
        reduced by the whole factor that brings the box nearest to it, to at most 1.5 times as many: hardly
        any work, and nearly as good for boxes of more than that size.
    least_contrast : float
        Crops whose grey levels have a smaller standard deviation, of dim or flat images, are stretched to
        it; 0 leaves all as they are.
    n_starts : int
        Starts of a prediction, 1 to 7: the mean shape in the box, in boxes shifted by a twentieth of its
        side, in a smaller and a larger one. The result is the median of what they lead to, landmark by
        landmark.
    n_passes : int
        2 draws the box anew round what a first prediction (of one start) found, so that the mean shape lies
        best on it, and predicts again from there: for boxes that another detector drew, or drew badly.
    flip : bool
        Have as many starts again that take the image for its mirror image. The model must know its mirror
        map.
    rescue : bool
        Look for upright objects again, from boxes moved and resized, where the judge rather thinks that the
        alignment failed. The model must have a judge, see `fit_judge`.
    norm : {None, "box", "diagonal", "inter-ocular", "inter-pupil"}
        Normaliser of the errors in `score` and `history_`, see :func:`ert.metrics.normalisers`; None is the
        side of the box given with each object.
    channels : {"rgb", "bgr"}
        Order of the colours in images given as arrays.
    rgb : {"luma", "dlib"}
        How colours become grey: luma (ITU-R BT.601), or the plain mean of the three, as dlib has it.
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
    judge_ : Judge or None
        What `fit_judge` made, and `assess` needs.

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
        n_averaged: int = 1,
        n_pixels: int = 400,
        n_candidates: int = 0,
        n_split_tests: int = 20,
        prior_length: float = 0.1,
        padding: float = 0.0,
        pool_spread: float = 0.0,
        n_inits: int = 20,
        n_mixed: int = 1,
        shift_jitter: float = 0.0,
        scale_jitter: float = 0.0,
        roll_jitter: float = 0.0,
        obscured: float = 0.0,
        mirror: str | Sequence[int] | None = None,
        n_components: int = 32,
        stages_per_basis: int = 1,
        leaf_bits: int = 8,
        working_size: int = 140,
        blur: float = 1.0,
        least_contrast: float = 0.0,
        n_starts: int = 1,
        n_passes: int = 1,
        flip: bool = False,
        rescue: bool = False,
        norm: str | None = None,
        channels: str = "rgb",
        rgb: str = "luma",
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
        self.n_averaged = n_averaged
        self.n_pixels = n_pixels
        self.n_candidates = n_candidates
        self.n_split_tests = n_split_tests
        self.prior_length = prior_length
        self.padding = padding
        self.pool_spread = pool_spread
        self.n_inits = n_inits
        self.n_mixed = n_mixed
        self.shift_jitter = shift_jitter
        self.scale_jitter = scale_jitter
        self.roll_jitter = roll_jitter
        self.obscured = obscured
        self.mirror = mirror
        self.n_components = n_components
        self.stages_per_basis = stages_per_basis
        self.leaf_bits = leaf_bits
        self.working_size = working_size
        self.blur = blur
        self.least_contrast = least_contrast
        self.n_starts = n_starts
        self.n_passes = n_passes
        self.flip = flip
        self.rescue = rescue
        self.norm = norm
        self.channels = channels
        self.rgb = rgb
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
            Images are arrays (uint8, grey or colour) or paths; of each image only a crop round the box is
            kept. Boxes are left, top, width, height in pixels, drawn as the detector will draw them at
            prediction.
        y : array (n, n_landmarks, 2)
            Landmarks in image pixels; NaN = missing, which neither pulls nor pushes.
        validation : (X, y), optional
            Objects that are not trained on; `history_` gets their error after each stage.
        landmark_names : sequence of str, optional
            Kept in the model; "0", "1", ... by default.
        notes : dict of str, optional
            Kept in the model, for instance "data" and "licence".
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

    def fit_judge(
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
        from threadpoolctl import threadpool_limits

        from ert.training.confidence import group_folds, train_judge
        from ert.training.fit import announce

        fitted = self._fitted()
        boxes = check_pairs(X)
        landmarks = check_landmarks(y, len(X))
        check_near(landmarks, box_array(boxes))
        if landmarks.shape[1] != self.n_landmarks_:
            raise InputError(f"y: {landmarks.shape[1]} landmarks, the model has {self.n_landmarks_}")
        norm = fitted.params["norm"]
        lengths = box_frames(box_array(boxes))[:, 0] if norm is None else normalisers(landmarks, norm)
        folds = group_folds(X, groups, n_folds, self.random_state)
        files = [None] * n_folds if checkpoint is None else fold_checkpoints(checkpoint, n_folds)
        models = []
        for fold in range(n_folds):
            if self.verbose:
                announce(f"judging: a model without fold {fold + 1} of {n_folds}", verbose=self.verbose)
            model = type(self)(**self.get_params())
            rest = np.flatnonzero(folds != fold).tolist()
            models.append(
                model.fit([X[i] for i in rest], landmarks[rest], checkpoint=files[fold], resume=resume)
            )
        options = training_options(plain_params(self.get_params()))
        with threadpool_limits(1), Workers(count_threads(self.n_jobs)) as workers:
            judge, summary = train_judge(
                fitted.cascade.mean_shape, models, folds, X, landmarks, boxes, lengths, options, workers
            )
        self.fitted_ = replace(fitted, judge=judge, judge_summary=summary)
        return self

    @overload
    def predict(
        self,
        X: Sequence[Face],
        *,
        return_std: Literal[False] = False,
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None = None,
        max_roll: float | None = None,
        channels: str | None = None,
        n_jobs: int = 1,
        what: str = "X",
    ) -> npt.NDArray[np.float64]: ...

    @overload
    def predict(
        self,
        X: Sequence[Face],
        *,
        return_std: Literal[True],
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None = None,
        max_roll: float | None = None,
        channels: str | None = None,
        n_jobs: int = 1,
        what: str = "X",
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...

    def predict(
        self,
        X: Sequence[Face],
        *,
        return_std: bool = False,
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None = None,
        max_roll: float | None = None,
        channels: str | None = None,
        n_jobs: int = 1,
        what: str = "X",
    ) -> npt.NDArray[np.float64] | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Locate the landmarks of one face or many.

        Parameters
        ----------
        X : sequence of (image, box)
            As for `fit`. Boxes may lie partly outside the image.
        return_std : bool
            Return the standard errors of the landmarks as well, see :class:`Assessment`; the model must have
            a judge.
        rolls : float or array (n,), optional
            How far each object is turned in the image plane, in degrees, clockwise. Its box is not turned:
            it has the centre and the sides of the box round the upright object.
        max_roll : float, optional
            Search up to so many degrees to either side of `rolls`, or of upright: 45, or 180 for all the
            way round. Each object is looked at from several rolls, in two passes, and the one chosen
            where nine starts agree best; `n_starts` means nothing then. Up to 15 it is those two passes
            alone, which finds upright objects more accurately too.
        channels : {"rgb", "bgr"}, optional
            Order of the colours in images given as arrays; the parameter `channels` by default.
        n_jobs : int
            Threads that share the faces; the result is the same for any number.
        what : str
            What error messages call X.

        Returns
        -------
        float array (n, n_landmarks, 2)
            x, y in image pixels, pixel centres at whole numbers; not rounded.
        std : float array (n, n_landmarks)
            With `return_std`: of each landmark, in pixels.

        Raises
        ------
        InputError
            When an image, a box or a roll cannot be used; the message names it. When there is no judge.
        """
        if rolls is None and max_roll is None and n_jobs == 1 and type(X) is list and len(X) == 1:
            # What follows is :meth:`_predict_grey`: where other code has emptied the caches every call and
            # every name counts.
            try:
                image, (left, top, width, height) = X[0]
                plain = self.n_starts == 1 and self.n_passes == 1 and not self.flip and not self.rescue
                if plain and not return_std and image.dtype is UINT8 and image.ndim == 2:
                    kernel, before, after, size = self.fitted_.cascade.quick
                    placed = empty(size)
                    if kernel(image, *before, left, top, width, height, *after, placed):
                        return placed
            except (AttributeError, OverflowError, TypeError, ValueError):
                pass
            found = self._predict_one(X[0], channels, return_std)
            if found is not None:
                return found
        return self._predict_all(X, return_std, rolls, max_roll, channels, n_jobs, what)

    def _predict_all(
        self,
        X: Sequence[Face],
        return_std: bool,
        rolls: float | Sequence[float] | npt.NDArray[np.floating[Any]] | None,
        max_roll: float | None,
        channels: str | None,
        n_jobs: int,
        what: str,
    ) -> npt.NDArray[np.float64] | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Do what `predict` does."""
        turned = rolls is not None or max_roll is not None
        cascade = self._fitted().cascade
        judged = self._judge() if return_std else None
        norm = self._fitted().params.get("norm")
        boxes = check_pairs(X, what)
        self.warm_up(turned=turned)
        shapes = np.empty((len(X), *cascade.mean_shape.shape))
        std, within = np.empty((2, len(X) if return_std else 0, len(cascade.mean_shape)))
        starts, swap = self._starts()
        angles = check_rolls(rolls, len(X)).tolist() if turned else []
        reach = None if max_roll is None else check_max_roll(max_roll)
        quick = not turned and judged is None
        several = None
        if quick and self._plain() and isinstance(cascade, Cascade) and len(X) >= ENOUGH and type(X) is list:
            warm_up_together(self._fitted().kernels, cascade, X[0][0])
            several = cascade
        n_together, corners = TOGETHER if several else 1, box_array(boxes)
        # All threads take from it: one whose processor is slowed down takes less.
        turns = iter(range(0, len(X), n_together))

        def predict_some(thread: int, n_threads: int) -> None:
            for first in turns:
                if workers.failed:
                    return
                if several and predict_together(
                    several, X, corners, first, channels or self.channels, self.rgb, what, shapes
                ):
                    continue
                for i in range(first, min(first + n_together, len(X))):
                    predict_each(i)

        def predict_each(i: int) -> None:
            found = self._predict_one(X[i], channels, False) if quick else None
            if found is not None:
                shapes[i] = found[0]
                return
            image, order = read_face(X[i][0], boxes[i], channels or self.channels, f"{what}[{i}]")
            box, part = boxes[i], None
            if reach is not None:
                shapes[i] = search_roll(cascade, image, box, angles[i], reach, order, self.rgb)[0]
            elif turned:
                found = locate_turned(cascade, image, box, angles[i], starts, order, self.rgb, swap)
                shapes[i] = _middle(found)
            else:
                shapes[i], part = self._locate(image, box, starts, order, swap, judged is not None)
            if judged is not None:
                judged.assess_face(image, boxes[i], shapes[i], order, self.rgb, norm, std[i], within[i], part)

        n_threads = 1 if n_jobs == 1 else min(count_threads(n_jobs), max(len(X), 1))
        with Workers(n_threads) as workers:
            workers.run(predict_some)
        return (shapes, std) if return_std else shapes

    def assess(
        self,
        X: Sequence[Face],
        landmarks: npt.ArrayLike,
        *,
        channels: str | None = None,
        n_jobs: int = 1,
        what: str = "X",
    ) -> Assessment:
        """Tell how far landmarks can be trusted; the model must have a judge, see `fit_judge`.

        The judge was trained on what this model predicts. Landmarks from elsewhere it takes for that.

        Parameters
        ----------
        X : sequence of (image, box)
            As for `predict`. The box hardly matters: it bounds the size of what is looked at, and is the norm
            length of a model without a `norm`.
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
        judge, norm = self._judge(), self._fitted().params.get("norm")
        boxes = check_pairs(X, what)
        shapes = np.ascontiguousarray(landmarks, np.float64)
        expected = (len(X), self.n_landmarks_, 2)
        if shapes.shape != expected:
            raise InputError(f"landmarks: expected shape {expected}, got {shapes.shape}")
        if not (np.abs(shapes) <= 2 * MAX_COORDINATE).all():
            raise InputError(f"landmarks: expected finite numbers within {2 * MAX_COORDINATE:g}")
        self.warm_up()
        std, within = np.empty((2, *expected[:2]))
        confidence = np.empty(len(X))

        def assess_some(thread: int, n_threads: int) -> None:
            for i in range(thread, len(X), n_threads):
                if workers.failed:
                    return
                image, order = read_face(X[i][0], boxes[i], channels or self.channels, f"{what}[{i}]")
                confidence[i] = judge.assess_face(
                    image, boxes[i], shapes[i], order, self.rgb, norm, std[i], within[i]
                )

        n_threads = 1 if n_jobs == 1 else min(count_threads(n_jobs), max(len(X), 1))
        with Workers(n_threads) as workers:
            workers.run(assess_some)
        return Assessment(std, within, confidence)

    def std_radius(self, level: float = 0.9) -> float:
        """Return the radius, in standard errors, of the circle that holds the true landmark that often.

        Parameters
        ----------
        level : float
            0 to 1. For 0.9 it is 2.146, nearly, by the definition of the standard error.
        """
        if not 0 <= level <= 1:
            raise InputError(f"level={level!r}: expected 0 to 1")
        return self._judge().radius(level)

    def _judge(self) -> Judge:
        judge = self._fitted().judge
        if judge is None:
            raise InputError(
                "this model has no judge: train it with fit_judge, or with ert train --confidence"
            )
        return judge

    def _locate(
        self,
        image: npt.NDArray[np.uint8],
        box: tuple[float, float, float, float],
        starts: npt.NDArray[np.float64],
        channels: str,
        swap: npt.NDArray[np.intp],
        for_judge: bool = False,
    ) -> tuple[npt.NDArray[np.float64], Part | None]:
        """Return the shape (n_landmarks, 2) of an upright face, found in all passes and rescued if need be.

        With `for_judge` and a colour image, also the part of it in grey that the judge will look at.
        """
        fitted = self._fitted()
        cascade, rest, part = fitted.cascade, (channels, self.rgb), None
        for _ in range(1, self.n_passes):
            first = cascade.predict_face(image, box, ONE_START, *rest)
            box = redraw_box(first[0], cascade.mean_shape, box)
        if for_judge and isinstance(cascade, Cascade) and not plain_grey(image):
            part = _part_for_both(cascade, image, box, *rest)
            shape = _middle(cascade.predict_face(image, box, starts, *rest, swap, part))
        else:
            shape = _middle(cascade.predict_face(image, box, starts, *rest, swap))
        if self.rescue:
            better = rescue(cascade, self._judge(), fitted.params.get("norm"), image, box, shape, *rest)
            if better is not None:
                shape = _middle(cascade.predict_face(image, better, starts, *rest, swap))
        return shape, part

    def _predict_one(
        self, face: Face, channels: str | None, return_std: bool
    ) -> npt.NDArray[np.float64] | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Locate a face that is as usual as can be: an array and four plain numbers.

        What `predict` does for any number of faces takes as long as a fifth of the kernels.

        Returns
        -------
        float array (1, n_landmarks, 2)
            None where anything is not as usual, or not right.
        std : float array (1, n_landmarks)
            With `return_std`.
        """
        try:
            grey = self._predict_grey(face)
            if grey is not None and not return_std:
                return grey
            fitted = self.fitted_
            if (fitted.kernels, False) not in _WARM or (return_std and grey is None):
                return None
            box = check_box(face[1], "")
            image, order = read_face(face[0], box, channels or self.channels, "")
        except (AttributeError, OverflowError, TypeError, ValueError):
            return None
        if grey is None:
            starts, swap = self._starts()
            return self._locate(image, box, starts, order, swap)[0][None]
        std = np.empty((2, *grey.shape[:2]))
        norm = fitted.params.get("norm")
        self._judge().assess_face(image, box, grey[0], "rgb", self.rgb, norm, std[0, 0], std[1, 0])
        return grey, std[0]

    def _predict_grey(self, face: Face) -> npt.NDArray[np.float64] | None:
        """Locate a face in a grey array from one start; None where anything is not as usual, or not right."""
        image, box = face
        if not (self._plain() and image.dtype is UINT8 and image.ndim == 2):  # type: ignore[union-attr]
            return None
        kernel, before, after, size = self.fitted_.cascade.quick
        placed = np.empty(size)
        return placed if kernel(image, *before, *box, *after, placed) else None

    def best(self) -> Self:
        """Set `n_starts`, `n_passes`, `flip` and `rescue` to what is most accurate for its time.

        That is some five times the time of the default.

        Returns
        -------
        ShapePredictor
            Itself.
        """
        return self.set_params(
            n_starts=3, n_passes=2, flip=self.mirror_map_ is not None, rescue=self.judge_ is not None
        )

    def _plain(self) -> bool:
        """Whether one start and one pass are all."""
        return self.n_starts == 1 and self.n_passes == 1 and not self.flip and not self.rescue

    def _starts(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        if not 1 <= self.n_starts <= len(STARTS):
            raise InputError(f"n_starts={self.n_starts!r}: expected 1 to {len(STARTS)}")
        if self.n_starts == 1 and not self.flip:
            return ONE_START, NO_SWAP
        starts = STARTS[: self.n_starts]
        if not self.flip:
            return starts, NO_SWAP
        swap = self.mirror_map_
        if swap is None:
            raise InputError("flip=True: the model was trained without a mirror map")
        return np.concatenate([starts, starts + [0, 0, 0, 1]]), swap

    def warm_up(self, *, turned: bool = False) -> None:
        """Compile what `predict` needs, or load it from the cache; it does so itself the first time.

        Ctrl-C is held off meanwhile.

        Parameters
        ----------
        turned : bool
            What it needs with `rolls` or `max_roll` as well.
        """
        fitted = self._fitted()
        cascade, judge = fitted.cascade, fitted.judge
        if (fitted.kernels, turned) not in _WARM:
            with uninterrupted():
                box = (0.0, 0.0, 9.0, 9.0)
                for blank in BLANK:
                    found = cascade.predict_face(blank, box, ONE_START, "rgb", "luma")
                    if judge is not None:
                        room = np.empty((2, len(found[0])))
                        judge.assess_face(blank, box, found[0], "rgb", "luma", None, *room)
                    if turned:
                        search_roll(cascade, blank, box, 0.0, 0.0, "rgb", "luma")
            _WARM.add((fitted.kernels, turned))

    def score(self, X: Sequence[Face], y: npt.ArrayLike) -> float:
        """Return minus the mean NME in percent, with the normaliser `norm`: greater is better."""
        truth = np.asarray(y, dtype=np.float64)
        lengths = (
            box_frames(box_array(check_pairs(X)))[:, 0]
            if self.norm is None
            else normalisers(truth, self.norm)
        )
        return -float(nme(truth, self.predict(X, n_jobs=self.n_jobs), lengths).mean())

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
    def judge_(self) -> Judge | None:
        """What `assess` needs; None when the model has none."""
        return self._fitted().judge

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
        """Return the model with leaves of small whole numbers; one that `fit` trained has them already."""
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


def fold_checkpoints(checkpoint: str | os.PathLike[str], n_folds: int) -> list[Path]:
    """Name the files that `fit_judge` keeps its fold models in: runs/face.ert, runs/face.fold1.ert, ...

    They are left there for whoever named the checkpoint to remove.
    """
    path = Path(checkpoint)
    return [path.with_name(f"{path.stem}.fold{number}{path.suffix}") for number in range(1, n_folds + 1)]


def _middle(shapes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median of shapes (n, n_landmarks, 2): of a single one itself."""
    n = len(shapes)
    if n == 1:
        return shapes[0]  # type: ignore[no-any-return]
    # numpy's takes as long as two cascades.
    ordered = np.sort(shapes, axis=0)
    middle: npt.NDArray[np.float64] = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return middle


def _part_for_both(
    cascade: Cascade, image: npt.NDArray[np.uint8], box: tuple[float, float, float, float], *colours: str
) -> Part:
    """Turn to grey, once, what the cascade needs and what the judge will need, nearly always."""
    left, top, width, height = box
    wider = left - SPARE * width, top - SPARE * height, (1 + 2 * SPARE) * width, (1 + 2 * SPARE) * height
    low_x, low_y, high_x, high_y = cascade.cropping.region
    if not (low_x <= 0.5 <= high_x and low_y <= 0.5 <= high_y):
        return cascade.read_part(image, box, *colours)
    # A region round the middle of the box grows on all sides as the box does.
    return read_part(image, *cascade.cropping.touched(*wider, image.shape), *colours)


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
