"""The editor of the annotation page, in a real browser against the real server: mouse, keys, fingers."""

from urllib.parse import urlsplit

import numpy as np
import pytest
from browser.conftest import GONE, screenshot, wait_until
from PIL import Image

WIDTH, HEIGHT, N = 120, 90, 12


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(rng.integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


class Editor:
    """The page, with positions in pixels of the photo."""

    def __init__(self, page, server, size=(WIDTH, HEIGHT)):
        self.page, self.server, self.size = page, server, size
        self.canvas = page.locator("#view canvas")
        page.locator("#name", has_text=".").wait_for()
        page.keyboard.press("0")

    def at(self, x, y):
        """Return where a pixel of the photo is on the screen while all of it is shown, with a margin of 12."""
        box = self.canvas.bounding_box()
        scale = min((box["width"] - 24) / self.size[0], (box["height"] - 24) / self.size[1])
        left = box["x"] + (box["width"] - self.size[0] * scale) / 2
        top = box["y"] + (box["height"] - self.size[1] * scale) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def click(self, x, y, **options):
        self.page.mouse.click(*self.at(x, y), **options)

    def drag(self, start, end, **options):
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down(**options)
        self.page.mouse.move(*self.at(*end), steps=3)
        self.page.mouse.up(**options)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def saved(self, photo=0):
        self.page.locator("#save-state", has_text="Saved").wait_for()
        return self.server.get(f"/api/photos/{photo}")

    def wait(self, holds, photo=0):
        """Return the photo as soon as the server has what is expected."""
        return wait_until(lambda: holds(state := self.server.get(f"/api/photos/{photo}")) and state)

    def landmarks(self, photo=0, item=0):
        objects = self.saved(photo)["objects"]
        return objects[item]["landmarks"] if len(objects) > item else None


@pytest.fixture
def edit(photos, annotate, open_page):
    def start(*arguments, **options):
        server = annotate(photos, "--points", N, "--first-training", 1000, *arguments)
        return Editor(open_page(f"{server.url}#1", **options), server)

    return start


def grid(n=N):
    return [(15 + 8 * i, 20 + 25 * (i % 3)) for i in range(n)]


def test_mouse(edit, photos):
    editor = edit()
    for point in grid():
        editor.click(*point)
    placed = np.array(editor.landmarks())
    assert placed == pytest.approx(np.array(grid()), abs=0.2)

    editor.press("Control+z", "Control+z")
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][10:] == [None, None])
    editor.press("Control+y")
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][11] is None)
    assert editor.landmarks()[10] is not None
    editor.press("m")
    editor.page.locator("#hint", has_text="All landmarks are placed").wait_for()

    # Drag one, hide it, draw a box.
    editor.drag(grid()[3], (60, 50))
    editor.press("h", "b")
    editor.drag((5, 5), (110, 85))
    (marked,) = editor.saved()["objects"]
    assert marked["landmarks"][3] == pytest.approx((60, 50), abs=0.2)
    assert marked["landmarks"][11] is None
    assert marked["hidden"] == [3]
    assert marked["box"] == pytest.approx((5, 5, 105, 80), abs=0.2)
    screenshot(editor.page, "editor_wide")

    # Another object, then done: the next photo opens, and undo comes back.
    editor.press("n")
    editor.click(100, 10)
    assert editor.landmarks(item=1)[0] == pytest.approx((100, 10), abs=0.2)
    editor.press("Shift+Delete", "Enter")
    editor.page.locator("#name", has_not_text="a.png").wait_for()
    done = editor.saved()
    assert (done["status"], len(done["objects"])) == ("done", 1)
    editor.press("Control+z")
    editor.page.locator("#name", has_text="a.png").wait_for()
    editor.wait(lambda photo: photo["status"] == "started")


def test_curve(edit):
    editor = edit()
    editor.click(20, 20)
    editor.page.get_by_role("button", name="5", exact=False).filter(has_text="5").first.click()
    editor.click(100, 70)
    editor.press("c")
    editor.click(20, 20)
    editor.click(20, 70)
    editor.click(100, 70)
    editor.wait(lambda photo: None not in photo["objects"][0]["landmarks"][:6])
    expected = [(20, 20), (20, 46), (22, 70), (48, 70), (74, 70), (100, 70)]
    assert np.array(editor.landmarks()[:6]) == pytest.approx(np.array(expected), abs=0.5)
    editor.press("Control+z")
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][1:5] == [None] * 4)


