"""Pages of `ert export web` in a real browser, opened from the disk as by a double click."""

import csv
import io
import json
import math
import re
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from browser.conftest import screenshot, wait_until
from drawn import scattered_photo, standard_photos
from helpers import drawn_dataset, small_predictor
from PIL import Image, ImageOps

import ert
from ert.model.fitted import Fitted
from ert.training.locator import fit_locator
from ert.web.export import export_page

# Browsers and Pillow decode the same JPEG to slightly different colors.
MAX_JPEG_PIXELS = 0.5
# The same pixels, of which the JSON has three decimals.
MAX_PIXELS = 0.01


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Export models, each once."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page_of(name, model, **options):
        if name not in made:
            made[name] = folder / f"{name}.html"
            export_page(model, made[name], **options)
        return made[name].as_uri()

    return page_of


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A gray photo of 96 pixels a side with a shape, as PNG, and its dataset of 12 such photos."""
    return drawn_dataset(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def drawn_model(photo):
    model = small_predictor(n_stages=2, n_trees=20).fit(
        list(zip(photo.files, photo.boxes, strict=True)), photo.landmarks
    )
    return with_fitted(model, landmark_names=photo.landmark_names)


def with_fitted(model, **changes):
    """A copy of a model of which something else is known."""
    other = small_predictor(**model.get_params())
    other.fitted_ = replace(model.fitted_, **changes)
    assert isinstance(other.fitted_, Fitted)
    return other


def until(page, condition, argument=None):
    """Wait for a condition; the page's policy forbids what wait_for_function does."""
    wait_until(lambda: page.evaluate(condition, argument), condition)


def ready(page):
    until(page, "document.documentElement.dataset.state === 'ready'")
    return page


def choose(page, *files):
    """Choose photos, and wait for the landmarks of all."""
    page.set_input_files("#files", files)
    until(
        page,
        """n => document.querySelectorAll("#photos li").length >= n && !document.body.innerText.includes("waiting") &&
        / in \\d+ photo|Draw a box/.test(document.getElementById("status").textContent)""",
        len(files),
    )
    return page


def saved(page, kind):
    """Save the landmarks or the picture, and return the contents of the file."""
    with page.expect_download() as download:
        page.click(f"#save-{kind}")
    return download.value.suggested_filename, download.value.path().read_bytes()


def saved_json(page):
    name, content = saved(page, "json")
    assert name == "landmarks.json"
    return json.loads(content)


def drag(page, box, size):
    """Draw a box, in pixels of a photo of this size, with the mouse."""
    area = page.locator("#canvas").bounding_box()
    scale = area["width"] / size[0]
    left, top, width, height = (value * scale for value in box)
    page.mouse.move(area["x"] + left, area["y"] + top)
    page.mouse.down()
    page.mouse.move(area["x"] + left + width / 2, area["y"] + top + height / 3)
    page.mouse.move(area["x"] + left + width, area["y"] + top + height)
    page.mouse.up()


def test_landmarks_of_the_sample_are_those_of_python(open_page, pages):
    sample, model = ert.sample_image(), ert.load("face68")
    page = choose(ready(open_page(pages("face68", "face68"))), sample)
    screenshot(page, "page_wide")
    found = saved_json(page)
    assert (found["model"], found["landmark_names"]) == ("face68", list(model.landmark_names_))
    (image,) = found["images"]
    assert (image["file"], image["width"], image["height"]) == (sample.name, *ert.load_image(sample).shape[1::-1])
    (face,) = image["faces"]
    pair = (ert.load_image(sample), face["box"])
    (expected,), std = model.predict([pair], return_std=True)
    assert np.abs(expected - face["landmarks"]).max() < MAX_JPEG_PIXELS
    assert np.allclose(std[0], face["std"], rtol=0.1)
    assert abs(face["confidence"] - model.assess([pair], [expected]).confidence[0]) < 0.02
    (python,) = ert.align(sample, model, detector="lbp")
    assert np.abs(python.box - face["box"]).max() < 3
    assert "confidence 1.0" in page.inner_text("#objects")
    assert page.get_attribute("#canvas", "aria-label") == f"{sample.name} with the landmarks of 1 face"

    page.check("#accurate")
    until(page, "document.getElementById('status').textContent.startsWith('1 face in')")
    ((accurate,),) = ([face["landmarks"] for face in image["faces"]] for image in saved_json(page)["images"])
    (expected,) = model.predict([pair], "accurate")
    assert np.abs(expected - accurate).max() < MAX_JPEG_PIXELS
    assert not np.array_equal(accurate, face["landmarks"])


