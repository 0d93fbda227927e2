import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from lxml import etree
from matplotlib.colors import to_hex
from matplotlib.patches import Circle
from PIL import Image

from ert import InputError
from ert.metrics import auc, ced
from ert.plotting.charts import (
    CHART_COLORS,
    _magnification,
    check_chart_file,
    plot_ced,
    plot_landmark_errors,
    plot_learning_curve,
    plot_reliability,
    plot_stages,
    require_plot_packages,
    x_limit,
)

ERRORS = {"first": [1.0, 2.0, 9.0], "<b> & $x$": [2.0, 3.0, 4.0]}


def axes_of(chart):
    return chart.figure.axes[0]


def curves_of(chart):
    """The data of the lines that have more than one point and a label or a color of curves."""
    lines = axes_of(chart).get_lines()
    return [line for line in lines if to_hex(line.get_color()) in CHART_COLORS and len(line.get_xdata()) > 1]


@pytest.mark.parametrize(
    ("errors", "end"), [([0.0], 1), ([1.0], 1.2), ([9.0], 10), ([0.02, 0.034], 0.04), ([2000.0], 2500)]
)
def test_the_axis_ends_at_a_round_number_beyond_the_errors(errors, end):
    assert x_limit([errors]) == pytest.approx(end)


def test_a_few_outliers_do_not_flatten_the_curves():
    assert x_limit([[3.0] * 100 + [900.0]]) < 10
    assert x_limit([[3.0] * 10 + [90.0] * 3, [2.0] * 13]) == 15
    assert x_limit([[3.0] * 10 + [np.inf] * 10]) == x_limit([[3.0]])
    assert x_limit([[np.inf]]) > 0