def test_keyboard_alone(edit):
    editor = edit()
    editor.press("p", *["Shift+ArrowRight"] * 3, "p")
    first = editor.wait(lambda photo: photo["objects"])["objects"][0]["landmarks"][0]
    scale = (editor.at(1, 0)[0] - editor.at(0, 0)[0]) or 1
    assert first == pytest.approx((WIDTH / 2 - 0.5 + 30 / scale, HEIGHT / 2 - 0.5), abs=0.2)
    editor.press("Shift+Tab", "ArrowLeft", "Shift+ArrowUp")
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][0] == pytest.approx((first[0] - 1, first[1] - 10)))
    editor.press("g", "7", "Enter", "p")
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][7] is not None)
    editor.press("Enter", "Enter")
    editor.page.locator("#name", has_not_text="a.png").wait_for()
    assert editor.saved()["status"] == "done"
    editor.page.go_back()
    editor.page.locator("#name", has_text="a.png").wait_for()
    editor.press("PageDown", "PageDown")
    editor.page.locator("#name", has_text="c.png").wait_for()
    editor.press("s")
    editor.page.locator("#name", has_text="b.png").wait_for()
    assert editor.saved(2)["status"] == "skipped"
    editor.press("[")
    editor.page.locator("#name", has_text="a.png").wait_for()
    editor.press("?")
    assert editor.page.get_by_role("heading", name="Keys").is_visible()
    screenshot(editor.page, "editor_keys")
    editor.press("Escape", "F6")
    assert editor.page.evaluate("document.activeElement.closest('#panels') !== null")


def test_fingers(edit):
    editor = edit(view="phone", dark=True)
    touch = editor.page.context.new_cdp_session(editor.page)

    def send(kind, *points):
        at = [dict(zip(("x", "y"), editor.at(*point), strict=True), id=i) for i, point in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    for point in ((30, 30), (60, 45)):
        send("touchStart", point)
        send("touchEnd")
    assert np.array(editor.landmarks()[:2]) == pytest.approx(np.array([(30, 30), (60, 45)]), abs=0.5)
    # The point keeps its distance from the finger; the magnifier is above it.
    send("touchStart", (62, 47))
    send("touchMove", (72, 57))
    screenshot(editor.page, "editor_phone")
    send("touchEnd")
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][1] == pytest.approx((70, 55), abs=0.5))
    # Two fingers zoom, and place nothing.
    before = editor.page.locator("#zoom").text_content()
    send("touchStart", (50, 40))
    send("touchStart", (50, 40), (70, 40))
    send("touchMove", (30, 40), (90, 40))
    send("touchEnd")
    assert editor.page.locator("#zoom").text_content() != before
    assert editor.landmarks()[2] is None
    for button in editor.page.locator("button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 43.5, button.text_content()
    assert editor.page.evaluate("document.documentElement.scrollWidth") == 390


def test_missing_landmarks_stay_missing(edit):
    editor = edit()
    editor.press("m")
    editor.click(30, 30)
    # The last one, behind all that are placed.
    editor.press("g", "1", "1", "Enter", "m")
    editor.wait(lambda photo: photo["objects"] and photo["objects"][0].get("missing") == [0, 11])
    editor.page.reload()
    missing = editor.page.locator("#landmarks button[data-state=missing]")
    missing.nth(1).wait_for()
    assert [text.split()[0] for text in missing.all_inner_texts()] == ["0", "11"]


def test_two_windows(edit, open_page):
    editor = edit(expected=("409",))
    other = Editor(open_page(f"{editor.server.url}#1", expected=("409",)), editor.server)
    editor.click(20, 20)
    editor.saved()
    # The other window shows it by itself.
    other.page.locator("#landmarks button[data-state=placed]").first.wait_for()
    other.click(40, 40)
    other.saved()
    editor.wait(lambda photo: photo["objects"][0]["landmarks"][1] is not None)
    assert [point is not None for point in editor.landmarks()] == [True, True] + [False] * 10


def warns_before_it_closes(page):
    event = "const event = new Event('beforeunload', {cancelable: true})"
    return page.evaluate(f"() => {{ {event}; window.dispatchEvent(event); return event.defaultPrevented; }}")


def test_server_ends_and_comes_back(edit, photos, annotate):
    editor = edit(expected=(*GONE, "401"))
    editor.click(20, 20)
    editor.saved()
    editor.server.kill()
    editor.click(40, 40)
    editor.page.locator("#notice", has_text="does not answer").wait_for()
    editor.click(60, 60)
    assert editor.page.locator("#landmarks button[data-state=placed]").count() == 3
    screenshot(editor.page, "editor_unreachable")
    assert warns_before_it_closes(editor.page)
    # Another server has another token: its address is opened in another tab, and the first one goes on.
    port = urlsplit(editor.server.url).port
    editor.server = annotate(photos, "--points", N, "--first-training", 1000, port=port)
    editor.page.locator("#notice", has_text="Open the address that it printed").wait_for()
    editor.page.context.new_page().goto(editor.server.url)
    editor.page.locator("#notice").wait_for(state="hidden")
    editor.page.locator("#message", has_text="Everything is saved.").wait_for()
    assert [point is not None for point in editor.landmarks()] == [True] * 3 + [False] * 9
    assert not warns_before_it_closes(editor.page)


def test_large_photo(edit, photos):
    big = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(big).resize((4000, 3000)).save(photos / "0.jpg", quality=60)
    editor = edit()
    editor.size = (4000, 3000)
    with editor.page.expect_response(lambda answer: "&left=" in answer.url):
        editor.page.mouse.move(*editor.at(1000, 1000))
        for _ in range(6):
            editor.page.mouse.wheel(0, -400)
    editor.press("0")
    editor.click(1000, 1500)
    assert editor.landmarks()[0] == pytest.approx((1000, 1500), abs=3)
