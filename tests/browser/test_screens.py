"""The annotation page on small screens, and for people who use the keyboard alone or a screen reader."""

import pytest
from browser.conftest import screenshot, wait_until
from browser.fake_annotation import POINTS, FakeAnnotation

SMALL = ["tall", "landscape", "small", "zoomed"]
PROPOSED = {"landmarks": POINTS, "std": [3] * 4, "confidence": [0.9, 0.9, 0.6, 0.2], "box": [1, 1, 2, 2], "roll": 0}
# What a person can press, but only with scrolling to the side or down.
OUT_OF_SIGHT = """() => [...document.querySelectorAll("#top button, #panels > .drawer-head button, summary")]
  .filter((node) => node.checkVisibility() && !node.closest("#panels section"))
  .filter((node) => {
    const { left, right, top, bottom } = node.getBoundingClientRect();
    return left < -0.5 || right > innerWidth + 0.5 || top < -0.5 || bottom > innerHeight + 0.5;
  }).map((node) => node.textContent)"""


@pytest.fixture
def fake():
    servers = []

    def start(n=4):
        servers.append(FakeAnnotation(n))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def start(open_page):
    def load(server, view="wide", **options):
        page = open_page(server.url, view=view, **options)
        page.wait_for_function("() => document.querySelector('#photos .row[aria-selected=true]')")
        return page

    return load


def view_of(page):
    return page.locator("#view").bounding_box()


@pytest.mark.parametrize("view", SMALL)
def test_all_tools_can_be_reached(fake, start, view):
    server = fake()
    server.model |= {"state": "ready", "version": 1}
    server.proposals[0] = {"model": 1, "objects": [PROPOSED], "score": 0.9}
    page = start(server, view, dark=view == "landscape")
    accept = page.locator("#top").get_by_role("button", name="Accept")
    accept.wait_for()
    assert page.evaluate(OUT_OF_SIGHT) == []
    screenshot(page, f"screen-{view}")
    more = page.get_by_role("button", name="Tools")
    assert not page.get_by_role("button", name="Curve").is_visible()
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    for name in ("Mark", "Box", "Curve", "Pan", "Redo", "New object", "Zoom in", "Zoom out", "Fit", "Skip", "By hand"):
        assert page.locator("#top").get_by_role("button", name=name, exact=True).is_visible(), name
    assert accept.is_visible()
    assert page.evaluate(OUT_OF_SIGHT) == []
    screenshot(page, f"screen-{view}-tools")
    assert page.evaluate("[document.documentElement.scrollWidth, document.body.scrollHeight]") == [
        page.viewport_size["width"],
        page.viewport_size["height"],
    ]


@pytest.mark.parametrize("view", SMALL)
def test_an_open_panel_leaves_the_photo_visible(fake, start, view):
    page = start(fake(), view)
    before, zoom = view_of(page), page.locator("#zoom").text_content()
    tab = page.locator("summary", has_text="Measure")
    tab.click()
    wait_until(lambda: view_of(page) != before)
    box, section = view_of(page), page.locator("#measure").bounding_box()
    assert box["width"] * box["height"] > 0.3 * before["width"] * before["height"]
    below = section["y"] >= box["y"] + box["height"]
    assert below or section["x"] >= box["x"] + box["width"]
    screenshot(page, f"screen-{view}-measure")
    assert page.evaluate(OUT_OF_SIGHT) == []
    # Closed by its tab, by the button, and by a swipe.
    closed = "() => !document.querySelector('.panel[open]')"
    tab.click()
    page.wait_for_function(closed)
    tab.click()
    page.get_by_role("button", name="Close the panel").click()
    page.wait_for_function(closed)
    assert page.evaluate("document.activeElement.localName") == "canvas"
    tab.click()
    head = page.locator(".drawer-head").bounding_box()
    page.mouse.move(head["x"] + 30, head["y"] + 10)
    page.mouse.down()
    page.mouse.move(head["x"] + 40, head["y"] + 80, steps=3)
    page.mouse.up()
    page.wait_for_function(closed)
    wait_until(lambda: view_of(page) == before)
    wait_until(lambda: page.locator("#zoom").text_content() == zoom)


def test_a_task_can_be_stopped_without_keys(fake, start):
    page = start(fake(), "tall")
    page.locator("summary", has_text="Measure").click()
    page.get_by_role("button", name="Set scale by two points").click()
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.click()
    assert not stop.is_visible()
    page.wait_for_function("() => document.querySelector('#hint').textContent.startsWith('Click or tap')")