def test_the_picture_is_saved_in_its_size(open_page, pages, tmp_path):
    page = choose(ready(open_page(pages("face68", "face68"))), ert.sample_image())
    name, content = saved(page, "png")
    assert name == "astronaut_landmarks.png"
    drawn = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    plain = ert.load_image(ert.sample_image()).astype(int)
    assert drawn.shape == plain.shape
    changed = np.abs(drawn - plain).max(axis=2) > 40
    assert changed[65:190, 165:290].sum() > 500
    assert not changed[300:].any()


def test_photos_are_a_table_as_of_ert_predict(open_page, pages, drawn_model, photo, tmp_path):
    """Whole images: EXIF turns, names with commas, files that are no photos."""
    model = with_fitted(drawn_model, box_source="whole")
    pixels = Image.open(photo.files[0]).crop((0, 0, 96, 80))
    pixels.save(tmp_path / 'a "b", c.png')
    exif = Image.Exif()
    exif[274] = 6
    pixels.convert("RGB").save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "no_photo.jpg").write_text("no photo")
    files = [tmp_path / name for name in ('a "b", c.png', "turned.png", "no_photo.jpg")]
    page = choose(ready(open_page(pages("whole", model))), *files)
    assert "2 objects in 2 photos. 1 file could not be used." in page.inner_text("#status")
    assert "this browser cannot read it as a photo" in page.inner_text("#photos")
    name, content = saved(page, "csv")
    assert name == "landmarks.csv"
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    out = tmp_path / "expected.csv"
    ert.write_predictions(ert.predict(model, files[:2]), out)
    expected = list(csv.reader(io.StringIO(out.read_text(), newline="")))
    assert rows[0] == expected[0]
    assert len(rows) == len(expected) == 3
    for row, right in zip(rows[1:], expected[1:], strict=True):
        assert row[:3] == right[:3]
        assert np.allclose(np.array(row[3:], float), np.array(right[3:], float), atol=MAX_PIXELS)
    images = saved_json(page)["images"]
    assert [image.get("width") for image in images] == [96, 80, None]
    assert "cannot read" in images[2]["error"]

    page.click("#photos button >> nth=1")
    until(page, "document.getElementById('canvas').getAttribute('aria-label').startsWith('turned.png')")
    shown = page.locator("#canvas").bounding_box()
    assert math.isclose(shown["width"] / shown["height"], 80 / 96, rel_tol=0.02)
    page.click("#photos button >> nth=2")
    until(page, "!document.getElementById('alert').hidden")
    assert page.inner_text("#alert").startswith("no_photo.jpg: this browser cannot read it as a photo")


