import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli.running import refused, run
from PIL import Image

import ert
from ert.pipeline.part import PartFile, part_path


@pytest.fixture(scope="module")
def images(dataset):
    return [dataset / f"face_{i:04}.png" for i in range(6)]


def table(path):
    return ert.load_dataset(path)


def test_predict_writes_a_table_that_is_read_again(wings, images, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert run("predict", wings, *images, "--out", out, "--jobs", 2) == 0
    assert "out.csv: 6 objects in 6 images" in capsys.readouterr().err
    dataset = table(out)
    assert dataset.ids == tuple(image.stem for image in images)
    assert [file.name for file in dataset.files] == [image.name for image in images]
    model = ert.load(wings)
    expected = model.predict([(image, (0, 0, *ert.load_image(image).shape[1::-1])) for image in images])
    np.testing.assert_allclose(dataset.landmarks, expected, atol=6e-4)
    assert not part_path(out).exists()


def test_a_folder_to_tps_with_a_scale(wings, dataset, tmp_path):
    out = tmp_path / "out.tps"
    assert run("predict", wings, dataset, "--out", out, "--scale", "0.02") == 0
    assert len(table(out)) == 24
    assert set(table(out).scales) == {0.02}


def test_a_long_table_of_a_list_and_of_subfolders(wings, images, tmp_path, capsys):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/twin.png").write_bytes(images[0].read_bytes())
    (tmp_path / "twin.png").write_bytes(images[1].read_bytes())
    (tmp_path / "list.txt").write_text("twin.png\na\n")
    arguments = [f"@{tmp_path}/list.txt", "--recursive", "--long", "--out", tmp_path / "t.csv"]
    assert run("predict", wings, *arguments) == 0
    assert "several images have the specimen name 'twin'" in capsys.readouterr().err
    assert [file.relative_to(tmp_path).as_posix() for file in table(tmp_path / "t.csv").files] == [
        "twin.png",
        "a/b/twin.png",
    ]


def test_pictures_are_small(wings, images, tmp_path):
    Image.new("L", (3000, 2000), 90).save(tmp_path / "large.png")
    arguments = [tmp_path / "large.png", images[3], "--out", tmp_path / "a.csv", "--draw", tmp_path / "out"]
    assert run("predict", wings, *arguments) == 0
    assert ert.load_image(tmp_path / "out" / "large_landmarks.jpg").shape == (1067, 1600, 3)
    assert max(ert.load_image(tmp_path / "out" / "face_0003_landmarks.jpg").shape) == 800


def test_bad_images_are_named_and_passed_over(wings, images, tmp_path, capsys):
    (tmp_path / "empty.jpg").touch()
    arguments = [images[0], tmp_path / "empty.jpg", tmp_path / "absent.png", images[1], "--out", tmp_path / "a.csv"]
    assert run("predict", wings, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any("empty.jpg: is empty" in line for line in lines)
    assert any("absent.png: no such file" in line for line in lines)
    assert "2 objects in 2 images; 2 could not be used" in lines[-1]
    assert len(table(tmp_path / "a.csv")) == 2


def test_given_boxes(wings, images, tmp_path):
    out = tmp_path / "a.csv"
    assert run("predict", wings, images[0], "--out", out, "--box=5,6,70,80") == 0
    assert table(out).boxes.tolist() == [[5, 6, 70, 80]]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,b_left,b_top,b_width,b_height\nface_0001.png,1,2,90,90\n")
    table_of_boxes = "--boxes", f"{boxes}:b", "--images", images[0].parent
    assert run("predict", wings, *images[:2], *table_of_boxes, "--out", out, "--force") == 2
    assert table(out).boxes.tolist() == [[1, 2, 90, 90]]
    given = out
    assert run("predict", wings, given, "--box-from", "given", "--out", tmp_path / "b.csv") == 0
    assert table(tmp_path / "b.csv").boxes.tolist() == [[1, 2, 90, 90]]
    assert run("predict", wings, given, "--boxes", "image", "--out", tmp_path / "b.csv", "--force") == 0
    assert table(tmp_path / "b.csv").boxes[0, :2].tolist() == [0, 0]


def test_standard_errors_and_confidence(confident_model, images, tmp_path, capsys):
    confident_model.save(tmp_path / "m.ert")
    model, out = tmp_path / "m.ert", tmp_path / "a.csv"
    options = ["--box=10,10,76,76", "--draw", tmp_path / "d", "--show-std", "--mode", "accurate"]
    assert run("predict", model, *images, "--out", out, *options) == 0
    header = out.read_text().splitlines()[0].split(",")
    assert header[7:11] == ["confidence", "x_0", "y_0", "std_0"]
    assert run("predict", model, *images, "--out", out, *options[:1], "--min-confidence", 1, "--force") == 0
    assert "nothing found in 6" in capsys.readouterr().err
    assert out.read_text().splitlines()[1].startswith(f"{os.path.relpath(images[0], tmp_path)},face_0000,,,,,,,,")


@pytest.mark.parametrize("n_done", [0, 2])
def test_an_interrupted_run_is_gone_on_with(wings, images, tmp_path, monkeypatch, capsys, n_done):
    out, expected = tmp_path / "a.csv", tmp_path / "expected.csv"
    assert run("predict", wings, *images, "--out", expected) == 0
    predict_photo = ert.pipeline.predict.predict_photo

    def interrupted(request, item):
        if item.file == images[n_done]:
            raise KeyboardInterrupt
        return predict_photo(request, item)

    monkeypatch.setattr("ert.pipeline.predict.predict_photo", interrupted)
    assert run("predict", wings, *images, "--out", out, "--jobs", 2) == 130
    goes_on = f"{n_done} images are in {out}.part; the same command with --resume goes on"
    assert (goes_on in capsys.readouterr().err) == (n_done > 0)
    assert not out.exists()
    assert part_path(out).exists() == (n_done > 0)
    monkeypatch.undo()
    if not n_done:
        assert run("predict", wings, *images, "--out", out, "--resume") == 0
        assert out.read_text() == expected.read_text()
        return
    assert "a.csv.part: results of an interrupted run; --resume" in refused(
        capsys, "predict", wings, *images, "--out", out
    )
    for options in (["--box=5,5,80,80"], ["--mode", "accurate"], ["--scale", "2"]):
        line = refused(capsys, "predict", wings, *images, "--out", out, "--resume", *options)
        assert "a.csv.part: results of another model, of other options" in line
    assert run("predict", wings, *images, "--out", out, "--resume") == 0
    assert out.read_text() == expected.read_text()
    assert not part_path(out).exists()
    assert f"{n_done} were there before" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_run_loses_no_image_that_was_finished(wings, images, tmp_path):
    """Killed after its third image: what was predicted is there, and the rest follows."""
    script = """
import os, signal, sys
from ert.cli.main import main
from ert.pipeline.part import PartFile
add = PartFile.add
def add_and_die(part, photo):
    add(part, photo)
    if len(part.done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
PartFile.add = add_and_die
main(sys.argv[1:])
"""
    out = tmp_path / "a.csv"
    command = [sys.executable, "-c", script, "predict", wings, *images, "--out", out, "--jobs", "1"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert len(part_path(out).read_text().splitlines()) == 4
    assert run("predict", wings, *images, "--out", out, "--resume") == 0
    assert len(table(out)) == 6


@pytest.mark.parametrize("output", ["a.csv", "a.tps", "a.jsonl", "pts"])
def test_images_are_added_to_a_finished_output(wings, images, tmp_path, capsys, output):
    out, expected = tmp_path / output, tmp_path / f"expected_{output}"
    options = ["--format", "pts"] if output == "pts" else []
    assert run("predict", wings, *images, "--out", expected, *options) == 0
    assert run("predict", wings, *images[:4], "--out", out, *options) == 0
    capsys.readouterr()
    assert run("predict", wings, *images, "--out", out, "--resume", *options) == 0
    assert f"{output}: 2 objects in 2 images; 4 were there before" in capsys.readouterr().err
    if output == "pts":
        assert sorted(os.listdir(out)) == sorted(os.listdir(expected))
        return
    assert out.read_text() == expected.read_text()
    before = out.stat().st_mtime_ns
    assert run("predict", wings, *images, "--out", out, "--resume") == 0
    assert out.stat().st_mtime_ns == before
    # It may have been corrected by hand.
    line = refused(capsys, "predict", wings, images[0], "--out", out)
    assert "exists: expected another name, --force to replace it, or --resume to add to it" in line
    assert out.read_text() == expected.read_text()
    assert run("predict", wings, images[0], "--out", out, "--force") == 0
    assert len(out.read_text()) < len(expected.read_text())


def test_results_with_a_table_that_has_changed_are_not_gone_on_with(wings, images, tmp_path, monkeypatch, capsys):
    boxes, scales = tmp_path / "boxes.csv", tmp_path / "scales.csv"
    boxes.write_text("image,b_left,b_top,b_width,b_height\nface_0001.png,1,2,90,90\n")
    scales.write_text("image,s\nface_0001.png,0.5\n")
    arguments = ["predict", wings, images[1], "--boxes", f"{boxes}:b", "--scale", f"{scales}:s", "--resume"]
    arguments += ["--images", images[0].parent, "--out", tmp_path / "a.csv"]
    with monkeypatch.context() as patched:
        patched.setattr(PartFile, "discard", lambda part: None)
        assert run(*arguments) == 0
    for file, old, new in ((boxes, "90,90", "90,91"), (scales, "0.5", "0.25")):
        before = file.read_text()
        file.write_text(before.replace(old, new))
        assert "results of another model, of other options" in refused(capsys, *arguments)
        file.write_text(before)
    assert run(*arguments) == 0


def test_annotations_beside_their_images_are_not_replaced(wings, images, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(images[0].read_bytes())
    pts = ["--out", tmp_path, "--format", "pts"]
    assert run("predict", wings, tmp_path / "a.png", *pts) == 0
    annotation = tmp_path / "a.pts"
    annotation.write_text(annotation.read_text().replace("version: 1", "version:  1"))
    before = annotation.read_text()
    line = refused(capsys, "predict", wings, tmp_path, *pts)
    assert "a.pts: exists: expected another name, --force to replace it" in line
    assert run("predict", wings, tmp_path, *pts, "--resume") == 0
    assert annotation.read_text() == before
    assert run("predict", wings, tmp_path, *pts, "--force") == 0
    assert annotation.read_text() != before


@pytest.mark.parametrize("output", ["a.csv", "a.tps", "a.jsonl"])
def test_a_finished_output_survives_a_run_that_is_killed_at_its_ends(wings, images, tmp_path, monkeypatch, output):
    out, expected = tmp_path / output, tmp_path / f"expected_{output}"
    assert run("predict", wings, *images, "--out", expected) == 0
    assert run("predict", wings, *images[:4], "--out", out) == 0
    # Before the first line of the results was written.
    part_path(out).touch()
    with monkeypatch.context() as patched:
        # And after the output was.
        patched.setattr(PartFile, "discard", lambda part: None)
        assert run("predict", wings, *images[4:], "--out", out, "--resume") == 0
    assert out.read_text() == expected.read_text()
    assert part_path(out).exists()
    assert run("predict", wings, *images[4:], "--out", out, "--resume") == 0
    assert out.read_text() == expected.read_text()
    assert not part_path(out).exists()


def test_a_table_goes_to_standard_output(wings, images):
    command = [sys.executable, "-m", "ert", "predict", wings, images[0], "--out", "/dev/stdout", "--format", "csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("image,specimen,object,left")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--box-from", "given"], "no image has a box, expected boxes or annotations with boxes"),
        (["--box-from", "learnt"], "ert train --box-from learned"),
        (["--box=1,2,3,4", "--boxes", "b.csv:d"], "--box and --boxes: expected one of them"),
        (["--box=1,2,30,40", "--box-from", "whole"], "--box-from whole: expected none with --box"),
        (["--boxes", "image", "--box-from", "given"], "--boxes image and --box-from given"),
        (["--min-confidence", "0.5"], "the model has no confidence model"),
        (["--show-std"], "has no confidence model, which --show-std needs"),
        (["--max-objects", "3"], "--max-objects 3: the box is the whole image, expected 1, or a model"),
        (["--max-objects", "0"], "--max-objects 0: expected at least 1"),
        (["--long", "--format", "tps"], "--long and --format tps: expected one of them"),
        (["--scale", "-2"], "expected a number above 0, or CSV:COLUMN"),
    ],
)
def test_options_that_cannot_be_used(wings, images, tmp_path, capsys, options, message):
    out = tmp_path / "a.csv"
    assert message in refused(capsys, "predict", wings, images[0], "--out", out, *options)
    assert os.listdir(tmp_path) == []


def test_no_images(wings, tmp_path, capsys):
    assert "no image in this folder" in refused(capsys, "predict", wings, tmp_path, "--out", tmp_path / "a.csv")
    line = refused(capsys, "predict", wings, f"{tmp_path}/*.png", tmp_path, "--out", tmp_path / "a.csv")
    assert "no image matches this pattern" in line
    assert "no image in this folder" in line


def test_outputs_of_one_document_are_not_added_to(wings, images, tmp_path, capsys):
    out = tmp_path / "a.json"
    assert run("predict", wings, images[0], "--out", out) == 0
    before = out.read_text()
    line = refused(capsys, "predict", wings, *images, "--out", out, "--resume")
    assert "a.json: is finished, and images are added only to" in line
    assert out.read_text() == before
    assert json.loads(before)["annotations"][0]["image_id"] == 1


def test_align_finds_the_objects_of_a_model_that_is_not_for_faces(wings, images, capsys):
    assert run("align", images[0], "--model", wings, "--json", "-") == 0
    captured = capsys.readouterr()
    assert "1 object: box 0,0," in captured.err
    (face,) = json.loads(captured.out)["images"][0]["faces"]
    assert face["box"][:2] == [0, 0]
    assert "ert.predict finds its objects" in refused(capsys, "align", images[0], "--model", wings, "--any-roll")


def test_a_cluster_without_dask_is_one_line(wings, images, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    for out in ("out", "out.csv"):
        line = refused(capsys, "predict", wings, *images, "--out", tmp_path / out, "--cluster", "local:1")
        assert line == "ert: a cluster needs dask, which is not installed: pip install 'ert-landmarks[cluster]'"
