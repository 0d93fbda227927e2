import hashlib
import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from builders import small_options
from helpers import small_predictor

import ert
from ert import InputError
from ert.cli.main import main
from ert.training.crops import Crops
from ert.training.memory import (
    BLOCK_LENGTH,
    MAPPED_CROPS_BYTES,
    MemoryPlan,
    Sizes,
    allocate,
    new_pool,
    plan_memory,
    training_bytes,
)

SIZES = Sizes(
    n_objects=1000,
    n_samples=20_000,
    n_validation=0,
    n_landmarks=68,
    n_stages=10,
    mirrored=False,
    missing=False,
    crop_bytes=MAPPED_CROPS_BYTES,
)
OPTIONS = small_options(n_inits=20, n_pixels=400)
IN_MEMORY, CROPS_MAPPED, ALL_MAPPED = (MemoryPlan(False, False), MemoryPlan(True, False), MemoryPlan(True, True))
# Trains under a bound and prints how far the memory that the system cannot reclaim rose. The kernels are
# loaded before, which the bound does not count; the peak of the process would include them.
CHILD = """
import hashlib, json, sys, threading
import numpy as np
import ert

def read_memory():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        peaks.append(read_memory())

rng = np.random.default_rng(0)
image = rng.integers(0, 256, (120, 120), dtype=np.uint8)
X = [(image, (20.0 + i % 7, 20.0, 80.0, 80.0)) for i in range(900)]
y = rng.uniform(20, 100, (900, 68, 2))
kind, n_pool_candidates = sys.argv[2], int(sys.argv[3])
params = dict(n_stages=1, n_trees=4, n_pixels=400, n_pool_candidates=n_pool_candidates)
params |= dict(working_size=140, n_jobs=2)
params |= dict(kind=kind, gray_weights="luma" if kind == "ert" else "dlib")
ert.ShapePredictor(**params, n_inits=1).fit(X[:4], y[:4])
done, peaks, before = threading.Event(), [], read_memory()
threading.Thread(target=watch, daemon=True).start()
model = ert.ShapePredictor(**params, n_inits=20, verbose=1, max_memory=json.loads(sys.argv[1])).fit(X, y)
done.set()
print(json.dumps([(max(peaks) - before) / 1e6, model.summary_["n_samples"]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to see the memory")
@pytest.mark.parametrize(
    ("bound", "mapped", "kind", "n_pool_candidates"),
    [
        (60, "crops are", "ert", 0),
        (48, "crops and feature pools are", "ert", 0),
        (80, "crops and feature pools are", "ert", 800),
        (60, None, "dlib", 0),
    ],
)
def test_a_fit_keeps_its_bound(bound, mapped, kind, n_pool_candidates):
    command = [sys.executable, "-c", CHILD, str(bound), kind, str(n_pool_candidates)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    rise, n_samples = json.loads(run.stdout)
    assert rise < bound
    assert n_samples == 20 * 900
    # Crops of the dlib kind are small here, as the boxes are.
    found = re.search(r"max_memory=\d+: (.*) mapped from temporary files", run.stderr)
    assert (found and found[1]) == mapped


def test_the_estimate_grows_with_what_it_depends_on():
    least = training_bytes(SIZES, OPTIONS, CROPS_MAPPED)
    assert training_bytes(SIZES, OPTIONS, ALL_MAPPED) < least < training_bytes(SIZES, OPTIONS, IN_MEMORY)
    for change in (
        {"n_objects": 2000},
        {"n_samples": 21_000},
        {"n_landmarks": 80},
        {"mirrored": True},
        {"missing": True},
    ):
        assert training_bytes(replace(SIZES, **change), OPTIONS, CROPS_MAPPED) > least
    for more in (
        {"n_pixels": 600},
        {"n_pool_candidates": 500},
        {"n_trees": 5000},
        {"max_depth": 9},
        {"n_trees_averaged": 2},
        {"kind": "dlib"},
    ):
        assert training_bytes(SIZES, replace(OPTIONS, **more), CROPS_MAPPED) > least


def test_crops_are_mapped_before_pools():
    assert plan_memory(None, SIZES, OPTIONS) == IN_MEMORY
    large = replace(SIZES, crop_bytes=MAPPED_CROPS_BYTES + 1)
    assert plan_memory(None, large, OPTIONS) == MemoryPlan(None, False)
    least = math.ceil(training_bytes(SIZES, OPTIONS, ALL_MAPPED) / 1e6)
    plans = [plan_memory(bound, SIZES, OPTIONS) for bound in range(150, least - 1, -1)]
    assert list(dict.fromkeys(plans)) == [IN_MEMORY, CROPS_MAPPED, ALL_MAPPED]
    with pytest.raises(InputError, match=f"at least {least} MB for 1000 objects"):
        plan_memory(least - 1, SIZES, OPTIONS)


@pytest.mark.parametrize("bound", [0, -5, float("nan"), "much", True, 3])
def test_bounds_that_cannot_be_kept_are_refused(faces, bound):
    with pytest.raises(InputError, match=r"max_memory=.*expected"):
        small_predictor(max_memory=bound).fit(*faces)


@pytest.mark.parametrize(
    "params", [{}, {"kind": "dlib", "gray_weights": "dlib"}, {"n_pool_candidates": 900, "occlusion": 0.5}]
)
def test_any_bound_gives_the_same_model(faces, tmp_path, monkeypatch, params):
    """From no bound to the least that the error names, also where a checkpoint is resumed."""
    X, y = faces
    reserve, mapped = Crops.reserve, []

    def watched_reserve(sizes, **how):
        crops = reserve(sizes, **how)
        mapped.append(("crops", crops.mapping is not None))
        return crops

    def watched_pool(*sizes, **how):
        mapped.append(("pool", how["mapped"]))
        return new_pool(*sizes, **how)

    monkeypatch.setattr(Crops, "reserve", watched_reserve)
    monkeypatch.setattr("ert.training.stage.new_pool", watched_pool)

    def fit(bound, **how):
        mapped.clear()
        sizes = {"n_stages": 2, "n_inits": 30, "n_pixels": 700, "mirror": "face68"}
        model = small_predictor(**sizes, **params, max_memory=bound)
        model.fit(X, y, validation=(X[:9], y[:9]), **how).save(tmp_path / "model.ert")
        assert ert.load(tmp_path / "model.ert").max_memory is None
        return hashlib.sha256((tmp_path / "model.ert").read_bytes()).hexdigest()

    whole = fit(None)
    assert ("crops", True) not in mapped
    assert ("pool", True) not in mapped
    with pytest.raises(InputError, match="expected at least") as refused:
        fit(1)
    least = int(re.search(r"at least (\d+) MB", str(refused.value))[1])
    assert fit(least) == whole
    assert mapped.count(("crops", True)) == 2
    assert {flag for what, flag in mapped if what == "pool"} == {False, True}  # the warm-up's is small
    checkpoint = tmp_path / "checkpoint.ert"
    fit(None, checkpoint=checkpoint)
    assert fit(least, checkpoint=checkpoint, resume=True) == whole
    monkeypatch.setattr("ert.training.memory.MAPPED_CROPS_BYTES", 0)
    assert fit(1000) == whole
    assert ("pool", True) not in mapped
    assert mapped.count(("crops", True)) == 2


def test_the_command_takes_a_bound(tmp_path, capsys):
    data = ert.datasets.synthetic.synthetic_dataset(tmp_path / "faces", 6, seed=1)
    train = ["train", str(data), "--out", str(tmp_path / "model.ert"), "--n-stages=1", "--n-trees=2", "--n-inits=20"]
    assert main([*train, "--max-memory=1"]) == 2
    assert re.search(r"ert: --max-memory 1: expected at least \d+ MB for 6 objects", capsys.readouterr().err)
    assert main([*train, "--max-memory=500"]) == 0
    assert ert.load(tmp_path / "model.ert").n_inits == 20


@pytest.mark.parametrize("mapped", [False, True])
def test_a_pool_has_whole_blocks_of_samples(mapped):
    pool = new_pool(2 * BLOCK_LENGTH + 1, 65, mapped=mapped)
    assert pool.shape == (3, 65, BLOCK_LENGTH)
    assert not pool.any()
    pool[...] = 7


def test_a_full_disk_is_an_error_only_where_the_file_is_required(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert allocate(9, mapped=None)[1] is None
    with pytest.raises(InputError, match="no space for 0 MB of training data: No space left on device"):
        allocate(9, mapped=True)
