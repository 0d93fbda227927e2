import re
import shutil
import sys
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from lxml import html
from PIL import Image

import ert
from ert import InputError
from ert.datasets.dataset import Dataset
from ert.datasets.synthetic import synthetic_dataset
from ert.evaluation.attributes import Column
from ert.evaluation.radial import radial_figures
from ert.evaluation.report import Evaluation, environment, parameter_table, write_page, write_report
from ert.metrics import evaluate, nme
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


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return ert.load_dataset(synthetic_dataset(tmp_path_factory.mktemp("report") / "faces", 30, seed=4))


def report(path, model, dataset, norms=None, **changes):
    predicted = model.predict(dataset.X)
    figures = evaluate(dataset.y, predicted, norms) | {"landmark_names": list(dataset.landmark_names)}
    given = {
        "predicted": predicted,
        "figures": figures | {"pixels": radial_figures(dataset.y, predicted)},
        "columns": {},
        "milliseconds": None,
        "about": {"Dataset": "drawn faces"},
    }
    write_report(path, "A report", Evaluation(model, dataset, **(given | changes)))
    return html.document_fromstring(path.read_text(encoding="utf-8"))


def tables(tree):
    """Rows of text by the tables' captions."""
    return {
        table.find("caption").text: [
            [cell.text_content() for cell in row.xpath("th | td")] for row in table.xpath(".//tr")
        ]
        for table in tree.xpath("//table")
    }


def test_the_page_shows_the_results_of_evaluate(small_model, dataset, tmp_path):
    columns = {"side": Column(np.array(["left", "right"] * 15, object), "which side")}
    milliseconds = np.random.default_rng(0).gamma(4, 0.1, (20, 5))
    notes = ["Something to know."]
    page = tmp_path / "report.html"
    tree = report(page, small_model, dataset, columns=columns, milliseconds=milliseconds, notes=notes)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    predicted = small_model.predict(dataset.X)
    expected = evaluate(dataset.y, predicted)["norms"]
    found = tables(tree)
    for name, mean, *_, failures in found["Error by normalizer; AUC and failures at 8 %"][1:]:
        assert float(mean) == pytest.approx(expected[name]["mean"], abs=6e-4)
        assert failures == f"{expected[name]['failure_rate_8']:.2%}"
    errors = nme(dataset.y, predicted, "inter-ocular")
    for group, row in zip(("left", "right"), found["By side"][1:], strict=True):
        assert row[:2] == [group, "15"]
        assert float(row[2]) == pytest.approx(errors[group == "right" :: 2].mean(), abs=6e-3)
    per_landmark = expected["inter-ocular"]["per_landmark"]
    listed = found["All landmarks, largest error first, in % of the inter-ocular distance"][1:]
    assert [int(name) for name, *_ in listed] == np.argsort(-np.array(per_landmark), kind="stable").tolist()
    assert len(found["Regions, right and left of the subject, in % of the inter-ocular distance"]) == 10
    times = dict(row for row in found["100 calls: 20 objects, 5 times each"])
    assert float(times["99th percentile"]) == pytest.approx(np.percentile(milliseconds, 99), abs=6e-4)
    text = tree.text_content()
    for said in ("Something to know.", "which side", "drawn faces", "n_trees"):
        assert said in text
    assert len(tree.xpath("//svg")) == 3  # errors, landmarks, stages
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in tree.xpath("//svg"))


def test_the_faces_with_the_largest_and_smallest_errors_are_shown(small_model, dataset, tmp_path):
    tree = report(tmp_path / "report.html", small_model, dataset)
    errors = nme(dataset.y, small_model.predict(dataset.X), "inter-ocular")
    shown = [re.match(r"(\S+) % (\S+)", caption.text_content()) for caption in tree.xpath("//li//figcaption")]
    order = np.argsort(errors, kind="stable")
    chosen = [*order[::-1][:12], *order[:6]]
    assert [match[2] for match in shown] == [dataset.files[i].name for i in chosen]
    assert [float(match[1]) for match in shown] == pytest.approx(errors[chosen], abs=6e-3)
    for image, i in zip(tree.xpath("//li//a/img"), chosen, strict=True):
        assert dataset.files[i].name in image.get("alt")
        assert image.get("width") == image.get("height") == "320"


