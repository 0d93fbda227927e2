import subprocess
import sys

from ert._kernels import choice
from ert.cli.main import main

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


def test_it_prints_where_the_cache_is(tmp_path, monkeypatch, capsys):
    # What other tests have compiled is in folders of theirs.
    monkeypatch.setattr("ert.cli.setup.compile_all", lambda: None)
    monkeypatch.setattr(choice, "not_kept", "")
    monkeypatch.setattr(choice.ahead, "ready_folder", lambda: tmp_path)
    assert main(["warmup"]) == 0
    text = capsys.readouterr().out
    assert "prediction: ready after" in text
    assert f"cache: {tmp_path}" in text
