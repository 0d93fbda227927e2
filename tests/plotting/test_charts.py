import numpy as np
import pytest
from lxml import etree

from ert.plotting import charts
from ert.plotting.charts import (
    Curve,
    ced_curve,
    landmark_map,
    line_chart,
    reliability_chart,
    stage_chart,
    x_limit,
)

SVG = {"s": "http://www.w3.org/2000/svg"}


def drawn(svg):
    return etree.fromstring(svg.encode("utf-8"))


def points(element):
    return np.array([pair.split(",") for pair in element.get("points").split()], float)


def chart(curves, **options):
    given = {"title": "What it shows", "x_label": "x", "y_label": "y", "x_end": 10.0, "y_end": 100.0}
    return drawn(line_chart(curves, **(given | options)))


@pytest.mark.parametrize(
    ("errors", "end"), [([0.0], 1), ([1.0], 1.2), ([9.0], 10), ([0.02, 0.034], 0.04), ([2000.0], 2500)]
)
def test_the_axis_ends_at_a_round_number_beyond_the_errors(errors, end):
    assert x_limit(np.array(errors)) == pytest.approx(end)


def test_a_few_wild_errors_do_not_press_the_curves_flat():
    assert x_limit(np.array([3.0] * 100 + [900.0])) < 10
    assert x_limit(np.array([[3.0] * 10 + [90.0] * 3, [2.0] * 13])) == 15


def test_a_curve_goes_through_its_points():
    curve = Curve("", np.array([0.0, 5, 10, 20]), np.array([0.0, 50, 100, 100]))
    svg = chart([curve])
    placed = points(svg.findall(".//s:polyline", SVG)[0])
    # What lies beyond the axis is left out; the middle of both axes is in the middle.
    assert len(placed) == 3
    np.testing.assert_allclose(placed[1], (placed[0] + placed[2]) / 2, atol=0.1)
    assert placed[0, 0] < placed[2, 0]
    assert placed[0, 1] > placed[2, 1]  # up is towards 0 in a picture
    ticks = {text.text: float(text.get("x")) for text in svg.findall(".//s:text", SVG)}
    assert ticks["4"] == pytest.approx(placed[0, 0] + 0.4 * np.ptp(placed[:, 0]), abs=0.2)


def test_two_curves_are_told_apart_by_color_dashes_and_a_key():
    curves = [Curve(name, np.arange(3.0), np.arange(3.0)) for name in ("first & last", "second")]
    svg = chart(curves, dots=True, x_end=2)
    colors = [line.get("stroke") for line in svg.findall(".//s:polyline", SVG)]
    assert colors == [*charts.ON_PAPER, *charts.ON_PAPER]
    assert len({line.get("stroke-dasharray") for line in svg.findall(".//s:polyline", SVG)}) == 2
    assert {"first & last", "second"} <= {text.text for text in svg.findall(".//s:text", SVG)}
    assert len(svg.findall(".//s:circle", SVG)) == 6
    whole = [text.text for text in svg.findall(".//s:text", SVG) if text.text in ("0.5", "1", "2")]
    assert whole.count("0.5") == 0


def test_the_cumulative_curve_is_that_of_the_errors():
    errors = np.random.default_rng(0).gamma(4, 1, 500)
    curve = ced_curve("", errors, 10.0)
    assert curve.x[[0, -1]].tolist() == [0, 10]
    for place in (100, 250, 390):
        assert curve.y[place] == pytest.approx(100 * (errors <= curve.x[place]).mean())


@pytest.mark.parametrize("end", [0.04, 1.0, 1.2, 8, 10, 25, 100, 2500])
def test_ticks_are_few_round_and_inside(end):
    ticks = charts._ticks(end)
    assert 3 <= len(ticks) <= 7
    assert ticks[0] == 0
    assert end * 0.5 < ticks[-1] <= end * 1.001
    assert (charts._ticks(end, whole=True) % 1 == 0).all()


def test_stages_are_drawn_with_validation_or_without():
    history = [{"stage": i + 1, "train_nme": 9.0 / (i + 1), "validation_nme": 4.0} for i in range(3)]
    svg = drawn(stage_chart(history, 10))
    assert "after stage 3: 3.00 % in training and 4.00 % in validation" in svg.get("aria-label")
    assert len(svg.findall(".//s:circle", SVG)) == 6
    alone = [{"stage": 1, "train_nme": 0.0}]
    assert len(drawn(stage_chart(alone, 1)).findall(".//s:circle", SVG)) == 1


