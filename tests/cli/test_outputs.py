"""What the options that write files refuse to replace, what they replace, and what is then in the files."""

import argparse
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from threading import Thread

import pytest
from cli.running import SMALL, read_page, refused, run

import ert
from ert._core.file_kinds import is_of_kind
from ert._core.files import bundled_models, sample_image
from ert.cli.main import OUTPUT_OPTIONS, build_parser
from ert.datasets.synthetic import synthetic_dataset
from ert.tracking.video import VideoReader, video_writer

BOX = "--box=8,8,80,80"
# Of each command: its arguments, and the output of each option that writes a file ("": the last argument).
COMMANDS = {
    "align": (f"align photo.png --model model.ert {BOX}", {"--json": "out.json"}),
    "predict": (f"predict model.ert photo.png {BOX}", {"--out": "out.csv"}),
    "evaluate": ("evaluate model.ert faces.csv", {"--json": "out.json"}),
    "compare": (
        "compare model.ert model.ert faces.csv --repeats 1",
        {"--json": "out.json", "--plot": "curves.png", "--draw": "worst.png"},
    ),
    "compare annotations": ("compare faces.csv faces.csv", {"--json": "out.json", "--draw": "out.png"}),
    "measure": ("measure faces.csv --distances 0-16", {"--out": "table.csv"}),
    "annotate": ("annotate faces.csv", {"--out": "out.csv"}),
    "explain": (f"explain model.ert photo.png {BOX}", {"--out": "out.png"}),
    "info": ("info model.ert", {"--json": "out.json"}),
    "dataset info": ("dataset info faces.csv --boxes boxes.csv:", {"--json": "out.json"}),
    "dataset check": ("dataset check faces.csv", {"--json": "out.json"}),
    "dataset show": ("dataset show faces.csv", {"--out": "out.jpg"}),
    "train": (f"train faces.csv {' '.join(SMALL)} --n-trees=5", {"--out": "out.ert"}),
    "train model": (f"train faces.csv {' '.join(SMALL)} --n-trees=5 --out m.ert", {"--json": "out.json"}),
    "tune": (f"tune faces.csv {' '.join(SMALL)} --n-trees=5 --cv 2 --trials 1", {"--out": "out.ert"}),
    "tune model": (
        f"tune faces.csv {' '.join(SMALL)} --n-trees=5 --cv 2 --trials 1 --out m.ert",
        {"--json": "out.json", "--storage": "out.log"},
    ),
    "convert model": ("convert model.ert", {"": "out.ert"}),
    "convert xml": ("convert faces.csv", {"": "out.xml"}),
    "convert csv": ("convert faces.csv", {"": "out.csv"}),
    "convert tps": ("convert faces.csv", {"": "out.tps"}),
    "convert json": ("convert faces.csv", {"": "out.json"}),
    "export web": ("export web model.ert", {"--out": "out.html"}),
    "video": (
        "video clip.avi --model model.ert --detector lbp --detect-size 64 --seconds 0.1",
        {"--out": "out.avi", "--csv": "out.csv"},
    ),
}
OPTIONS = [(command, option) for command, (_, options) in COMMANDS.items() for option in options]


