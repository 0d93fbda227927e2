"""``ert warmup`` and ``ert completion``: compile the kernels ahead of their first use, and complete in a shell."""

import argparse
import itertools
import re
import time
from dataclasses import replace

import numpy as np
from llvmlite.binding import get_host_cpu_name
from numba import config

from ert._core.exceptions import InputError
from ert._core.files import bundled_models
from ert._core.images import DUMMY_IMAGES
from ert._kernels import predict_face
from ert.cli import common
from ert.cli.main import build_parser
from ert.cli.parser import Parser
from ert.inference.batch import warm_up_batch
from ert.model.cascade import Cascade
from ert.model.dlib_cascade import DlibCascade, compact
from ert.predictor import ShapePredictor, load

# The beginnings of the names of arguments that take a path, in the help texts.
_FILE = re.compile("FILE|CSV|IMAGE|VIDEO|MODEL|SRC|DST|DATASET")


def add_warmup_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--training", action="store_true", help="also compile the kernels of training")


def run_warmup(options: argparse.Namespace) -> int:
    """Compile all kernels now, so that the first prediction is fast.

    ert warmup
    ert warmup --training
    """
    common.log("ert: compiling the kernels that are not in the cache ...")
    begin = time.perf_counter()
    _warm_prediction()
    if options.training:
        _warm_training()
    seconds = time.perf_counter() - begin
    what = "prediction and training" if options.training else "prediction"
    processor = getattr(config, "CPU_NAME", None) or get_host_cpu_name()
    folder = predict_face.stats.cache_path
    common.show(f"{what}: ready after {seconds:.1f} s, compiled for processor {processor}")
    common.show(f"cache: {folder or 'none, since no folder can be written to; set NUMBA_CACHE_DIR'}")
    return 0


def _warm_prediction() -> None:
    """Compile prediction for each dtype of leaves that a model can have, on gray and color images."""
    models = [load(name) for name in bundled_models()]
    bundled = models[0].fitted_
    dlib_cascades = [_smallest_dlib_cascade(n_splits) for n_splits in (1, 15)]
    wide = replace(bundled.cascade, leaves=bundled.cascade.leaves.astype(np.int16))
    for cascade in (wide, *dlib_cascades, *map(compact, dlib_cascades)):
        model = load(next(iter(bundled_models())))
        model.fitted_ = replace(bundled, cascade=cascade)
        models.append(model)
    for model in models:
        model.warm_up(rotated=True)
        if isinstance(model.cascade_, Cascade):
            for image in DUMMY_IMAGES:
                warm_up_batch(model.fitted_, model.cascade_, image)


def _smallest_dlib_cascade(n_splits: int) -> DlibCascade:
    """Return one stage of one tree over two pixels whose leaves are zero."""
    return DlibCascade(
        mean_shape=np.zeros((1, 2), np.float32),
        anchors=np.zeros((1, 2), np.uint16),
        deltas=np.zeros((1, 2, 2), np.float32),
        pairs=np.zeros((1, 1, n_splits, 2), np.uint16),
        thresholds=np.zeros((1, 1, n_splits), np.float32),
        leaves=np.zeros((1, 1, n_splits + 1, 2), np.float32),
        scales=np.zeros((1, 0), np.float32),
        basis=np.zeros((1, 0, 2), np.int16),
    )


def _warm_training() -> None:
    """Run a tiny fit in every way that compiles other kernels."""
    rng = np.random.default_rng(0)
    X = [(rng.integers(0, 256, (20, 20), np.uint8), (2.0, 2.0, 16.0, 16.0)) for _ in range(4)]
    y = rng.uniform(4, 16, (4, 3, 2))
    for kind, bits, missing in itertools.product(("ert", "dlib"), (8, 16), (False, True)):
        landmarks = y.copy()
        if missing:
            landmarks[0, 0] = np.nan
        model = ShapePredictor(n_stages=1, n_trees=1, n_pixels=4, n_split_tests=2, n_inits=1, n_jobs=1)
        model.set_params(kind=kind, leaf_bits=bits, gray_weights="dlib" if kind == "dlib" else "luma")
        model.fit(X, landmarks).predict(X)
        if (kind, bits, missing) == ("ert", 8, False):
            model.fit_confidence(X, landmarks, n_folds=2).predict(X, return_std=True)


def add_completion_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def run_completion(options: argparse.Namespace) -> int:
    """Print a script that completes commands, options and files in a shell.

    ert completion bash > ~/.local/share/bash-completion/completions/ert
    ert completion fish > ~/.config/fish/completions/ert.fish
    """
    try:
        # It writes a static script; those of argcomplete run the program, and so import numba, at every TAB.
        import shtab
    except ImportError:
        raise InputError(
            'completion: needs shtab, which is not installed: pip install "ert-landmarks[completion]"'
        ) from None
    root = build_parser()
    _mark_paths(root, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(root, options.shell))
    return 0


def _mark_paths(parser: Parser, file: object, folder: object) -> None:
    """Set the attribute `complete`, which shtab reads, of each argument that takes a path."""
    parser.complete()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_paths(command, file, folder)
        elif _FILE.match(str(action.metavar)):
            action.complete = file  # type: ignore[attr-defined]
        elif action.metavar == "DIR":
            action.complete = folder  # type: ignore[attr-defined]