def circles(svg):
    """The circles of errors: those that have a title."""
    return [c for c in svg.findall(".//s:circle", SVG) if c.find("s:title", SVG) is not None]


def test_errors_of_landmarks_are_true_to_scale():
    shape = [(0, 0), (10, 0), (0, 10), (10, 10)]
    svg = drawn(landmark_map(shape, [4, 8, 2, np.nan], ["a", "b", "<c>", "d"], length=10.0, label="x"))
    said = {c.find("s:title", SVG).text: c for c in circles(svg)}
    assert list(said) == ["b: 8.00 %", "a: 4.00 %", "<c>: 2.00 %"]  # small ones over large ones
    places = {key: np.array([float(c.get("cx")), float(c.get("cy"))]) for key, c in said.items()}
    side = places["b: 8.00 %"][0] - places["a: 4.00 %"][0]
    assert places["<c>: 2.00 %"][1] - places["a: 4.00 %"][1] == pytest.approx(side, abs=0.2)
    for key, part in (("b: 8.00 %", 0.08), ("a: 4.00 %", 0.04), ("<c>: 2.00 %", 0.02)):
        assert float(said[key].get("r")) == pytest.approx(part * side, abs=0.2)
    assert len({c.get("fill") for c in said.values()}) == 3
    assert "largest is that of b, 8.00 %" in svg.get("aria-label")
    width, height = float(svg.get("width")), float(svg.get("height"))
    for c in circles(svg):
        x, y, r = (float(c.get(key)) for key in ("cx", "cy", "r"))
        assert r <= x <= width - r
        assert r <= y <= height - r
    # A landmark without an error still has its place.
    assert len(svg.findall(".//s:circle", SVG)) == 3 + 4


@pytest.mark.parametrize(("percent", "times"), [(0.1, 50), (1.1, 2), (4, 1), (30, 0.1), (90000, 0.01)])
def test_errors_too_small_or_large_to_draw_are_magnified_and_said_to_be(percent, times):
    svg = drawn(landmark_map([(0, 0), (10, 0)], [percent, 0], ["a", "b"], length=10.0, label="x"))
    said = [text.text for text in svg.findall(".//s:text", SVG)][-1]
    assert said == ("x" if times == 1 else f"x; circles {times:g} times as large")
    first, second = circles(svg)
    side = float(second.get("cx")) - float(first.get("cx"))
    assert float(first.get("r")) == pytest.approx(times * percent / 100 * side, abs=0.2)


def test_a_face_is_joined_by_lines():
    shape = np.random.default_rng(0).random((68, 2))
    names = [str(i) for i in range(68)]
    svg = drawn(landmark_map(shape, np.ones(68), names, length=0.1, label="x"))
    assert len(svg.findall(".//s:polyline", SVG)) == 9
    nothing = drawn(landmark_map(shape, np.full(68, np.nan), names, length=0.1, label="x"))
    assert not circles(nothing)
    flat = drawn(landmark_map([(0, 0), (1, 0)], [0, 0], ["a", "b"], length=1.0, label="x"))
    assert len(circles(flat)) == 2


def test_colors_go_from_light_to_dark():
    levels = [int(charts._shade(part)[1:3], 16) for part in np.linspace(0, 1, 9)]
    assert levels == sorted(levels, reverse=True)
    assert charts._shade(0) == charts._SHADES[0]
    assert charts._shade(1) == charts._SHADES[-1]


def test_a_reliability_chart_places_what_was_told_and_what_came():
    table = [
        {"probability": 0.0, "share": 0.0, "count": 1, "weight": 0.1},
        {"probability": 1.0, "share": 1.0, "count": 9, "weight": 0.9},
    ]
    other = [{"probability": 0.5, "share": 0.25, "count": 9, "weight": 1.0}]
    tree = drawn(reliability_chart({"points": table, "<faces>": other}))
    circles = [each for each in tree.iter("{*}circle") if each.find("{*}title") is not None]
    xs, ys = ([float(each.get(name)) for each in circles] for name in ("cx", "cy"))
    assert xs[2] == pytest.approx((xs[0] + xs[1]) / 2, abs=0.1)
    assert ys[2] == pytest.approx(0.75 * ys[0] + 0.25 * ys[1], abs=0.1)
    assert float(circles[0].get("r")) < float(circles[1].get("r"))
    assert circles[2].find("{*}title").text == "<faces>: 50 % told, 25 % came true"
