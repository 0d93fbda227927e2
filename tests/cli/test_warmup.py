import subprocess
import sys

from ert.cli.main import main

# In a process of its own, so that nothing else has compiled what the warm-up may have forgotten.
CHECK = """
import contextlib, sys
import numpy as np
import ert
from ert._kernels.predict import predict_colors, predict_grays
from ert._kernels.predict import predict_face
from ert.cli.main import main
from ert._kernels.predict_dlib import predict_dlib
from ert._kernels.gray import weigh_channels

kernels = predict_face, predict_dlib, weigh_channels, predict_grays, predict_colors
with contextlib.redirect_stdout(sys.stderr):
    assert main(["warmup"]) == 0
before = [len(kernel.signatures) for kernel in kernels]
assert all(before), before
color = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
frozen = color.copy()
frozen.flags.writeable = False
X = [(image, (5, 6, 40, 40)) for image in (color, color[::2], color[:, :, 0], frozen, frozen[:, :, 1])]
model = ert.load("face68")
model.predict(X)
model.predict(X, channels="bgr", n_jobs=2)
for face in X:
    model.predict([face] * 99)
assert [len(kernel.signatures) for kernel in kernels] == before
"""


CHECK_TRAINING = """
import contextlib, sys
import numpy as np
import ert
from ert.cli.main import main
from ert._kernels.pixels import read_pool_block
from ert._kernels.confidence import judge_landmarks, look_closely, run_forest
from ert.training.samples import add_errors, aligned_residuals
from ert._kernels.grow import grow_some

kernels = read_pool_block, grow_some, add_errors, aligned_residuals, look_closely, run_forest, judge_landmarks
with contextlib.redirect_stdout(sys.stderr):
    assert main(["warmup", "--training"]) == 0
before = [len(kernel.signatures) for kernel in kernels]
assert all(before), before
rng = np.random.default_rng(0)
X = [(rng.integers(0, 256, (60, 70), np.uint8), (5.0, 6.0, 40.0, 40.0)) for _ in range(6)]
y = rng.uniform(5, 45, (6, 3, 2))
for missing in (False, True):
    y[0, 0] = np.nan if missing else y[0, 0]
    model = ert.ShapePredictor(n_stages=2, n_trees=3, n_jobs=2, mirror=[1, 0, 2]).fit(X, y)
    if not missing:
        model.fit_judge(X, y, n_folds=2).predict(X, return_std=True)
assert [len(kernel.signatures) for kernel in kernels] == before
"""


def test_all_that_prediction_needs_is_compiled():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_it_says_where_the_cache_is(capsys):
    assert main(["warmup"]) == 0
    said = capsys.readouterr().out
    assert "prediction: ready after" in said
    assert "cache: " in said


def test_all_that_training_needs_is_compiled():
    done = subprocess.run([sys.executable, "-c", CHECK_TRAINING], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
