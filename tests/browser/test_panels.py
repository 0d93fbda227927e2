"""The panels of the annotation page, over a server whose answers a test chooses."""

import threading

import pytest
from browser.conftest import screenshot, wait_until
from browser.fake_annotation import LANDMARKS, POINTS, FakeAnnotation, marked
from helpers import drawn_dataset

from ert.datasets.formats import write_dataset

TRAINED = {"state": "ready", "version": 2, "n_photos": 22, "next_at": 33}
ERRORS = [
    {"n_photos": n, "error": error, "low": 0.8 * error, "high": 1.2 * error, "unit": "% of the size"}
    for n, error in ((10, 4.2), (15, 3.1), (22, 2.4))
]
# On the canvas.
PIXELS_OF_OPINION = """() => {
  const canvas = document.querySelector("#view canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) n += data[i] === 255 && data[i + 1] === 95 && data[i + 2] === 210;
  return n;
}"""


@pytest.fixture
def fake():
    servers = []

    def start(n, **changes):
        server = FakeAnnotation(n)
        for name, value in changes.items():
            getattr(server, name).update(value)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def panels(open_page):
    """Open the page with all panels unfolded."""

    def start(server, **options):
        page = open_page(server.url, **options)
        page.wait_for_function("() => document.querySelector('#photos .row[aria-selected=true]')")
        if options.get("view") != "phone":
            page.evaluate("for (const panel of document.querySelectorAll('details.panel')) panel.open = true")
        return page

    return start


def rows(page):
    """The names of the rows in their order, of those that exist as elements."""
    script = """() => [...document.querySelectorAll("#photos .row:not([hidden])")]
      .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((row) => row.querySelector(".name").textContent)"""
    return page.evaluate(script)


def text_of(page, selector):
    return page.locator(selector).inner_text()


def test_photos_are_counted_searched_filtered_and_opened(fake, panels):
    server = fake(58)
    server.finish(*range(12))
    server.photos[13]["status"] = "skipped"
    page = panels(server)
    photos = page.locator("#photos")
    assert text_of(page, "#photos .counts") == "12 of 58 done, 1 skipped"
    # The photos to be done come first, those that are done last.
    assert rows(page)[0] == "fish 0012.jpg"
    assert photos.get_by_role("option", name="fish 0012").get_attribute("aria-selected") == "true"
    photos.get_by_label("Order").select_option("name")
    page.wait_for_function(
        "() => document.querySelector('#photos .row[aria-posinset=\"13\"] .name')?.textContent.includes('0012')"
    )
    photos.get_by_role("listbox").press("Home")
    assert "✓done" in photos.get_by_role("option", name="fish 0000").inner_text().replace("\n", "")
    photos.get_by_label("Search by name").fill("FISH 4")
    assert rows(page) == [f"fish {i:04d}.jpg" for i in (4, 14, 24, 34, *range(40, 50), 54)][: len(rows(page))]
    assert text_of(page, "#photos .note") == "15 photos of 58"
    photos.get_by_label("Search by name").fill("")
    photos.get_by_label("Show").select_option("skipped")
    assert rows(page) == ["fish 0013.jpg"]
    photos.get_by_role("option", name="fish 0013").click()
    page.wait_for_function(
        "() => document.querySelector('#photos .row[aria-selected=true] .name')?.textContent.includes('0013')"
    )
    photos.get_by_label("Search by name").fill("whale")
    assert text_of(page, "#photos .note") == "No photo matches."


def test_the_list_is_used_by_keys_alone(fake, panels):
    page = panels(fake(300))
    photos = page.get_by_role("listbox", name="Photos")
    photos.focus()
    photos.press("End")
    assert rows(page)[-1] == "fish 0299.jpg"
    photos.press("ArrowUp")
    active = photos.get_attribute("aria-activedescendant")
    assert "0298" in page.locator(f"#{active}").inner_text()
    photos.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('#photos .row[aria-selected=true] .name')?.textContent.includes('0298')"
    )


def test_only_rows_and_thumbnails_in_sight_are_made(fake, panels):
    server = fake(5000)
    page = panels(server)
    page.wait_for_function("() => document.querySelectorAll('#photos .row img[src]').length > 3")
    assert page.locator("#photos .row").count() < 40
    page.get_by_role("listbox", name="Photos").press("End")
    page.wait_for_function("() => document.querySelector('#photos .row img[src*=\"/4999/\"]')")
    asked = [path for _, path, _ in server.requests if path.endswith("/thumbnail")]
    assert len(asked) < 60
    assert not any("/2500/" in path for path in asked)


