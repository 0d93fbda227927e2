import re
import sys
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from lxml import html
from PIL import Image

from ert import InputError
from ert.evaluation.reports.html import environment, write_page
from ert.plotting.charts import plot_ced

HOSTILE = "<script>alert('1')</script> & \"quoted\"\nname\ud800"
SHOWN = "<script>alert('1')</script> & \"quoted\" name\\ud800"

SECTIONS = """{% extends "page.html.j2" %}
{% import "macros.html.j2" as macros %}
{% block a %}{{ a(macros) }}{% endblock %}
{% block b %}{% endblock %}
{% block c %}{% endblock %}
{% block d %}{% endblock %}
"""


def page(part=lambda macros: "", *, title="t", sections="a", refresh=None):
    """Render a page whose first section contains what `part` makes of the macros."""
    named = {name: f"{title} {name}" for name in sections}
    values = {"title": title, "lead": title, "sections": named, "refresh": refresh}
    text = environment().from_string(SECTIONS).render(values, a=part)
    text.encode("utf-8")  # no lone surrogates
    return text


def parsed(*arguments, **options):
    return html.document_fromstring(page(*arguments, **options))


def test_a_page_loads_nothing_from_the_network():
    picture = np.zeros((4, 6, 3), np.uint8)
    text = page(lambda macros: macros.gallery([(picture, "caption", "what it shows")]))
    tree = html.document_fromstring(text)
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none'")
    assert not tree.xpath("//script | //link | //iframe")
    assert all(source.startswith("data:") for source in tree.xpath("//@src"))
    assert not re.findall(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme: dark" in tree.xpath("//style")[0].text


def test_text_never_becomes_html():
    chart = plot_ced({"": [1.0]}, x_label=HOSTILE)

    def parts(macros):
        return (
            macros.table(HOSTILE, (HOSTILE, "b"), [(HOSTILE, HOSTILE)])
            + macros.key_figures([(HOSTILE, HOSTILE, HOSTILE)])
            + macros.facts({HOSTILE: HOSTILE})
            + macros.figure(chart, HOSTILE)
            + macros.gallery([(np.zeros((2, 2, 3), np.uint8), HOSTILE, HOSTILE)])
        )

    tree = parsed(parts, title=HOSTILE)
    assert not tree.xpath("//script")
    assert tree.xpath("//h1")[0].text == SHOWN
    assert tree.xpath("//td")[0].text == SHOWN
    assert tree.xpath("//img/@alt") == [SHOWN]
    assert {caption.text for caption in tree.xpath("//figcaption")} == {SHOWN}
    long = parsed(lambda macros: macros.facts({"a\tb": "x" * 5000}))
    assert long.xpath("//dt")[0].text == "a b"
    assert len(long.xpath("//dd")[0].text) == 500


def test_tables_have_headers_and_captions():
    tree = parsed(lambda macros: macros.table("Caption", ("group", "n"), [("a", 1), ("b", 2)]))
    assert tree.xpath("//caption")[0].text == "Caption"
    assert [cell.text for cell in tree.xpath("//thead//th[@scope='col']")] == ["group", "n"]
    assert [cell.text for cell in tree.xpath("//tbody//th[@scope='row']")] == ["a", "b"]
    assert [cell.text for cell in tree.xpath("//td")] == ["1", "2"]
    # The scrolled region is reachable by keyboard and has a name.
    assert tree.xpath("//div[@tabindex='0' and @role='region']/@aria-label") == ["Caption"]


def test_there_are_contents_for_many_sections():
    assert not parsed(sections="abc").xpath("//nav")
    tree = parsed(sections="abcd")
    links = tree.xpath("//nav//a/@href")
    assert links == [f"#{name}" for name in tree.xpath("//h2/@id")] == ["#a", "#b", "#c", "#d"]


def test_a_page_refreshes_only_on_request():
    assert not parsed().xpath("//meta[@http-equiv='refresh']")
    assert parsed(refresh=7).xpath("//meta[@http-equiv='refresh']/@content") == ["7"]


def test_pictures_are_inline():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200
    image = parsed(lambda macros: macros.gallery([(picture, "c", "half dark")])).xpath("//img")[0]
    assert (image.get("width"), image.get("height"), image.get("alt")) == ("60", "40", "half dark")
    kind, data = image.get("src").split(",")
    assert kind == "data:image/jpeg;base64"
    read = np.asarray(Image.open(BytesIO(b64decode(data))))
    assert np.abs(read.astype(int) - picture).mean() < 5


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_packages_are_named_before_any_work(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'r\.html: needs {package}, .*pip install "ert-landmarks\[plot\]"'):
        write_page(tmp_path / "r.html", "page.html.j2")
    assert not list(tmp_path.iterdir())
