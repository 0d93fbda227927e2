import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli.running import refused, run
from PIL import Image

import ert
import ert.training.fit
from ert.inference.validation import _warn_of_corners


def test_align_writes_json_and_pictures(model, dataset, tmp_path, capsys):
    image = dataset / "face_0000.png"
    out, draw = tmp_path / "out.json", tmp_path / "pictures"
    status = run("align", image, "--model", model, "--box", "20,20,80,80", "--json", out, "--draw", draw)
    assert status == 0
    result = json.loads(out.read_text())
    face = result["images"][0]["faces"][0]
    assert face["box"] == [20, 20, 80, 80]
    expected = ert.load(model).predict([(image, (20, 20, 80, 80))])[0]
    np.testing.assert_allclose(face["landmarks"], expected, atol=1e-3)
    assert result["landmark_names"] == list(ert.load(model).landmark_names_)
    picture = np.asarray(Image.open(draw / "face_0000_landmarks.png"))
    assert min(picture.shape[:2]) >= 128
    assert "1 face" in capsys.readouterr().err


def test_align_detects_faces_and_prints_json(model, tmp_path, capsys):
    from skimage.data import astronaut

    photo = tmp_path / "astronaut.png"
    Image.fromarray(astronaut()).save(photo)
    assert run("align", photo, "--model", model, "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    face = result["images"][0]["faces"][0]
    left, top, width, height = face["box"]
    assert left < 224 < left + width
    assert top < 120 < top + height
    # The box is written as exactly as the landmarks in it need.
    landmarks = ert.load(model).predict([(photo, face["box"])])[0]
    np.testing.assert_allclose(landmarks, face["landmarks"], atol=2e-3)


def test_align_any_roll_finds_an_upside_down_face(tmp_path, capsys):
    picture = Image.open(ert.sample_image()).crop((80, 0, 380, 300))
    picture.rotate(180).save(tmp_path / "rotated.png")
    assert run("align", tmp_path / "rotated.png", "--any-roll", "--json", "-") == 0
    (face,) = json.loads(capsys.readouterr().out)["images"][0]["faces"]
    assert abs(face["roll"]) > 170
    upright = ert.align(np.asarray(picture))[0].landmarks
    np.testing.assert_allclose(299 - np.array(face["landmarks"]), upright, atol=4)
    assert run("align", tmp_path / "rotated.png", "--box", "106,137,98,98", "--any-roll", "--json", "-") == 0
    (again,) = json.loads(capsys.readouterr().out)["images"][0]["faces"]
    assert again["box"] == [106, 137, 98, 98]
    np.testing.assert_allclose(again["landmarks"], face["landmarks"], atol=4)


def test_an_image_without_a_face_is_no_error(model, tmp_path, capsys):
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    assert run("align", tmp_path / "dot.png", "--model", model, "--json", "-") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["images"][0]["faces"] == []
    assert "no face found" in captured.err


def test_align_goes_on_after_a_bad_image(model, dataset, tmp_path, capsys):
    out = tmp_path / "out.json"
    (tmp_path / "empty.jpg").touch()
    arguments = [tmp_path / "empty.jpg", dataset / "face_0001.png", "--model", model, "--box", "20,20,80,80"]
    line = refused(capsys, "align", tmp_path / "empty.jpg", "--model", model)
    assert "empty.jpg: is empty" in line
    assert run("align", *arguments, "--json", out) == 2
    bad, good = json.loads(out.read_text())["images"]
    assert "empty.jpg: is empty" in bad["error"]
    assert len(good["faces"]) == 1


def test_an_interrupted_align_keeps_what_it_has_done(model, dataset, tmp_path, monkeypatch):
    out, align = tmp_path / "out.json", ert.align

    def interrupted(image, *args, what, **kwargs):
        if what.endswith("2.png"):
            raise KeyboardInterrupt
        return align(image, *args, what=what, **kwargs)

    monkeypatch.setattr("ert.cli.align.align", interrupted)
    images = [dataset / f"face_000{i}.png" for i in range(4)]
    assert run("align", *images, "--model", model, "--box", "20,20,80,80", "--json", out) == 130
    assert len(json.loads(out.read_text())["images"]) == 2


@pytest.mark.filterwarnings("default")
def test_the_number_of_threads_changes_nothing(model, dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ert.cli.common.PROGRESS_SECONDS", math.inf)
    (tmp_path / "empty.jpg").touch()
    images = [dataset / f"face_{i:04}.png" for i in range(10)]
    images[4:4] = [tmp_path / "empty.jpg", tmp_path / "nowhere.png"]
    written = []
    for jobs in (1, 3):
        # A box that may have been given as corners, of which a warning is printed.
        _warn_of_corners.cache_clear()
        out, draw = tmp_path / "out.json", tmp_path / "drawn"
        options = ["--model", model, "--box", "80,80,120,120", "--json", out, "--draw", draw, "--jobs", jobs]
        assert run("align", *images, *options) == 2
        pictures = {path.name: path.read_bytes() for path in draw.iterdir()}
        assert len(pictures) == 10
        written.append((out.read_bytes(), pictures, capsys.readouterr().err))
    assert written[0] == written[1]
    lines = written[1][2].splitlines()
    assert lines[0].startswith("ert: a box lies mostly outside its image")
    assert ["empty" in line for line in lines].index(True) == 5
    assert "--jobs 0: expected" in refused(capsys, "align", images[0], "--jobs", 0)


def test_images_of_one_name_get_pictures_of_their_own(model, dataset, tmp_path):
    images = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        images.append(tmp_path / folder / "face.png")
        shutil.copy(dataset / "face_0000.png", images[-1])
    assert run("align", *images, "--model", model, "--box", "-5,-5,80,80", "--draw", tmp_path / "out") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["face_landmarks.png", "face_landmarks_2.png"]


def test_several_initializations_move_the_landmarks(model, dataset, tmp_path, capsys):
    points = []
    for inits in ((), ("--inits", "5")):
        assert (
            run(
                "align",
                dataset / "face_0000.png",
                "--model",
                model,
                "--box",
                "20,20,60,60",
                *inits,
                "--json",
                tmp_path / "x.json",
            )
            == 0
        )
        points.append(json.loads((tmp_path / "x.json").read_text())["images"][0]["faces"][0]["landmarks"])
    assert points[0] != points[1]
    capsys.readouterr()
    assert "--inits 9: expected an integer from 1 to 7" in refused(capsys, "evaluate", model, dataset, "--inits", "9")


def test_the_first_prediction_prints_that_it_compiles(model, dataset, tmp_path):
    """In a fresh environment the kernels are compiled, which takes long enough to be explained."""
    # What is in the cache of the package was compiled with other settings.
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "1"}
    command = [
        sys.executable,
        "-m",
        "ert",
        "align",
        dataset / "face_0000.png",
        "--model",
        model,
        "--box",
        "20,20,80,80",
    ]
    first = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    line = "ert: compiling for this processor; the next run starts at once ..."
    assert line in first.stderr.splitlines()
    second = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "1 face" in second.stderr
    assert "compiling" not in second.stderr


def test_options_are_refused_once_for_all_images(model, dataset, tmp_path, capsys):
    images = [dataset / f"face_000{i}.png" for i in range(3)]
    line = refused(capsys, "align", *images, "--detector", "nope", "--json", tmp_path / "a.json")
    assert line.startswith("ert: detector: 'nope', expected 'auto'")
    for number in ("2", "-0.5", "nan"):
        line = refused(capsys, "align", *images, f"--min-confidence={number}", "--json", tmp_path / "a.json")
        assert line == f"ert: --min-confidence {number}: expected 0 to 1"
    assert list(tmp_path.iterdir()) == []
    # Where a box is given, no detector is needed.
    assert run("align", *images, "--model", model, "--detector", "nope", "--box", "20,20,80,80") == 0
