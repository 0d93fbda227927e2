"""Stub."""
import dataclasses
from pathlib import Path

import numpy as np

N_FOLDS = 5
CEPHALOGRAM_MM = 0.25
# Distances that the field of cephalometry counts as found.
RADII_MM = (2, 2.5, 3, 4)


def load(data, name):
    """Return the photos to train on, and those of the official test set or None."""
    from ert.datasets.dataset import concatenate
    from ert.datasets.formats import load_dataset

    wings, shells, portraits, cephalograms = (data / each for each in ("wings", "shells", "webmorph", "cephalograms"))
    examples, photos = wings / "landmark-examples", wings / "image-examples"
    if name == "wings":
        return load_dataset(examples / "tps-example.tps", image_folder=photos), None
    if name == "wings, CSV":
        return load_dataset(examples / "csv-example.csv", image_folder=photos, y_origin="bottom"), None
    if name == "shells":
        return load_dataset(shells / "train.tps"), None
    if name == "portraits":
        # The two other folders of portraits have 106 and 83 points.
        return concatenate([load_dataset(portraits / part) for part in ("canada", "composite", "neutral_front")]), None
    if name == "cephalograms":
        parts = [load_dataset(cephalograms / f"{part}.csv") for part in ("train", "test1")]
        return tuple(dataclasses.replace(part, scales=np.full(len(part), CEPHALOGRAM_MM)) for part in parts)
    return load_dataset(Path(name)), None


def folds(n, n_folds=N_FOLDS):
    """Return the fold of each of n photos."""
    return np.random.default_rng(0).permutation(n) % n_folds


def split(data, name, fold):
    """Return the datasets to train on and to predict: the official ones, or a fold "K/N" of the first, K from 1."""
    train, test = load(data, name)
    if not fold:
        if test is None:
            raise SystemExit(f"{name}: no official split; --fold K/N is required")
        return train, test
    number, n_folds = (int(part) for part in fold.split("/"))
    of_test = folds(len(train), n_folds) == number - 1
    return train.subset(~of_test), train.subset(of_test)


def figures(test, shapes):
    """Return errors as JSON types: of each photo in pixels and in percent of the diagonal, and summaries."""
    from ert.metrics import bootstrap_interval, landmark_errors, nme

    pixels, percent = landmark_errors(test.y, shapes), nme(test.y, shapes, "diagonal")
    found = {
        "files": [file.name for file in test.files],
        "errors": {"px": np.nanmean(pixels, axis=1).tolist(), "%": percent.tolist()},
        "mean %": float(percent.mean()),
        "mean %, 95 %": list(bootstrap_interval(percent)),
        "mean px": float(np.nanmean(pixels)),
    }
    if test.scales is not None:
        mm = pixels * test.scales[:, None]
        found["mean mm"] = float(np.nanmean(mm))
        found["within mm"] = {str(radius): float((mm <= radius).mean()) for radius in RADII_MM}
    return found