def test_a_change_in_another_tab_is_seen(fake, panels):
    server = fake(30)
    page = panels(server)
    server.finish(2)
    server.changed.append(2)
    page.wait_for_function("() => document.querySelector('#photos .counts').textContent.startsWith('1 of')")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#photos .row')].some((row) => row.textContent.includes('0002.jpg✓'))"
    )


def test_the_order_is_that_of_the_next_photo(fake, panels):
    server = fake(30)
    server.queue.reverse()
    server.model |= TRAINED
    page = panels(server)
    assert rows(page)[0] == "fish 0029.jpg"
    page.locator("#photos").get_by_label("Order").select_option("name")
    # The open photo stays in sight.
    page.wait_for_function("() => document.querySelector('#photos .row[aria-posinset=\"30\"]')")
    assert rows(page)[-1] == "fish 0029.jpg"
    page.locator("#photos").get_by_label("Order").select_option("suspicious")
    page.wait_for_function(
        "() => document.querySelector('#photos .note').textContent.includes('Nothing is checked yet')"
    )


def test_training_is_started_watched_and_stopped(fake, panels):
    server = fake(30)
    server.finish(*range(7))
    page = panels(server)
    model = page.locator("#model")
    assert text_of(page, "#model .headline") == "No model yet"
    model.get_by_role("button", name="Train now").click()
    server.model |= {"state": "training", "progress": 0.4, "text": "Stage 3 of 10"}
    stop = model.get_by_role("button", name="Stop training")
    stop.wait_for()
    assert stop.evaluate("(button) => button === document.activeElement")
    stop.click()
    assert model.get_by_role("progressbar", name="Training").get_attribute("value") == "0.4"
    server.model |= {"state": "stopped", "text": ""}
    model.get_by_role("button", name="Train now").wait_for()
    assert text_of(page, "#model .headline") == "Training stopped"

    def asked():
        return [(method, path) for method, path, _ in server.requests if path == "/api/train"]

    wait_until(lambda: asked() == [("POST", "/api/train"), ("DELETE", "/api/train")])


def test_an_error_of_a_button_is_one_line(fake, panels):
    server = fake(30)
    server.finish(1)
    server.answers["POST", "/api/train"] = lambda body: (400, {"error": "1 photo is done, expected at least 3"})
    page = panels(server, expected=("400",))
    page.get_by_role("button", name="Train now").click()
    page.wait_for_function("() => document.querySelector('#model .error').textContent")
    assert "1 photo is done, expected at least 3" in text_of(page, "#model .error")


def test_the_chart_shows_the_error_with_its_interval(fake, panels):
    server = fake(40)
    server.finish(*range(22))
    server.model |= TRAINED | {
        "errors": ERRORS,
        "advice": "The error still falls: go on.",
        "corrections": {"n_landmarks": 48, "n_corrected": 6},
    }
    page = panels(server)
    chart = page.locator("#model svg.chart")
    assert "22 photos: 2.4 % of the size (95 % interval 1.92 to 2.88)" in chart.get_attribute("aria-label")
    assert chart.locator("circle").count() == 3
    shown = chart.text_content()
    assert "annotated photos" in shown
    assert "error (% of the size)" in shown
    model = text_of(page, "#model")
    assert "The error still falls: go on." in model
    assert "Of 48 proposed points in finished photos, 6 were corrected (12.5 %)." in model
    assert "confident: 80 % or more" in model


def test_a_proposal_is_accepted_with_the_button(fake, panels):
    server = fake(5)
    server.model |= TRAINED
    object_ = {"landmarks": POINTS, "std": [1] * 4, "confidence": [0.9] * 4, "box": [0, 0, 9, 9], "roll": 0}
    server.proposals[0] = {"model": 2, "objects": [object_], "score": 0.83}
    page = panels(server)
    accept = page.locator("#model").get_by_role("button", name="Accept the proposal")
    accept.click()
    page.wait_for_function("() => document.querySelector('#photos .counts').textContent.startsWith('1 of 5 done')")
    assert server.photos[0]["objects"][0]["landmarks"] == POINTS
    # The next photo has no proposal.
    page.wait_for_function(
        "() => document.querySelector('#photos .row[aria-selected=true] .name')?.textContent.includes('0001')"
    )
    page.wait_for_function("() => document.querySelector('#model button.main').hidden")


