import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import ert
import ert.training.fit
from ert.cli.main import main
from ert.datasets.synthetic import synthetic_dataset

SMALL = ["--n-stages=2", "--n-trees=20", "--n-inits=4", "--n-pixels=100", "--working-size=48"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return synthetic_dataset(tmp_path_factory.mktemp("cli") / "faces", 24, seed=3)


@pytest.fixture(scope="module")
def model(dataset):
    out = dataset.parent / "model.ert"
    assert (
        main(["train", str(dataset / "landmarks.xml"), "--out", str(out), "--note", "license=free", *SMALL])
        == 0
    )
    return out


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """Run a command that must fail with one line on standard error; return the line."""
    capsys.readouterr()
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("ert: ")
    return lines[0]


def test_train_writes_a_model_and_leaves_no_checkpoint(model):
    assert sorted(path.name for path in model.parent.iterdir()) == ["faces", "model.ert"]
    loaded = ert.load(model)
    assert loaded.n_landmarks_ == 68
    assert loaded.landmark_names_[:2] == ("00", "01")
    assert loaded.summary_["notes"] == {"license": "free"}
    assert loaded.get_params()["n_trees"] == 20


def test_images_may_be_elsewhere(model, dataset, tmp_path):
    labels = tmp_path / "labels.csv"
    shutil.copy(dataset / "landmarks.csv", labels)
    images = ("--images", dataset)
    assert run("train", labels, "--out", tmp_path / "x.ert", *SMALL, *images) == 0
    assert run("evaluate", tmp_path / "x.ert", labels, *images) == 0


def test_train_writes_dlibs_format(dataset, tmp_path, capsys):
    out = tmp_path / "model.dat"
    assert run("train", dataset, "--out", out, *SMALL) == 0
    assert list(tmp_path.iterdir()) == [out]
    assert run("evaluate", out, dataset) == 0
    assert ert.load(out).kind == "dlib"


def test_all_formats_train_the_same_shapes(dataset, tmp_path, capsys):
    for source in (dataset, dataset / "landmarks.csv"):
        out = tmp_path / f"{source.stem}.ert"
        assert run("train", source, "--out", out, "--validation", 0.25, "--mirror", "face68", *SMALL) == 0
        err = capsys.readouterr().err
        assert "18 objects, 68 landmarks" in err
        assert "validation NME" in err
        assert ert.load(out).mirror_map_ is not None


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
    left, top, width, height = result["images"][0]["faces"][0]["box"]
    assert left < 224 < left + width
    assert top < 120 < top + height


def test_align_any_roll_finds_a_face_that_stands_on_its_head(tmp_path, capsys):
    picture = Image.open(ert.sample_image()).crop((80, 0, 380, 300))
    picture.rotate(180).save(tmp_path / "turned.png")
    assert run("align", tmp_path / "turned.png", "--any-roll", "--json", "-") == 0
    (face,) = json.loads(capsys.readouterr().out)["images"][0]["faces"]
    assert abs(face["roll"]) > 170
    upright = ert.align(np.asarray(picture))[0].landmarks
    np.testing.assert_allclose(299 - np.array(face["landmarks"]), upright, atol=4)
    assert run("align", tmp_path / "turned.png", "--box", "106,137,98,98", "--any-roll", "--json", "-") == 0
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
    out, align = tmp_path / "out.json", ert.faces.align.align

    def interrupted(image, *args, what, **kwargs):
        if what.endswith("2.png"):
            raise KeyboardInterrupt
        return align(image, *args, what=what, **kwargs)

    monkeypatch.setattr("ert.faces.align.align", interrupted)
    images = [dataset / f"face_000{i}.png" for i in range(4)]
    assert run("align", *images, "--model", model, "--box", "20,20,80,80", "--json", out) == 130
    assert len(json.loads(out.read_text())["images"]) == 2


def test_images_of_one_name_get_pictures_of_their_own(model, dataset, tmp_path):
    images = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        images.append(tmp_path / folder / "face.png")
        shutil.copy(dataset / "face_0000.png", images[-1])
    assert run("align", *images, "--model", model, "--box", "-5,-5,80,80", "--draw", tmp_path / "out") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["face_landmarks.png", "face_landmarks_2.png"]


def test_several_starts_move_the_points(model, dataset, tmp_path, capsys):
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
    assert "n_starts=9: expected 1 to 7" in refused(capsys, "evaluate", model, dataset, "--inits", "9")


def test_evaluate_prints_a_table_and_writes_json(model, dataset, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert run("evaluate", model, dataset / "landmarks.xml", "--json", out) == 0
    text = capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert figures["n"] == 24
    assert f"{figures['norms']['inter-ocular']['mean']:.3f}" in text
    assert run("evaluate", model, dataset / "landmarks.xml", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["norms"] == figures["norms"]


def test_info_tells_what_is_inside(model, capsys):
    assert run("info", model) == 0
    text = capsys.readouterr().out
    assert "68 landmarks" in text
    assert "license: free" in text
    assert run("info", model, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["trees_per_stage"] == 20


def test_models_lists_those_that_come_along(capsys):
    assert run("models") == 0
    assert "face68: 68 landmarks" in capsys.readouterr().out


def test_an_interrupted_training_is_resumed(dataset, model, tmp_path, capsys, monkeypatch):
    out, checkpoint = tmp_path / "model.ert", tmp_path / "model.checkpoint.ert"
    train_stage = ert.training.fit.train_stage

    def interrupted(samples, stage, *args):
        if stage == 1:
            raise KeyboardInterrupt
        return train_stage(samples, stage, *args)

    arguments = ["train", dataset / "landmarks.xml", "--out", out, "--note", "license=free", *SMALL]
    monkeypatch.setattr("ert.training.fit.train_stage", interrupted)
    assert run(*arguments) == 130
    assert "1 finished stage" in capsys.readouterr().err
    assert checkpoint.exists()
    monkeypatch.undo()
    assert "go on with --resume" in refused(capsys, *arguments)
    assert run(*arguments, "--resume") == 0
    assert not checkpoint.exists()
    assert out.read_bytes() == model.read_bytes()


def test_bad_input_is_one_line_that_names_it(model, dataset, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no image")
    photo = (dataset / "face_0000.png").read_bytes()
    (tmp_path / "short.png").write_bytes(photo[: len(photo) // 2])
    wide = np.zeros((20, 20), np.uint16)
    Image.fromarray(wide).save(tmp_path / "deep.png")
    box = ("--box", "2,2,10,10")
    face = dataset / "face_0000.png"
    for arguments, message in [
        (("align", tmp_path / "text.jpg", "--model", model), "text.jpg: is not an image"),
        (("align", tmp_path / "short.png", "--model", model), "short.png: the image is damaged or cut short"),
        (("align", tmp_path / "deep.png", "--model", model, *box), "8-bit pixels were expected"),
        (("align", tmp_path / "none.png", "--model", model), "none.png: no such file"),
        (("align", face, "--model", "nothing"), "nothing: no such file, and no bundled model"),
        (("align", face, "--model", model, "--box", "9,9,0,9"), "face_0000.png, boxes[0]: a box of 0 x 9"),
        (
            ("align", face, "--model", model, "--box", "nan,9,9,9"),
            "face_0000.png, boxes[0]: expected a box of 4 finite",
        ),
        (
            ("align", face, "--model", model, "--box", "900,9,9,9"),
            "face_0000.png, boxes[0]: the box lies outside",
        ),
        (("align", face, "--model", model, "--detector", "crystal ball"), "crystal ball"),
        (("evaluate", model, tmp_path / "none.xml"), "none.xml"),
        (("evaluate", tmp_path / "text.jpg", dataset), "text.jpg: is not an ert model file"),
        (("info", tmp_path), "cannot be read"),
        (("train", tmp_path / "none.csv", "--out", tmp_path / "x.ert"), "none.csv"),
        (("train", dataset, "--out", tmp_path / "x.txt"), "x.txt: expected a model file ending in .ert"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--n-trees", "0"), "n_trees=0: expected 1 to"),
        (
            ("train", dataset, "--out", tmp_path / "x.ert", "--note", "free"),
            "--note 'free': expected KEY=TEXT",
        ),
        (
            ("train", dataset, "--out", tmp_path / "x.ert", "--validation", "2"),
            "--validation 2: expected a fraction",
        ),
        (("train", dataset, "--out", tmp_path / "x.ert", "--boxes", "none.csv:dlib"), "none.csv"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--mirror", "hand"), "no scheme 'hand'"),
        (("train", dataset, "--out", tmp_path / "x.ert", "--mirror", "1,,0"), "--mirror 1,,0: expected"),
        (("train", dataset, "--out", tmp_path / "no" / "x.ert"), "x.ert: cannot be written"),
        (("evaluate", model, dataset, "--json", tmp_path / "no" / "x.json"), "x.json: cannot be written"),
        (("align", face, "--model", model, "--json", "."), ".: cannot be written"),
    ]:
        assert message in refused(capsys, *arguments)


def test_unwritable_outputs_are_named(model, dataset, tmp_path, capsys):
    face, box = dataset / "face_0000.png", ("--box", "20,20,80,80")
    capsys.readouterr()
    assert run("align", face, "--model", model, *box, "--json", tmp_path / "no" / "x.json") == 2
    assert "x.json: cannot be written" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert "cannot be made" in refused(
        capsys, "align", face, "--model", model, *box, "--draw", tmp_path / "file"
    )


def test_wrong_usage_exits_with_2(capsys):
    for arguments in (["align"], ["align", "x.png", "--box", "1,2,3"], ["fly"]):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2


def test_a_reader_that_goes_away_is_no_error(model):
    command = f"{sys.executable} -m ert info {model} --json - | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stderr == ""


def test_the_first_prediction_says_that_it_compiles(model, dataset, tmp_path):
    """In a fresh environment the kernels are compiled, which takes long enough to be explained."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
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
    assert "compiling for this processor, once" in first.stderr
    second = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "1 face" in second.stderr


def test_the_demo_writes_a_picture_and_the_points(tmp_path, capsys):
    assert run("demo", "--out", tmp_path / "demo") == 0
    points = json.loads((tmp_path / "demo" / "astronaut.json").read_text())
    assert len(points["images"][0]["faces"]) == 1
    assert np.asarray(Image.open(tmp_path / "demo" / "astronaut_landmarks.png")).shape[2] == 3
    shutil.rmtree(tmp_path / "demo")


def test_models_are_converted_there_and_back(tmp_path, capsys):
    from builders import random_dlib_cascade
    from reference import naive

    source = tmp_path / "a.dat"
    source.write_bytes(naive.dlib_model(random_dlib_cascade(3)))
    assert run("convert", source, tmp_path / "exact.ert", "--exact") == 0
    assert run("convert", tmp_path / "exact.ert", tmp_path / "b.dat") == 0
    assert (tmp_path / "b.dat").read_bytes() == source.read_bytes()
    assert run("convert", source, tmp_path / "small.ert") == 0
    assert ert.load(tmp_path / "small.ert").cascade_.leaves.dtype == np.int8
    assert "expected a model file ending in" in refused(capsys, "convert", source, tmp_path / "c.txt")
    assert "cannot express" in refused(capsys, "convert", "face68", tmp_path / "c.dat")
    assert run("info", source) == 0
    assert run("convert", "face68", tmp_path / "copy.ert") == 0
    assert (tmp_path / "copy.ert").read_bytes() == ert.predictor.bundled_models()["face68"].read_bytes()


def test_annotations_are_converted(dataset, tmp_path, capsys):
    capsys.readouterr()
    assert run("convert", dataset / "landmarks.csv", tmp_path / "a.tps") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{dataset / 'landmarks.csv'} -> {tmp_path / 'a.tps'}: 24 objects, 68 landmarks"
    assert lines[1:] == ["  boxes are dropped: the format has none"]
    assert run("convert", tmp_path / "a.tps", tmp_path / "b", "--to", "tem") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "  SCALE= and ID= are not kept"
    assert "24 images do not stand beside" in lines[2]
    assert run("convert", tmp_path / "b", tmp_path / "c.json", "--images", dataset) == 0
    expected = ert.load_dataset(dataset / "landmarks.csv")
    result = ert.load_dataset(tmp_path / "c.json")
    np.testing.assert_allclose(result.landmarks, expected.landmarks, atol=1e-3)
    assert result.landmark_names == expected.landmark_names


def test_convert_takes_boxes_and_a_split(dataset, tmp_path):
    rows = [f"{dataset / f'face_{i:04d}.png'},{'ab'[i > 3]},{i},2,30,40" for i in range(24)]
    (tmp_path / "boxes.csv").write_text("image,split,my_left,my_top,my_width,my_height\n" + "\n".join(rows))
    boxes = ("--boxes", f"{tmp_path / 'boxes.csv'}:my", "--split", "a")
    assert run("convert", dataset / "landmarks.csv", tmp_path / "few.xml", *boxes) == 0
    assert ert.load_dataset(tmp_path / "few.xml").boxes.tolist() == [[i, 2, 30, 40] for i in range(4)]


def test_dlibs_order_of_parts(dataset, tmp_path):
    labels, order = tmp_path / "x.xml", ("--part-order", "dlib")
    assert run("convert", dataset / "landmarks.csv", labels) == 0
    by_text = tuple(sorted(map(str, range(68))))
    assert run("convert", labels, tmp_path / "x.csv", *order) == 0
    assert ert.load_dataset(tmp_path / "x.csv").landmark_names == by_text
    out = tmp_path / "x.ert"
    assert run("train", labels, "--out", out, *order, *SMALL) == 0
    assert ert.load(out).landmark_names_ == by_text
    means = []
    for options in ((), order):
        assert run("evaluate", out, labels, *options, "--json", tmp_path / "x.json") == 0
        means.append(json.loads((tmp_path / "x.json").read_text())["norms"]["box"]["mean"])
    assert means[1] < means[0] / 2


def test_convert_refuses(dataset, model, tmp_path, capsys):
    labels = dataset / "landmarks.csv"
    for arguments, message in [
        ((labels, tmp_path / "x"), "x: expected a file ending in .xml, .csv, .tps, .json, or the format pts"),
        ((labels, tmp_path / "x.xml", "--exact"), "--exact and --compress are for models"),
        ((labels, tmp_path / "x.xml", "--to", "pts"), "x.xml: expected a folder for the format pts"),
        ((tmp_path / "no.xml", tmp_path / "x.xml"), "no.xml: no such file or folder"),
        ((model, tmp_path / "x.ert", "--images", dataset), "are for annotations, expected none with a model"),
        ((model, tmp_path / "x.ert", "--part-order", "dlib"), "expected none with a model"),
        ((labels, tmp_path / "x.ert"), "landmarks.csv"),
        ((dataset / "landmarks.xml", tmp_path / "x.csv", "--images", dataset), "an imglab file says where"),
    ]:
        assert message in refused(capsys, "convert", *arguments)


def test_confidence_from_training_to_pictures(dataset, model, tmp_path, capsys, monkeypatch):
    from ert.training import confidence as judge_training

    for name, value in (("N_ERROR_TREES", 12), ("N_TRUST_TREES", 9)):
        monkeypatch.setattr(judge_training, name, value)
    monkeypatch.setattr("ert.training.confidence_samples.MIN_SAMPLES", 500)
    out = tmp_path / "judged.ert"
    assert run("train", dataset, "--out", out, "--confidence", 2, *SMALL) == 0
    assert list(tmp_path.iterdir()) == [out]
    assessed = ert.load(out)
    assert assessed.fitted_.confidence_summary["n_folds"] == 2

    assert run("info", out, "--json", tmp_path / "info.json") == 0
    assert "tells the confidence of its landmarks, learned in 2 folds" in capsys.readouterr().out
    assert json.loads((tmp_path / "info.json").read_text())["confidence"]["n_objects"] == 24
    assert run("info", model) == 0
    assert "tells no confidence" in capsys.readouterr().out

    image, box = dataset / "face_0000.png", "20,20,80,80"
    told = "--json", tmp_path / "points.json"
    assert run("align", image, "--model", out, "--box", box, *told, "--draw", tmp_path / "a") == 0
    face = json.loads((tmp_path / "points.json").read_text())["images"][0]["faces"][0]
    X = [(image, (20, 20, 80, 80))]
    said = assessed.assess(X, assessed.predict(X))
    np.testing.assert_allclose(face["std"], said.std[0], atol=6e-4)
    assert face["confidence"] == pytest.approx(said.confidence[0], abs=6e-5)
    assert f"({face['confidence']:.2f})" in capsys.readouterr().err
    assert run("align", image, "--model", out, "--box", box, "--draw", tmp_path / "b", "--show-std") == 0
    pictures = [np.asarray(Image.open(tmp_path / folder / "face_0000_landmarks.png")) for folder in "ab"]
    assert (pictures[0] != pictures[1]).any()
    assert run("align", image, "--model", out, "--box", box, *told, "--min-confidence", 1) == 0
    assert json.loads((tmp_path / "points.json").read_text())["images"][0]["faces"] == []


def test_what_needs_a_judge_is_refused_without(dataset, model, tmp_path, capsys):
    align = "align", dataset / "face_0000.png", "--model", model, "--box", "20,20,80,80"
    for option in (("--min-confidence", 0.5), ("--show-std",)):
        assert "has no judge" in refused(capsys, *align, *option)
    train = "train", dataset, "--out", tmp_path / "x.ert", *SMALL
    assert "n_folds=1: expected 2 to 24" in refused(capsys, *train, "--confidence", 1)
    dat = "train", dataset, "--out", tmp_path / "x.dat", *SMALL, "--confidence"
    assert "no room for a judge" in refused(capsys, *dat)
