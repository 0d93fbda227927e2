"""A killed training resumes from its last complete checkpoint and ends with the same bytes."""

import os
import signal
import subprocess
import sys

import pytest

import ert
from ert.cli.main import main
from ert.datasets.synthetic import synthetic_dataset

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")

TRAIN = [
    "--box-from=given",
    "--n-stages=6",
    "--n-trees=40",
    "--n-inits=8",
    "--n-pixels=100",
    "--working-size=48",
    "--jobs=2",
]
# Runs the command and kills itself at a moment that a kill from outside would rarely hit.
SELF_KILLING = """
import os, signal, sys
import ert.model.ert_format, ert._core.files, ert.training.fit
from ert.cli.main import main

moment, turn = sys.argv[1], int(sys.argv[2])
seen = 0

def kill_at_turn():
    global seen
    seen += 1
    if seen == turn:
        os.kill(os.getpid(), signal.SIGKILL)

class Half:
    def __init__(self, *args):
        self.file = open(*args)
    def __enter__(self):
        return self
    def __exit__(self, *args):
        self.file.close()
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        kill_at_turn()
        self.file.write(data[len(data) // 2 :])

replace, train_stage = os.replace, ert.training.fit.train_stage

def renamed(source, target):
    if str(target).endswith(".ert"):  # numba renames files too
        kill_at_turn()
    replace(source, target)

def growing(*args):
    def after_trees(n):
        if len(calls) == 1:
            kill_at_turn()
        calls.append(n)
    calls = []
    return train_stage(*args[:-1], after_trees)

if moment == "half written":
    ert.model.ert_format.open = Half
elif moment == "before it is renamed":
    ert._core.files.os.replace = renamed
else:
    ert.training.fit.train_stage = growing
main(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return synthetic_dataset(tmp_path_factory.mktemp("killed") / "faces", 20, seed=4)


@pytest.fixture(scope="module")
def whole(data):
    out = data.parent / "whole.ert"
    assert main(["train", str(data), "--out", str(out), *TRAIN]) == 0
    return out.read_bytes()


def finished(checkpoint):
    return ert.load(checkpoint).cascade_.anchors.shape[0] if checkpoint.exists() else 0


def test_a_killed_training_is_resumed(data, whole, tmp_path):
    out, checkpoint = tmp_path / "model.ert", tmp_path / "model.checkpoint.ert"
    train = ["train", str(data), "--out", str(out), *TRAIN]
    # After these many checkpoints (or parts of a stage) of each run: what is left of it.
    for moment, turn, stages in (
        ("half written", 2, 1),
        ("before it is renamed", 3, 3),
        ("in a stage", 2, 4),
        # The last: four stages replayed, two checkpoints, then the model itself.
        ("half written", 3, 6),
    ):
        arguments = [sys.executable, "-c", SELF_KILLING, moment, str(turn), *train]
        run = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, timeout=100)
        assert run.returncode == -signal.SIGKILL, run.stderr
        assert finished(checkpoint) == stages
        left = {path.name for path in tmp_path.iterdir()} - {checkpoint.name}
        assert len(left) == (moment != "in a stage")
        if "--resume" not in train:
            train.append("--resume")
    assert main(train) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["model.ert"]
    assert out.read_bytes() == whole
