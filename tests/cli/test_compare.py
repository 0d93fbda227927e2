import json
import sys

import numpy as np
import pytest
from cli import running

import ert
from ert._core import system as provenance
from ert.cli import compare as module
from ert.cli.compare import open_benchmark_model
from ert.cli.main import main
from ert.datasets.formats import load_dataset
from ert.datasets.synthetic import synthetic_dataset
from ert.metrics import evaluate


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = synthetic_dataset(tmp_path_factory.mktemp("compare") / "faces", 16, seed=3)
    lines = ["image,split,own_left,own_top,own_width,own_height"]
    loaded = load_dataset(folder / "landmarks.csv")
    for i, (file, box) in enumerate(zip(loaded.files, loaded.boxes, strict=True)):
        numbers = ",".join(str(number) for number in box + [0.3, 0.3, 0, 0])
        lines.append(f"{file.name},{'even' if i % 2 == 0 else 'odd'},{numbers}")
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def models(dataset):
    files = []
    for seed in (0, 1):
        files.append(dataset.parent / f"model{seed}.ert")
        model = ert.ShapePredictor(n_stages=2, n_trees=20, n_inits=4, n_pixels=100, working_size=48, random_state=seed)
        faces = load_dataset(dataset / "landmarks.xml")
        model.fit(faces.X, faces.y).save(files[-1])
    return files


@pytest.fixture(scope="module")
def dat(dataset):
    """A model that dlib trained."""
    theirs = pytest.importorskip("dlib")
    options = theirs.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level, options.tree_depth = 2, 10, 2
    options.oversampling_amount, options.feature_pool_size, options.num_threads = 3, 50, 1
    path = dataset.parent / "theirs.dat"
    theirs.train_shape_predictor(str(dataset / "landmarks.xml"), str(path), options)
    return path


@pytest.fixture(autouse=True)
def idle(monkeypatch):
    monkeypatch.setattr(provenance, "machine_load", lambda: 0.0)


def run(*arguments):
    return main(["compare", *(str(argument) for argument in arguments)])


def refused(capsys, *arguments):
    return running.refused(capsys, "compare", *arguments)


def test_the_table_and_the_json_agree_with_evaluate(models, dataset, tmp_path, capsys):
    csv = dataset / "landmarks.csv"
    assert run(*models, csv, "--json", tmp_path / "out.json", "--repeats", 2) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "out.json").read_text())
    faces = load_dataset(csv)
    for letter, file in zip("ab", models, strict=True):
        expected = evaluate(faces.y, ert.load(file).predict(faces.X))["norms"]["inter-ocular"]
        assert result["errors"][letter] == expected
        assert f"{expected['mean']:.3f}" in printed
        assert result["models"][letter] == {"model": str(file), "bytes": file.stat().st_size}
    assert "16 objects; errors in % of the inter-ocular distance" in printed
    assert "A model0.ert" in printed
    assert result["errors"]["n"] == len(result["objects"]) == 16
    mean = np.mean([each["nme_a"] - each["nme_b"] for each in result["objects"]])
    assert result["errors"]["difference"]["mean"] == pytest.approx(mean)
    assert result["times"]["ratio_b_to_a"] > 0
    assert result["versions"]["ert-landmarks"] == ert.__version__
    assert {"date", "cpu", "cores", "python"} <= set(result)
    assert result["notes"] == []


def test_json_on_standard_output_stands_alone(models, dataset, capsys):
    assert run(*models, dataset / "landmarks.csv", "--json", "-", "--repeats", 1, "--normalizer", "diagonal") == 0
    assert json.loads(capsys.readouterr().out)["errors"]["normalizer"] == "diagonal"


def test_out_writes_all_three_and_an_option_overrules(models, dataset, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("ert.evaluation.comparison._THUMBNAIL_SIZE", 120)
    out, other = tmp_path / "new" / "folder", tmp_path / "other.png"
    assert run(*models, dataset, "--out", out, "--draw", other, "--repeats", 1) == 0
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "errors.png"]
    assert f"wrote {other}" in capsys.readouterr().err
    for picture in (out / "errors.png", other):
        assert min(ert.load_image(picture).shape[:2]) > 400


