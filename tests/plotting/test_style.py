import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from lxml import etree
from PIL import Image

from ert import InputError
from ert.plotting.charts import plot_ced
from ert.plotting.style import check_chart_file, new_axes, require_plot_packages

ERRORS = {"first": [1.0, 2.0, 9.0], "<b> & $x$": [2.0, 3.0, 4.0]}


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


def test_neither_pyplot_nor_the_users_settings_are_touched():
    # To ask for the backend would import pyplot.
    def settings():
        return {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}

    before = settings()
    with matplotlib.rc_context({"axes.facecolor": "black", "text.usetex": False}):
        plot_ced(ERRORS).svg()
    assert settings() == before
    assert "matplotlib.pyplot" not in sys.modules
    assert np.allclose(new_axes(3, 2).figure.get_size_inches(), (3, 2))


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
