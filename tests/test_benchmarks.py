import functools
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import ert
from ert.datasets.synthetic import synthetic_dataset

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and BENCHMARKS in Path(str(sys.modules[name].__file__)).parents:
            del sys.modules[name]


def test_a_power_law_is_found_again():
    from growth import series

    found = series((100, 200, 800), lambda n: (0.003 * n**1.25, 5.0 * n, 7.0))
    assert list(found["exponents"].values()) == pytest.approx([1.25, 1, 0])
    assert found["seconds"]["all of fit"] == [7, 7, 7]


def test_landmarks_are_thinned_out_or_filled_in():
    from growth import resampled

    landmarks = np.random.default_rng(0).random((3, 9, 2))
    assert np.allclose(resampled(landmarks, 9), landmarks)
    assert np.allclose(resampled(landmarks, 5), landmarks[:, ::2])
    more = resampled(landmarks, 17)
    assert np.allclose(more[:, ::2], landmarks)
    assert np.allclose(more[:, 1::2], (landmarks[:, :-1] + landmarks[:, 1:]) / 2)


def test_ratios_of_rounds():
    from predict_vs_dlib import ratios

    ours = np.random.default_rng(0).uniform(1, 2, (4, 50))
    rounds = np.array([[2.0], [3.0], [3.0], [4.0]])
    found = ratios({"ert": ours, "dlib": ours * rounds})
    assert found["ratio"] == pytest.approx(3)
    assert found["ratio_of_rounds"]["lowest"] == pytest.approx(2)
    assert found["ratio_of_rounds"]["highest"] == pytest.approx(4)
    assert found["ratio_interval_95"] == pytest.approx([3, 3])
    theirs = np.random.default_rng(1).uniform(2, 6, (4, 50))
    found = ratios({"ert": ours, "dlib": theirs})
    low, high = found["ratio_interval_95"]
    assert 1 < low < found["ratio"] < high < 4


def test_the_parts_of_a_prediction_add_up():
    import roofline

    import ert

    image = np.ascontiguousarray(ert.load_image(ert.sample_image())[:, :, 0])
    spent, multiply_adds = roofline.parts_of(ert.load("face68"), image, (176.0, 65.0, 98.0, 98.0), 1)
    assert {"resample the crop", "find the leaves", "add the leaves", "Python"} <= set(spent)
    assert multiply_adds > 10_000


def test_a_model_without_some_members_is_the_one_that_was_trained_without_them(members_model, faces, tmp_path):
    from tradeoff import with_members

    for n in (1, 2):
        with_members(members_model, n).save(tmp_path / "fewer.ert")
        trained = ert.ShapePredictor(**members_model.get_params() | {"n_members": n})
        trained.fit(faces[0][:40], faces[1][:40]).save(tmp_path / "trained.ert")
        assert (tmp_path / "fewer.ert").read_bytes() == (tmp_path / "trained.ert").read_bytes()


def test_the_tradeoff_is_drawn_and_figures_of_seeds_are_averaged(tmp_path):
    from tradeoff import MODELS, MODES, draw, mean_of

    rows = [
        {"model": name, "members": n, "mode": mode, "error": {"a": 5.0, "b": 6.0}, "microseconds": 50.0 * n, "bytes": 9}
        for name, *_ in MODELS[:2]
        for n in (1, 2)
        for mode in MODES
    ]
    draw(rows, tmp_path / "x.svg")
    text = (tmp_path / "x.svg").read_text()
    assert "2 members" in text
    assert MODELS[1][0] in text
    assert mean_of([{"a": {"b": 1.0}, "c": 3}, {"a": {"b": 2.0}, "c": 3}]) == {"a": {"b": 1.5}, "c": 3.0}


MADE = {"date": "2020-02-02", "cpu": "a processor", "versions": {"ert-landmarks": "1.0", "numpy": "2.0", "numba": None}}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """60 drawn faces, and a table of their boxes in which a detector has missed every fourth."""
    folder = synthetic_dataset(tmp_path_factory.mktemp("card") / "faces", 60, seed=8)
    faces = ert.load_dataset(folder / "landmarks.csv")
    table = folder / "boxes.csv"
    lines = [f"{file.name},{int(i % 4 > 0)}" for i, file in enumerate(faces.files)]
    table.write_text("\n".join(["image,dlib_found", *lines, "another.jpg,1"]))
    return faces, table


@pytest.fixture
def measured_card(annotated, small_model, tmp_path):
    import model_card

    faces, table = annotated
    found = small_model.predict(faces.X)
    # What no model does: all that a detector missed goes wrong.
    found[::4] += 4
    tests = {"dlib": faces, "haar": faces}
    result, errors, shapes = model_card.measure(
        [model_card.NAME], tests, lambda name, detector: found if detector == "dlib" else faces.y + 1, table
    )
    file = tmp_path / "model.ert"
    small_model.save(file)
    return result | {"model": model_card.about(small_model, file), "worst drawn": 24}, errors, shapes


