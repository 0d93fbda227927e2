import sys
from pathlib import Path

import numpy as np
import pytest

import ert
from ert.synthetic import synthetic_dataset

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and BENCHMARKS in Path(str(sys.modules[name].__file__)).parents
        ):
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


def test_the_parts_of_a_prediction_make_the_whole():
    import roofline

    import ert

    image = np.ascontiguousarray(ert.load_image(ert.sample_image())[:, :, 0])
    spent, multiply_adds = roofline.parts_of(ert.load("face68"), image, (176.0, 65.0, 98.0, 98.0), 1)
    assert {"cut the crop", "walk the trees", "add the leaves", "Python"} <= set(spent)
    assert multiply_adds > 10_000


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
    for norm in ("inter-pupil", "inter-ocular"):
        assert figures[f"NME {norm}"]["mean"] == pytest.approx(expected[norm]["mean"])
        assert figures[f"NME {norm}"]["interval_95"] == pytest.approx(expected[norm]["interval_95"])
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


def test_a_card_says_what_its_figures_say(measured_card):
    from card_text import card, limits

    result = measured_card[0] | {"made": {"date": "2020-02-02", "versions": dict.fromkeys("abc", "1.0")}}
    result["made"]["versions"] |= {"ert-landmarks": "1.0", "numpy": "2.0", "numba": None}
    sentences = " ".join(limits(result))
    assert (
        f"15 faces that dlib's HOG detector missed have **{result['missed']['dlib']['ratio']:.2f} times**"
        in sentences
    )
    assert "that OpenCV's Haar cascade missed" not in sentences
    assert "from one source, `faces`" in sentences
    text = card(result)
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 118
    for group in result["by"]["inter-ocular"]["columns"]["yaw"]["groups"]:
        assert f"| {group['group']} | {group['n']} | {group['mean']:.2f}" in text
    assert "`n_trees=40`" in text
    assert "{" not in text

    def told(low, high):
        row = {"column": "yaw", "group": "1 to 2", "words": "that are turned most"}
        compared = {"faces": 20, "ratio": 1.5, "interval_95": [low, high]}
        extremes = [row | {"inter-ocular": compared, "box": compared}]
        return next(iter(limits(result | {"extremes": extremes, "together": []})))

    assert told(1.2, 1.8).startswith("The 20 faces that are turned most (`yaw` 1 to 2) have **1.50 times**")
    assert told(0.9, 2.1).startswith("Whether these differ from the others, so few faces cannot tell")
    assert "turned most" not in told(0.5, 0.9)


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