def test_a_photo_from_the_first_key_to_done_with_its_scale(fake, start):
    """The keyboard alone, as in a second round."""
    server = fake(2)
    server.project["round"] = {"of": "fish.csv", "n": 2}
    page = start(server)
    active = "document.activeElement"

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)

    assert page.evaluate(f"{active}.localName") == "canvas"
    press("F6")
    assert page.evaluate(f"{active}.closest('#panels') !== null")
    press("F6")
    assert page.evaluate(f"{active}.closest('#top') !== null")
    press("F6")
    assert page.evaluate(f"{active}.localName") == "canvas"
    press("F6")
    page.locator("summary", has_text="Measure").focus()
    press("Enter", "Tab")
    assert page.evaluate(f"{active}.textContent") == "Set scale by two points"
    press("Enter")
    # The keys go to the photo.
    page.wait_for_function(f"() => {active}.localName === 'canvas'")
    assert "Click two points" in page.locator("#announce").text_content()
    press("Shift+ArrowRight", "p", *["Shift+ArrowRight"] * 4, "p")
    page.wait_for_function(f"() => {active}.localName === 'input'")
    page.keyboard.type("10")
    press("Enter")
    wait_until(lambda: server.photos[0]["scale"])
    assert page.evaluate(f"{active}.textContent") == "Set scale by two points"
    press("F6", "F6")
    for _ in POINTS:
        press("Shift+ArrowDown", "p")
    press("Enter")
    page.locator("#name", has_text="0001").wait_for()
    wait_until(lambda: server.photos[0]["status"] == "done")
    assert len(server.photos[0]["objects"][0]["landmarks"]) == 4


def test_a_key_that_is_held_accepts_one_photo(fake, start):
    server = fake(6)
    server.model |= {"state": "ready", "version": 1}
    server.proposals |= {i: {"model": 1, "objects": [PROPOSED], "score": 0.9} for i in range(6)}
    page = start(server)
    page.locator("#top").get_by_role("button", name="Accept").wait_for()
    page.wait_for_function("() => performance.getEntriesByType('resource').some(({ name }) => /0.image/.test(name))")
    page.locator("#view canvas").focus()

    def hold():
        # The first one is not repeated, unless the photo is not shown yet.
        page.keyboard.down("Enter")
        return server.photos[0]["status"] == "done" or page.keyboard.up("Enter")

    wait_until(hold)
    page.locator("#name", has_text="0001").wait_for()
    page.locator("#top").get_by_role("button", name="Accept").wait_for()
    for _ in range(5):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.evaluate("() => new Promise((resolve) => { setTimeout(resolve, 100); })")
    assert [photo["status"] for photo in server.photos] == ["done"] + 5 * ["todo"]


def test_what_a_screen_reader_says(fake, start):
    server = fake()
    page = start(server)
    page.evaluate("for (const panel of document.querySelectorAll('details.panel')) panel.open = true")
    buttons = page.locator("button:visible")
    nameless = [
        each.evaluate("(node) => node.outerHTML")
        for each in buttons.all()
        if not each.evaluate("(node) => /[A-Za-z]/.test(node.ariaLabel ?? node.textContent)")
    ]
    assert nameless == []
    page.evaluate("""() => {
      window.said = [];
      const live = "[role=status], [role=alert], [aria-live=polite]";
      new MutationObserver((changes) => {
        const elements = changes.map(({ target }) => (target.closest ? target : target.parentElement));
        const nodes = new Set(elements.map((node) => node.closest(live)));
        for (const node of nodes) if (node?.checkVisibility() && node.textContent) window.said.push(node.textContent);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    }""")
    page.keyboard.press("p")
    for _ in range(3):
        page.keyboard.press("p")
        page.evaluate("() => new Promise((resolve) => { setTimeout(resolve, 50); })")
    page.wait_for_function("() => document.querySelector('#save-state').textContent.includes('Saved')")
    said = page.evaluate("window.said")
    # The next landmark, each time; not that everything is saved again.
    assert [text for text in said if "to be placed" in text] == [
        "1 left eye, to be placed",
        "2 right eye, to be placed",
        "3 tail, to be placed",
    ]
    assert not any("Saved" in text or "Saving" in text for text in said)
    assert len(said) <= 5


def test_the_focus_is_seen_everywhere(fake, start):
    page = start(fake())
    page.evaluate("for (const panel of document.querySelectorAll('details.panel')) panel.open = true")
    page.keyboard.press("F6")
    stops, unseen = 0, []
    for _ in range(60):
        page.keyboard.press("Tab")
        look = page.evaluate("""() => {
          const node = document.activeElement;
          const inner = node.querySelector(".row.active");
          const style = getComputedStyle(inner ?? node);
          const { width, height } = node.getBoundingClientRect();
          if (node === document.body || node.localName === "canvas") return null;
          return [node.outerHTML.slice(0, 80), style.outlineStyle !== "none" && width > 4 && height > 4];
        }""")
        if look is None:
            break
        stops += 1
        unseen += [] if look[1] else [look[0]]
    assert stops > 15
    assert unseen == []
