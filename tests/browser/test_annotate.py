"""A whole annotation in a real browser against the real server: marks, a killed server, a model, checks, export."""

import re

import numpy as np
import pytest
from browser.conftest import GONE, screenshot, wait_until
from browser.test_editor import Editor
from drawn import standard_photos
from PIL import Image

import ert
from ert.datasets.dataset import Dataset
from ert.datasets.formats import write_dataset

NAMES = ("nose", "back", "tail", "hip", "notch", "chin")
CONFLICT = ("status of 409",)
# Of a training on a machine with other work.
MANY_SECONDS = 300


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder of 12 drawn photos, and their landmarks."""
    folder = tmp_path_factory.mktemp("drawn")
    images, shapes = standard_photos(12, np.random.default_rng(3))
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"photo{i:02d}.png")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    return folder, shapes


def mark(editor, points):
    for x, y in points:
        editor.click(x, y)


def shows(editor, name):
    editor.page.locator("#name", has_text=name).wait_for()


def open_editor(open_page, server, photo=None, **options):
    """Open the page, with a photo of this number."""
    address = server.url if photo is None else f"{server.url}#{photo + 1}"
    return Editor(open_page(address, **options), server, (120, 100))


def test_an_annotation_from_the_first_photo_to_the_file(drawn, tmp_path, annotate, open_page):
    folder, shapes = drawn
    out = tmp_path / "marks.tps"
    arguments = (folder, "--scheme", folder / "names.txt", "--out", out, "--first-training", 5, "--jobs", 1)
    server = annotate(*arguments)
    editor = open_editor(open_page, server, expected=GONE)
    order = []

    def finish():
        name = editor.page.locator("#name").text_content()
        order.append(int(re.search(r"\d+", name).group()))
        editor.press("Enter")
        wait_until(lambda: editor.page.locator("#name").text_content() != name)

    def here():
        return int(re.search(r"\d+", editor.page.locator("#name").text_content()).group())

    # By mouse, with a mistake that is undone, and one that is dragged to its place.
    first = here()
    mark(editor, shapes[first][:2])
    editor.click(5, 5)
    editor.press("Control+z")
    mark(editor, [shapes[first][2] + (6, -4)])
    editor.drag(shapes[first][2] + (6, -4), shapes[first][2])
    editor.press("Escape")
    editor.page.mouse.move(*editor.at(5, 5))
    mark(editor, shapes[first][3:])
    screenshot(editor.page, "annotate_wide")
    finish()
    # By keyboard alone: P puts a cross, and takes the landmark there.
    second = here()
    wanted = np.rint(shapes[second][0])
    mark(editor, [wanted + (12, 3)])
    editor.press("Shift+Tab", "Shift+ArrowLeft", *["ArrowLeft"] * 2, *["ArrowUp"] * 3, "Escape")
    mark(editor, shapes[second][1:])
    finish()
    third = here()
    mark(editor, shapes[third])
    finish()
    fourth = here()
    mark(editor, shapes[fourth][:4])
    editor.saved(fourth)
    server.kill()
    # What is marked while there is no server is kept in the tab.
    mark(editor, [shapes[fourth][4]])
    editor.page.get_by_role("alert").filter(has_text="Is ert annotate still running?").wait_for()
    editor.page.context.close()

    server = annotate(*arguments)
    editor = open_editor(open_page, server, fourth)
    # Everything that was saved is there, also of the photo that was not done.
    assert server.get("/api/status?since=0")["counts"] == {"todo": 8, "started": 1, "done": 3, "skipped": 0}
    photo = server.get(f"/api/photos/{fourth}")
    assert photo["status"] == "started"
    assert np.array(photo["objects"][0]["landmarks"][:4]) == pytest.approx(shapes[fourth][:4], abs=0.3)
    editor.page.reload()
    editor.page.locator("#name", has_text=".").wait_for()
    editor.press("0")
    shows(editor, f"photo{fourth:02d}")
    mark(editor, shapes[fourth][4:])
    finish()
    fifth = here()
    mark(editor, shapes[fifth])
    finish()

    # The fifth photo starts a training, and its model proposes the points of the next photo.
    editor.page.get_by_role("button", name="Accept", exact=True).wait_for(timeout=1000 * MANY_SECONDS)
    assert server.get("/api/status?since=0")["model"]["version"] == 1
    sixth = here()
    screenshot(editor.page, "annotate_proposal")
    finish()
    photo = server.get(f"/api/photos/{sixth}")
    assert photo["status"] == "done"
    assert np.hypot(*(np.array(photo["objects"][0]["landmarks"]) - shapes[sixth]).T).max() < 12
    # A proposal is corrected in one place by a drag.
    seventh = here()
    editor.page.get_by_role("button", name="Accept", exact=True).wait_for()
    proposed = server.get(f"/api/photos/{seventh}/proposal")["objects"][0]["landmarks"]
    moved = np.add(proposed[2], (9, 7))
    editor.drag(proposed[2], moved)
    photo = editor.wait(lambda photo: photo["status"] == "started", seventh)
    assert photo["objects"][0]["landmarks"][2] == pytest.approx(moved, abs=0.3)
    finish()
    wait_until(
        lambda: server.get("/api/status?since=0")["model"]["corrections"] == {"n_landmarks": 12, "n_corrected": 1}
    )
    # Undo goes back to the photo before, and there again.
    eighth = here()
    editor.press("Control+z", "Control+z")
    shows(editor, f"photo{seventh:02d}")
    editor.wait(lambda photo: photo["objects"] == [], seventh)
    editor.press("Control+y", "Control+y")
    editor.wait(lambda photo: photo["status"] == "done", seventh)
    assert eighth != seventh

    # The page would notice.
    editor.page.context.close()
    assert server.stop() == 0
    dataset = ert.load_dataset(out)
    marked = {int(file.stem[-2:]): shape for file, shape in zip(dataset.files, dataset.landmarks, strict=True)}
    assert sorted(marked) == sorted(order)
    assert len(order) == 7
    for i in (first, third, fourth, fifth):
        assert marked[i] == pytest.approx(shapes[i], abs=0.3)
    assert marked[second][0] == pytest.approx(wanted, abs=0.3)
    assert marked[seventh][2] == pytest.approx(moved, abs=0.3)


def test_two_tabs_and_another_program(drawn, tmp_path, annotate, open_page):
    folder, shapes = drawn
    out = tmp_path / "marks.csv"
    server = annotate(folder, "--points", 6, "--out", out, "--first-training", 0)
    first = open_editor(open_page, server, 0, expected=CONFLICT)
    second = open_editor(open_page, server, 0, expected=CONFLICT)
    # A page that has not heard of the other's change: both mark the same photo.
    second.page.route("**/api/status*", lambda route: route.abort())
    first.click(20, 20)
    first.saved()
    second.click(60, 60)
    second.page.unroute("**/api/status*")
    second.page.get_by_role("alert").filter(has_text="Which version is right?").wait_for()
    assert server.get("/api/photos/0")["objects"][0]["landmarks"][0] == pytest.approx([20, 20], abs=0.3)
    screenshot(second.page, "annotate_conflict")
    second.page.get_by_role("button", name="Use the other version").click()
    second.click(30, 70)
    photo = second.wait(lambda photo: photo["objects"][0]["landmarks"][1] is not None)
    assert photo["objects"][0]["landmarks"][0] == pytest.approx([20, 20], abs=0.3)
    # The first tab hears of it.
    first.page.locator("canvas[aria-label*='2 of 6 landmarks']").wait_for()

    mark(first, shapes[0][2:])
    first.press("Enter")
    wait_until(lambda: "photo00" not in first.page.locator("#name").text_content())
    other = int(re.search(r"\d+", first.page.locator("#name").text_content()).group())
    wait_until(out.exists)
    wait_until(lambda: server.get("/api/status?since=0")["disk"]["state"] == "saved")
    text = out.read_text()
    out.write_text(text + "\n")
    mark(first, shapes[other])
    first.press("Enter")
    first.page.get_by_role("alert").filter(has_text="was changed by another program").wait_for()
    assert out.read_text() == text + "\n"
    first.page.get_by_role("button", name="Keep mine").click()
    wait_until(lambda: server.get("/api/status?since=0")["disk"]["state"] == "saved")
    wait_until(lambda: len(ert.load_dataset(out)) == 2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A dataset of 24 drawn photos in which two landmarks of the sixth are swapped, with boxes and scales."""
    folder = tmp_path_factory.mktemp("finished")
    images, shapes = standard_photos(24, np.random.default_rng(5))
    files = [folder / f"bee{i:02d}.png" for i in range(24)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    shapes[5, [0, 2]] = shapes[5, [2, 0]]
    boxes = np.tile([20.0, 10.0, 80.0, 80.0], (24, 1))
    dataset = Dataset(files, boxes, shapes, NAMES, "wings")
    write_dataset(dataset, folder / "wings.csv")
    return folder, dataset


def test_checks_opinion_and_measurements(finished, tmp_path, annotate, open_page):
    folder, dataset = finished
    server = annotate(folder / "wings.csv", "--out", tmp_path / "checked.csv", "--first-training", 0, "--jobs", 1)
    editor = open_editor(open_page, server)
    page = editor.page
    assert server.get("/api/status?since=0")["counts"]["done"] == 24
    page.locator("summary", has_text="Checks").click()
    page.get_by_role("button", name="Check annotations").click()
    page.get_by_text("deserves a second look.").or_(page.get_by_text("deserve a second look.")).wait_for(
        timeout=1000 * MANY_SECONDS
    )
    worst = page.locator("ol.suspicious button").first
    assert "bee05" in worst.text_content()
    worst.click()
    shows(editor, "bee05")
    page.locator("ul.findings").get_by_text("landmark 0 (nose) and landmark 2 (tail) seem to be swapped").wait_for()
    page.get_by_label("Side by side").check()
    page.get_by_role("img", name="The model's prediction").wait_for()
    screenshot(page, "annotate_opinion")
    page.get_by_role("button", name="Use all").click()
    page.get_by_role("button", name="Close").click()
    photo = editor.wait(lambda photo: photo["findings"] == [], 5)
    right = dataset.landmarks[5][[2, 1, 0, 3, 4, 5]]
    assert np.hypot(*(np.array(photo["objects"][0]["landmarks"]) - right).T).max() < 8
    wait_until(lambda: server.get("/api/status?since=0")["checks"]["n_suspicious"] == 0)

    # A scale by two points that are 50 pixels and 10 mm apart; lengths follow the points.
    page.locator("summary", has_text="Measure").click()
    page.get_by_role("button", name="Set scale by two points").click()
    editor.press("0")
    editor.click(30, 90)
    editor.click(80, 90)
    screenshot(page, "annotate_scale")
    page.get_by_label("Their distance").fill("10")
    page.get_by_role("button", name="Set scale", exact=True).click()
    editor.wait(lambda photo: photo["scale"] == pytest.approx(0.2, rel=0.01), 5)
    page.get_by_role("textbox", name="Distances").fill("nose-tail")
    points = np.array(server.get("/api/photos/5")["objects"][0]["landmarks"])
    length = 0.2 * np.hypot(*(points[0] - points[2]))
    page.locator("#measure .values").get_by_text(re.compile("mm")).first.wait_for()
    shown = re.search(r"([\d.]+)\s*mm", page.locator("#measure .values").text_content()).group(1)
    assert float(shown) == pytest.approx(length, rel=0.02)
    screenshot(page, "annotate_measure")


def test_second_round(finished, tmp_path, annotate, open_page):
    folder, dataset = finished
    out = tmp_path / "second.csv"
    arguments = (folder / "wings.csv", "--second-round", 3, "--out", out)
    server = annotate(*arguments)
    editor = open_editor(open_page, server)
    assert server.get("/api/project")["round"] == {"of": "wings.csv", "n": 3}
    drawn = []
    for i in range(3):
        photo = server.get(f"/api/photos/{i}")
        # The first marks are not shown.
        assert (photo["objects"], photo["status"]) == ([], "todo")
        shape = dataset.landmarks[[file.name for file in dataset.files].index(photo["name"])]
        drawn.append(photo["name"])
        shows(editor, photo["name"])
        mark(editor, shape + (1.5, 2))
        editor.press("Enter")
        editor.wait(lambda photo: photo["status"] == "done", i)
    assert drawn != sorted(drawn)
    # The panel with the second round is open, and no model helps.
    assert not editor.page.locator("#model").is_visible()
    editor.page.get_by_text("Repeatability, 3 objects").wait_for()
    screenshot(editor.page, "annotate_second_round")
    figures = server.get("/api/repeatability")
    assert figures["n"] == 3
    assert figures["overall"]["px"]["mean"] == pytest.approx(2.5, abs=0.1)
    editor.page.context.close()
    assert server.stop() == 0
    # It goes on with the same photos.
    again = annotate(*arguments)
    assert [again.get(f"/api/photos/{i}")["name"] for i in range(3)] == drawn
    assert again.get("/api/repeatability") == figures
    assert len(ert.load_dataset(folder / "wings.csv")) == 24


@pytest.mark.parametrize(("view", "dark"), [("wide", False), ("wide", True), ("phone", False), ("phone", True)])
def test_looks(finished, tmp_path, annotate, open_page, view, dark):
    """Nothing is wider than the screen; and pictures for those who look at them."""
    folder, _ = finished
    server = annotate(folder / "wings.csv", "--out", tmp_path / "looks.csv", "--first-training", 0)
    editor = open_editor(open_page, server, view=view, dark=dark)
    page = editor.page
    name = f"looks_{view}_{'dark' if dark else 'light'}"
    screenshot(page, name)
    for panel in ("Photos", "Model", "Checks", "Measure"):
        details = page.locator("details.panel").filter(has=page.locator("summary", has_text=panel))
        if details.get_attribute("open") is None:
            details.locator("> summary").click()
        details.scroll_into_view_if_needed()
        screenshot(page, f"{name}_{panel.lower()}")
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0