@pytest.fixture
def checked(fake):
    """A server with a finished check: photo 3 is suspicious."""
    server = fake(12)
    server.finish(*range(12))
    server.checks |= {"state": "ready", "n_suspicious": 1}
    server.reasons[3] = "tail is 9 % of the size from where models of the other photos expect it"
    server.photos[3]["findings"] = [{"kind": "far", "text": "tail is 31 px off", "object": 0, "landmarks": [3]}]
    moved = [[x, y] for x, y in POINTS[:3]] + [[318.0, 316.0]]
    server.opinions[3] = {"model": 1, "objects": [marked(moved)], "score": 0.9}
    return server


def test_a_check_is_started_and_its_photos_are_opened(checked, panels):
    checked.checks |= {"state": "none", "n_suspicious": 0}
    page = panels(checked)
    checks = page.locator("#checks")
    checks.get_by_role("button", name="Check annotations").click()
    checked.checks |= {"state": "running", "progress": 0.5}
    checks.get_by_role("progressbar", name="Check").wait_for()
    checks.get_by_role("button", name="Stop checking").click()
    wait_until(lambda: ("DELETE", "/api/checks", None) in checked.requests)
    checked.checks |= {"state": "none"}
    start = checks.get_by_role("button", name="Check annotations")
    start.wait_for()
    # The focus stays, so that Enter does not mean the photo.
    page.wait_for_function("() => document.activeElement.textContent === 'Check annotations'")
    start.press("Enter")
    checked.checks |= {"state": "ready", "n_suspicious": 1}
    checks.get_by_role("button", name="fish 0003.jpg").click()
    wait_until(lambda: ("POST", "/api/checks", {}) in checked.requests)
    checks.get_by_role("button", name="tail is 31 px off").click()
    assert "1 photo deserves a second look." in text_of(page, "#checks")


def test_one_point_or_all_are_taken_over_from_the_models_opinion(checked, panels):
    page = panels(checked)
    checks = page.locator("#checks")
    checks.get_by_role("button", name="fish 0003.jpg").click()
    checks.get_by_role("button", name="tail is 31 px off").wait_for()
    checks.get_by_label("Over my points").check()
    first = checks.locator("tbody tr").first
    assert first.inner_text().split()[:3] == ["tail", "30.0", "10.1"]
    checks.get_by_role("button", name="Use the prediction of tail").click()
    page.wait_for_function("() => document.querySelector('#checks tbody tr td').textContent === '0.0'")
    wait_for_save(checked, 3, [318.0, 316.0])
    # The focus stays, so that Enter does not mean the photo.
    assert page.evaluate("document.activeElement.dataset.key") == "take 3"
    checks.get_by_label("Hide").check()
    assert not checks.locator("tbody").is_visible()


def wait_for_save(server, photo, point):
    wait_until(lambda: server.photos[photo]["objects"][0]["landmarks"][3] == point)


def test_both_are_seen_side_by_side(checked, panels):
    page = panels(checked)
    checks = page.locator("#checks")
    checks.get_by_role("button", name="fish 0003.jpg").click()
    checks.get_by_role("button", name="tail is 31 px off").wait_for()
    checks.get_by_label("Side by side").check()
    dialog = page.get_by_role("dialog", name="Your points and the model's prediction")
    dialog.get_by_role("img", name="The model's prediction").wait_for()
    assert dialog.locator("figure").count() == 2
    dialog.get_by_role("button", name="Use all").click()
    wait_for_save(checked, 3, [318.0, 316.0])
    dialog.press("Escape")
    assert not dialog.is_visible()
    assert checks.get_by_label("Hide").is_checked()
    # Opened again before the browser has told of the closing.
    page.evaluate("""() => {
      const radio = document.querySelector("#checks input[value=beside]");
      radio.click();
      document.querySelector("dialog.beside button").click();
      radio.click();
    }""")
    page.evaluate("() => new Promise((resolve) => { setTimeout(resolve, 50); })")
    assert dialog.is_visible()
    assert dialog.locator("figure").count() == 2