def test_the_figures_of_a_card_are_those_of_the_metrics(measured_card, annotated):
    from ert.metrics import auc, evaluate, failure_rate, nme

    result, errors, shapes = measured_card
    truth = annotated[0].y
    figures = result["accuracy"]["face68"]["dlib"]
    expected = evaluate(truth, shapes)["norms"]
    for normalizer in ("inter-pupil", "inter-ocular"):
        assert figures[f"NME {normalizer}"]["mean"] == pytest.approx(expected[normalizer]["mean"])
        assert figures[f"NME {normalizer}"]["interval_95"] == pytest.approx(expected[normalizer]["interval_95"])
    each = nme(truth, shapes, "inter-ocular")
    np.testing.assert_array_equal(errors["dlib"]["face68"], each)
    assert figures["failure rate"]["mean"] == pytest.approx(failure_rate(each))
    assert figures["AUC"]["mean"] == pytest.approx(auc(each))
    assert result["per landmark"] == pytest.approx(expected["inter-ocular"]["per_landmark"])
    missed = result["missed"]["dlib"]
    assert missed["faces"] == 15
    assert missed["ratio"] == pytest.approx(each[::4].mean() / np.delete(each, np.s_[::4]).mean())
    assert result["missed"]["haar"] is None
    roll = [row for row in result["extremes"] if row["column"] == "roll"]
    groups = result["by"]["box"]["columns"]["roll"]["groups"]
    for row, group in zip(roll, (groups[0], groups[-1]), strict=True):
        assert row["box"]["faces"] == group["n"]
        assert row["box"]["ratio"] == pytest.approx(group["times_others"])
        low, high = row["box"]["interval_95"]
        assert low < row["box"]["ratio"] < high


def test_the_text_of_a_card_follows_from_its_figures(measured_card):
    from card_text import card, limits

    result = measured_card[0] | {"made": MADE}
    sentences = " ".join(limits(result))
    assert (
        f"15 faces that dlib's HOG detector missed have **{result['missed']['dlib']['ratio']:.2f} times**" in sentences
    )
    assert "that OpenCV's Haar cascade missed" not in sentences
    assert "from one source, `faces`" in sentences
    text = card(result)
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 118
    for group in result["by"]["inter-ocular"]["columns"]["yaw"]["groups"]:
        assert f"| {group['group']} | {group['n']} | {group['mean']:.2f}" in text
    assert "`n_trees=40`" in text
    assert "{" not in text

    def sentence(low, high):
        row = {"column": "yaw", "group": "1 to 2", "words": "with the most yaw"}
        compared = {"faces": 20, "ratio": 1.5, "interval_95": [low, high]}
        extremes = [row | {"inter-ocular": compared, "box": compared}]
        return next(iter(limits(result | {"extremes": extremes, "together": []})))

    assert sentence(1.2, 1.8).startswith("The 20 faces with the most yaw (`yaw` 1 to 2) have **1.50 times**")
    assert sentence(0.9, 2.1).startswith("No difference from the other faces was found for those with the most yaw")
    assert "most yaw" not in sentence(0.5, 0.9)


def test_the_cards_of_smaller_models_and_the_index(measured_card):
    from card_short import index, short_card

    name, result = "face68-small", measured_card[0]
    model = result["model"] | {"name": name}
    renamed = result | {"model": model, "accuracy": {name: result["accuracy"]["face68"]}}
    text = short_card(renamed | {"made": MADE})
    assert text.startswith(f"# {name}\n\nLocates the 68 landmarks")
    assert "15 faces that dlib's HOG detector missed" in " ".join(text.split())
    assert f"![Cumulative error distributions]({name}_ced.svg)" in text
    assert "Measured on a processor with ert-landmarks 1.0" in " ".join(text.split())
    assert "{" not in text
    pages = index({"face68": result, name: renamed}, MADE)
    rows = [line for line in pages.splitlines() if line.startswith("| [")]
    assert [row.split("](")[0] for row in rows] == ["| [face68", "| [face68-small"]
    assert "face68\nface68-small\n```" in pages
    assert max(len(line) for line in (text + pages).splitlines() if not line.startswith("|")) <= 118


def test_the_errors_of_a_card_of_some_landmarks_have_the_lengths_of_all(annotated):
    import model_card

    from ert.metrics import nme, normalizer_lengths
    from ert.model.schemes import FACE5_OF_FACE68

    faces, table = annotated
    found = faces.y[:, list(FACE5_OF_FACE68)] + 2
    result, errors, _ = model_card.measure(
        ["face5"], {"dlib": faces}, lambda name, detector: found, table, FACE5_OF_FACE68
    )
    lengths = normalizer_lengths(faces.y, "inter-ocular")
    expected = nme(faces.y[:, list(FACE5_OF_FACE68)], found, lengths)
    np.testing.assert_array_equal(errors["dlib"]["face5"], expected)
    assert result["accuracy"]["face5"]["dlib"]["NME inter-ocular"]["mean"] == pytest.approx(expected.mean())
    assert set(result["regions"]) == set(model_card.FIVE_POINTS)


