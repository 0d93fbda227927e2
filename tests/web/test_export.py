"""Pages of `ert export web` as files: what is in them and what is not. What they do is in tests/browser."""

import json
import re
from base64 import b64decode
from hashlib import sha256

import numpy as np
import pytest
from cli.running import refused, run
from lxml import html

import ert
from ert._core.files import bundled_models, sample_image
from ert.web.export import export_page, face68_links

MAX_FACE68_BYTES = 7_000_000


@pytest.fixture(scope="module")
def face68(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "face68.html"
    export_page("face68", path)
    return path


def parsed(path):
    return html.document_fromstring(path.read_text(encoding="utf-8"))


def text_of(page, id):
    return page.get_element_by_id(id).text


def sources(page):
    """The modules of a page by name."""
    (found,) = page.xpath("//script[@type='importmap']")
    urls = json.loads(found.text)["imports"]
    return {name: b64decode(url.removeprefix("data:text/javascript;base64,")).decode() for name, url in urls.items()}


def test_the_page_of_face68_is_small_and_has_the_model_inside(face68, tmp_path):
    assert face68.stat().st_size < MAX_FACE68_BYTES
    file = tmp_path / "inside.ert"
    file.write_bytes(b64decode(text_of(parsed(face68), "model")))
    inside, image = ert.load(file), ert.load_image(ert.sample_image())
    assert inside.box_source_ == "face"
    box = (176.0, 65.0, 98.0, 98.0)
    assert np.array_equal(inside.predict([(image, box)]), ert.load("face68").predict([(image, box)]))


def test_the_page_asks_no_network(face68):
    page = parsed(face68)
    # Addresses are in texts for people, not where a browser loads them.
    assert not page.xpath("//@src | //@href | //link | //iframe | //object | //embed | //img")
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert not {"connect-src", "img-src", "media-src", "font-src", "frame-src", "worker-src"} & set(directives)
    assert not re.search(r"https?:|\*|unsafe", policy)
    assert not re.search(r"url\(|@import", page.xpath("//style")[0].text)


def test_the_policy_allows_what_is_in_the_page(face68):
    page = parsed(face68)
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    hashes = {b64decode(found) for found in re.findall(r"'sha256-([^']+)'", policy)}
    kinds = page.xpath("//style | //script[@type='importmap'] | //script[@type='module'] | //script[not(@type)]")
    assert hashes == {sha256(element.text.encode()).digest() for element in kinds}


def test_no_module_of_the_page_can_reach_a_network(face68):
    """What the policy does not forbid (WebRTC, preconnections, new windows) is nowhere in the code."""
    ways = r"RTC|\bfetch\(|XMLHttp|Socket|Beacon|EventSource|preconnect|prefetch"
    ways += r"|window\.open|location\.|\bopen\(['\"]|innerHTML|\beval\("
    for name, text in sources(parsed(face68)).items():
        assert not re.search(ways, text), name


def test_all_modules_are_there_and_import_by_name(face68):
    modules = sources(parsed(face68))
    assert {"app.js", "ert.js", "locator.js", "faces.js", "tracker.js"} <= set(modules)
    for name, text in modules.items():
        for imported in re.findall(r'^(?:import\b[^"]*|} from )"([^"]+)"', text, re.MULTILINE):
            assert imported in modules, f"{name} imports {imported}"


def test_terms_are_readable_in_the_page_and_in_its_source(face68, small_model, tmp_path):
    page = parsed(face68)
    about = page.get_element_by_id("about").text_content()
    comment = page.xpath("//comment()")[0].text
    for text in (about, comment):
        assert ert.load("face68").summary_["notes"]["license"] in text
        assert "Redistribution and use in source and binary forms" in text
        assert "https://github.com/opencv/opencv/tree/master/data/lbpcascades" in text
        assert "names no author and no terms" in text
        # Nobody is named of whom the file says nothing.
        assert not re.search("Intel|Willow Garage", text)
    other = tmp_path / "other.html"
    small_model.fitted_.summary["notes"].clear()
    export_page(small_model, other)
    about = parsed(other).get_element_by_id("about").text_content()
    assert "noted no terms" in about
    # Its boxes are given: there is no detector in its page.
    assert "OpenCV" not in about
    assert json.loads(text_of(parsed(other), "settings"))["cascade"] is None


def test_the_license_is_that_of_the_package():
    from ert.web.export import FOLDER

    root = FOLDER.parents[1] / "LICENSE"
    if not root.exists():
        pytest.skip("needs the repository")
    assert (FOLDER / "page" / "license.txt").read_text() == root.read_text()


def test_boxes_may_come_from_elsewhere(small_model, tmp_path):
    export_page(small_model, tmp_path / "page.html", box_from="face")
    settings = json.loads(text_of(parsed(tmp_path / "page.html"), "settings"))
    assert (settings["boxSource"], settings["object"], settings["cascade"]["window"]) == ("face", "face", [24, 24])
    for source, message in (("learned", "the model has no locator"), ("nose", "box_from='nose': expected one of")):
        with pytest.raises(ert.InputError, match=message):
            export_page(small_model, tmp_path / "other.html", box_from=source)
    assert not (tmp_path / "other.html").exists()


def test_hostile_texts_stay_texts(small_model, tmp_path):
    bad = "</script><script>alert(1)</script>--><img src=x onerror=alert(1)>{{model}}"
    small_model.fitted_.summary["notes"] |= {bad: bad, "license": bad}
    model = tmp_path / "a'b\"<b>&{{title}}.ert"
    small_model.save(model)
    export_page(model, tmp_path / "page.html", title=bad)
    export_page(model, tmp_path / "untitled.html")
    small_model.fitted_.summary["notes"].clear()
    page, plain = parsed(tmp_path / "page.html"), parsed(tmp_path / "untitled.html")
    assert page.xpath("//h1")[0].text == page.xpath("//title")[0].text == bad
    assert plain.xpath("//h1")[0].text == f"Landmarks by the model {model.stem}"
    assert bad in page.get_element_by_id("about").text_content()
    assert not page.xpath("//img")
    assert len(page.xpath("//script")) == 5
    assert json.loads(text_of(page, "settings"))["name"] == model.stem


def test_links_join_neighbors_in_the_68_landmarks():
    links = face68_links()
    assert len(links) == len(set(links)) == 68 - 9 + 4
    assert (0, 1) in links
    assert (41, 36) in links
    assert (16, 17) not in links


def test_equal_models_give_equal_pages(face68, tmp_path):
    export_page("face68", tmp_path / "again.html", title="Landmarks by the model face68")
    assert (tmp_path / "again.html").read_bytes() == face68.read_bytes()


def test_an_example_is_reduced_and_upright(small_model, tmp_path):
    export_page(small_model, tmp_path / "page.html", image=sample_image())
    (example,) = parsed(tmp_path / "page.html").xpath("//script[@id='example']")
    assert example.get("data-name") == "astronaut.jpg"
    (tmp_path / "example.jpg").write_bytes(b64decode(example.text))
    assert ert.load_image(tmp_path / "example.jpg").shape == ert.load_image(sample_image()).shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "none.ert"}, "none.ert: no such file"),
        ({"out": "page.txt"}, "page.txt: expected a file ending in .html"),
        ({"out": "none/page.html"}, "page.html: cannot be written: there is no folder"),
        ({"title": " "}, "title: expected one line of text of at most 200 characters"),
        ({"title": "a\nb"}, "title: expected one line of text"),
        ({"title": "a" * 201}, "title: expected one line of text"),
        ({"image": "none.jpg"}, "none.jpg: no such file"),
    ],
)
def test_bad_input_is_refused_and_writes_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ert.InputError, match=re.escape(message)):
        export_page(**({"model": "face5", "out": "page.html"} | arguments))
    assert not list(tmp_path.iterdir())


def test_pages_replace_only_pages(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<!DOCTYPE html><meta name="generator" content="ert">')
    with pytest.raises(ert.InputError, match="exists and is not a page of ert export web"):
        export_page("face5", page)
    assert page.read_text().startswith("<!DOCTYPE html><meta name")
    page.unlink()
    assert export_page("face5", page) == page.stat().st_size
    assert export_page("face5", page) == page.stat().st_size


def test_the_command_writes_the_page(tmp_path, capsys):
    out = tmp_path / "page.html"
    assert run("export", "web", "face5", "--out", out, "--title", "Five points") == 0
    assert re.search(r"face5 -> .*page.html: \d\.\d MB", capsys.readouterr().err)
    assert parsed(out).xpath("//h1")[0].text == "Five points"
    assert "expected a file ending in .html" in refused(capsys, "export", "web", "face5", "--out", tmp_path / "x.ert")
    model = bundled_models()["face5"]
    line = refused(capsys, "export", "web", model, "--out", model, "--force")
    assert "expected a file ending in .html" in line or "cannot be written" in line