def test_split_boxes_images_and_limit(models, dataset, tmp_path, capsys):
    moved = tmp_path / "landmarks.csv"
    moved.write_text((dataset / "landmarks.csv").read_text())
    boxes = ["--boxes", f"{dataset / 'boxes.csv'}:own", "--split", "even", "--images", dataset]
    results = []
    for limit in (3, 3, 8, 99):
        assert run(*models, moved, *boxes, "--limit", limit, "--repeats", 1, "--json", "-") == 0
        results.append(json.loads(capsys.readouterr().out))
    names = [[each["file"][-8:] for each in result["objects"]] for result in results]
    assert names[0] == names[1]
    assert len(names[0]) == 3
    assert set(names[0]) < set(names[2])
    assert names[2] == names[3] == [f"{i:04d}.png" for i in range(0, 16, 2)]
    own = load_dataset(dataset / "landmarks.csv").boxes[::2] + [0.3, 0.3, 0, 0]
    np.testing.assert_allclose([each["box"] for each in results[2]["objects"]], own)
    assert run(*models, moved, *boxes, "--limit", 3, "--repeats", 1) == 0
    printed = capsys.readouterr().out
    assert "split even, boxes own: 3 objects drawn at random" in printed
    assert "too few objects for a verdict" in printed


def test_a_landmark_that_the_truth_lacks_is_left_out(models, dataset, capsys, tmp_path):
    lines = (dataset / "landmarks.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[5:7] = ["", ""]  # the first landmark, which no normalizer of the eyes needs
    table = tmp_path / "landmarks.csv"
    table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    assert run(*models, table, "--images", dataset, "--json", "-", "--repeats", 1) == 0
    result = json.loads(capsys.readouterr().out)
    faces = load_dataset(table, image_folder=dataset)
    assert np.isnan(faces.y[0, 0]).all()
    expected = evaluate(faces.y, ert.load(models[0]).predict(faces.X))["norms"]["inter-ocular"]["mean"]
    assert result["errors"]["a"]["mean"] == expected


def test_dlib_runs_its_own_file_and_ert_gives_the_same_whole_pixels(dat, dataset, capsys):
    xml = dataset / "landmarks.xml"
    assert run(dat, f"dlib:{dat}", xml, "--json", "-", "--repeats", 1) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["errors"]["same_whole_pixels"] == 1
    assert 0 < result["errors"]["mean_distance_px"] < 0.6
    assert result["notes"] == ["dlib returns integer coordinates; the landmarks of ert are compared unrounded."]


def test_dlib_gets_rounded_boxes_and_a_note(dat, dataset, capsys):
    import dlib

    boxes = f"{dataset / 'boxes.csv'}:own"
    assert run(dat, f"dlib:{dat}", dataset, "--boxes", boxes, "--repeats", 1, "--limit", 2) == 0
    assert "dlib gets them rounded" in capsys.readouterr().out
    benchmark_model = open_benchmark_model(f"dlib:{dat}", "B")
    image = ert.load_image(dataset / "face_0000.png")
    found = benchmark_model.points(benchmark_model.prepare(image, np.array([10.4, 11.6, 60.3, 60.0]))())
    rectangle = dlib.rectangle(10, 12, 70, 71)
    expected = dlib.shape_predictor(str(dat))(image, rectangle).parts()
    assert found == [(point.x, point.y) for point in expected]
    assert benchmark_model.n_landmarks == 68
    with pytest.raises(ert.InputError, match="contains no pixel when rounded to integers"):
        benchmark_model.prepare(image, np.array([10.0, 10, 0.2, 30]))


def test_a_busy_machine_is_noted(models, dataset, capsys, monkeypatch):
    for load, busy in ((0.1, False), (1.5, True), (None, False)):
        monkeypatch.setattr(provenance, "machine_load", lambda load=load: load)
        assert run(*models, dataset, "--repeats", 1, "--json", "-") == 0
        result = json.loads(capsys.readouterr().out)
        assert result["load"] == load
        assert [note for note in result["notes"] if "busy (a load of 150%" in note] == result["notes"]
        assert bool(result["notes"]) == busy


def test_dlib_reads_color_as_ert_reads_it_for_dlibs_files(dat, dataset, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    box = np.array([20.0, 20, 50, 50])
    ours, theirs = (open_benchmark_model(model, "A") for model in (str(dat), f"dlib:{dat}"))
    mine = np.floor(np.asarray(ours.points(ours.prepare(noise, box)())) + 0.5)
    np.testing.assert_array_equal(mine, theirs.points(theirs.prepare(noise, box)()))


def test_without_dlib_the_error_names_the_package(models, dataset, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    line = refused(capsys, models[0], "dlib:some.dat", dataset)
    assert "dlib:some.dat: needs dlib" in line
    assert "pip install dlib-bin" in line


def test_files_that_dlib_cannot_read(models, dataset, capsys, tmp_path):
    pytest.importorskip("dlib")
    (tmp_path / "bad.dat").write_text("no model")
    assert "bad.dat: dlib cannot read it" in refused(capsys, models[0], f"dlib:{tmp_path / 'bad.dat'}", dataset)
    assert "absent.dat: no such file" in refused(capsys, models[0], "dlib:absent.dat", dataset)


def test_landmark_counts_must_agree(models, dataset, capsys, tmp_path):
    header, *lines = (dataset / "landmarks.csv").read_text().splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join(",".join(line.split(",")[: 5 + 2 * 12]) for line in [header, *lines]) + "\n")
    line = refused(capsys, *models, few, "--images", dataset)
    assert "few.csv: 12 landmarks, expected 68 as in both models" in line
    faces = load_dataset(few, image_folder=dataset)
    small = ert.ShapePredictor(n_stages=1, n_trees=5, n_inits=2, n_pixels=20, working_size=32)
    small.fit(faces.X, faces.y).save(tmp_path / "small.ert")
    line = refused(capsys, models[0], tmp_path / "small.ert", dataset)
    assert "has 68 landmarks" in line
    assert "small.ert has 12" in line
    line = refused(capsys, *[tmp_path / "small.ert"] * 2, few, "--images", dataset, "--normalizer", "inter-ocular")
    assert "face_0000.png: normalizer 'inter-ocular': needs the 68 points" in line


def test_bad_options_are_one_line(models, dataset, capsys, tmp_path):
    assert "--repeats 0" in refused(capsys, *models, dataset, "--repeats", 0)
    assert "--limit -1" in refused(capsys, *models, dataset, "--limit", -1)
    assert "expected .png" in refused(capsys, *models, dataset, "--draw", tmp_path / "faces.txt")
    assert "no folder" in refused(capsys, *models, dataset, "--json", tmp_path / "absent" / "x.json")
    assert "cannot be created" in refused(capsys, *models, dataset, "--out", models[0])
    with pytest.raises(SystemExit):
        run(*models, dataset, "--normalizer", "pupil")


def test_nothing_is_measured_before_the_outputs_are_checked(models, dataset, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "open_benchmark_model", lambda *_: pytest.fail("a model was opened"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    assert 'pip install "ert-landmarks[plot]"' in refused(capsys, *models, dataset, "--plot", tmp_path / "x.png")


def test_a_box_outside_its_image_is_named(models, dataset, capsys, tmp_path):
    lines = (dataset / "boxes.csv").read_text().splitlines()
    cells = lines[3].split(",")
    cells[2] = "5000"
    (tmp_path / "boxes.csv").write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n")
    for file in dataset.glob("*.png"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "landmarks.csv").write_text((dataset / "landmarks.csv").read_text())
    line = refused(capsys, *models, tmp_path / "landmarks.csv", "--boxes", f"{tmp_path / 'boxes.csv'}:own")
    assert "face_0002.png: the box lies outside the image" in line


def test_the_number_of_threads_changes_no_landmark(dataset, models, tmp_path):
    compared = []
    for jobs in (1, 3):
        out = tmp_path / f"{jobs}.json"
        assert run(*models, dataset / "landmarks.xml", "--repeats", 1, "--json", out, "--jobs", jobs) == 0
        record = json.loads(out.read_text())
        compared.append([record[key] for key in ("errors", "objects", "remarks", "scattered_boxes")])
    assert compared[0] == compared[1]


def test_an_image_is_searched_once_for_both_models(dataset, models, tmp_path, monkeypatch):
    searched = []

    def detect(file, detector):
        searched.append(file)
        return np.array([(20.0, 20.0, 80.0, 80.0)])

    monkeypatch.setattr("ert.pipeline.boxes.detect_faces", detect)
    run(*models, dataset / "landmarks.xml", "--repeats", 1, "--box-from", "face", "--jobs", 2)
    assert len(searched) == len(set(searched)) == 16
