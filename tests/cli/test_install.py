import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli.running import refused, run
from PIL import Image

from ert.cli.main import main


def test_the_demo_writes_a_picture_and_the_points(tmp_path, capsys):
    assert run("demo", "--out", tmp_path / "demo") == 0
    points = json.loads((tmp_path / "demo" / "astronaut.json").read_text())
    assert len(points["images"][0]["faces"]) == 1
    assert np.asarray(Image.open(tmp_path / "demo" / "astronaut_landmarks.png")).shape[2] == 3
    shutil.rmtree(tmp_path / "demo")


# The function fills the array COMPREPLY, so that it must not run in a subshell.
BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
function=$(complete -p ert | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
$function ert "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(script, folder, *words):
    """Return what bash offers for the last of the words."""
    command = ["bash", "-c", BASH, "bash", script, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture
def bash(tmp_path, capsys):
    pytest.importorskip("shtab")
    assert run("completion", "bash") == 0
    script = tmp_path / "ert.bash"
    script.write_text(capsys.readouterr().out)
    return script


def test_the_script_for_bash_is_valid_and_completes(bash, tmp_path):
    subprocess.run(["bash", "-n", bash], check=True)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "photo.jpg").touch()
    (tmp_path / "files" / "folder").mkdir()

    def offered(*words):
        return completed(bash, tmp_path / "files", "ert", *words)

    assert offered("al") == {"align"}
    assert {"check", "info", "mirror", "show", "split"} <= offered("dataset", "")
    assert offered("align", "--mo") == {"--model", "--mode"}
    assert offered("align", "photo.jpg", "--mode", "") == {"fast", "accurate"}
    assert offered("align", "ph") == {"photo.jpg"}
    assert offered("align", "photo.jpg", "--model", "ph") == {"photo.jpg"}
    assert {name.rstrip("/") for name in offered("align", "photo.jpg", "--draw", "")} == {"folder"}
    assert "--n-stages" in offered("train", "--n-st")


@pytest.mark.parametrize(("shell", "message"), [("zsh", "#compdef ert"), ("fish", "complete -c ert")])
def test_scripts_for_other_shells(shell, message, capsys):
    pytest.importorskip("shtab")
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert message in script
    assert "--min-confidence" in script or "min-confidence" in script
    assert "webcam" in script


def test_without_shtab_the_error_names_the_package(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    line = refused(capsys, "completion", "bash")
    assert line == 'ert: completion: needs shtab, which is not installed: pip install "ert-landmarks[completion]"'


# In a process of its own, so that nothing else has compiled what the warm-up may have forgotten.
COMPILED = """
import contextlib, sys
import numpy as np
from numba.core.dispatcher import Dispatcher
import ert
from ert.cli.main import main

def compiled():
    kernels = {
        f"{module.__name__}.{name}": len(kernel.signatures)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("ert.")
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher)
    }
    return {name: n for name, n in kernels.items() if n}
"""

CHECK = f"""{COMPILED}
with contextlib.redirect_stdout(sys.stderr):
    assert main(["warmup"]) == 0
before = compiled()
assert len(before) >= 5, before
color = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
frozen = color.copy()
frozen.flags.writeable = False
X = [(image, (5, 6, 40, 40)) for image in (color, color[::2], color[:, :, 0], frozen, frozen[:, :, 1])]
model = ert.load("face68")
model.predict(X)
model.predict(X, channel_order="bgr", n_jobs=2)
for face in X:
    model.predict([face] * 99)
assert compiled() == before, (compiled(), before)
"""

CHECK_TRAINING = f"""{COMPILED}
with contextlib.redirect_stdout(sys.stderr):
    assert main(["warmup", "--training"]) == 0
before = compiled()
assert len(before) >= 10, before
rng = np.random.default_rng(0)
X = [(rng.integers(0, 256, (60, 70), np.uint8), (5.0, 6.0, 40.0, 40.0)) for _ in range(6)]
y = rng.uniform(5, 45, (6, 3, 2))
for missing in (False, True):
    y[0, 0] = np.nan if missing else y[0, 0]
    model = ert.ShapePredictor(n_stages=2, n_trees=3, n_jobs=2, mirror=[1, 0, 2]).fit(X, y)
    if not missing:
        model.fit_confidence(X, y, n_folds=2).predict(X, return_std=True)
assert compiled() == before, (compiled(), before)
"""


def test_all_that_prediction_needs_is_compiled():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_that_training_needs_is_compiled():
    done = subprocess.run([sys.executable, "-c", CHECK_TRAINING], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_prints_where_the_cache_is(capsys):
    assert main(["warmup"]) == 0
    text = capsys.readouterr().out
    assert "prediction: ready after" in text
    assert "cache: " in text
