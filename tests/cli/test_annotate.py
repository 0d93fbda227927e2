import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from annotation.annotating import TOKEN, change, done, marked, opened, photos, serving
from cli.running import SMALL, refused, run

from ert import load_dataset
from ert.datasets.formats import write_dataset

SHAPE = marked((1, 2), (30, 4), (5, 30))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder with photos, and annotations of them."""
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 4)
    source = opened(tmp_path / "source.csv", sorted((tmp_path / "photos").iterdir()), names=("a", "b", "c"))
    for i in range(3):
        change(source.project, i, done(SHAPE, scale=0.5))
    write_dataset(source.project.done(), tmp_path / "wings.tps")
    write_dataset(source.project.done(), tmp_path / "wings.csv")
    source.close()
    for path in tmp_path.glob("source*"):
        path.unlink()
    return tmp_path


@pytest.fixture
def visit(monkeypatch):
    """Run the command, and call a function with its server in place of waiting for a person."""

    def start(look, *arguments):
        def serve(make, listening, **options):
            with serving(lambda hosts: make(TOKEN, hosts)) as server:
                look(server)

        monkeypatch.setattr("ert.annotation.server.serve", serve)
        return run("annotate", *arguments, "--port", 0, "--jobs", 1)

    return start


def body(revision=0, status="done", points=((1, 2), (3, 4), (5, 6))):
    shape = {"landmarks": [list(point) for point in points], "hidden": [], "box": None, "id": ""}
    return {"revision": revision, "status": status, "objects": [shape], "scale": None}


def test_photos_are_annotated_into_a_table_beside_them(place, visit, capsys):
    def look(server):
        project = server.get("/api/project")
        assert (project["title"], project["landmarks"], project["format"]) == ("photos", ["0", "1", "2"], "csv")
        assert server.get("/api/status")["model"]["state"] == "waiting"
        assert server.ask("/api/photos/1", body())[0] == 200

    assert visit(look, "photos", "--points", 3) == 0
    captured = capsys.readouterr()
    assert "4 photos, 0 done" in captured.err
    assert "saved, 1 of 4 photos done" in captured.err
    dataset = load_dataset("photos/annotations.csv")
    np.testing.assert_array_equal(dataset.landmarks, [[[1, 2], [3, 4], [5, 6]]])
    # The next session needs no options.
    assert visit(lambda server: server.get("/api/photos/1")["status"] == "done", "photos") == 0
    assert "4 photos, 1 done" in capsys.readouterr().err


def test_scheme_unit_and_output(place, visit):
    (place / "wing.txt").write_text("tip\nhinge\nnotch\nlinks: tip-hinge-notch\n")

    def look(server):
        project = server.get("/api/project")
        assert project["landmarks"] == ["tip", "hinge", "notch"]
        assert (project["links"], project["unit"]) == ([[0, 1], [1, 2]], "cm")
        assert project["n_photos"] == 2
        assert server.ask("/api/photos/0", {**body(), "scale": 0.25})[0] == 200

    arguments = ("photos/a1.png", "photos/a[23].png", "photos/a1.png", "photos/a2.png")
    (place / "photos" / "a3.png").unlink()
    assert visit(look, *arguments, "--scheme", "wing.txt", "--unit", "cm", "--out", "wings2.tps") == 0
    assert load_dataset("wings2.tps").scales.tolist() == [0.25]
    assert load_dataset("wings2.tps").files[0].name == "a1.png"
    assert visit(lambda server: server.get("/api/project")["unit"] == "cm", *arguments, "--out", "wings2.tps") == 0


def test_a_dataset_is_changed_in_place(place, visit, capsys):
    before = (place / "wings.tps").read_bytes()

    def look(server):
        assert server.get("/api/project")["landmarks"] == ["0", "1", "2"]
        photo = server.get("/api/photos/2")
        assert (photo["status"], photo["scale"]) == ("done", 0.5)
        photo["objects"][0]["landmarks"][0] = [9, 9]
        assert server.ask("/api/photos/2", photo)[0] == 200

    assert visit(look, "wings.tps") == 0
    dataset = load_dataset("wings.tps")
    np.testing.assert_allclose(dataset.landmarks[2], [[9, 9], [30, 4], [5, 30]])
    np.testing.assert_allclose(dataset.landmarks[:2], [SHAPE.landmarks] * 2)
    assert dataset.scales.tolist() == [0.5] * 3
    assert (place / "wings.tps.orig").read_bytes() == before
    assert "does not keep" in capsys.readouterr().err


def test_nothing_is_written_before_anything_is_changed(place, visit):
    before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    assert visit(lambda server: server.get("/api/project"), "wings.tps") == 0
    after = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    assert {path: after.pop(path) for path in before} == before
    assert [path.name for path in after] == ["wings.tps.annotate.jsonl"]


def test_a_folder_of_pts_files(place, visit):
    write_dataset(load_dataset("wings.csv"), "photos", "pts")

    def look(server):
        assert server.get("/api/project")["format"] == "pts"
        assert server.ask("/api/photos/0", body())[0] == 200

    assert visit(look, "photos") == 0
    np.testing.assert_array_equal(load_dataset("photos").landmarks[0], [[1, 2], [3, 4], [5, 6]])
    assert sorted(os.listdir("photos.orig")) == ["a0.pts", "a1.pts", "a2.pts"]
    assert visit(lambda server: server.ask("/api/photos/0", body()), "photos/a3.png", "--out", "new", "--format", "pts",
                 "--points", 3) == 0  # fmt: skip
    assert os.listdir("new") == ["a3.pts"]


def test_a_second_round(place, visit):
    def look(server):
        project = server.get("/api/project")
        assert (project["round"], project["n_photos"]) == ({"of": "wings.tps", "n": 2}, 2)
        assert server.get("/api/photos/0")["objects"] == []
        assert server.get("/api/status")["model"]["state"] == "none"
        assert server.ask("/api/photos/0", body(points=((2, 2), (31, 4), (5, 31))))[0] == 200
        figures = server.get("/api/repeatability")
        assert (figures["n"], len(figures["landmarks"])) == (1, 3)

    arguments = ("wings.tps", "--second-round", 2, "--out", "second.tps")
    assert visit(look, *arguments) == 0
    assert len(load_dataset("second.tps")) == 1
    assert visit(lambda server: server.get("/api/repeatability")["n"] == 1, *arguments) == 0


def test_a_model_helps(place, visit, dataset):
    assert run("train", "wings.csv", "--out", "wings.ert", *SMALL) == 0

    def look(server):
        project = server.get("/api/project")
        assert project["landmarks"] == ["a", "b", "c"]
        assert server.get("/api/status")["model"]["version"] > 0
        assert len(server.get("/api/photos/3/proposal")["objects"]) == 1

    assert visit(look, "photos", "--model", "wings.ert", "--out", "new.csv") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("photos", "which landmarks? expected --points N, --scheme NAME or FILE, or --model MODEL"),
        ("photos --points 0", "--points 0: expected a number from 1"),
        ("photos --points 3 --scheme face5", "--points and --scheme: expected one of them"),
        ("photos --scheme nothing", "--scheme nothing: no such file"),
        ("photos --points 3 --model face68", "face68: 68 landmarks, 3 are to be marked"),
        ("photos --points 3 --first-training 1", "--first-training 1: expected 0, which is never, or at least 2"),
        ("photos --points 3 --out a.ert", "a.ert: expected a file ending in .xml, .csv"),
        ("photos --points 3 --out a.txt --format csv", "a.txt: expected a file ending in .csv for the format csv"),
        ("photos --points 3 --out wings.csv --format tps", "wings.csv: expected a file ending in .tps"),
        ("photos --points 3 --out nowhere/a.csv", "nowhere/a.csv: cannot be written: there is no folder nowhere"),
        ("photos --points 3 --out photos/a0.png --format pts", "photos/a0.png: is a file, expected a folder"),
        ("photos --points 3 --port 99999", "--port 99999: cannot listen there"),
        ("photos --points 3 --jobs 0", "0"),
        ("nothing --points 3", "nothing: no such file"),
        ("nothing.jpg --points 3", "nothing.jpg: no such file"),
        (". --points 3", "no image in this folder"),
        ("wings.tps photos", "wings.tps: annotations, expected nothing beside them"),
        ("wings.tps --points 4", "wings.tps: 3 landmarks, not 4"),
        ("wings.tps --y-origin top", "--y-origin: wings.tps would lose what is not read, expected --out FILE with it"),
        ("wings.csv --boxes image", "--boxes: wings.csv would lose what is not read"),
        ("wings.tps --out wings.tps", "wings.tps: cannot be written: it is also an input"),
        ("wings.tps --out wings.csv", "wings.csv: exists, but not from an earlier session"),
        ("wings.tps --second-round 2", "--second-round: expected annotations in place of photos, and --out FILE"),
        ("photos --second-round 2 --out a.csv", "--second-round: expected annotations in place of photos"),
        ("wings.tps --second-round 9 --out a.csv", "expected a number of photos from 1 to 3"),
        ("wings.tps --second-round 2 --out a.csv --model face68", "--second-round and --model"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(place, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("ert.annotation.server.serve", lambda *arguments, **options: None)

    def contents():
        return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}

    before = contents()
    assert message in refused(capsys, "annotate", *arguments.split())
    assert contents() == before


def test_packages_that_are_not_installed(place, capsys, monkeypatch):
    for name in ("uvicorn", "starlette"):
        monkeypatch.setitem(sys.modules, name, None)
        line = refused(capsys, "annotate", "photos", "--points", 3)
        assert f'needs {name}: pip install "ert-landmarks[annotate]"' in line


def test_other_machines_only_with_a_warning(place, visit, capsys):
    assert visit(lambda server: None, "photos", "--points", 3, "--host", "0.0.0.0") == 0
    assert "--host 0.0.0.0: other machines can reach the page" in capsys.readouterr().err
    assert visit(lambda server: None, "photos", "--points", 3) == 0
    assert "other machines" not in capsys.readouterr().err


class Process:
    """The command as a process of its own."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "ert", "annotate", *map(str, arguments), "--no-browser", "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.base, self.token = re.search(r"(http://\S+)/\?token=(\S+)", self.process.stdout.readline()).groups()

    def put(self, i, body):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.base}/api/photos/{i}", json.dumps(body).encode(), headers, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


