"""Models of folds: cross-validation, and the error of new photos by the number of training photos."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ert._core.types import Floats
from ert.datasets.dataset import Dataset
from ert.evaluation.radial import MIN_GROUPS, group_numbers, mean_interval, sum_groups
from ert.metrics import bootstrap_interval, nme
from ert.pipeline.plan import Plan
from ert.pipeline.validate import Predictions, concatenate_predictions, lengths_of, predict_new, training_error

# Parts of the training photos that a learning curve is computed with.
CURVE_FRACTIONS = (0.25, 0.5, 1.0)
# The indices of training objects and of test objects.
Split: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]


def cross_validate(
    plan: Plan,
    dataset: Dataset,
    splits: Sequence[Split],
    norm: str,
    *,
    fraction: float = 1.0,
    checkpoint: Path | None = None,
    resume: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> tuple[Predictions, float]:
    """Train a model on each split, as the final one is trained, and predict the objects left out of it.

    With a `fraction`, only that part of the training images is used. Also returns the mean error of the training
    objects in percent of `norm`.
    """
    parts, errors = [], []
    for number, (rest, test) in enumerate(splits, 1):
        rest = _share_of_images(dataset, rest, fraction, plan.random_state + number)
        file = None if checkpoint is None else fold_checkpoint(checkpoint, number, fraction)
        # The error of the fast mode is measured, which runs the first member.
        prepared = replace(plan, given={**plan.given, "n_members": 1, "verbose": 0}).prepare(dataset.subset(rest))
        model = prepared.fit(checkpoint=file, resume=resume)
        options: Any = {"box_from": plan.box_source, "detector": plan.faces, "n_jobs": model.n_jobs}
        part = predict_new(model, dataset.subset(test), **options)
        errors.append(training_error(model, prepared.boxes.dataset, prepared.boxes.rolls, norm, model.n_jobs))
        parts.append(part)
        found, shapes = part.found_only()
        of = f"{len(found)} of {len(test)} objects found" if len(found) < len(test) else f"{len(test)} objects"
        text = f"{nme(found.y, shapes, lengths_of(found, [norm])[norm]).mean():.2f} %" if len(found) else "none"
        share = "" if fraction == 1 else f", with {fraction:.0%} of its training photos"
        say(f"fold {number} of {len(splits)}{share}: error of new photos {text} ({of})")
    return concatenate_predictions(parts, [test for _, test in splits]), float(np.mean(errors))


def fold_checkpoint(checkpoint: Path, number: int, fraction: float = 1.0) -> Path:
    """Return the checkpoint of a fold of the cross-validation."""
    part = "" if fraction == 1 else f"-{100 * fraction:.0f}"
    return checkpoint.with_name(f"{checkpoint.stem}.cv{number}{part}.ert")


def _share_of_images(dataset: Dataset, chosen: NDArray[np.intp], fraction: float, seed: int) -> NDArray[np.intp]:
    """Return the objects of a fraction of the images; a smaller fraction is a part of a larger one."""
    if fraction == 1:
        return chosen
    files = sorted({str(dataset.files[i]) for i in chosen})
    n = max(2, round(fraction * len(files)))
    kept = {files[i] for i in np.random.default_rng(seed).permutation(len(files))[:n]}
    return np.array([i for i in chosen if str(dataset.files[i]) in kept], np.intp)


def learning_curve(
    plan: Plan, dataset: Dataset, splits: Sequence[Split], complete: Predictions, norm: str, **files: Any
) -> list[dict[str, Any]]:
    """Return the error of new photos by the number of training images.

    Parameters
    ----------
    plan, dataset, splits, norm
        As for `cross_validate`.
    complete : Predictions
        Of models that were trained on all images of their splits.
    **files
        Other arguments of `cross_validate`.

    Returns
    -------
    list of dict
        For each fraction: "fraction", "n_images" (mean over splits), "n_objects", "n_found", "error" in percent,
        "interval_95" over images, None where there are few, and "change" against the fraction before with its
        "change_interval_95", over objects found both times: -0.2 is a fifth less.
    """
    rows: list[dict[str, Any]] = []
    before: Floats | None = None
    units = group_numbers(complete.units)
    for fraction in CURVE_FRACTIONS:
        one = complete if fraction == 1 else cross_validate(plan, dataset, splits, norm, fraction=fraction, **files)[0]
        errors = np.full(len(one.dataset), np.nan)
        found, shapes = one.found_only()
        interval = None
        if len(found):
            errors[one.found] = nme(found.y, shapes, lengths_of(found, [norm])[norm])
            if len(set(of_found := units[one.found].tolist())) >= MIN_GROUPS:
                interval = mean_interval(errors[one.found], np.ones(len(found)), of_found)
        counts = [
            len({dataset.files[i] for i in _share_of_images(dataset, rest, fraction, plan.random_state + number)})
            for number, (rest, _) in enumerate(splits, 1)
        ]
        rows.append(
            {
                "fraction": fraction,
                "n_images": round(float(np.mean(counts))),
                "n_objects": len(errors),
                "n_found": len(found),
                "error": float(np.nanmean(errors)) if len(found) else None,
                "interval_95": interval,
            }
            | _change(before, errors, units)
        )
        before = errors
    return rows


def _change(before: Floats | None, errors: Floats, units: NDArray[np.intp]) -> dict[str, Any]:
    both = np.empty((0, 2)) if before is None else np.column_stack([before, errors])
    known = np.isfinite(both).all(axis=1)
    both = both[known] if before is None else sum_groups(both[known], group_numbers(units[known].tolist()))
    if not len(both) or not both[:, 0].any():
        return {"change": None, "change_interval_95": None}

    def change(rows: Floats) -> float:
        first, second = rows.sum(axis=0)
        return float(second / first - 1) if first else 0.0

    return {"change": change(both), "change_interval_95": list(bootstrap_interval(both, statistic=change))}


def curve_table(curve: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of a table of a learning curve."""
    rows: list[tuple[str, ...]] = []
    for row in curve:
        found = str(row["n_objects"]) if row["n_found"] == row["n_objects"] else f"{row['n_found']}/{row['n_objects']}"
        error = "-" if row["error"] is None else f"{row['error']:.2f}"
        span = "-" if row["interval_95"] is None else "{:.2f} - {:.2f}".format(*row["interval_95"])
        rows.append((str(row["n_images"]), found, error, span))
    return ("photos", "objects", "error %", "95 % interval"), rows


def curve_lines(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a learning curve says, in words."""
    lines = []
    for before, row in pairwise(curve):
        if row["change"] is None:
            continue
        low, high = row["change_interval_95"]
        photos = f"from {before['n_images']} to {row['n_images']} photos"
        span = f"(95 % interval {low:+.0%} to {high:+.0%})"
        if low <= 0 <= high:
            lines.append(f"{photos}: no clear change of the error, {row['change']:+.0%} {span}")
        else:
            least, most = sorted((abs(low), abs(high)))
            span = f"(95 % interval {least:.0%} to {most:.0%})"
            lines.append(f"{photos}: {abs(row['change']):.0%} {'less' if high < 0 else 'more'} error {span}")
    if lines and curve[-1]["change"] is not None:
        high = curve[-1]["change_interval_95"][1]
        last = "another doubling is likely to gain less than the last one"
        lines.append(last if high < 0 else "more photos of the same kind promise little")
    return lines
