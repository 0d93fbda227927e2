import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import ert
from ert.datasets.synthetic import synthetic_dataset

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Twelve drawn faces: gray images and their landmarks."""
    dataset = ert.load_dataset(
        synthetic_dataset(tmp_path_factory.mktemp("faces") / "drawn", 12, seed=3) / "landmarks.csv"
    )
    images = [np.ascontiguousarray(np.atleast_3d(ert.load_image(file))[..., 0]) for file in dataset.files]
    return images, np.asarray(dataset.y, float)


def turned(points, factor, shift):
    """Return points multiplied by a complex number and shifted."""
    z = points @ (1, 1j) * factor + complex(*shift)
    return np.stack([z.real, z.imag], axis=-1)


def five(n, seed=0):
    """Return the 5 points of n faces of other sizes, places and rotations."""
    rng = np.random.default_rng(seed)
    mean = np.array([[-1, 0], [1, 0], [0, 1], [-0.8, 2], [0.8, 2]]) * 20
    factors = rng.uniform(0.7, 1.5, n) * np.exp(1j * rng.uniform(-0.5, 0.5, n))
    shapes = [turned(mean, factor, rng.uniform(50, 100, 2)) for factor in factors]
    return np.array(shapes) + rng.normal(0, 1, (n, 5, 2)), factors


def test_another_definition_of_points_is_no_error():
    from attributes import convention, converted, errors

    truth, factors = five(200)
    moved = factors * (3 + 5j)  # the tip of the nose, in the rotation and scale of the face
    found = truth.copy()
    found[:, 2] += np.column_stack([moved.real, moved.imag])
    assert errors(truth, found).mean() > 2
    difference = convention(found, truth)
    assert np.abs(np.delete(difference, 2)).max() < 1e-3
    assert errors(truth, converted(found, difference)).max() < 0.5


def test_the_size_of_a_face_does_not_shrink_when_it_turns():
    from attributes import sizes

    frontal, _ = five(1)
    profile = frontal * 1.0
    profile[:, 1] = profile[:, 0] + [2, 0]
    profile[:, 4] = profile[:, 3] + [2, 0]
    assert sizes(profile) == pytest.approx(sizes(frontal), rel=0.1)


def test_the_box_of_a_face_is_the_nearest_one_around_it():
    from attributes import nearest_box

    points = five(1)[0][0]
    center = points.mean(axis=0)
    around = np.array([*(center - 45), 90, 90])
    elsewhere, tiny = around + [200, 0, 0, 0], np.array([*(center - 5), 10, 10])
    assert nearest_box(np.array([elsewhere, around]), points) == pytest.approx(around)
    assert nearest_box(np.array([elsewhere]), points) is None
    assert nearest_box(np.array([tiny]), points) is None
    assert nearest_box(np.empty((0, 4)), points) is None


def measured_attributes():
    """Return figures of 60 faces: those with glasses are worse, and every tenth is missed."""
    from attributes import GROUPS, THEIRS, by_attribute

    rng = np.random.default_rng(0)
    attributes = {name: rng.choice(list(dict.fromkeys(groups.values())), 60) for name, groups in GROUPS.items()}
    found = np.arange(60) % 10 > 0
    ours = np.where(found, rng.uniform(2, 3, 60) + 4 * (attributes["glasses"] == "glasses"), np.nan)
    of_models = {"face68": ours, "face68, accurate": ours - 0.5, THEIRS: ours + np.where(np.arange(60) % 2, 1, -0.2)}
    groups = by_attribute(attributes, of_models, found)
    return {"boxes": {"dlib": {"groups": groups}}}, attributes, of_models, found


def test_errors_by_attributes():
    measured, attributes, of_models, found = measured_attributes()
    rows = {row["group"]: row for row in measured["boxes"]["dlib"]["groups"]}
    assert (rows["all faces"]["faces"], rows["all faces"]["missed"]) == (60, 6)
    glasses = attributes["glasses"] == "glasses"
    row = rows["glasses"]
    assert row["faces"] == glasses.sum()
    assert row["missed"] == (glasses & ~found).sum()
    errors = of_models["face68"]
    assert row["models"]["face68"]["mean"] == pytest.approx(errors[glasses & found].mean())
    ratio = errors[glasses & found].mean() / errors[~glasses & found].mean()
    assert row["models"]["face68"]["times others"]["ratio"] == pytest.approx(ratio)
    low, high = row["models"]["face68"]["minus dlib"]["interval_95"]
    assert -1 <= low < row["models"]["face68"]["minus dlib"]["mean"] < high <= 0.2


def test_the_card_says_who_it_is_worse_for():
    from card_text import worse_for

    measured, *_ = measured_attributes()
    text = "\n\n".join(worse_for(measured))
    figures = next(row for row in measured["boxes"]["dlib"]["groups"] if row["group"] == "glasses")["models"]
    assert f"group *glasses* is **{figures['face68']['times others']['ratio']:.2f} times**" in text
    assert (
        f"| glasses | {next(r['faces'] for r in measured['boxes']['dlib']['groups'] if r['group'] == 'glasses')} "
        in text
    )
    assert "missed 6 of 60 faces" in text
    assert "smaller than that of dlib's public model in every group" in text
    for row in measured["boxes"]["dlib"]["groups"]:
        row["models"]["face68"]["minus dlib"] = {"mean": 0.3, "interval_95": [0.1, 0.5]}
    assert "*glasses*, face68: 0.30 (0.10 to 0.50)" in "\n\n".join(worse_for(measured))
    assert "not measured" in "\n\n".join(worse_for(None))


def test_another_crop_of_a_photo_is_found(faces):
    pytest.importorskip("cv2")
    from common import eyes_and_mouth
    from duplicates import MIN_CORRELATION, aligned, candidates, copied, hash_distances, mirror, registered_correlation

    images, shapes = faces
    points, rng = eyes_and_mouth(shapes), np.random.default_rng(0)
    crops = [aligned(image, each) for image, each in zip(images, points, strict=True)]
    copies = [aligned(*copied(image, each, rng)) for image, each in zip(images, points, strict=True)]
    assert (candidates(crops, copies) == np.arange(12)[:, None]).any(axis=1).all()
    same = [registered_correlation(*pair) for pair in zip(crops, copies, strict=True)]
    assert min(same) > MIN_CORRELATION
    assert registered_correlation(crops[0], mirror(copies[0])) > MIN_CORRELATION
    distances = hash_distances(crops, [mirror(crop) for crop in crops])
    assert (np.diag(distances) == 0).all()
    assert registered_correlation(crops[0], rng.integers(0, 255, crops[0].shape, dtype=np.uint8)) < 0.5


def test_landmarks_of_a_mesh_are_a_linear_map_of_the_nearest_points():
    pytest.importorskip("cv2")
    from face_mesh import LinearMap

    rng = np.random.default_rng(0)
    mean = rng.normal(0, 1, (30, 2))
    meshes = np.array([turned(mean + rng.normal(0, 0.1, mean.shape), 20, rng.uniform(50, 99, 2)) for _ in range(80)])
    landmarks = meshes[:, [3, 7, 11]] + [0.5, -1.0]
    linear = LinearMap(meshes[:60], landmarks[:60])
    assert linear.nearest.tolist() == [3, 7, 11]
    assert np.abs(linear.landmarks(meshes[60:]) - landmarks[60:]).max() < 1.5


def test_the_table_of_networks():
    from networks_page import joined, table, training_time

    def method(mean, facts):
        errors = {name: {"mean": mean, "interval_95": [mean - 1, mean + 1]} for name in ("dlib", "haar")}
        times = {f"{n} threads": {"low": 1.0, "median": 2.0, "high": 3.0} for n in (1, 2)}
        return {"facts": facts, "NME inter-pupil": errors, "milliseconds": times}

    unfinished = {"MB": 44.8, "training seconds": 7300.0, "steps": 3, "of steps": 9}
    measured = {"faces of": "test", "methods": {"face68": method(5.0, {"MB": 4.6}), "net": method(7.5, unfinished)}}
    mesh = {"faces of": "test", "methods": {"mesh": method(6.0, {"MB": 1.5})}}
    lines = list(table(joined(measured, mesh)))
    assert lines[2].startswith("| face68 | 5.00 (4.00 to 6.00) | 5.00 (4.00 to 6.00) | 2.00 ms (1.00 to 3.00) |")
    assert lines[3].endswith("| 44.8 MB | 2.0 h (unfinished: 3 of 9 steps) |")
    assert lines[4].startswith("| mesh ")
    assert len(list(table(joined(measured, mesh | {"faces of": "others"})))) == 4
    assert training_time(None) == ""
    assert training_time(90.4) == "90 s"


def options_of_training(**changed):
    settings = {"side": 64, "epochs": 1, "batch": 4, "rate": 1e-3, "seed": 0, "fold": "", "minutes": 1e6}
    return SimpleNamespace(**settings | changed)


def test_crops_show_the_face_of_a_box_in_its_place(faces):
    pytest.importorskip("torch")
    from face_network import moved
    from networks import FACE_SIDE, Place

    _, shapes = faces
    low, high = shapes.min(axis=1), shapes.max(axis=1)
    sides = (high - low).mean(axis=1, keepdims=True)
    boxes = np.hstack([(low + high) / 2 - 0.6 * sides + [0.0, 5.0], *[1.2 * sides] * 2])
    place = Place.measured(shapes, boxes)
    in_crop = Place(np.zeros(2), FACE_SIDE)
    found = np.array(
        [moved(place.crop_matrix(box, in_crop, 100), shape) for box, shape in zip(boxes, shapes, strict=True)]
    )
    middle = (found.min(axis=1) + found.max(axis=1)) / 2
    assert middle.mean(axis=0) == pytest.approx([49.5, 49.5], abs=1.5)
    assert (found.max(axis=1) - found.min(axis=1)).mean() == pytest.approx(100 * FACE_SIDE, rel=0.02)


def test_a_network_goes_on_from_its_checkpoint(faces, tmp_path):
    torch = pytest.importorskip("torch")
    from networks import Faces, Regression, Training

    images, shapes = faces
    low, high = shapes.min(axis=1), shapes.max(axis=1)
    drawn = Faces(images, shapes, {"dlib": np.hstack([low, high - low])})
    whole = Training("resnet18", drawn, tmp_path / "whole.pt", options_of_training())
    whole.run()
    for _ in range(whole.n_steps):  # One step a call.
        part = Training("resnet18", drawn, tmp_path / "part.pt", options_of_training(minutes=0))
        part.run()
    assert part.steps == whole.n_steps == 3
    for one, other in zip(whole.network.parameters(), part.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    network = Regression(tmp_path / "part.pt", whole.places, whole.settings["fold"])
    found = network.predict(images[0], drawn.boxes["dlib"][0], "dlib")
    assert found.shape == (68, 2)
    assert network.facts["steps"] == 3
    with pytest.raises(SystemExit, match=r"part\.pt: the network was trained with --fold '', not '0/4'"):
        Regression(tmp_path / "part.pt", whole.places, "0/4")
    with pytest.raises(SystemExit, match=r"part\.pt: expected a checkpoint of"):
        Training("resnet18", drawn, tmp_path / "part.pt", options_of_training(rate=1.0))


def test_the_network_of_five_layers_has_136_outputs():
    torch = pytest.importorskip("torch")
    from networks import five_layers, resnet18

    images = torch.zeros(2, 1, 96, 96)
    assert five_layers(96)(images).shape == (2, 136)
    assert resnet18()(images).shape == (2, 136)
    assert sum(each.numel() for each in resnet18().parameters()) == pytest.approx(11.2e6, rel=0.01)


def test_faces_are_marked_only_by_a_network_that_was_trained_without_the_fold(faces, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    import face_network

    images, shapes = faces
    boxes = {"dlib": np.hstack([shapes.min(axis=1), np.ptp(shapes, axis=1)])}
    points, held_out = np.insert(face_network.eyes_and_mouth(shapes), 2, shapes[:, 30], axis=1), np.zeros(12, bool)
    drawn = face_network.Faces(images, shapes, boxes, images, points, held_out)
    file = tmp_path / "more" / "network.pt"
    monkeypatch.setattr(face_network.Faces, "read", lambda data: drawn)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["face_network.py", *map(str, args)])
        face_network.main()

    # One that does not exist would mark with random weights.
    for args in (["mark", file, tmp_path / "x.npz"], ["mark", file], ["train", file, tmp_path / "x.npz"]):
        with pytest.raises(SystemExit):
            run(*args)
    run("train", file, "--steps", 1, "--fold", "0/4")
    assert torch.load(file, weights_only=True)["steps"] == 1
    with pytest.raises(SystemExit, match="trained with --fold '0/4', not '1/4'"):
        run("mark", file, tmp_path / "x.npz", "--fold", "1/4")
    run("mark", file, tmp_path / "x.npz", "--fold", "0/4")
    assert np.load(tmp_path / "x.npz")["photos"].shape == (12, 68, 2)


def test_boxes_that_are_missing_or_elsewhere_are_drawn_where_they_typically_are():
    from marked_faces import complete

    rng = np.random.default_rng(0)
    shapes = rng.uniform(0, 100, (40, 68, 2)) + rng.uniform(0, 300, (40, 1, 2))
    low, side = shapes.min(axis=1), (shapes.max(axis=1) - shapes.min(axis=1)).mean(axis=1)
    boxes = np.column_stack([low - 0.1 * side[:, None], 1.2 * side, 1.2 * side])
    given = boxes.copy()
    given[3] = np.nan
    given[5, :2] += 2 * side[5]
    found = complete(given, shapes)
    assert np.array_equal(np.delete(found, [3, 5], axis=0), np.delete(boxes, [3, 5], axis=0))
    assert np.abs(found - boxes)[[3, 5]].max() < 0.05 * side.max()


def test_the_training_set_of_the_bundled_models_has_marked_faces(faces, monkeypatch):
    import train_bundled

    images, y = faces
    boxes = np.tile([0.0, 0.0, 99.0, 99.0], (len(y), 1))
    X = list(zip(images, map(tuple, boxes), strict=True))

    class Annotated:
        files, landmark_names = ["a.png"] * len(y), ["one"] * 68

        def __add__(self, other):
            both = Annotated()
            both.X, both.y, both.files = X + X, np.concatenate([y, y]), self.files * 2
            return both

    marked = ["m.png", "n.png"], {"dlib": boxes[:2], "haar": boxes[2:4]}, y[:2]
    monkeypatch.setattr("ert.load_dataset", lambda *_, **__: Annotated())
    monkeypatch.setattr(train_bundled, "training_faces", lambda data: marked)
    all_X, landmarks, _, weights, photos, by_hand = train_bundled.training_set(Path(), 0.0)
    n = 2 * len(y)
    assert len(all_X) == len(landmarks) == len(weights) == len(photos) == n + 4
    assert by_hand.sum() == n
    assert set(weights[n:]) == {train_bundled.MARKED_WEIGHT}
    assert [face[0] for face in all_X[n:]] == ["m.png", "n.png"] * 2
    assert photos[n:] == ["m.png", "n.png"] * 2
    assert np.array_equal(landmarks[:n], np.concatenate([y, y]))


def test_data_that_is_missing_is_one_line(tmp_path):
    command = [sys.executable, BENCHMARKS / "attributes.py", "--data", tmp_path / "none"]
    pytest.importorskip("dlib")
    pytest.importorskip("face_recognition_models")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("attributes.py: ")
    assert str(tmp_path / "none") in done.stderr
    assert done.stderr.count("\n") == 1