def test_boxes_are_drawn_by_mouse_and_typed(open_page, pages, drawn_model, photo):
    page = choose(ready(open_page(pages("given", drawn_model))), photo.files[0])
    assert page.inner_text("#status") == "Draw a box around each object with the mouse, a finger or a pen."
    assert page.get_attribute("#draw", "aria-pressed") == "true"
    drag(page, photo.boxes[0], (96, 96))
    (found,) = saved_json(page)["images"][0]["faces"]
    assert np.abs(photo.boxes[0] - found["box"]).max() < 1
    image = ert.load_image(photo.files[0])
    assert np.abs(drawn_model.predict([(image, found["box"])])[0] - found["landmarks"]).max() < MAX_PIXELS
    assert "std" not in found
    assert "confidence" not in found

    page.click("#numbers summary")
    for name, value in zip(("left", "top", "width", "height"), photo.boxes[0], strict=True):
        page.fill(f"#box input[name={name}]", str(value))
    page.keyboard.press("Enter")
    second = saved_json(page)["images"][0]["faces"][1]
    assert np.abs(drawn_model.predict([(image, photo.boxes[0])])[0] - second["landmarks"]).max() < MAX_PIXELS
    assert page.inner_text("#status") == "2 objects in 1 photo."
    page.fill("#box input[name=left]", "5000")
    page.keyboard.press("Enter")
    assert "it lies outside the image of 96 x 96 pixels" in page.inner_text("#alert")
    # A click is no box.
    page.mouse.click(*page_center(page))
    page.click("[aria-label='Remove object 1']")
    assert saved_json(page)["images"][0]["faces"] == [second]
    rows = page.locator("#points tbody tr").all_text_contents()
    assert [re.match(r"[a-z]+", row).group() for row in rows] == list(photo.landmark_names)


def page_center(page):
    area = page.locator("#canvas").bounding_box()
    return area["x"] + area["width"] / 2, area["y"] + area["height"] / 2


def test_objects_are_found_by_the_locator_of_a_model(open_page, pages, tmp_path):
    rng = np.random.default_rng(0)
    photos, shapes = standard_photos(12, rng)
    locator = fit_locator(photos, shapes, n_jobs=1)
    boxes = [(30, 22, 60, 56)] * len(photos)
    model = small_predictor(n_stages=2, n_trees=20).fit(list(zip(photos, boxes, strict=True)), shapes)
    model = with_fitted(model, locator=locator, box_source="learned")
    pixels, _ = scattered_photo(rng, 2)
    file = tmp_path / "two.png"
    Image.fromarray(pixels).save(file)
    page = choose(ready(open_page(pages("learned", model))), file)
    check_found(page, model, file, 1)
    page.fill("#most-objects", "2")
    page.keyboard.press("Tab")
    until(page, "document.getElementById('status').textContent.startsWith('2 objects')")
    check_found(page, model, file, 2)


def check_found(page, model, file, n):
    (image,) = saved_json(page)["images"]
    expected = list(ert.predict(model, file, max_objects=n))
    assert len(image["faces"]) == len(expected) == n
    for found, right in zip(image["faces"], expected, strict=True):
        assert np.abs(right.landmarks - found["landmarks"]).max() < 0.05
        assert abs(right.roll - found["roll"]) < 0.1
        assert abs(right.confidence - found["confidence"]) < 0.01


def test_a_photo_without_a_face_is_told(open_page, pages, tmp_path):
    Image.new("RGB", (120, 90), "gray").save(tmp_path / "wall.png")
    page = choose(ready(open_page(pages("face68", "face68"))), tmp_path / "wall.png")
    assert page.inner_text("#alert") == "wall.png: no face found. Draw a box around it, or try another photo."
    assert page.is_disabled("#save-csv")
    page.click("#draw")
    drag(page, (20, 10, 60, 60), (120, 90))
    assert page.is_hidden("#alert")
    assert len(saved_json(page)["images"][0]["faces"]) == 1


def test_faces_are_detected_for_a_model_of_given_boxes(open_page, pages):
    model = with_fitted(ert.load("face5"), box_source="given")
    page = choose(ready(open_page(pages("detected", model, box_from="face"))), ert.sample_image())
    assert page.inner_text("#status") == "1 face in 1 photo."
    assert len(saved_json(page)["images"][0]["faces"][0]["landmarks"]) == 5