@pytest.fixture(scope="session")
def inputs(model, tmp_path_factory):
    """A folder with a file of each kind that commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    faces = synthetic_dataset(folder / "faces", 4, seed=1)
    shutil.copy(model, folder / "model.ert")
    shutil.copy(faces / "face_0000.png", folder / "photo.png")
    table = (faces / "landmarks.csv").read_text().replace("face_", "faces/face_")
    (folder / "faces.csv").write_text(table)
    (folder / "boxes.csv").write_text("\n".join(",".join(line.split(",")[:5]) for line in table.splitlines()) + "\n")
    cv2 = pytest.importorskip("cv2")
    frame = cv2.imread(str(folder / "photo.png"))
    with video_writer(folder / "clip.avi", frame.shape[1::-1], 10) as write_frame:
        for _ in range(3):
            write_frame(frame)
    return folder


@pytest.fixture(autouse=True)
def ended_at_once(monkeypatch):
    """A server that ends as soon as it is there."""
    monkeypatch.setattr("ert.annotation.server.serve", lambda make, listening, **options: None)


@pytest.fixture
def place(inputs, tmp_path, monkeypatch):
    """A copy of it as the current folder."""
    folder = shutil.copytree(inputs, tmp_path / "place")
    monkeypatch.chdir(folder)
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_output(command, option, output):
    return [*shlex.split(COMMANDS[command][0]), *filter(None, [option]), str(output)]


def files_read(command):
    words = {word.rstrip(":") for word in shlex.split(COMMANDS[command][0])}
    found = words & {"model.ert", "photo.png", "faces.csv", "boxes.csv", "clip.avi"}
    return sorted(found | ({"faces/face_0002.png"} if "faces.csv" in words else set()))


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_no_option_replaces_a_file_that_is_read(place, capsys, command, option):
    before = contents(place)
    suffix = os.path.splitext(COMMANDS[command][1][option])[1]
    for file in files_read(command):
        for force in ([], ["--force"]):
            # A suffix may be refused first.
            for spelling in (file, f"faces/../{file}", place / file):
                refused(capsys, *with_output(command, option, spelling), *force)
                assert contents(place) == before
            for number, link in enumerate((os.symlink, os.link)):
                name = f"link{number}{suffix}"
                link(place / file, name)
                line = refused(capsys, *with_output(command, option, name), *force)
                if force or not file.startswith("faces"):
                    assert f"{name}: cannot be written: it is the same file as the input {file}" in line
                os.unlink(name)
                assert contents(place) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_files_of_another_kind_are_replaced_only_by_force(place, capsys, command):
    arguments, options = COMMANDS[command]
    foreign = b"x = 1  # a program\n"
    for option, name in options.items():
        (place / name).write_bytes(foreign)
        before = contents(place)
        line = refused(capsys, *with_output(command, option, name))
        assert f"{name}: exists and is not a" in line
        assert line.endswith("expected another name or --force")
        assert contents(place) == before
    outputs = [word for option, name in options.items() for word in (option, name) if word]
    expected = {0, 1} if command == "dataset check" else {0}
    assert run(*shlex.split(arguments), *outputs, "--force") in expected
    for name in options.values():
        check_contents(place / name, command)
    # What a command has written itself is replaced without it, and so are empty files.
    if command == "predict":  # but not tables that somebody may have corrected
        assert "exists: expected another name" in refused(capsys, *shlex.split(arguments), *outputs)
    elif command not in ("train", "train model", "tune", "tune model", "compare"):  # the same, in more time
        assert run(*shlex.split(arguments), *outputs) in expected
        for name in options.values():
            (place / name).write_bytes(b"")
        assert run(*shlex.split(arguments), *outputs) in expected
        for name in options.values():
            check_contents(place / name, command)
    assert not [path.name for path in place.iterdir() if path.name.startswith(".")]


def check_contents(path, command):
    if path.suffix == ".ert":
        assert ert.load(path).n_landmarks_ == 68
    elif path.suffix == ".log":
        assert is_of_kind(path, "study")
    elif command.startswith(("convert", "predict", "annotate")):
        assert len(ert.load_dataset(path)) == (1 if command == "predict" else 4)
    elif path.suffix == ".json":
        data = json.loads(path.read_text())
        key = {
            "align": "images",
            "info": "n_landmarks",
            "dataset check": "findings",
            "dataset info": "objects",
            "train model": "parameters",
            "tune model": "trials",
        }
        key |= {"compare": "errors", "compare annotations": "overall"}
        assert key.get(command, "norms") in data
    elif path.suffix == ".html":
        assert is_of_kind(path, "web page")
    elif path.name == "table.csv":
        assert path.read_text().startswith("specimen,image,distance_0-16_px\n")
    elif path.suffix == ".csv":
        assert path.read_text().startswith("frame,time,id,left,")
    elif path.suffix == ".avi":
        with VideoReader(path) as reader:
            assert reader.size == ert.load_image("photo.png").shape[1::-1]
    else:
        assert ert.load_image(path).ndim == 3


def test_every_option_that_writes_is_known():
    """An option with a new name must be added to `OUTPUT_OPTIONS`, or else to the inputs here."""
    read = {
        "dataset",
        "datasets",
        "images",
        "image_folder",
        "boxes",
        "columns",
        "source",
        "video",
        "model",
        "a",
        "b",
        "image",
    }
    commands_with_force = set()

    def visit(parser, name=""):
        parser.complete()
        names = {action.dest for action in parser._actions}
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command, subparser in action.choices.items():
                    visit(subparser, f"{name} {command}".strip())
            elif str(action.metavar).startswith(("FILE", "DIR", "SRC", "DST", "DATASET", "CSV", "IMAGE", "VIDEO")):
                assert action.dest in read | set(OUTPUT_OPTIONS), f"{name} {action.dest}"
                if action.dest in OUTPUT_OPTIONS and "force" in names:
                    commands_with_force.add(name)
                elif action.dest in OUTPUT_OPTIONS:
                    # They never replace anything.
                    assert name in ("dataset split", "dataset mirror", "export npm", "warmup")

    visit(build_parser())
    tested = {command.split(" model")[0] for command in COMMANDS if not command.startswith(("convert ", "compare "))}
    assert commands_with_force == tested | {"convert", "webcam", "demo"}


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (f"align photo.png out/photo_landmarks.png --model model.ert {BOX} --draw out", "photo_landmarks.png"),
        (f"align photo.png out/photo_landmarks.png --model model.ert {BOX} --draw ./out/../out", "photo_landmarks.png"),
        ("evaluate model.ert images.csv --report out --force", "report.html"),
        (f"train images.csv --out new.ert --force --report out {' '.join(SMALL)}", "report.html"),
        ("compare model.ert model.ert images.csv --out out", "errors.png"),
        ("compare model.ert model.ert images.csv --out out", "faces.png"),
        ("compare model.ert model.ert out/comparison.json --out out", "comparison.json"),
        (
            f"train faces.csv --boxes out/m.checkpoint.ert: --resume --out out/m.ert {' '.join(SMALL)}",
            "m.checkpoint.ert",
        ),
        ("convert tables tables --to pts", "face_0000.pts"),
        ("dataset info tables --images faces --json tables/face_0000.pts --force", "face_0000.pts"),
        ("evaluate model.ert faces.csv --by group --columns groups.csv --json groups.csv --force", "groups.csv"),
        (
            f"align photo.png --detector yunet:groups.csv --model model.ert {BOX} --json groups.csv --force",
            "groups.csv",
        ),
    ],
)
def test_files_in_folders_and_in_other_options_are_not_replaced(place, capsys, arguments, file):
    out = place / "out"
    out.mkdir()
    if file.endswith((".html", ".png")):
        shutil.copy("photo.png", out / file)
        table = (place / "faces.csv").read_text().splitlines()
        table[1] = f"out/{file}," + table[1].partition(",")[2]
        (place / "images.csv").write_text("\n".join(table) + "\n")
    elif file == "comparison.json":
        assert run("convert", "faces.csv", out / file) == 0
    elif file.endswith(".ert"):
        shutil.copy("boxes.csv", out / file)
        table = (place / "boxes.csv").read_text().replace("faces/", "../faces/")
        (out / file).write_text(table)
    elif file.endswith(".pts"):
        (place / "tables").mkdir()
        for path in (place / "faces").glob("*.p??"):
            shutil.copy(path, place / "tables")
    (place / "groups.csv").write_text("image,group\n")
    before = contents(place)
    line = refused(capsys, *shlex.split(arguments))
    assert f"{file}: cannot be written: it is" in line
    assert contents(place) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compare model.ert model.ert faces.csv --plot a.png --draw ./a.png", "a.png: is the output of --plot and of"),
        ("compare model.ert model.ert faces.csv --plot a.png --draw A.png", "A.png: is the output of --plot and of"),
        ("video clip.avi --model model.ert --out x.avi --csv x.avi", "x.avi: is the output of --out and of --csv"),
        ("evaluate model.ert faces.csv --json r/report.html --report r", "r/report.html: is the output of --json and"),
        (
            f"align photo.png --model model.ert {BOX} --json d/photo_landmarks.png --draw d",
            "photo_landmarks.png: is the",
        ),
        (
            "compare model.ert model.ert faces.csv --json c/errors.png --out c",
            "errors.png: is the output of --json and",
        ),
    ],
)
def test_two_outputs_are_two_files(place, capsys, arguments, message):
    for folder in "rdc":
        (place / folder).mkdir()
    before = contents(place)
    assert message in refused(capsys, *shlex.split(arguments))
    assert contents(place) == before


@pytest.mark.parametrize(
    "arguments", ["info face68 --json", "convert face68", f"explain face68 {sample_image()} {BOX} --out", "demo --out"]
)
def test_bundled_files_are_not_replaced(tmp_path, monkeypatch, capsys, arguments):
    # Hard links: if this fails, no bundled file is lost.
    package = tmp_path / "package"
    package.mkdir()
    copies = [shutil.copy(path, package) for path in (bundled_models()["face68"], sample_image())]
    model, sample = (type(sample_image())(copy) for copy in copies)
    monkeypatch.setattr("ert._core.files.bundled_models", lambda: {"face68": model})
    monkeypatch.setattr("ert._core.files.sample_image", lambda: sample)
    before = contents(package)
    for number, file in enumerate((model, sample)):
        if arguments.startswith("demo"):
            output = tmp_path / f"demo{number}"
            output.mkdir()
            os.link(file, output / "astronaut_landmarks.png")
        else:
            output = tmp_path / f"link{number}{'.ert' if 'convert' in arguments else '.png'}"
            os.link(file, output)
        assert "cannot be written: it is the same file as the input" in refused(capsys, *shlex.split(arguments), output)
    assert contents(package) == before


def test_pictures_of_names_that_differ_in_case_are_two_files(place):
    shutil.copy("photo.png", "PHOTO.png")
    assert run("align", "photo.png", "PHOTO.png", "--model", "model.ert", BOX, "--draw", "out") == 0
    assert sorted(os.listdir("out")) == ["PHOTO_landmarks_2.png", "photo_landmarks.png"]


def test_reports_replace_reports_only(place, capsys):
    arguments = ("evaluate", "model.ert", "faces.csv", "--report", "out")
    (place / "out").mkdir()
    page = place / "out" / "report.html"
    page.write_text("<!DOCTYPE html><html><head><title>Mine</title></head></html>")
    assert "report.html: exists and is not a report of ert" in refused(capsys, *arguments)
    assert "Mine" in page.read_text()
    assert run(*arguments, "--force") == 0
    assert is_of_kind(page, "page")
    assert "model.ert on faces" in read_page(page).xpath("//title")[0].text


@pytest.mark.parametrize(
    ("arguments", "file", "kind"),
    [
        (f"align photo.png --model model.ert {BOX} --draw out", "photo_landmarks.png", "image"),
        ("demo --out out", "astronaut.json", "json"),
        (f"train faces.csv --out m.ert --n-trees=2 {' '.join(SMALL)} --report out", "report.html", "page"),
    ],
)
def test_files_of_another_kind_in_folders_are_replaced_only_by_force(place, capsys, arguments, file, kind):
    (place / "out").mkdir()
    (place / "out" / file).write_text("mine")
    before = contents(place)
    assert f"{file}: exists and is not a" in refused(capsys, *shlex.split(arguments))
    assert contents(place) == before
    assert run(*shlex.split(arguments), "--force") == 0
    assert is_of_kind(place / "out" / file, kind)


def test_checkpoints_of_folds_replace_no_model(place, capsys):
    shutil.copy("model.ert", "new.checkpoint.fold1.ert")
    before = contents(place)
    line = refused(capsys, "train", "faces.csv", "--out", "new.ert", "--confidence", "2", *SMALL)
    assert "new.checkpoint.fold1.ert: left by an interrupted training" in line
    assert contents(place) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_written_to_and_stay(place):
    received = {}

    def read(name):
        with open(name, "rb") as pipe:
            received[name] = pipe.read()

    for arguments, name in [
        ("info model.ert --json", "a.json"),
        ("dataset show faces.csv --out", "b.png"),
        ("convert model.ert", "c.ert"),
        ("convert faces.csv", "d.csv"),
        ("video clip.avi --model model.ert --detector lbp --csv", "e.csv"),
    ]:
        os.mkfifo(name)
        reader = Thread(target=read, args=[name], daemon=True)
        reader.start()
        assert run(*shlex.split(arguments), name) == 0
        reader.join()
        assert stat.S_ISFIFO(os.stat(name).st_mode)
    assert json.loads(received["a.json"])["n_landmarks"] == 68
    assert received["b.png"].startswith(b"\x89PNG")
    assert received["c.ert"] == (place / "model.ert").read_bytes()
    assert received["d.csv"].startswith(b"image,left,")
    assert received["e.csv"].startswith(b"frame,time,id,")
    for device in ("/dev/null", "link"):
        if device == "link":
            os.symlink("/dev/null", device)
        assert run("info", "model.ert", "--json", device) == 0
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.path.islink("link")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_an_error(place, capsys):
    assert "/dev/full: cannot be written: No space left" in refused(capsys, "info", "model.ert", "--json", "/dev/full")


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs /dev/stdout")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
def test_standard_output_by_its_name(place, capsys, name):
    if name == "link":
        os.symlink("/dev/stdout", name)
    assert run("info", "model.ert", "--json", name) == 0
    assert json.loads(capsys.readouterr().out)["n_landmarks"] == 68


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs /dev/stdout")
def test_redirected_output_is_appended_to(place):
    (place / "log.json").write_text("first\n")
    command = [sys.executable, "-m", "ert", "dataset", "info", "faces.csv", "--json", "/dev/stdout"]
    with open("log.json", "a") as log:
        subprocess.run(command, stdout=log, check=True)
    first, text = (place / "log.json").read_text().split("\n", 1)
    assert first == "first"
    assert json.loads(text)["objects"] == 4
