import inspect
import json
import pydoc
import re
import subprocess
import sys

import pytest

import ert

NAMES = """
AlignedFace Assessment BlinkCounter Chip Dataset Explanation HeadPose InputError NotFittedError Prediction
PredictionMode ShapePredictor TrackedFace Tracker __version__ align average_face chip close_eyes detect_faces explain
eye_aspect_ratio head_pose load load_dataset load_image measure mouth_opening predict
predict_on_cluster regions sample_image self_train to_dataframe train triangles tune warp write_dataset
write_predictions
"""
NAMES = NAMES.split()
SUBMODULES = ["compat", "datasets", "evaluation", "faces", "measurements", "metrics", "plotting", "tracking", "web"]
SLOW = "cv2 PIL skimage scipy.spatial scipy.ndimage pandas matplotlib dlib lxml jinja2 optuna".split()  # noqa: SIM905
LOADED = "print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))"


def run(script, *arguments, options=()):
    """Return what a script in a fresh interpreter prints, as JSON."""
    command = [sys.executable, *options, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_ert_imports_nothing_slow():
    assert run(f"import json, sys, ert; ert.load, ert.ShapePredictor; {LOADED}", *SLOW) == []


def test_import_ert_alone_does_not_import_numba():
    assert run(f"import json, sys, ert; ert.InputError; {LOADED}", "numba", "numpy") == []


def test_everything_runs_without_docstrings_and_assertions():
    """`python -OO`, as some frozen programs run."""
    script = """
import contextlib, io, json, ert
from ert.cli.main import main
face = ert.align(ert.sample_image())[0]
texts = []
for arguments in (["train", "--help"], ["dataset", "check", "--help"], ["info", "face5"]):
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        main(arguments)
    texts.append(len(text.getvalue()))
print(json.dumps([ert.load.__doc__, face.landmarks.tolist(), texts]))
"""
    docstring, landmarks, texts = run(script, options=["-OO"])
    assert docstring is None
    assert landmarks == ert.align(ert.sample_image())[0].landmarks.tolist()
    assert min(texts) > 200


def test_dir_is_the_public_names_and_submodules():
    assert dir(ert) == sorted(NAMES + SUBMODULES)
    assert sorted(ert.__all__) == dir(ert)


def test_every_name_is_there_in_a_fresh_interpreter():
    script = """
import json, ert
kinds = {name: type(getattr(ert, name)).__name__ for name in dir(ert)}
print(json.dumps([kinds, dir(ert)]))
"""
    kinds, names = run(script)
    assert names == dir(ert)
    assert {name for name, kind in kinds.items() if kind == "module"} == set(SUBMODULES)
    assert {name for name, kind in kinds.items() if kind == "function"} >= {"align", "chip", "regions", "warp"}


@pytest.mark.parametrize("first", ["ert", "ert.faces", "ert.faces.align", "ert.tracking", "ert.compat.dlib"])
def test_align_is_the_function_whatever_is_imported_first(first):
    script = f"""
import json, {first}, ert
from ert.faces import align, chip, regions, warp
from ert.faces.align import align as same
print(json.dumps([callable(each) for each in (align, chip, regions, warp)]))
assert ert.align is align is same is ert.faces.align
assert ert.chip is chip and ert.regions is regions and ert.warp is warp
"""
    assert run(script) == [True] * 4


def test_submodules_are_imported_on_first_use():
    script = """
import json, sys, ert
before = [name for name in sys.argv[1:] if "ert." + name in sys.modules]
for name in sys.argv[1:]:
    getattr(ert, name)
print(json.dumps([before, callable(ert.compat.dlib.shape_predictor), callable(ert.metrics.nme)]))
"""
    assert run(script, *SUBMODULES) == [[], True, True]


def test_help_documents_the_public_names():
    text = pydoc.plain(pydoc.render_doc(ert))
    body = text[text.index("\nCLASSES\n") :] if "\nCLASSES\n" in text else text
    functions = {name for name in NAMES if inspect.isfunction(getattr(ert, name))}
    documented = set(re.findall(r"^    (\w+)\(", body[body.index("\nFUNCTIONS\n") :], re.M))
    assert documented == functions
    classes = {name for name in NAMES if inspect.isclass(getattr(ert, name))}
    assert set(re.findall(r"^    class (\w+)\(", body, re.M)) == classes


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nothing"):
        ert.nothing  # noqa: B018
    assert not hasattr(ert, "align_all")
