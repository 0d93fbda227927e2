import re
from base64 import b64decode
from io import BytesIO

import numpy as np
from lxml import html
from PIL import Image

from ert.evaluation.reports.html import facts, figure, gallery, key_figures, page, plain, table

HOSTILE = "<script>alert('1')</script> & \"quoted\"\nname\ud800"


def parsed(text):
    text.encode("utf-8")  # nothing in it that cannot be written
    return html.document_fromstring(text)


def test_a_page_asks_the_network_for_nothing():
    picture = np.zeros((4, 6, 3), np.uint8)
    text = page("Title", "lead", [("A", gallery([(picture, "caption", "what it shows")]))])
    tree = parsed(text)
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none'")
    assert not tree.xpath("//script | //link | //iframe")
    assert all(source.startswith("data:") for source in tree.xpath("//@src"))
    assert not re.findall(r"url\(|@import|https?:", text)


def test_nothing_in_a_text_becomes_html():
    parts = [
        table(HOSTILE, (HOSTILE, "b"), [(HOSTILE, HOSTILE)]),
        key_figures([(HOSTILE, HOSTILE, HOSTILE)]),
        facts({HOSTILE: HOSTILE}),
        figure("<svg></svg>", HOSTILE),
        gallery([(np.zeros((2, 2, 3), np.uint8), HOSTILE, HOSTILE)]),
    ]
    tree = parsed(page(HOSTILE, HOSTILE, [(HOSTILE, part) for part in parts]))
    assert not tree.xpath("//script")
    shown = "<script>alert('1')</script> & \"quoted\" name\\ud800"
    assert tree.xpath("//h1")[0].text == shown
    assert tree.xpath("//td")[0].text == shown
    assert tree.xpath("//img/@alt") == [shown]
    assert plain("a\tb") == "a b"


def test_tables_have_headers_and_captions():
    tree = parsed(page("t", "l", [("A", table("Caption", ("group", "n"), [("a", 1), ("b", 2)]))]))
    assert tree.xpath("//caption")[0].text == "Caption"
    assert [cell.text for cell in tree.xpath("//thead//th[@scope='col']")] == ["group", "n"]
    assert [cell.text for cell in tree.xpath("//tbody//th[@scope='row']")] == ["a", "b"]
    assert [cell.text for cell in tree.xpath("//td")] == ["1", "2"]
    # What scrolls on a narrow screen can be reached and is named.
    assert tree.xpath("//div[@tabindex='0' and @role='region']/@aria-label") == ["Caption"]


def test_sections_are_listed_when_there_are_many():
    few, many = (page("t", "l", [(str(i), "x") for i in range(n)]) for n in (3, 4))
    assert not parsed(few).xpath("//nav")
    links = parsed(many).xpath("//nav//a/@href")
    assert links == [f"#{name}" for name in parsed(many).xpath("//h2/@id")]
    assert len(links) == 4


def test_a_page_refreshes_only_when_it_is_to():
    assert not parsed(page("t", "l", [])).xpath("//meta[@http-equiv='refresh']")
    assert parsed(page("t", "l", [], refresh=7)).xpath("//meta[@http-equiv='refresh']/@content") == ["7"]


def test_pictures_are_inside():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200
    image = parsed(page("t", "l", [("A", gallery([(picture, "c", "half dark")]))])).xpath("//img")[0]
    assert (image.get("width"), image.get("height"), image.get("alt")) == ("60", "40", "half dark")
    kind, data = image.get("src").split(",")
    assert kind == "data:image/jpeg;base64"
    read = np.asarray(Image.open(BytesIO(b64decode(data))))
    assert np.abs(read.astype(int) - picture).mean() < 5