def test_a_damaged_model_is_a_clear_error(open_page, pages, drawn_model, tmp_path):
    pages("given", drawn_model)
    text = tmp_path / "page.html"
    export_page(drawn_model, text)
    html = text.read_text()
    inside = re.search(r'<script id="model"[^>]*>([^<]*)<', html)[1]
    damaged = bytearray(b64decode(inside))
    damaged[-100] ^= 1
    for content in (damaged, damaged[:1000], b"", b"not a model" * 9):
        text.write_text(html.replace(inside, b64encode(bytes(content)).decode()))
        page = open_page(text.as_uri())
        until(page, "document.documentElement.dataset.state === 'failed'")
        assert page.inner_text("#alert").startswith("The model in this page cannot be used: ")
        assert page.is_disabled("#choose")
        assert page.is_disabled("#camera")


def test_an_old_browser_is_told(open_page, drawn_model, tmp_path):
    """One that cannot decompress the model, and one without import maps, in which no module runs."""
    file = tmp_path / "page.html"
    export_page(drawn_model, file)
    page = open_page(file.as_uri())
    page.add_init_script("delete window.DecompressionStream")
    page.reload()
    until(page, "document.documentElement.dataset.state === 'failed'")
    assert "too old to decompress it: Chrome 80, Safari 16.4" in page.inner_text("#alert")
    file.write_text(re.sub(r'<script type="importmap">.*?</script>', "", file.read_text()))
    page = open_page(file.as_uri(), expected=["app.js"])
    page.add_init_script("HTMLScriptElement.supports = () => false")
    page.reload()
    until(page, "document.getElementById('status').textContent.startsWith('This browser is too old for this page')")


def test_requests_are_refused_by_the_policy(open_page, pages, drawn_model):
    """From the console, as by an extension or a fault; nothing arrives at a server of this machine."""
    page = ready(
        open_page(
            pages("given", drawn_model),
            expected=["Content Security Policy", "Failed to load", "request to another host"],
        )
    )
    requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), recorder(requests)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            refused = page.evaluate(REQUESTS, f"http://127.0.0.1:{server.server_port}/")
            page.context.request.get(f"http://127.0.0.1:{server.server_port}/end")
        finally:
            server.shutdown()
            thread.join()
    assert requests == ["/end"]
    assert set(refused) == {"fetch", "request", "image", "events", "font", "module"}


# Nothing is waited for but what tells that it is refused.
REQUESTS = """async (url) => {
  const refused = [];
  const loaded = (made) => new Promise((done, fail) => { made.onload = made.onopen = done; made.onerror = fail; });
  const attempts = {
    fetch: () => fetch(url + "fetch"),
    request: () => {
      const made = new XMLHttpRequest();
      const result = loaded(made);
      made.open("GET", url + "request");
      made.send();
      return result;
    },
    image: () => { const made = new Image(); made.src = url + "image"; return loaded(made); },
    events: () => loaded(new EventSource(url + "events")),
    font: () => new FontFace("x", `url(${url}font)`).load(),
    module: () => import(url + "module"),
    beacon: () => navigator.sendBeacon(url + "beacon", "x"),
    elements: () => {
      for (const [name, key, more] of [["link", "href", { rel: "prefetch" }], ["link", "href", { rel: "stylesheet" }],
        ["link", "href", { rel: "preload", as: "image" }], ["iframe", "src", {}], ["script", "src", {}],
        ["video", "src", {}]]) {
        const made = Object.assign(document.createElement(name), more);
        made[key] = url + name;
        document.head.append(made);
      }
    },
  };
  for (const [name, attempt] of Object.entries(attempts)) {
    try { await attempt(); } catch { refused.push(name); }
  }
  return refused;
}"""


def recorder(requests):
    """A handler that notes the paths of requests."""

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    return Recorder