def test_the_ced_is_that_of_the_errors():
    rng = np.random.default_rng(0)
    errors = {"A <1>": rng.gamma(4, 1, 500), "B $x$": rng.gamma(4, 1.5, 400)}
    chart = plot_ced(errors, title="faces of $ale", x_label="error")
    axes, lines = axes_of(chart), curves_of(chart)
    assert axes.get_title() == "faces of $ale"
    assert axes.get_xlabel() == "error"
    assert len(lines) == 2
    for line, (name, values) in zip(lines, errors.items(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * ced(values, line.get_xdata())[1])
        assert line.get_xdata()[[0, -1]].tolist() == [0, axes.get_xlim()[1]]
        summary = f"mean {values.mean():.2f} %, AUC at 8 % {auc(values):.3f}"
        assert line.get_label() == f"{name}\n{summary}"
        assert f"{name}: {summary}" in chart.description
    assert [to_hex(line.get_color()) for line in lines] == list(CHART_COLORS[:2])
    assert len({line.get_linestyle() for line in lines}) == 2
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[0].startswith("A <1>")
    assert texts[-1] == "failures above 8 %"


def test_a_single_curve_has_no_legend_and_failures_are_marked_if_they_are_shown():
    chart = plot_ced({"": [1.0, 2.0, 3.0]})
    assert axes_of(chart).get_legend() is None
    assert not axes_of(chart).texts
    assert axes_of(plot_ced({"": [1.0, 2.0]}, x_end=3.5)).get_xlim() == (0, 3.5)
    far = plot_ced({"": [1.0, 20.0, 30.0]}, failure_limit=5)
    assert [text.get_text().strip() for text in axes_of(far).texts] == ["failures"]
    assert far.description.startswith("Cumulative error distribution; mean 17.00 %")


def test_a_learning_curve_has_intervals_where_they_are_known():
    rows = [
        {"n_images": 10, "error": None, "interval_95": None},
        {"n_images": 20, "error": 2.0, "interval_95": None},
        {"n_images": 40, "error": 1.5, "interval_95": [1.0, 1.75]},
    ]
    chart = plot_learning_curve(rows)
    assert chart.description == "Learning curve; 2.00 % with 20 photos, 1.50 % with 40 photos"
    (axes,) = chart.figure.axes
    assert axes.lines[0].get_xydata().tolist() == [[20, 2.0], [40, 1.5]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["20", "40"]
    (bars,) = axes.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[2, 2], [1, 1.75]]
    assert plot_learning_curve(rows[:1]).description.startswith("Learning curve")


def test_names_of_few_landmarks_are_in_the_chart():
    points = np.random.default_rng(0).normal(size=(40, 2))
    names = [f"p{i}" for i in range(40)]
    shown = plot_landmark_errors(points, np.ones(40), names, length=1.0, label="error")
    assert {text.get_text() for text in shown.figure.axes[0].texts} == set(names)
    points = np.vstack([points, [[0, 0]]])
    many = plot_landmark_errors(points, np.ones(41), [*names, "more"], length=1.0, label="error")
    assert not many.figure.axes[0].texts


def test_stages_are_drawn_with_validation_or_without():
    history = [{"stage": i + 1, "train_nme": 9.0 / (i + 1), "validation_nme": 4.0} for i in range(3)]
    chart = plot_stages(history, 10)
    assert "after stage 3: 3.00 % in training and 4.00 % in validation" in chart.description
    training, validation = curves_of(chart)
    assert [*training.get_xdata()] == [1, 2, 3]
    assert [*training.get_ydata()] == [9, 4.5, 3]
    assert [*validation.get_ydata()] == [4, 4, 4]
    assert axes_of(chart).get_xlim() == (0, 10)
    assert axes_of(chart).get_ylim()[1] >= 9
    assert (axes_of(chart).get_xticks() % 1 == 0).all()
    assert [text.get_text() for text in axes_of(chart).get_legend().get_texts()] == ["training", "validation"]
    second = [entry | {"member": 2, "train_nme": 12.0} for entry in history[:2]]
    both = plot_stages(history + second, 10)
    assert "of 2 members; the first after stage 3: 3.00 % in training and 4.00 % in validation" in both.description
    assert [[*curve.get_ydata()] for curve in curves_of(both)] == [[9, 4.5, 3], [12, 12], [4, 4, 4], [4, 4]]
    assert len(axes_of(both).get_legend().get_texts()) == 2
    alone = plot_stages([{"stage": 1, "train_nme": 0.0}], 1)
    assert len(axes_of(alone).get_lines()) == 1
    assert axes_of(alone).get_legend() is None


def circles(chart):
    """Circles of the errors by their tooltips, in drawing order."""
    patches = [patch for patch in axes_of(chart).patches if isinstance(patch, Circle)]
    return {chart.tooltips[patch.get_gid()]: patch for patch in patches}


def test_errors_of_landmarks_are_true_to_scale():
    shape = [(0, 0), (10, 0), (0, 10), (10, 10)]
    chart = plot_landmark_errors(shape, [4, 8, 2, np.nan], ["a", "b", "<c>", "d"], length=10.0, label="x")
    found = circles(chart)
    assert list(found) == ["b: 8.00 %", "a: 4.00 %", "<c>: 2.00 %"]  # small circles over large ones
    for key, center, radius in (("b", (10, 0), 0.8), ("a", (0, 0), 0.4), ("<c>", (0, 10), 0.2)):
        (circle,) = (patch for text, patch in found.items() if text.startswith(f"{key}:"))
        assert circle.center == pytest.approx(center)
        assert circle.radius == pytest.approx(radius)
    assert len({circle.get_facecolor() for circle in found.values()}) == 3
    assert "the largest is b: 8.00 %" in chart.description
    axes = axes_of(chart)
    assert axes.get_aspect() == 1
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert bottom > top  # y down, as in images
    for circle in found.values():
        assert left < circle.center[0] - circle.radius < circle.center[0] + circle.radius < right
        assert top < circle.center[1] - circle.radius < circle.center[1] + circle.radius < bottom
    # A landmark without an error still has a dot.
    assert max(len(line.get_xdata()) for line in axes.get_lines()) == 4
    assert chart.svg().count("<title>") == 1 + 3
    assert "<title>&lt;c&gt;: 2.00 %</title>" in chart.svg()


@pytest.mark.parametrize(("percent", "factor"), [(0.1, 50), (1.1, 2), (4, 1), (30, 0.1), (90000, 0.01)])
def test_errors_too_small_or_large_to_draw_are_magnified_and_labeled(percent, factor):
    chart = plot_landmark_errors([(0, 0), (10, 0)], [percent, 0], ["a", "b"], length=10.0, label="x")
    label = chart.figure.axes[1].get_xlabel()
    assert label == ("x" if factor == 1 else f"x; circles magnified {factor:g} times")
    first, _ = circles(chart).values()
    assert first.radius == pytest.approx(factor * percent / 10)


@pytest.mark.parametrize(("radius", "factor"), [(0, 1), (0.012, 1), (0.08, 1), (0.0119, 2), (0.081, 0.5), (99, 0.01)])
def test_magnification(radius, factor):
    assert _magnification(radius) == factor


def test_a_face_is_joined_by_lines():
    shape = np.random.default_rng(0).random((68, 2))
    names = [str(i) for i in range(68)]
    chart = plot_landmark_errors(shape, np.ones(68), names, length=0.1, label="x")
    assert len(axes_of(chart).get_lines()) == 9 + 1
    nothing = plot_landmark_errors(shape, np.full(68, np.nan), names, length=0.1, label="x")
    assert not circles(nothing)
    assert nothing.svg()
    flat = plot_landmark_errors([(0, 0), (1, 0)], [0, 0], ["a", "b"], length=1.0, label="x")
    assert len(circles(flat)) == 2
    assert flat.svg()


def test_colors_of_errors_go_from_light_to_dark():
    values = np.arange(9.0)
    shape = np.column_stack([values, values])
    chart = plot_landmark_errors(shape, values, [str(i) for i in range(9)], length=1.0, label="x")
    lightness = [sum(circle.get_facecolor()[:3]) for circle in circles(chart).values()]
    assert lightness == sorted(lightness)  # the largest error is drawn first


def test_reliability_is_observed_against_predicted():
    table = [
        {"probability": 0.0, "share": 0.0, "count": 1, "weight": 0.1},
        {"probability": 1.0, "share": 1.0, "count": 9, "weight": 0.9},
    ]
    other = [{"probability": 0.5, "share": 0.25, "count": 9, "weight": 1.0}]
    chart = plot_reliability({"landmarks": table, "<faces>": other})
    markers = [line for line in axes_of(chart).get_lines() if line.get_gid()]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in markers] == [(0, 0), (100, 100), (50, 25)]
    assert markers[0].get_markersize() < markers[1].get_markersize() < markers[2].get_markersize()
    assert chart.tooltips[markers[2].get_gid()] == "<faces>: predicted 50 %, observed 25 %"
    assert "&lt;faces&gt;: predicted 50 %, observed 25 %</title>" in chart.svg()
    assert [text.get_text() for text in axes_of(chart).get_legend().get_texts()] == ["landmarks", "<faces>"]


