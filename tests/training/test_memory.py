import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from builders import small_options
from helpers import small_predictor

import ert
from ert import InputError
from ert.cli.main import main
from ert.training.crops import Crops
from ert.training.memory import MAPPED_FROM, Plan, Sizes, plan_memory, training_bytes

SIZES = Sizes(
    n_objects=1000,
    n_validation=0,
    n_landmarks=68,
    n_stages=10,
    mirrored=False,
    missing=False,
    crop_bytes=MAPPED_FROM,
)
PLAN = small_options(n_inits=20, n_pixels=400)
# Trains under a bound and prints how far the memory rose. The kernels are loaded before, which is what the
# bound leaves out; the peak of the process is not asked for, since loading them may have been higher.
CHILD = """
import json, resource, sys, threading
import numpy as np
import ert
from ert.training.stage import rehearse

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def watch():
    while not done.wait(0.002):
        peaks.append(held())

rng = np.random.default_rng(0)
image = rng.integers(0, 256, (120, 120), dtype=np.uint8)
X = [(image, (20.0 + i % 7, 20.0, 80.0, 80.0)) for i in range(900)]
y = rng.uniform(20, 100, (900, 68, 2))
kind, n_candidates = sys.argv[2], int(sys.argv[3])
params = dict(n_stages=1, n_trees=4, n_pixels=400, n_candidates=n_candidates, working_size=140, n_jobs=2)
params |= dict(kind=kind, rgb="luma" if kind == "ert" else "dlib")
ert.ShapePredictor(**params, n_inits=1).fit(X[:4], y[:4])
done, peaks, before = threading.Event(), [], held()
threading.Thread(target=watch, daemon=True).start()
model = ert.ShapePredictor(**params, n_inits=20, verbose=1, max_memory=json.loads(sys.argv[1])).fit(X, y)
done.set()
print(json.dumps([(max(peaks) - before) / 1e6, model.fitted_.params["n_inits"]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to see the memory")
@pytest.mark.parametrize(
    ("bound", "inits", "kind", "n_pool_candidates"),
    [
        (60, range(20, 21), "ert", 0),
        (45, range(5, 20), "ert", 0),
        (60, range(20, 21), "dlib", 0),
        (100, range(20, 21), "ert", 800),
    ],
)
def test_a_fit_keeps_within_its_bound(bound, inits, kind, n_pool_candidates):
    command = [sys.executable, "-c", CHILD, str(bound), kind, str(n_pool_candidates)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    rise, n_inits = json.loads(run.stdout)
    assert rise < bound
    assert n_inits in inits
    assert (f"max_memory={bound}: {n_inits} starts of each object, not 20" in run.stderr) == (n_inits < 20)
    # Those of dlib's kind are small here, as the boxes are.
    assert ("crops lie in a temporary file" in run.stderr) == (kind == "ert")


def test_the_estimate_grows_with_what_it_depends_on():
    least = training_bytes(SIZES, PLAN, 5, mapped=True)
    assert training_bytes(SIZES, PLAN, 6, mapped=True) > least
    assert training_bytes(SIZES, PLAN, 5, mapped=False) > least
    for change in ({"n_objects": 2000}, {"n_landmarks": 80}, {"mirrored": True}, {"missing": True}):
        assert training_bytes(replace(SIZES, **change), PLAN, 5, mapped=True) > least
    for more in (
        {"n_pixels": 600},
        {"n_pool_candidates": 500},
        {"n_trees": 5000},
        {"max_depth": 9},
        {"n_trees_averaged": 2},
        {"kind": "dlib"},
    ):
        assert training_bytes(SIZES, replace(PLAN, **more), 5, mapped=True) > least


def test_the_crops_go_to_a_file_before_starts_are_dropped():
    free = plan_memory(None, SIZES, PLAN)
    assert free == Plan(mapped=False, n_inits=20)
    assert plan_memory(None, replace(SIZES, crop_bytes=MAPPED_FROM + 1), PLAN) == Plan(None, 20)
    least = math.ceil(training_bytes(SIZES, PLAN, 10, mapped=True) / 1e6)
    plans = [plan_memory(bound, SIZES, PLAN) for bound in range(150, least - 1, -1)]
    assert plans[0] == free
    assert Plan(mapped=True, n_inits=20) in plans
    inits = [plan.n_inits for plan in plans]
    assert inits == sorted(inits, reverse=True)
    assert inits[-1] < 20
    assert all(plan.n_inits == 20 or plan.mapped for plan in plans)


@pytest.mark.parametrize("bound", [0, -5, float("nan"), "much", True, 3])
def test_bounds_that_cannot_be_kept_are_refused(faces, bound):
    with pytest.raises(InputError, match=r"max_memory=.*expected"):
        small_predictor(max_memory=bound).fit(*faces)


def test_with_fewer_starts_the_model_is_that_of_fewer_starts(faces, tmp_path, monkeypatch):
    """And a checkpoint goes on only where as many starts are used."""
    X, y = faces
    monkeypatch.setattr("ert.training.memory._ROOM", 0)
    monkeypatch.setattr("ert.training.memory.BLOCK", 0)
    model = small_predictor(n_stages=1, n_inits=80, max_memory=14)
    with pytest.warns(UserWarning, match=r"max_memory=14: \d+ starts of each object, not 80"):
        model.fit(X, y, checkpoint=tmp_path / "checkpoint.ert")
    n_inits = model.fitted_.params["n_inits"]
    assert 10 < n_inits < 80
    assert model.n_inits == 80
    assert model.summary_["n_samples"] == n_inits * len(X)
    model.save(tmp_path / "bound.ert")
    small_predictor(n_stages=1, n_inits=n_inits).fit(X, y).save(tmp_path / "fewer.ert")
    assert (tmp_path / "bound.ert").read_bytes() == (tmp_path / "fewer.ert").read_bytes()
    loaded = ert.load(tmp_path / "bound.ert")
    assert (loaded.n_inits, loaded.max_memory) == (n_inits, None)
    small_predictor(n_stages=2, n_inits=n_inits).fit(
        X, y, checkpoint=tmp_path / "checkpoint.ert", resume=True
    )
    with pytest.raises(InputError, match="other data or parameters"):
        small_predictor(n_inits=80).fit(X, y, checkpoint=tmp_path / "checkpoint.ert", resume=True)


@pytest.mark.parametrize("kind", [{}, {"kind": "dlib", "gray_weights": "dlib"}])
def test_crops_in_a_file_give_the_same_model(faces, tmp_path, monkeypatch, kind):
    X, y = faces
    validation = (X[:9], y[:9])
    small_predictor(mirror="face68", **kind).fit(X, y, validation=validation).save(tmp_path / "memory.ert")
    monkeypatch.setattr("ert.training.memory.MAPPED_FROM", 0)
    reserve, mappings = Crops.reserve, []

    def watched(sizes, **how):
        crops = reserve(sizes, **how)
        mappings.append(crops.mapping)
        return crops

    monkeypatch.setattr(Crops, "reserve", watched)
    small_predictor(mirror="face68", **kind).fit(X, y, validation=validation).save(tmp_path / "file.ert")
    assert [mapping is not None for mapping in mappings[-2:]] == [True, True]
    assert (tmp_path / "file.ert").read_bytes() == (tmp_path / "memory.ert").read_bytes()


def test_without_room_for_the_file_only_a_bound_is_an_error(faces, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    sizes = np.full((3, 2), 4)
    assert Crops.reserve(sizes, mapped=None).mapping is None
    with pytest.raises(InputError, match="no room for 0 MB of crops: No space left on device"):
        Crops.reserve(sizes, mapped=True)


def test_the_command_takes_a_bound(tmp_path, capsys):
    data = ert.datasets.synthetic.synthetic_dataset(tmp_path / "faces", 6, seed=1)
    train = ["train", str(data), "--out", str(tmp_path / "model.ert"), "--n-stages=1", "--n-trees=2"]
    assert main([*train, "--max-memory=1"]) == 2
    assert "ert: max_memory=1: training on 6 objects with few starts takes" in capsys.readouterr().err
    assert main([*train, "--max-memory=500"]) == 0
    assert ert.load(tmp_path / "model.ert").n_inits == 20