def test_hostile_texts_stay_texts(open_page, drawn_model, tmp_path):
    bad = "</script><img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"
    names = (bad, *drawn_model.landmark_names_[1:])
    summary = drawn_model.summary_ | {"notes": {bad: bad, "license": f"--> {bad}"}}
    model = with_fitted(drawn_model, landmark_names=names, box_source="whole", summary=summary)
    model.save(tmp_path / f"{bad.replace('/', '')}.ert")
    export_page(tmp_path / f"{bad.replace('/', '')}.ert", tmp_path / "page.html", title=bad)
    file = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.new("L", (96, 96), 100).save(file)
    page = choose(ready(open_page((tmp_path / "page.html").as_uri())), file)
    assert page.title() == page.inner_text("h1") == bad
    page.click("aside details summary")
    assert bad in page.inner_text("#points")
    assert page.locator("img").count() == 0
    assert saved_json(page)["landmark_names"][0] == bad
    page.click("#about summary")
    assert page.inner_text("#about").count(bad) >= 2


def write_video(path, size=(320, 240), n_frames=8):
    """Write the sample photo as frames of a video, which Chromium takes for a camera."""
    picture = ImageOps.fit(Image.open(ert.sample_image()).convert("RGB").crop((100, 20, 420, 260)), size)
    y, cb, cr = (np.asarray(part).astype(float) for part in picture.convert("YCbCr").split())
    luma = (16 + y * 219 / 255).round().astype(np.uint8)
    halves = [part.reshape(size[1] // 2, 2, size[0] // 2, 2).mean(axis=(1, 3)) for part in (cb, cr)]
    chroma = [(128 + (part - 128) * 224 / 255).round().astype(np.uint8).tobytes() for part in halves]
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F60:1 Ip A1:1 C420\n" % size)
        for _ in range(n_frames):
            file.write(b"FRAME\n" + luma.tobytes() + b"".join(chroma))


@pytest.fixture(scope="module")
def camera(launch, tmp_path_factory):
    """A browser whose camera shows the sample photo."""
    path = tmp_path_factory.mktemp("camera") / "camera.y4m"
    write_video(path)
    return launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    )


def test_the_camera_follows_a_face(open_page, pages, camera):
    page = ready(open_page(pages("face68", "face68"), browser=camera))
    page.click("#camera")
    until(page, "/confidence 0.[5-9]/.test(document.getElementById('objects').textContent)")
    assert re.fullmatch(
        r"\d+ frames a second, [\d.]+ ms for a frame, [\d.]+ ms for each face", page.inner_text("#rate")
    )
    screenshot(page, "page_camera")
    page.click("#keep")
    until(page, "document.getElementById('status').textContent.startsWith('1 face in 1 photo')")
    assert page.inner_text("#camera") == "Use the camera"
    (image,) = saved_json(page)["images"]
    assert image["file"] == "camera_1.png"
    (face,) = image["faces"]
    assert face["confidence"] > 0.8

    page.click("#camera")
    until(page, "document.getElementById('camera').textContent === 'Stop the camera'")
    until(page, "!document.getElementById('rate').hidden")
    page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    assert page.inner_text("#status") == "The camera was stopped because the page was hidden."
    assert page.inner_text("#camera") == "Use the camera"
    assert page.is_hidden("#rate")


def test_a_box_is_drawn_on_the_picture_of_the_camera(open_page, pages, drawn_model, camera):
    page = ready(open_page(pages("given", drawn_model), browser=camera))
    page.click("#camera")
    until(page, "document.getElementById('status').textContent === 'Draw a box around each object.'")
    until(page, "document.getElementById('canvas').width > 300")
    drag(page, (100, 60, 80, 80), (320, 240))
    until(page, "document.getElementById('objects').textContent.includes('Object 1')")
    # A box outside the picture is told, and the camera goes on.
    page.click("#numbers summary")
    for name, value in {"left": "900", "top": "10", "width": "30", "height": "30"}.items():
        page.fill(f"#box input[name={name}]", value)
    page.keyboard.press("Enter")
    assert page.inner_text("#alert").startswith("This box cannot be used: box: it lies outside the image of 320 x 240")
    assert page.inner_text("#camera") == "Stop the camera"
    # As when a phone is turned: the box was drawn on another picture.
    page.evaluate(
        """() => {
          const { get } = Object.getOwnPropertyDescriptor(HTMLVideoElement.prototype, "videoWidth");
          const quarter = { get() { return get.call(this) / 4; } };
          Object.defineProperty(HTMLVideoElement.prototype, "videoWidth", quarter);
        }"""
    )
    until(page, "document.getElementById('objects').textContent === ''")
    assert page.inner_text("#camera") == "Stop the camera"
    page.click("#camera")
    assert page.inner_text("#status") == "The camera is off."


def test_a_camera_that_is_unplugged_is_told(open_page, pages, drawn_model, camera):
    page = open_page(pages("given", drawn_model), browser=camera)
    page.evaluate(
        """() => {
          const { mediaDevices } = navigator;
          const ask = mediaDevices.getUserMedia.bind(mediaDevices);
          mediaDevices.getUserMedia = async (wanted) => (window.stream = await ask(wanted));
        }"""
    )
    ready(page).click("#camera")
    until(page, "document.getElementById('camera').textContent === 'Stop the camera'")
    page.evaluate("stream.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    assert page.inner_text("#status").startswith("The camera was stopped: it was removed")
    assert page.evaluate("stream.getTracks().every((track) => track.readyState === 'ended')")
    assert page.inner_text("#camera") == "Use the camera"


def test_no_camera_is_used_before_a_click_and_a_refusal_is_told(open_page, pages):
    page = open_page(pages("face68", "face68"))
    asked = """() => {
      window.asked = 0;
      const { mediaDevices } = navigator;
      const ask = mediaDevices.getUserMedia.bind(mediaDevices);
      mediaDevices.getUserMedia = (wanted) => { window.asked++; return ask(wanted); };
    }"""
    page.add_init_script(f"({asked})()")
    page.reload()
    ready(page)
    assert page.evaluate("window.asked") == 0
    page.click("#camera")
    until(page, "!document.getElementById('alert').hidden")
    text = page.inner_text("#alert")
    assert text in (
        "The browser does not let this page use the camera. Allow it in the address bar and try again.",
        "No camera was found.",
    )
    assert page.evaluate("window.asked") == 1


def test_the_page_on_a_phone_and_in_the_dark(open_page, pages):
    for view, dark in (("phone", False), ("wide", True)):
        page = choose(ready(open_page(pages("face68", "face68"), view=view, dark=dark)), ert.sample_image())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for button in page.locator("main button:visible").all():
            assert button.bounding_box()["height"] >= 40
        screenshot(page, "page_phone" if view == "phone" else "page_dark")


def test_photos_above_the_limit_are_reduced(open_page, pages, drawn_model, photo, tmp_path):
    side = 7200
    image = Image.open(photo.files[0]).resize((side, side), Image.Resampling.BILINEAR)
    image.save(tmp_path / "large.png", compress_level=1)
    factor = side / 96
    box = [round((value + 0.5) * factor - 0.5) for value in photo.boxes[0][:2]]
    box += [round(value * factor) for value in photo.boxes[0][2:]]
    page = choose(ready(open_page(pages("given", drawn_model))), tmp_path / "large.png")
    page.click("#numbers summary")
    for name, value in zip(("left", "top", "width", "height"), box, strict=True):
        page.fill(f"#box input[name={name}]", str(value))
    page.keyboard.press("Enter")
    assert "Photos of more than 50 megapixels were reduced" in page.inner_text("#status")
    (found,) = saved_json(page)["images"]
    assert (found["width"], found["faces"][0]["box"]) == (side, box)
    (expected,) = drawn_model.predict([(np.asarray(image), box)])
    assert np.abs(expected - found["faces"][0]["landmarks"]).max() < 0.5 * factor


def test_pictures_of_photos_are_released(open_page, pages, drawn_model, photo):
    """Of many photos only the one that is shown stays decoded, also if there is no memory for its pixels."""
    page = ready(open_page(pages("whole", with_fitted(drawn_model, box_source="whole"))))
    page.evaluate(
        """() => {
          const decode = window.createImageBitmap;
          window.bitmaps = [];
          window.createImageBitmap = async (...all) => { bitmaps.push(await decode(...all)); return bitmaps.at(-1); };
        }"""
    )
    choose(page, *photo.files)
    opened = "() => bitmaps.filter(({ width }) => width > 0).length"
    assert page.evaluate("bitmaps.length") == len(photo.files)
    assert page.evaluate(opened) == 1
    page.evaluate(
        """() => {
          CanvasRenderingContext2D.prototype.getImageData = () => { throw new RangeError("Out of memory"); };
        }"""
    )
    page.set_input_files("#files", photo.files[0])
    until(page, "document.getElementById('status').textContent.includes('1 file could not be used')")
    assert "this browser has too little memory for 96 x 96 pixels" in page.inner_text("#photos")
    assert page.evaluate(opened) <= 1


def test_a_photo_is_shown_while_others_wait(open_page, pages, drawn_model, photo):
    model = with_fitted(drawn_model, box_source="whole")
    page = ready(open_page(pages("whole", model)))
    # Nothing is located until this is released.
    page.evaluate(
        """() => {
          const decode = window.createImageBitmap;
          const held = new Promise((resolve) => { window.release = resolve; });
          let n = 0;
          window.createImageBitmap = async (...all) => { if (n++ === 1) await held; return decode(...all); };
        }"""
    )
    page.set_input_files("#files", photo.files[:4])
    until(page, "document.querySelectorAll('#photos li').length === 4 && document.body.innerText.includes('1 object')")
    page.click("#photos button >> nth=3")
    name = photo.files[3].name
    until(page, "name => document.getElementById('canvas').getAttribute('aria-label').startsWith(name)", name)
    assert page.is_hidden("#alert")
    page.evaluate("window.release()")
    until(page, "document.getElementById('status').textContent === '4 objects in 4 photos.'")
    assert page.get_attribute("#canvas", "aria-label") == f"{name} with the landmarks of 1 object"


def test_photos_in_which_nothing_can_be_located_do_not_stop_the_others(open_page, pages, drawn_model, photo, tmp_path):
    model = with_fitted(drawn_model, box_source="whole")
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    page = choose(ready(open_page(pages("whole", model))), tmp_path / "dot.png", photo.files[0])
    assert page.inner_text("#status") == "1 object in 1 photo. 1 file could not be used."
    assert page.inner_text("#alert").startswith("dot.png: no landmarks: box: 1 x 1 pixels")
    assert len(saved_json(page)["images"][1]["faces"]) == 1


def test_dropped_photos_and_several_faces(open_page, pages, tmp_path):
    sample, model = Image.open(ert.sample_image()).crop((120, 20, 340, 240)), ert.load("face68")
    pair = Image.new("RGB", (500, 260), "gray")
    pair.paste(sample, (10, 20))
    pair.paste(sample.resize((180, 180)), (290, 40))
    pair.save(tmp_path / "pair.png")
    page = ready(open_page(pages("face68", "face68")))
    page.evaluate(
        """text => {
          const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], "pair.png"));
          document.getElementById("view").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        b64encode((tmp_path / "pair.png").read_bytes()).decode(),
    )
    until(page, "document.getElementById('status').textContent === '2 faces in 1 photo.'")
    faces = saved_json(page)["images"][0]["faces"]
    shapes = model.predict([(np.asarray(pair), face["box"]) for face in faces])
    for face, expected in zip(faces, shapes, strict=True):
        assert np.abs(expected - face["landmarks"]).max() < MAX_PIXELS
    page.click("#objects button >> nth=0")
    assert page.is_visible("#whole")
    page.click("#whole")
    assert page.is_hidden("#whole")