def test_missing_landmarks_one_normalizer_and_few_objects(small_model, dataset, tmp_path):
    lacking = dataset.landmarks[:3].copy()
    lacking[:, 5] = np.nan
    few = Dataset(dataset.files[:3], dataset.boxes[:3], lacking, dataset.landmark_names, "few")
    tree = report(tmp_path / "report.html", small_model, few, norms=["box"])
    found = tables(tree)
    assert [row[0] for row in found["Error by normalizer; AUC and failures at 8 %"]] == ["normalizer", "box"]
    unit = "in % of the box size, sqrt(width x height) of the true landmarks"
    assert len(found[f"All landmarks, largest error first, {unit}"]) == 1 + 67
    assert len(tree.xpath("//li//a/img")) == 3
    one = few.subset([0])
    assert len(report(tmp_path / "report.html", small_model, one, norms=["box"]).xpath("//li//a/img")) == 1


def test_other_objects_and_names_that_look_like_html(faces, tmp_path):
    folder = synthetic_dataset(tmp_path / "faces", 6, seed=4)
    dataset = ert.load_dataset(folder / "landmarks.csv")
    name = "<b>&amp;'\".png"
    files = []
    for i, file in enumerate(dataset.files):
        files.append(tmp_path / f"{i}{name}")
        shutil.copy(file, files[-1])
    names = tuple(f"<i>{i}</i>" for i in range(5))
    shapes = dataset.landmarks[:, :5]
    five = Dataset(tuple(files), dataset.boxes, shapes, names, "five")
    model = ert.ShapePredictor(n_stages=1, n_trees=5, n_inits=2, n_pixels=40, n_jobs=1)
    model.fit(five.X, five.y, landmark_names=names, notes={"<u>": "<s>"})
    tree = report(tmp_path / "report.html", model, five)
    assert not tree.xpath("//b | //i | //u | //s")
    (rows,) = (rows for caption, rows in tables(tree).items() if caption.startswith("All landmarks, largest"))
    assert {row[0] for row in rows[1:]} == {*names}
    assert "Objects" in [heading.text for heading in tree.xpath("//h2")]


def test_parameters_that_were_changed_come_first():
    model = ert.ShapePredictor(n_trees=7, mirror=[1, 0], blur=0.0)
    caption, head, rows = parameter_table(model)
    assert caption == "Parameters; 3 differ from the default"
    assert head == ("parameter", "value", "default")
    assert rows[:3] == [("n_trees", "7", "500"), ("mirror", "[1, 0]", "None"), ("blur", "0.0", "1.0")]
    assert ("max_depth", "4", "") in rows


def test_the_confidence_is_compared_with_the_errors(confident_model, small_model, dataset, tmp_path):
    tree = report(tmp_path / "report.html", confident_model, dataset)
    rows = tables(tree)["Coverage of the standard errors"]
    shapes = confident_model.predict(dataset.X)
    said = confident_model.assess(dataset.X, shapes)
    errors = np.linalg.norm(dataset.y - shapes, axis=2)
    for level, (meant, bound) in zip((0.5, 0.8, 0.9, 0.95), rows[1:], strict=True):
        assert meant == f"{100 * level:.0f} %"
        share = (errors <= confident_model.std_radius(level) * said.std).mean()
        assert float(bound.split()[0]) == pytest.approx(100 * share, abs=0.06)
    text = tree.text_content()
    lengths = np.linalg.norm(dataset.y[:, 36] - dataset.y[:, 45], axis=1)
    assert f"{(errors.mean(axis=1) > 0.08 * lengths).sum()} of 30 objects failed" in text
    assert "Confidence" in text
    assert "Confidence" not in report(tmp_path / "plain.html", small_model, dataset).text_content()


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
    text = page(lambda macros: macros.gallery([(picture, "caption", "what it shows", picture)]))
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
            + macros.gallery([(np.zeros((2, 2, 3), np.uint8), HOSTILE, HOSTILE, np.zeros((2, 2, 3), np.uint8))])
        )

    tree = parsed(parts, title=HOSTILE)
    assert not tree.xpath("//script")
    assert tree.xpath("//h1")[0].text == SHOWN
    assert tree.xpath("//td")[0].text == SHOWN
    assert set(tree.xpath("//img/@alt")) == {SHOWN}
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
    image = parsed(lambda macros: macros.gallery([(picture, "c", "half dark", picture)])).xpath("//img")[0]
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
