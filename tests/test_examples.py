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


PICTURES = EXAMPLES / "pictures"


def run(name, folder, monkeypatch, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def check_animation(path, n_frames, size):
    """The animation has these frames, which differ, and is small enough for a page."""
    with Image.open(path) as animation:
        assert animation.n_frames == n_frames
        assert animation.size == size
        frames = []
        for number in (0, n_frames // 2, n_frames - 1):
            animation.seek(number)
            frames.append(np.array(animation.convert("RGB")).astype(int))
    assert abs(np.diff(frames, axis=0)).mean() > 1
    assert Path(path).stat().st_size < 1.5e6


def test_align_photo(tmp_path, monkeypatch, capsys):
    run("align_photo", tmp_path, monkeypatch)
    assert "nose tip" in capsys.readouterr().out
    assert load_image("aligned.png").shape == (680, 680, 3)
    assert load_image("aligned_numbers.png").shape == (1062, 1062, 3)


def test_group_photo(tmp_path, monkeypatch, capsys):
    faces = run("group_photo", tmp_path, monkeypatch)["faces"]
    assert len(faces) == 6
    assert min(face.confidence for face in faces) > 0.9
    assert faces[-1].roll > 5 > -5 > faces[-2].roll  # hung crookedly
    assert load_image("group_photo.png").shape == (760, 1500, 3)
    assert load_image("group_photo_faces.png").shape[1] > 6 * 256


def test_turned_faces(tmp_path, monkeypatch):
    captions = run("turned_faces", tmp_path, monkeypatch)["captions"]
    assert len(captions) == 8
    for caption in captions:
        angle, *found = [int(part.split("°")[0].split()[-1]) for part in caption.split(", ")]
        assert abs((found[0] - angle + 180) % 360 - 180) < 8
        assert len(found) == 1
    assert load_image("turned_faces.png").std() > 20


def test_occlusion(tmp_path, monkeypatch, capsys):
    run("occlusion", tmp_path, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    mouths = [int(line.split("mouth ± ")[1].split()[0]) for line in lines]
    confidences = [float(line.split("confidence ")[1]) for line in lines]
    assert mouths == sorted(mouths)
    assert mouths[-1] > 3 * mouths[0]
    assert confidences[-1] < confidences[0]
    assert load_image("occlusion.png").std() > 20


def test_morph(tmp_path, monkeypatch):
    run("morph", tmp_path, monkeypatch)
    check_animation("morph.gif", 24, (288, 288))


def test_explanation(tmp_path, monkeypatch, capsys):
    run("explanation", tmp_path, monkeypatch)
    assert "54 stages of 100 trees" in capsys.readouterr().out
    check_animation("explanation.gif", 13, (600, 300))
    assert [path.name for path in tmp_path.iterdir()] == ["explanation.gif"]


def test_train_your_own(tmp_path, monkeypatch, capsys):
    run("train_your_own", tmp_path, monkeypatch)
    error = float(capsys.readouterr().out.split(": ")[1].split()[0])
    assert error < 3
    assert Path("five_points.ert").exists()
    assert load_image("five_points.png").shape[1] > 4 * 320


def test_hand_xray(tmp_path, monkeypatch, capsys):
    variables = run("hand_xray", tmp_path, monkeypatch)
    assert variables["errors"].shape == (12, 21)
    assert variables["errors"].mean() < 1  # mm
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == list(variables["FINGERS"])
    assert all(float(line.split()[-2]) < 2 for line in lines[1:])
    assert len(Path("fingers.csv").read_text().splitlines()) == 13
    assert load_image("hand_xray.png").shape == (680, 3 * 580, 3)


def test_learning_curve(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    errors = [each.mean() for each in run("learning_curve", tmp_path, monkeypatch)["errors"]]
    assert errors == sorted(errors, reverse=True)
    assert load_image("learning_curve.png").std() > 20


def test_dlib_drop_in(tmp_path, monkeypatch, capsys):
    run("dlib_drop_in", tmp_path, monkeypatch)
    assert "awake" in capsys.readouterr().out
    picture = load_image("landmarks.png")
    green = np.all(abs(picture.astype(int) - (0, 255, 0)) < 40, axis=2)
    assert 68 * 9 < green.sum() < 68 * 9 * (480 / 163) ** 2


def test_drowsiness_alarm(tmp_path, monkeypatch, capsys):
    run("drowsiness_alarm", tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert output.startswith("1 blink, eyes closed for 1.")
    assert output.endswith("alarm: True\n")
    check_animation("drowsiness.gif", 29, (320, 320))


def test_sunglasses(tmp_path, monkeypatch):
    run("sunglasses", tmp_path, monkeypatch)
    before, after = load_image(PICTURES / "wall.jpg").astype(int), load_image("sunglasses.png")
    assert after.shape == before.shape
    for face in align(PICTURES / "wall.jpg", min_confidence=0.5):
        for eye in (face.landmarks[36:42], face.landmarks[42:48]):
            column, row = eye.mean(axis=0).round().astype(int)
            assert np.median(after[row - 4 : row + 5, column - 4 : column + 5]) < 60
    changed = (after != before).any(axis=2)
    assert 0.01 < changed.mean() < 0.05


def test_head_pose(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cv2")
    run("head_pose", tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert output.count("(to its left), pitch") == 4
    assert output.count("(to its right), pitch") == 2  # the Mona Lisa is one of them
    assert load_image("head_pose.png").shape[1] > 3 * 400


def test_average_face(tmp_path, monkeypatch):
    landmarks = run("average_face", tmp_path, monkeypatch)["landmarks"]
    assert len(landmarks) == 3
    *faces, average = np.split(load_image("average_face.png")[12:412, 12:].astype(int), 4, axis=1)
    face = (slice(100, 300), slice(100, 300))
    of_two = abs(faces[0][face] - faces[1][face]).mean()
    for one in faces:
        assert abs(average[face] - one[face]).mean() < of_two


def test_face_tables(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    run("face_tables", tmp_path, monkeypatch)
    assert "right_eye: 6 landmarks" in capsys.readouterr().out
    assert len(Path("landmarks.csv").read_text().splitlines()) == 69
    assert load_image("regions.png").std() > 20


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
    assert load_image("supervision.png").shape == (510, 510, 3)
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
    monkeypatch.setitem(sys.modules, "pandas", None)  # the start page installs no more than OpenCV
    variables = run("custom_object", tmp_path, monkeypatch)
    output = capsys.readouterr().out
    assert "wing17.jpg: stray landmarks: 9, 10" in output
    assert "35 wings with 12 landmarks; 1 left out" in output
    known = variables["known"]
    assert known["training_error"] < known["low"] < known["error"] < known["high"] < 1.5
    # The true landmarks of the new photos: drawing them again.
    rng, variables["SIZE"] = np.random.default_rng(0), (360, 240)
    errors = []
    for number in range(48):
        _, truth = variables["draw_wing"](rng)
        if number < 36:
            rng.normal(scale=0.5, size=truth.shape)
        else:
            shape = variables["found"][number - 36].landmarks
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
    assert capsys.readouterr().out == "60 frames, 3 faces\n"
    check_animation("tracked.gif", 15, (480, 320))


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
    assert load_image("service.png").shape == (640, 640, 3)
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


# The longest examples allowed; the others have at most 60 lines.
MAX_LINES = {"walk_through": 280, "custom_object": 160, "hand_xray": 135, "service": 66, "supervision_keypoints": 63}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_tested_and_short(example):
    assert f"test_{example.stem}" in globals()
    assert len(example.read_text().splitlines()) <= MAX_LINES.get(example.stem, 60)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_starts_with_a_title(example):
    _, title, line, blank, text, *_ = example.read_text().splitlines()
    assert line == len(title) * "="
    assert not blank
    assert text


def test_every_example_but_one_is_in_a_section_of_the_gallery(monkeypatch):
    scrapers = ModuleType("sphinx_gallery.scrapers")
    scrapers.figure_rst = None
    monkeypatch.setitem(sys.modules, "sphinx_gallery", ModuleType("sphinx_gallery"))
    monkeypatch.setitem(sys.modules, "sphinx_gallery.scrapers", scrapers)
    gallery = runpy.run_path(str(EXAMPLES.parent / "docs/gallery_examples.py"))
    shown = [Path(name).stem for name in gallery["ORDER"]]
    assert len(set(shown)) == len(shown)
    # It needs data that are not part of the repository.
    assert sorted([*shown, "cephalograms"]) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_pictures_are_credited_and_small():
    credits = (EXAMPLES.parent / "data/README.md").read_text()
    pictures = sorted(PICTURES.glob("*.jpg"))
    assert all(f"`{path.name}` ({path.stat().st_size / 1000:.0f} kB)" in credits for path in pictures)
    assert sum(path.stat().st_size for path in pictures) < 1e6


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