def test_the_pictures_of_a_card(measured_card, annotated, tmp_path):
    pytest.importorskip("matplotlib")
    from card_pictures import draw_ced, draw_landmarks, draw_worst
    from PIL import Image

    result, errors, shapes = measured_card
    for name in ("a.svg", "b.svg"):
        draw_ced(tmp_path / name, errors)
        draw_landmarks(tmp_path / f"landmarks_{name}", annotated[0].y.mean(axis=0), result["per landmark"])
    # The same bytes each time, so that a card that is made again changes only where its figures do.
    for one, other in (("a.svg", "b.svg"), ("landmarks_a.svg", "landmarks_b.svg")):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()
    draw_worst(tmp_path / "runs" / "worst.jpg", annotated[0], shapes, errors["dlib"]["face68"], 7)
    with Image.open(tmp_path / "runs" / "worst.jpg") as sheet:
        assert sheet.size == (6 * 330 + 10, 2 * (330 + 30) + 10)


DOTS = np.array([(70.0, 62.3), (121.6, 74.0), (96.2, 103.8), (61.5, 133.0), (130.3, 138.7)])


def _drawn_face():
    """Draw dots at the first landmarks, so that they can be found again in a changed image."""
    from robustness import Face

    landmarks = np.random.default_rng(0).uniform(60, 140, (68, 2))
    landmarks[: len(DOTS)] = DOTS
    rows, columns = np.mgrid[:201, :191]
    image = np.zeros(rows.shape)
    for x, y in DOTS:
        image += 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    return Face(np.rint(image).astype(np.uint8), np.array([50.0, 55.0, 100.0, 100.0]), landmarks)


