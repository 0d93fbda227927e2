"""``ert warmup`` and ``ert completion``: compile the kernels ahead of their first use, and complete in a shell."""

import argparse
import itertools
import os
import re
import time
import warnings

import numpy as np

from ert._core.exceptions import InputError
from ert._kernels import choice
from ert.cli import common
from ert.cli.main import build_parser
from ert.cli.parser import Parser
from ert.inference.warm_up import compile_all
from ert.predictor import ShapePredictor

cache_folders = choice.cache_folders
CACHE_VARIABLE = cache_folders.CACHE_VARIABLE
# The beginnings of the names of arguments that take a path, in the help texts.
_FILE = re.compile("FILE|CSV|IMAGE|VIDEO|MODEL|SRC|DST|DATASET")


def add_warmup_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--training", action="store_true", help="also compile the kernels of training")
    text = f"keep the kernels in DIR; others take them from there where {CACHE_VARIABLE}=DIR is set"
    parser.add_argument("--cache", metavar="DIR", help=text)


def run_warmup(options: argparse.Namespace) -> int:
    """Compile all kernels now, so that the first prediction is fast.

    ert warmup --training
    ert warmup --cache /var/cache/ert
    """
    _open_cache(options.cache or os.environ.get(CACHE_VARIABLE))
    begin = time.perf_counter()
    compile_all()
    if options.training:
        _warm_training()
    seconds = time.perf_counter() - begin
    ready = choice.ahead.ready_folder()
    if ready is None or choice.not_kept:
        raise InputError(f"compiled, but not kept: {choice.not_kept or 'files of the cache were removed meanwhile'}")
    what = "prediction and training" if options.training else "prediction"
    from llvmlite.binding import get_host_cpu_name

    processor = os.environ.get("NUMBA_CPU_NAME") or get_host_cpu_name()
    common.show(f"{what}: ready after {seconds:.1f} s, compiled for processor {processor}", f"cache: {ready}")
    return 0


def _open_cache(folder: str | None) -> None:
    """Let kernels be kept in a folder alone, or in any; check before the work that one can be, or all are there."""
    if folder:
        # All of them are to be there, also those that are in another folder now.
        cache_folders.use_alone(common.make_folder(folder).absolute())
        with warnings.catch_warnings():
            # The error says it.
            warnings.simplefilter("ignore")
            reason = cache_folders.why_not_first()
            if reason and not choice.ahead.is_ready():
                raise InputError(f"the cache {reason}")
    elif not cache_folders.can_write() and not choice.ahead.is_ready():
        raise InputError(f"no folder for compiled kernels can be written to; name one with --cache or {CACHE_VARIABLE}")


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