def test_an_opinion_that_comes_late_stays_hidden(checked, panels):
    """Hide was chosen while the answer was on its way."""
    ready, opinion = threading.Event(), checked.opinions[3]
    checked.answers["GET", "/api/photos/3/opinion"] = lambda body: (ready.wait(30) and 200, opinion)
    page = panels(checked)
    checks = page.locator("#checks")
    checks.get_by_role("button", name="fish 0003.jpg").click()
    checks.get_by_role("button", name="tail is 31 px off").wait_for()
    checks.get_by_label("Over my points").check()
    checks.get_by_label("Hide").check()
    with page.expect_response("**/opinion"):
        ready.set()
    page.evaluate("() => new Promise((resolve) => { setTimeout(resolve, 50); })")
    assert not checks.locator("tbody").is_visible()
    assert page.evaluate(PIXELS_OF_OPINION) == 0
    checks.get_by_label("Over my points").check()
    page.wait_for_function(PIXELS_OF_OPINION)


def test_the_second_round_ends_with_its_table(fake, panels):
    server = fake(3)
    server.project["round"] = {"of": "fish.csv", "n": 3}
    server.finish(0)
    row = {"mean": 2.0, "deviation": 1.4142, "bias_x": 0.1, "bias_y": 0.0}
    answer = {
        "n": 3,
        "units": ["px", "percent"],
        "overall": {"px": row, "percent": row | {"mean": 0.71}},
        "landmarks": [{"name": name, "n": 3, "px": row, "percent": row} for name in LANDMARKS],
    }
    server.answers["GET", "/api/repeatability"] = lambda body: (200, answer)
    page = panels(server)
    assert "1 of 3 photos of the second round are done. Mark them without looking at fish.csv." in text_of(
        page, "#checks"
    )
    server.finish(1, 2)
    table = page.locator("#checks").get_by_role("table", name="Repeatability, 3 objects")
    table.wait_for()
    assert "mean distance (% of the size)" in table.inner_text()
    assert table.locator("tbody tr").last.inner_text().split() == ["all", "landmarks", "0.71", "1.41"]


def test_the_scale_is_set_by_two_points_and_kept_for_the_next_photos(fake, panels):
    server = fake(3)
    server.photos[1]["objects"] = [marked()]
    page = panels(server)
    measure = page.locator("#measure")
    assert "no scale" in text_of(page, "#measure .headline")
    ask_points(page, (300, 200), (500, 200))
    measure.get_by_label("Their distance").fill("zero")
    measure.get_by_role("button", name="Set scale", exact=True).click()
    assert "Expected a number above 0" in text_of(page, "#measure form .error")
    measure.get_by_label("Their distance").fill("2,5")
    measure.get_by_label("Unit of the length").select_option("cm")
    measure.get_by_label("Same scale for the photos that follow").check()
    measure.get_by_role("button", name="Set scale", exact=True).click()
    zoom = float(text_of(page, "#zoom").removesuffix(" %")) / 100
    shown = text_of(page, "#measure .headline")
    assert shown.startswith("1 mm = ")
    assert float(shown.split()[3]) == pytest.approx(200 / zoom / 25, rel=0.02)
    assert not measure.locator("form").is_visible()
    page.locator("#photos").get_by_role("option", name="fish 0001").click()
    page.wait_for_function("() => document.querySelector('#measure .headline').textContent.includes('no scale')")
    move_first_landmark(page, "ArrowDown")
    page.wait_for_function("text => document.querySelector('#measure .headline').textContent === text", arg=shown)
    page.keyboard.press("Control+z")
    page.wait_for_function("() => document.querySelector('#measure .headline').textContent.includes('no scale')")
    page.reload()
    page.wait_for_function("() => document.querySelector('#measure [type=checkbox]')?.checked")


def test_measurements_follow_the_points(fake, panels):
    server = fake(2)
    server.photos[0]["objects"] = [marked()]

    def answer(body):
        if "9" in body["distances"]:
            return 400, {"error": "distances: '0-9': no landmark 9, expected 0 to 3"}
        points = body["objects"][0]["landmarks"]
        distance = {"name": "distance_nose-tail", "value": abs(points[3][1] - points[0][1]), "unit": "px", "object": 0}
        size = {"name": "centroid_size", "value": 225.0, "unit": "px", "object": 0}
        return 200, {"measurements": [distance] * bool(body["distances"]) + [size] * body["centroid_size"]}

    server.answers["POST", "/api/measure"] = answer
    page = panels(server, expected=("400",))
    measure = page.locator("#measure")
    measure.get_by_label("Distances").fill("nose-tail")
    values = measure.locator(".values")
    page.wait_for_function(
        "() => document.querySelector('#measure .values').textContent === 'distance nose-tail280 pixels'"
    )
    assert (
        'ert measure "fish photos/annotations.csv" --distances nose-tail --out measurements.csv' in measure.inner_text()
    )
    move_first_landmark(page, "ArrowDown")
    page.wait_for_function(
        "() => document.querySelector('#measure .values').textContent === 'distance nose-tail279 pixels'"
    )
    measure.get_by_label("Centroid size").check()
    measure.get_by_label("Distances").fill("0-9")
    page.wait_for_function("() => document.querySelector('#error-distances').textContent")
    assert "'0-9': no landmark 9, expected 0 to 3" in text_of(page, "#error-distances")
    assert values.inner_text().split("\n")[0] == "centroid size"
    page.reload()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#measure input')].some((field) => field.value === '0-9')"
    )