def test_the_same_chart_gives_the_same_svg():
    first, second = plot_ced(ERRORS), plot_ced(ERRORS)
    text = first.svg()
    assert text == first.svg() == second.svg()
    assert "metadata" not in text
    tree = etree.fromstring(text.encode())
    assert tree.get("role") == "img"
    assert tree.get("aria-label") == first.description
    assert tree[0].text == first.description
    # Text stays text, and ids are only those that something refers to.
    texts = ["".join(each.itertext()).strip() for each in tree.iter("{*}text")]
    assert "<b> & $x$" in texts
    for element in tree.iter():
        assert element.get("id") is None or f"#{element.get('id')}" in text


def test_the_suffix_determines_the_format(tmp_path):
    chart = plot_ced(ERRORS)
    for suffix in (".png", ".svg", ".pdf"):
        chart.save(tmp_path / f"chart{suffix}")
    with Image.open(tmp_path / "chart.png") as image:
        assert min(image.size) > 500
        assert image.getpixel((0, 0))[:3] == (255, 255, 255)
    assert (tmp_path / "chart.svg").read_text(encoding="utf-8") == chart.svg() + "\n"
    assert (tmp_path / "chart.pdf").read_bytes().startswith(b"%PDF")
    assert chart._repr_svg_() == chart.svg()
    assert repr(chart).startswith("Chart(4.4 x 2.95 in: Cumulative error distribution; first: mean 4.00 %")
    with pytest.raises(InputError, match=r"chart\.xyz: unknown suffix '\.xyz', expected \.png"):
        chart.save(tmp_path / "chart.xyz")
    with pytest.raises(InputError, match="cannot be written"):
        chart.save(tmp_path / "none" / "chart.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_any_text_can_be_drawn(tmp_path):
    chart = plot_ced({"\u4e2d\n\ud800": [1.0, 2.0], "b": [1.0, 2.0]}, title="\udcff\n" * 99, x_label="\ud800")
    etree.fromstring(chart.svg().encode())
    assert "\u4e2d \\ud800" in chart.svg()
    chart.save(tmp_path / "chart.png")


def test_the_users_settings_are_not_touched():
    # To ask for the backend would import pyplot.
    def settings():
        return {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}

    before = settings()
    with matplotlib.rc_context({"axes.facecolor": "black", "text.usetex": False}):
        plot_ced(ERRORS).svg()
    assert settings() == before
    assert np.allclose(plot_ced(ERRORS, size=(3, 2)).figure.get_size_inches(), (3, 2))


def test_pyplot_is_not_imported():
    code = "import sys, ert.plotting; ert.plotting.plot_ced({'a': [1.0, 2.0]}).svg()"
    code += "; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


def test_missing_packages_are_named(monkeypatch):
    require_plot_packages("x", "numpy")
    with pytest.raises(InputError, match=r'^r\.html: needs nonesuch, which .*pip install "ert-landmarks\[plot\]"$'):
        require_plot_packages("r.html", "numpy", "nonesuch")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"a\.png: needs matplotlib, .*ert-landmarks\[plot\]"):
        check_chart_file("a.png")
    with pytest.raises(InputError, match=r"needs matplotlib"):
        plot_ced(ERRORS)


def test_matplotlib_is_imported_only_when_something_is_plotted():
    code = "import sys, ert.plotting; sys.exit('matplotlib' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
