import asyncio
import io
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ert import align, load, load_image, sample_image
from ert.datasets import synthetic_faces

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_align_photo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["align_photo.py"])
    runpy.run_path(str(EXAMPLES / "align_photo.py"), run_name="__main__")
    assert "nose tip" in capsys.readouterr().out
    with Image.open("aligned.png") as picture:
        assert picture.mode == "RGB"


def test_train_your_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "train_your_own.py"), run_name="__main__")
    error = float(capsys.readouterr().out.split(": ")[1].split()[0])
    assert error < 3
    assert Path("five_points.ert").exists()


def test_dlib_drop_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dlib_drop_in.py"])
    runpy.run_path(str(EXAMPLES / "dlib_drop_in.py"), run_name="__main__")
    assert "awake" in capsys.readouterr().out
    with Image.open("landmarks.png") as picture:
        green = np.all(np.array(picture) == (0, 255, 0), axis=2)
    assert 200 < green.sum() <= 68 * 9


def run(name, folder, monkeypatch, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_drowsiness_alarm(tmp_path, monkeypatch, capsys):
    run("drowsiness_alarm", tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert output.startswith("1 blink, eyes closed for 1.")
    assert output.endswith("alarm: True\n")
    assert load_image("drowsiness.png").ndim == 3


def test_sunglasses(tmp_path, monkeypatch):
    run("sunglasses", tmp_path, monkeypatch)
    before, after = load_image(sample_image()).astype(int), load_image("sunglasses.png")
    assert after.shape == before.shape
    eyes = [[103, 101], [246, 203]]  # rows, columns
    assert (after[*eyes].max(axis=1) < 60).all()
    changed = np.argwhere((after != before).any(axis=2))
    assert changed.min(axis=0)[0] > 80
    assert changed.max(axis=0)[0] < 125
    assert 1000 < len(changed) < 4000


def test_head_pose(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cv2")
    run("head_pose", tmp_path, monkeypatch)
    assert "(to its left), pitch" in capsys.readouterr().out
    assert load_image("head_pose.png").shape == (800, 800, 3)


def test_average_face(tmp_path, monkeypatch):
    run("average_face", tmp_path, monkeypatch)
    one_of_them, mirrored, average = np.split(load_image("average_face.png")[8:264, 8:].astype(int), 3, axis=1)
    face = slice(60, 200)
    for face_of_two in (one_of_them, mirrored):
        # Moved by 12 pixels it is 29.
        assert abs(average[face, face] - face_of_two[face, face]).mean() < 24


def test_face_tables(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    run("face_tables", tmp_path, monkeypatch)
    assert "right_eye: 6 landmarks" in capsys.readouterr().out
    assert len(Path("landmarks.csv").read_text().splitlines()) == 69


def test_supervision_keypoints(tmp_path, monkeypatch, capsys):
    class KeyPoints:
        def __init__(self, xy, class_id=None, confidence=None):
            self.xy, self.class_id, self.confidence = xy, class_id, confidence

    class VertexAnnotator:
        def __init__(self, color, radius):
            assert (color, radius) == ("yellow", 1)

        def annotate(self, scene, key_points):
            x, y = key_points.xy[0].round().astype(int).T
            scene[y, x] = (0, 255, 255)  # OpenCV's order of colors
            return scene

    monkeypatch.setitem(sys.modules, "supervision", None)
    variables = run("supervision_keypoints", tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert "'xy': ((1, 68, 2), 'float32'), 'class_id': ((1,), 'int64')" in output
    assert "'confidence': ((1, 68), 'float32')" in output
    assert not Path("supervision.png").exists()
    confidence = variables["arrays"]["confidence"]
    assert ((confidence > 0) & (confidence < 1)).all()
    model, image = variables["model"], variables["image"]
    assert [array.shape for array in variables["key_points"](model, image, []).values()] == [(0, 68, 2), (0,), (0, 68)]
    drawn = ModuleType("supervision")
    drawn.KeyPoints, drawn.VertexAnnotator = KeyPoints, VertexAnnotator
    drawn.Color = SimpleNamespace(YELLOW="yellow")
    monkeypatch.setitem(sys.modules, "supervision", drawn)
    points = run("supervision_keypoints", tmp_path, monkeypatch)["points"]
    np.testing.assert_array_equal(points.confidence, confidence)
    columns, rows = points.xy[0].round().astype(int).T
    assert (load_image("supervision.png")[rows, columns] == (255, 255, 0)).all()


def test_custom_object(tmp_path, monkeypatch, capsys):
    variables = run("custom_object", tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert "wing17.jpg: stray landmarks: 9, 10" in output
    assert "47 wings with 12 landmarks; 1 left out" in output
    known = variables["known"]
    assert known["training_error"] < known["low"] < known["error"] < known["high"] < 1.5
    # The true landmarks of the new photos: drawing them again.
    rng, variables["SIZE"] = np.random.default_rng(0), (360, 240)
    errors = []
    for number in range(60):
        _, truth = variables["draw_wing"](rng)
        if number < 48:
            rng.normal(scale=0.5, size=truth.shape)
        else:
            shape = variables["found"][number - 48].landmarks
            errors.append(np.linalg.norm(shape - truth, axis=1).mean() / np.linalg.norm(np.ptp(truth, axis=0)))
    assert 100 * np.mean(errors) < known["high"]
    assert load("wings.ert").box_source_ == "learned"
    table = Path("wings_measured.csv").read_text().splitlines()
    assert table[0] == "specimen,image,length_mm,blade_mm2,centroid_size_mm"
    lengths = [float(row.split(",")[2]) for row in table[1:]]
    assert len(lengths) == 12
    assert 2 < min(lengths) <= max(lengths) < 3.2
    assert load_image("wings_predicted.png").shape[2] == 3

    # A file of one's own, with the pictures in another folder.
    lines = Path("wings/wings.tps").read_text().splitlines()
    Path("mine.tps").write_text("\n".join(lines[: 20 * 16]))
    run("custom_object", tmp_path, monkeypatch, "mine.tps", "wings")
    assert "19 wings with 12 landmarks; 1 left out" in capsys.readouterr().out
    assert Path("mine_predicted.png").exists()


def test_cephalograms(tmp_path, monkeypatch, capsys):
    assert "model" not in run("cephalograms", tmp_path, monkeypatch)
    # Drawn faces in place of X-rays, their five landmarks without boxes.
    images, _, landmarks = synthetic_faces(20, seed=0)
    header = "image," + ",".join(f"{axis}{k}" for k in range(5) for axis in "xy")
    for name, part in (("train", range(16)), ("test", range(16, 20))):
        rows = []
        for i in part:
            Image.fromarray(images[i]).save(f"face{i}.png")
            rows.append(f"face{i}.png," + ",".join(map(str, landmarks[i, [36, 39, 42, 45, 33]].ravel())))
        Path(f"{name}.csv").write_text("\n".join([header, *rows, ""]))
    variables = run("cephalograms", tmp_path, monkeypatch, "train.csv", "test.csv")
    errors = variables["errors"]
    assert errors.shape == (4, 5)
    assert errors.mean() < 2
    shares = [
        float(line.split(": ")[1].rstrip("%")) for line in capsys.readouterr().out.splitlines() if "  " in line[:2]
    ]
    np.testing.assert_allclose(shares, [100 * (errors <= radius).mean() for radius in (2, 2.5, 3, 4)], atol=0.05)
    assert len(Path("cephalograms.csv").read_text().splitlines()) == 5


def test_walk_through(tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    # Its settings apply to all plots.
    with pyplot.rc_context():
        variables = run("walk_through", tmp_path, monkeypatch)
        pyplot.close("all")
    names = ["initialization", "pool", "tree", "stages", "motion", "inits", "pixels"]
    pictures = sorted(Path("walk_through").iterdir())
    assert [path.name for path in pictures] == [f"{k}_{name}.png" for k, name in enumerate(names, 1)]
    for path in pictures:
        assert load_image(path).std() > 20
    # The displacements of the leaves of the first stage add up to the motion of the shape.
    shapes = variables["explanation"].shapes
    added = sum(variables["decision_path"](tree)[1] for tree in range(variables["n_trees"]))
    np.testing.assert_allclose(added, shapes[1] - shapes[0], atol=1e-3)


def test_video_tracking(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cv2")
    run("video_tracking", tmp_path, monkeypatch)
    assert capsys.readouterr().out == "60 frames, 1 face\n"
    assert load_image("tracked.png").shape[1] == 3 * 256 + 4 * 8


async def answer_of(app, content, box=None):
    """Send a request to an ASGI app; return the status and the decoded answer."""
    query = b"" if box is None else f"box={','.join(map(str, box))}".encode()
    scope = {"type": "http", "method": "POST", "path": "/landmarks", "query_string": query, "headers": []}
    parts = [content[:1000], content[1000:]]
    sent = []

    async def receive():
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start, *bodies = sent
    return start["status"], json.loads(b"".join(each["body"] for each in bodies))


@pytest.fixture
def service(tmp_path, monkeypatch, capsys):
    pytest.importorskip("starlette")
    variables = run("service", tmp_path, monkeypatch)
    assert capsys.readouterr().out.startswith("200 [")
    yield variables
    variables["POOL"].shutdown()


def test_service(service, faces, monkeypatch):
    """Sixteen clients at once get what one thread computes."""
    model, app = service["MODEL"], service["app"]
    requests = []
    for image, box in faces[0][:24]:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        landmarks = model.predict([(image, box)])[0].round(2).tolist()
        faces_found = [{"box": [float(side) for side in box], "landmarks": landmarks}]
        requests.append((buffer.getvalue(), box, (200, {"faces": faces_found})))
    content = requests[0][0]
    photo = sample_image().read_bytes()
    (face,) = align(sample_image())
    landmarks = {"box": list(face.box), "landmarks": face.landmarks.round(2).tolist()}
    requests.append((photo, None, (200, {"faces": [landmarks]})))

    async def client(number):
        for i in range(number, 16 * 12, 16):
            body, box, expected = requests[i % len(requests)]
            assert await answer_of(app, body, box) == expected
        status, answer = await answer_of(app, content[: len(content) // 2], (0, 0, 50, 50))
        assert status == 400
        assert answer["error"].startswith("image: ")

    async def clients():
        await asyncio.gather(*map(client, range(16)))
        status, answer = await answer_of(app, content, (0, 0, "x", 50))
        assert status == 400
        assert "expected a box of 4 numbers" in answer["error"]
        monkeypatch.setitem(service["landmarks"].__globals__, "MAX_BYTES", 1500)
        assert await answer_of(app, photo) == (413, {"error": "more than 1500 bytes"})

    asyncio.run(clients())


# The longest examples allowed; the others have at most 45 lines.
MAX_LINES = {"service": 55, "supervision_keypoints": 60, "custom_object": 150, "walk_through": 280}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_tested_and_short(example):
    assert f"test_{example.stem}" in globals()
    assert len(example.read_text().splitlines()) <= MAX_LINES.get(example.stem, 45)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_starts_with_a_title(example):
    _, title, line, blank, text, *_ = example.read_text().splitlines()
    assert line == len(title) * "="
    assert not blank
    assert text


def test_the_compose_file_runs_a_scheduler_and_two_workers():
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((EXAMPLES / "cluster/compose.yaml").read_text())["services"]
    assert set(services) == {"scheduler", "worker", "predict"}
    assert services["worker"]["deploy"]["replicas"] == 2
    assert services["predict"]["command"][:2] == ["ert", "predict"]
    assert "tcp://scheduler:8786" in services["predict"]["command"]
    # The same paths in all containers.
    volumes = [services[name]["volumes"] for name in ("worker", "predict")]
    assert volumes[0] == volumes[1]