def _dot_near(image, point, reach):
    """Return the center of mass of what lies within reach of a point."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = image * (np.hypot(columns - point[0], rows - point[1]) < reach)
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("degrees", [10, -30, 45])
def test_a_turned_image_and_its_points_agree(degrees):
    from robustness import rotated

    face = _drawn_face()
    after = rotated(face, degrees)
    for point in after.landmarks[: len(DOTS)]:
        assert _dot_near(after.image, point, 12) == pytest.approx(point, abs=0.1)
    center = face.box[:2] + (face.box[2:] - 1) / 2
    before, now = (np.linalg.norm(points - center, axis=1) for points in (face.landmarks, after.landmarks))
    assert now == pytest.approx(before)
    assert (after.box == face.box).all()


@pytest.mark.parametrize("side", [50, 64, 170])
def test_a_resized_image_and_its_points_and_box_agree(side):
    from dataclasses import replace

    from robustness import resized

    face = _drawn_face()
    (after,) = resized(face, side, None)
    assert after.box[2:] == pytest.approx(side, rel=0.01)
    for point in after.landmarks[: len(DOTS)]:
        assert _dot_near(after.image, point, 12 * side / 100) == pytest.approx(point, abs=0.1)
    # The box that is the whole image stays so.
    whole = replace(face, box=np.array([0.0, 0.0, 191.0, 201.0]))
    (after,) = resized(whole, side, None)
    assert after.box == pytest.approx([0, 0, *after.image.shape[::-1]])


def test_boxes_are_moved_about_the_one_they_were():
    from robustness import scaled, shifted

    face = _drawn_face()
    boxes = np.array([case.box for case in shifted(face, 15, None)])
    assert len(boxes) == 8
    assert boxes.mean(axis=0) == pytest.approx(face.box)
    assert np.hypot(*(boxes - face.box)[:, :2].T) == pytest.approx(np.full(8, 15.0))
    (larger,) = scaled(face, 1.4, None)
    assert larger.box[2:] == pytest.approx(1.4 * face.box[2:])
    assert larger.box[:2] + larger.box[2:] / 2 == pytest.approx(face.box[:2] + face.box[2:] / 2)


@pytest.mark.parametrize("textured", [False, True])
def test_a_block_covers_its_share_and_the_points_under_it(textured):
    from robustness import GRAY, covered

    face = _drawn_face()
    extent = np.ptp(face.landmarks, axis=0)
    donors = [np.full((20, 30), 77, np.uint8)] if textured else None
    level = 77 if textured else GRAY
    for seed in range(5):
        for percent in (10, 30):
            (after,) = covered(face, percent, np.random.default_rng(seed), donors=donors)
            block = (after.image == level) & (face.image != level)
            assert block.sum() == pytest.approx(percent / 100 * extent.prod(), rel=0.06)
            under = np.array([block[y, x] for x, y in np.rint(face.landmarks).astype(int)])
            assert (after.hidden | ~under).all()
            assert 0 < after.hidden.sum() < 68
            assert (after.image[~block] == face.image[~block]).all()
        (same,) = covered(face, 0, np.random.default_rng(seed), donors=donors)
        assert not same.hidden.any()
        assert same.image is face.image


def test_a_block_may_reach_beyond_the_image():
    from robustness import Face, covered

    landmarks = np.random.default_rng(0).uniform(-60, 20, (68, 2))
    face = Face(np.zeros((40, 30), np.uint8), np.array([0.0, 0.0, 20.0, 20.0]), landmarks)
    for seed in range(20):
        (after,) = covered(face, 30, np.random.default_rng(seed))
        assert after.image.shape == face.image.shape


def test_errors_of_points_in_sight_leave_out_the_hidden_ones():
    from dataclasses import replace

    from robustness import errors

    face = _drawn_face()
    hidden = np.arange(68) >= 34

    def off(case):
        return case.landmarks + np.where(hidden, 10.0, 0.0)[:, None]

    every, seen = errors({"off": off}, [face], lambda case, *_: [replace(case, hidden=hidden)], None)
    assert seen["off"] == pytest.approx([0.0])
    pupils = np.linalg.norm(face.landmarks[36:42].mean(axis=0) - face.landmarks[42:48].mean(axis=0))
    assert every["off"] == pytest.approx([100 * np.hypot(10, 10) / 2 / pupils])


def test_the_typical_box_is_found_again():
    from types import SimpleNamespace

    from robustness import typical_box

    low = np.random.default_rng(0).uniform(0, 50, (20, 2))
    size = np.random.default_rng(1).uniform(40, 80, (20, 2))
    landmarks = np.stack([low, low + size, low + size / 2], axis=1)
    longer = size.max(axis=1, keepdims=True)
    sides = 1.2 * longer * [1, 1]
    boxes = np.hstack([low + size / 2 + [0.1, -0.3] * longer - sides / 2, sides])
    offset, side = typical_box(SimpleNamespace(landmarks=landmarks, boxes=boxes))
    assert offset == pytest.approx([0.1, -0.3])
    assert side == pytest.approx(1.2)


def _measured(shift, scale, roll, dlib=9.0):
    def curve(what, amounts, means):
        settings = {"ert": means, "ert, accurate": means, "dlib": [dlib] * len(means)}
        intervals = {name: [[-1.0, 1.0]] * len(means) for name in ("ert", "ert, accurate")}
        return {"what": what, "amounts": amounts, "nme": settings, "minus dlib, 95 %": intervals}

    curves = {
        "shift": curve("shift", [0, 15, 30], shift),
        "scale": curve("scale", [0.7, 0.8, 1.0, 1.2], scale),
        "roll": curve("roll", [0, 30, 45], roll),
    }
    return {"curves": curves, "ytf": {}}


def test_targets_and_where_dlib_is_better():
    import robustness_page

    good = _measured([5.0, 5.35, 8.9], [8.0, 5.3, 5.0, 5.35], [5.0, 5.9, 8.0])
    assert [holds for _, holds, _ in robustness_page.bars(good["curves"], "ert")] == [True, True, True]
    assert list(robustness_page.worse(good)) == []
    assert robustness_page.verdicts(good)[-1].startswith("In no condition")
    bad = _measured([5.0, 5.5, 9.5], [8.0, 5.5, 5.0, 5.3], [5.0, 6.1, 8.0])
    found = list(robustness_page.bars(bad["curves"], "ert"))
    assert [holds for _, holds, _ in found] == [False, False, False]
    assert found[1][2] == "+0.50 at 0.8 times"
    assert [(each[0], each[1]) for each in robustness_page.worse(bad)] == [("shift", 30)] * 2


def test_a_page_keeps_the_text_around_its_figures(tmp_path):
    import common

    page = tmp_path / "page.md"
    page.write_text(f"before\n{common.BEGIN}\nold\n{common.END}\nafter\n")
    for _ in range(2):
        common.write_figures(page, ["new"])
        assert page.read_text() == f"before\n{common.BEGIN}\n\nnew\n\n{common.END}\nafter\n"


@pytest.mark.filterwarnings("ignore:a box lies mostly outside its image")
def test_calibration_of_the_confidence(confident_model, faces, monkeypatch, tmp_path):
    import calibration
    import calibration_page
    import common

    monkeypatch.setattr(calibration, "N_TIMED", 4)
    images, boxes = [image for image, _ in faces[0][:20]], np.array([box for _, box in faces[0][:20]])
    given = {"dlib": (images, boxes, faces[1][:20]), "haar": (images, boxes - 1.0, faces[1][:20])}
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    found = calibration.measure(confident_model, given, {"noise": [(noise, (9.0, 9.0, 40.0, 40.0))] * 3})
    X = list(zip(images, boxes, strict=True))
    shapes, std = confident_model.predict(X, return_std=True)
    errors = np.linalg.norm(faces[1][:20] - shapes, axis=2)
    share = (errors <= confident_model.std_radius(0.9) * std).mean()
    assert found["coverage"]["boxes dlib"][2] == pytest.approx(share)
    fifths = [fifth["share"] for fifth in found["coverage by expected error"]["boxes dlib"]]
    assert np.mean(fifths) == pytest.approx(share)
    assert found["failed"]["both boxes"]["faces"] == 40
    assert found["non-faces"]["noise"]["squares"] == 3
    assert found["non-faces"]["noise"]["rejected"] == 1
    assert sum(row["count"] for row in found["within"]) == 2 * 20 * 68
    times = calibration.timed(confident_model, images, boxes)
    assert len(times) == 3
    measured = found | {"milliseconds": times, "faces": 20, "model": "drawn", "cpu": "x", "date": "today"}
    monkeypatch.setattr(calibration_page, "FIGURE", tmp_path / "figure.svg")
    monkeypatch.setattr(calibration_page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(calibration_page, "result", lambda name: measured)
    (tmp_path / "page.md").write_text(f"{common.BEGIN}\n{common.END}\n")
    calibration_page.main()
    text = (tmp_path / "page.md").read_text()
    assert "| noise: at least 95 % rejected when 95 % of the faces are kept | met | 100.0 % of 3 |" in text
    assert (tmp_path / "figure.svg").read_text().startswith("<svg")


@pytest.fixture
def person():
    pytest.importorskip("cv2")
    from moving_faces import Person

    image = ert.load_image(ert.sample_image())[20:220, 120:330].mean(axis=2).astype(np.uint8)
    (face,) = ert.align(image)
    return Person(image, face.landmarks)


def test_moving_faces_have_their_true_landmarks(person):
    from moving_faces import PATHS, moving, vanishing

    model = ert.load("face68")
    for path in PATHS:
        clip = moving(person, path, 0.1, 1)
        for frame, truth in zip(clip.frames, clip.truth[:, 0], strict=True):
            size = np.ptp(truth, axis=0).max()
            box = (*(truth.mean(axis=0) - (0.45 * size, 0.55 * size)), 0.9 * size, 0.9 * size)
            error = np.linalg.norm(model.predict([(frame, box)], max_roll=15)[0] - truth, axis=1).mean()
            assert error < (0.05 if path in ("mouth", "all") else 0.025) * size, path
    gone = vanishing(person, 0.2, 1)
    assert np.isnan(gone.truth[:, 0, 0, 0]).tolist() == [False] * 3 + [True] * 3


def test_occluded_faces_have_no_truth(person):
    from moving_faces import passing

    hidden = np.isnan(passing(person, person, 1, 0, 0).truth[:, :, 0, 0])
    assert not hidden[:, 0].any()
    assert not hidden[[0, -1], 1].any()
    assert hidden[13:17, 1].all()


def test_lag_is_found_again():
    from video import figures, followed, lag

    truth = 100 * np.sin(np.arange(90) / 8)[:, None, None] + np.random.default_rng(0).uniform(0, 90, (68, 2))
    late = np.vstack([truth[:1], truth[:1], truth[:-2]])
    assert lag(late[10:], truth[10:]) == pytest.approx(2, abs=0.1)
    assert lag(truth + 3, truth) == pytest.approx(0, abs=1e-9)
    found, ids = followed([[(4, shape + 1), (5, shape + 500)] for shape in truth[:-3]] + [[]] * 3, truth)
    assert ids == [4] * 87
    measured = figures(found, truth)
    assert measured["missed"] == pytest.approx(3 / 90)
    assert measured["step px"] == pytest.approx(0, abs=1e-9)
    assert measured["lag frames"] == pytest.approx(0, abs=1e-9)


def test_versions_are_compared_in_turns():
    from versions import CALLS, compare

    order = []

    class Version:
        def __init__(self, name, seconds, shift):
            self.name, self.seconds, self.shift = name, seconds, shift

        def run(self, task, calls):
            order.append((self.name, calls))
            return self.seconds, np.full((1, 5, 2), self.shift)

    task = next(iter(CALLS))
    figures = compare(Version("old", 0.003, 1.0), Version("new", 0.002, 1.5), [task], 4)
    assert figures[task] == {
        "old ms": pytest.approx(3),
        "new ms": pytest.approx(2),
        "old / new": pytest.approx(1.5),
        "quartiles": pytest.approx([1.5, 1.5]),
        "largest difference px": 0.5,
    }
    assert [name for name, _ in order[2:]] == ["new", "old", "old", "new"] * 2
    assert {calls for _, calls in order[2:]} == {CALLS[task]}


def test_clients_of_a_service_count_wrong_answers(monkeypatch):
    import service

    class Connection:
        """A server that refuses "c"."""

        def __init__(self, host, port):
            assert port == 8000

        def request(self, method, path, body):
            self.status, self.answer = 400 if body == b"c" else 200, [path, body.decode()]

        def getresponse(self):
            return self

        def read(self):
            return json.dumps(self.answer)

        def close(self):
            pass

    monkeypatch.setattr(service.http.client, "HTTPConnection", Connection)
    requests = [
        ((b"a", None), (200, ["/landmarks", "a"])),
        ((b"b", "1,2,3,4"), (200, ["/landmarks?box=1,2,3,4", "b"])),
        ((b"c", None), (200, ["/landmarks", "c"])),
    ]
    milliseconds, wrong, seconds, memory = service.run_clients(8000, os.getpid(), requests, 4, 30)
    assert sorted(wrong) == list(range(2, 30, 3))
    assert milliseconds.max() < 1e3 * seconds
    assert len(memory) == 30
    assert min(memory) > 20
    assert service.percentiles(np.arange(101.0)) == {"median ms": 50, "p90 ms": 90, "p99 ms": 99, "max ms": 100}


def test_the_table_of_figures(tmp_path, monkeypatch):
    import common
    import readme_table

    written = {}
    monkeypatch.setattr(common, "write_figures", lambda file, lines: written.update({file.name: lines}))
    readme_table.main()
    assert len(written["README.md"]) == 2 + len(readme_table.README_ROWS)
    assert set(written["README.md"]) < set(written["results.md"])


def test_the_tables_of_times(monkeypatch):
    import common
    import speed_page

    written = {}
    monkeypatch.setattr(common, "write_figures", lambda file, lines: written.update({file.name: lines}))
    speed_page.main()
    rows = [line for line in written["speed.md"] if line.startswith("|")]
    assert len(rows) == 31
    # Of each table, all rows have as many cells.
    assert {line.count("|") for line in rows} == {4, 5}
    assert [speed_page.milliseconds(value) for value in (0.0564, 1.5, 79.7)] == ["0.056 ms", "1.50 ms", "80 ms"]


def test_the_picture_of_boxes(tmp_path, monkeypatch, capsys):
    import boxes_picture
    from PIL import Image

    monkeypatch.setattr(boxes_picture, "PICTURE", tmp_path / "boxes.jpg")
    boxes_picture.main()
    side = 2 * boxes_picture.TILE + boxes_picture.GAP
    with Image.open(tmp_path / "boxes.jpg") as picture:
        assert picture.size == (side, side)
    errors = [float(line.split(": ")[1].split()[0]) for line in capsys.readouterr().out.splitlines()]
    # The page says that the first two boxes can be used, and the other two cannot.
    assert max(errors[:2]) < 5
    assert min(errors[2:]) > 30


def test_the_costliest_model_loads_and_its_costs_become_a_table(tmp_path):
    import model_cost

    found = model_cost.measure(quick=1)
    (times,) = found["seconds"].values()
    assert set(times) == set(model_cost.WAYS)
    lines = model_cost.table(found)
    assert lines[2].startswith("| 500 x 500 | ")
    assert lines[-1].startswith("The file has ")


def test_one_thread_and_all_take_turns():
    from small_fits import busy_processes, take_turns

    images, boxes, landmarks = ert.datasets.synthetic_faces(6, seed=0, size=64)
    small = {"n_stages": 1, "n_trees": 3, "n_pool_candidates": 0, "n_pixels": 20, "working_size": 48, "n_inits": 2}
    with busy_processes(1):
        found = take_turns(list(zip(images, boxes, strict=True)), landmarks, 2, **small)
    assert found["default against one thread"] > 0
    assert [len(each) for each in found["run by run"].values()] == [2, 2]


def test_objects_are_compared_on_the_same_folds(monkeypatch, tmp_path):
    pytest.importorskip("dlib")
    import objects

    faces = ert.load_dataset(synthetic_dataset(tmp_path / "faces", 20, seed=8) / "landmarks.csv")
    monkeypatch.setattr(objects, "load", lambda data, name: (faces, None))
    monkeypatch.setattr(objects, "N_FOLDS", 2)
    settings = {"box_from": "whole", "n_stages": 1, "n_trees": 5, "n_inits": 2}
    monkeypatch.setattr(ert, "train", functools.partial(ert.train, **settings))
    small = {"num_trees_per_cascade_level": 5, "cascade_depth": 1, "oversampling_amount": 2}
    monkeypatch.setattr(objects, "DLIB_OPTIONS", {"dlib": small})
    objects.run_missing(None, tmp_path, ["drawn"], ["ert", "ert, accurate", "dlib"])
    assert len(list(tmp_path.glob("drawn, *.json"))) == 6
    (of_test, _), (other, _) = (objects.split(None, "drawn", f"{fold}/2")[::-1] for fold in (1, 2))
    assert sorted(of_test.files + other.files) == sorted(faces.files)
    perfect = {"landmarks": (of_test.y + [3, 4]).tolist()} | dict.fromkeys(objects.TIMES, 1.0)
    objects.prediction_file(tmp_path, "drawn", "network", "1").write_text(json.dumps(perfect))
    monkeypatch.setattr(objects, "run_dlib", None)  # nothing is computed again
    objects.run_missing(None, tmp_path, ["drawn"], ["dlib", "network"])
    found = objects.summarize(None, tmp_path, "drawn")
    methods = found["methods"]
    assert {name: row["photos"] for name, row in methods.items()} == {
        "ert": 20,
        "ert, accurate": 20,
        "dlib": 20,
        "network": 10,
    }
    assert methods["network"]["px"] == pytest.approx(5)
    assert methods["dlib"]["% - ert's"] == pytest.approx(methods["dlib"]["%"] - methods["ert"]["%"])
    lines = list(objects.tables({"drawn": found}))
    assert lines[5].startswith("| drawn (68 points, 10 photos): network, 1 of 2 folds | ")
    assert len(lines) == 9


def test_errors_of_x_rays_are_in_millimeters(tmp_path):
    import dataclasses

    import objects

    faces = ert.load_dataset(synthetic_dataset(tmp_path / "faces", 4, seed=8) / "landmarks.csv")
    scaled = dataclasses.replace(faces, scales=np.full(4, 0.25))
    shapes = faces.y.copy()
    shapes[:, ::2, 0] += 9.6
    found = objects.describe(scaled, shapes)
    assert found["mm"] == pytest.approx(1.2)
    assert list(found["within mm"].values()) == pytest.approx([0.5, 1, 1, 1])
    assert "mm" not in objects.describe(faces, shapes)


def test_a_heat_map_network_reads_landmarks_from_its_maps(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    import heatmap_network

    monkeypatch.setattr(heatmap_network, "WIDTHS", (4, 6, 6))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (90, 120), dtype=np.uint8) for _ in range(3)]
    landmarks = rng.uniform(20, 80, (3, 5, 2))
    canvas = heatmap_network.Canvas(images, 64)
    assert canvas.shape == (64, 64)
    matrix = canvas.transform(images[0])
    assert heatmap_network.moved(matrix, np.array([59.5, 44.5])) == pytest.approx(31.5)
    columns, rows = np.meshgrid(np.arange(32), np.arange(32))
    on_canvas = rng.uniform(12, 50, (2, 5, 2))
    x, y = ((on_canvas - 0.5) / 2)[..., None, None, :].transpose(4, 0, 1, 2, 3)
    logits = torch.from_numpy(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * heatmap_network.SIGMA**2))
    assert np.abs(heatmap_network.peaks(logits) - on_canvas).max() < 0.05
    assert heatmap_network.loss(logits, on_canvas) < heatmap_network.loss(logits, on_canvas + 2)

    def training():
        return heatmap_network.Training(images, landmarks, 64, 0, tmp_path / "checkpoint.pt")

    first = training()
    pixels, shapes = first.batch()
    assert pixels.shape == (heatmap_network.BATCH, 1, 64, 64)
    assert shapes.shape == (heatmap_network.BATCH, 5, 2)
    first.run(1e-9)
    assert first.steps == 1
    again = training()
    assert again.steps == 1
    assert np.array_equal(again.predict(images[0]), first.predict(images[0]))
    assert np.array_equal(again.batch()[0], first.batch()[0])


def test_actions_of_a_simulated_person_are_counted():
    from types import SimpleNamespace

    from annotation_help import honesty, simulate

    truth = np.zeros((30, 4, 2)) + [[0, 0], [60, 0], [60, 80], [0, 80]]
    truth[25, 3] = np.nan
    known = np.isfinite(truth).all(axis=2)
    trained = []

    def model(done, measured):
        def proposed(i):
            assert i not in done
            # One landmark is off by 3 % of the diagonal, another by 1 %.
            moved = np.nan_to_num(truth[i]) + [[3, 0], [1, 0], [0, 0], [0, 0]]
            return moved, np.ones(4), np.ones(4)

        trained.append(len(done))
        return SimpleNamespace(done=list(done), proposed=proposed, save=lambda: None, known={"seconds": 1.0})

    boxes, names = np.tile([0.0, 0, 60, 80], (30, 1)), tuple("abcd")
    dataset = ert.Dataset([Path(f"{i}.png") for i in range(30)], boxes, truth, names, "squares")
    photos = SimpleNamespace(dataset=dataset, known=known, sizes=np.full(30, 100.0), model=model, without_help=149)
    found = simulate(photos, lambda done, model: len(done), 1.5)
    assert trained == [10, 15, 22]
    assert found["actions by photo"] == [5] * 10 + [2] * 20
    assert found["share"] == pytest.approx(90 / 149)
    rows = [(0.5, 1, 0.9, 0, 100)] * 9 + [(5, 1, 0.9, 1, 100)]
    figures = honesty(rows)
    assert figures["corrected"] == pytest.approx(figures["corrected, as expected"]) == pytest.approx(0.1)
    assert figures["error %"] == pytest.approx(0.95)


def test_eyes_of_a_share_of_the_faces_are_closed():
    from shut_eyes import with_shut_eyes

    from ert.datasets.synthetic import synthetic_faces

    images, boxes, y = synthetic_faces(30, seed=1, size=96)
    X = list(zip(images, boxes, strict=True))
    changed, landmarks = with_shut_eyes(X, y, 0.5)
    closed = np.flatnonzero((landmarks != y).any(axis=(1, 2)))
    assert 8 < len(closed) < 22
    assert [i for i in range(30) if changed[i][0] is not X[i][0]] == closed.tolist()
    assert (ert.eye_aspect_ratio(landmarks)[closed] < ert.eye_aspect_ratio(y)[closed]).all()
    assert np.array_equal(with_shut_eyes(X, y, 0.5)[1], landmarks)
    assert np.array_equal(with_shut_eyes(X, y, 0.0)[1], y)


def test_shut_eyes_are_told_from_open_ones():
    from shut_eyes import CLOSED, clip_figures, telling

    shut = np.array([True, True, False, False])
    perfect = telling(shut, np.array([0.1, 0.15, 0.3, 0.35]))
    assert list(perfect.values()) == [1, 1, 1]
    found = telling(shut, np.array([0.1, 0.3, 0.15, 0.4]))
    assert list(found.values()) == pytest.approx([(1 + 2 / 3) / 2, 0.5, 0.5])

    def locate(frames, _):
        shapes = np.zeros((len(frames), 68, 2))
        shapes[:, [39, 45]] = 1, 0
        shapes[:, [40, 41, 46, 47], 1] = 0.3 * (1 - np.array(frames))[:, None]
        return shapes

    figures = clip_figures(locate, CLOSED, (0, 0, 1, 1))
    assert figures == {"ratio, shut / open": 0, "precision": pytest.approx(16 / 17), "recall": 1}


def test_the_plan_of_trainings_on_a_cluster():
    from sharded import figure_lines, plan

    def size(faces):
        samples = 10 * faces
        found = {"faces": faces, "samples": samples, "two workers over one, trees a second": 1.9}
        for n in (1, 2):
            # 100 ns of a sample and tree; 5 us of a sample and 0.1 s of a stage.
            tree = {"seconds": 1e-7 * samples / n, "processor seconds": 1e-7 * samples / n, "messages": 5, "bytes": 3e4}
            rest = {"seconds": 1.0, "processor seconds": 0.1 + 5e-6 * samples / n, "messages": 60, "bytes": 7e6}
            found[f"{n} workers"] = {"a tree": tree, "the rest of a stage": rest}
        return found

    sizes = [size(20_000), size(200_000)]
    found = plan(sizes, 30e-6, 6000)
    assert found["nanoseconds of a tree and sample"] == pytest.approx(100)
    assert found["nanoseconds of the rest of a stage and sample"] == pytest.approx(5000)
    assert found["seconds of a stage that no number of workers divides"] == pytest.approx(0.1)
    million = found["rows"][2]
    thread = 10 * (0.1 + 20e6 * (500 * 1e-7 + 5e-6)) / 3600
    exchange = 10 * (500 * 5 * 6 * (60e-6 + 6000 / 1.25e9) + (20_000 * 544 + 16 * 20e6) / 1.25e9) / 3600
    assert million["faces"] == 1_000_000
    assert million["hours of a thread"] == pytest.approx(thread)
    assert million["hours"] == pytest.approx((thread - 1 / 3600) / 64 + 1 / 3600 + exchange)
    assert million["exchange"] == pytest.approx(exchange / million["hours"])
    result = {
        "sizes": sizes,
        "plan": found,
        "bytes of an exchange": 12096,
        "microseconds of an exchange": {"sockets": 30, "multiprocessing.connection": 36, "distributed": 450},
        "load_average": {"before": [0.1, 0.1, 0.1], "after": [2.1, 1.0, 0.5]},
        "cores": 2,
    }
    text = "\n".join(figure_lines(result))
    assert "| 200,000 | 2,000,000 | 200 ms, 200.0 ms | 100 ms, 100.0 ms | 1.90 | 2.00 | 5 | 30,000 |" in text
    assert "Below a million faces a cluster does not pay" in text