def test_what_was_answered_survives_kill_9_and_ctrl_c_ends_it(place):
    server = Process("photos", "--points", 3)
    answered = [0] * 4

    def work(i):
        with contextlib.suppress(OSError, urllib.error.URLError):
            while True:
                answer = server.put(i, body(answered[i], points=((answered[i], 1), (2, 3), (4, 5.5))))
                answered[i] = answer["revision"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    while min(answered) < 30:
        assert server.process.poll() is None
    server.process.send_signal(signal.SIGKILL)
    for thread in threads:
        thread.join()
    server.process.communicate()
    if Path("photos/annotations.csv").exists():
        load_dataset("photos/annotations.csv")
    again = Process("photos")
    again.process.send_signal(signal.SIGINT)
    _, errors = again.process.communicate(timeout=60)
    assert again.process.returncode == 0
    assert "Traceback" not in errors
    assert "4 photos, 4 done" in errors
    assert "saved, 4 of 4 photos done" in errors
    found = load_dataset("photos/annotations.csv").landmarks[:, 0, 0]
    # The last request may have been saved, but not answered.
    assert all(revision - 1 <= x <= revision for x, revision in zip(found, answered, strict=True))


def test_the_wheel_has_the_page():
    hatchling = pytest.importorskip("hatchling.builders.wheel")
    root = Path(__file__).parents[2]
    builder = hatchling.WheelBuilder(str(root))
    files = {Path(file.path).relative_to(root).as_posix() for file in builder.recurse_included_files()}
    page = {path.relative_to(root).as_posix() for path in (root / "ert" / "annotation" / "page").iterdir()}
    assert page <= files
    assert "ert/annotation/page/index.html" in page