def test_landmarks_with_long_names_have_a_line_each(fake, panels):
    server = fake(1)
    page = panels(server)
    tops = "() => new Set([...document.querySelectorAll('.landmarks button')].map((one) => one.offsetTop)).size"
    short, n = page.evaluate(tops), len(LANDMARKS)
    assert short < n
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name of landmark 0").fill("front cross-vein, upper end")
    page.get_by_role("button", name="Save names").click()
    page.get_by_role("button", name="front cross-vein, upper end").wait_for()
    assert page.evaluate(tops) == n


def ask_points(page, *points):
    page.locator("#measure").get_by_role("button", name="Set scale by two points").click()
    for x, y in points:
        page.locator("#view canvas").click(position={"x": x, "y": y})


def move_first_landmark(page, key):
    """Move it by one pixel."""
    page.locator("#view canvas").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.keyboard.press(key)


def test_with_the_server_itself(annotate, panels, tmp_path):
    write_dataset(drawn_dataset(tmp_path, 3), tmp_path / "drawn.csv")
    server = annotate(tmp_path / "drawn.csv")
    page = panels(server, expected=("400",))
    assert text_of(page, "#photos .counts") == "3 of 3 done"
    page.wait_for_function("() => document.querySelector('#photos .row img')?.naturalWidth > 0")
    measure = page.locator("#measure")
    measure.get_by_label("Distances").fill("tip-tail, 0-9")
    page.wait_for_function("() => document.querySelector('#error-distances').textContent")
    assert "0-9': no landmark '9'" in text_of(page, "#error-distances")
    measure.get_by_label("Distances").fill("width=tip-tail")
    measure.get_by_label("Angles").fill("0-1-2")
    page.wait_for_function("() => document.querySelectorAll('#measure dt').length === 2")
    assert measure.locator("dt").all_inner_texts() == ["width", "angle tip-wing-tail"]
    [pixels, degrees] = measure.locator("dd").all_inner_texts()
    assert pixels.endswith(" pixels")
    assert degrees.endswith(" °")
    ask_points(page, (300, 200), (500, 200))
    measure.get_by_label("Their distance").fill("10")
    measure.get_by_role("button", name="Set scale", exact=True).click()
    page.wait_for_function("() => document.querySelector('#measure dd').textContent.endsWith(' mm')")
    page.wait_for_function("() => document.querySelector('#save-state').dataset.state === 'saved'")
    assert server.get("/api/photos/0")["scale"] > 0
    command = measure.locator("code").inner_text()
    assert command.endswith("drawn.csv --distances width=tip-tail --angles 0-1-2 --out measurements.csv")


@pytest.mark.parametrize(("view", "dark"), [("wide", False), ("wide", True), ("phone", False)])
def test_nothing_is_wider_than_the_screen(checked, panels, view, dark):
    checked.model |= TRAINED | {"errors": ERRORS}
    page = panels(checked, view=view, dark=dark)
    page.locator("#model svg.chart").wait_for(state="attached")
    for name in ("photos", "model", "checks", "measure"):
        unfold(page, name)
        screenshot(page, f"panels-{name}-{view}{'-dark' * dark}")
        assert too_wide(page) == []


def unfold(page, name):
    panel = page.locator("details.panel", has=page.locator(f"#{name}"))
    if panel.get_attribute("open") is None:
        panel.locator("> summary").click()
    page.locator(f"#{name}").scroll_into_view_if_needed()


def too_wide(page):
    return page.evaluate("""() => [...document.querySelectorAll("#panels section *")]
      .filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest(".rows, .scroll, svg"))
      .map((node) => node.outerHTML.slice(0, 80))""")
