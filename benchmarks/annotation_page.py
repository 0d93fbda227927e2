"""The annotation page with 5,000 photos in Chromium: time until it can be used, and memory while it is used.

    python benchmarks/annotation_page.py
    python benchmarks/annotation_page.py --photos 500     # a short test

The page counts as usable when the first photo is drawn and the first photos are in the list with their thumbnails, and
as complete when all photos are in the list; of several loads, the median and the fastest are given. Then one scrolls
through the whole list, a page of rows at a time with a hundred pauses for thumbnails, opens photos, and searches for
one. The heap is that of JavaScript after a collection.

With photos of 12 megapixels: the time from Enter until the next photo is drawn, after a pause as long as marking it
takes and without one; the time from the first click in a photo until its landmark is drawn; and, while a point is
dragged, the time from each move of the pointer until the frame with the moved point is drawn, and between frames.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from annotation_server import Server, write_photos
from PIL import Image

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
N_LOADS, N_STOPS = 5, 10
N_LARGE, N_LARGE_POINTS, LARGE_SIZE, PAUSE_SECONDS, N_MOVES = 12, 4, (4000, 3000), 2, 120
# Each new photo on the canvas, each frame with a moved point, and when a key or the pointer asked for them.
RECORD = """
window.drawn = []; window.moves = []; window.frames = [];
const seen = new WeakSet();
const { drawImage } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.drawImage = function (image, ...rest) {
  drawImage.call(this, image, ...rest);
  if (!seen.has(image)) window.drawn.push(performance.now() - window.asked);
  seen.add(image);
};
addEventListener("keydown", (event) => { window.asked = event.timeStamp; }, true);
const afterFrame = (then) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => then(performance.now());
  port2.postMessage(null);
});
addEventListener("pointermove", (event) => {
  afterFrame((now) => { window.moves.push(now - event.timeStamp); window.frames.push(now); });
}, true);
addEventListener("pointerup", (event) => {
  afterFrame((now) => { window.placed = now - event.timeStamp; });
}, true);
"""
# Milliseconds since the navigation until the list has n photos, those in sight with their thumbnails.
SHOWN = """(n) => {
  const rows = [...document.querySelectorAll("#photos .row:not([hidden])")];
  const isListed = rows.length > 3 && rows.every((row) => Number(row.ariaSetSize) >= n);
  const isShown = rows.slice(0, 4).every((row) => row.querySelector("img").naturalWidth > 0);
  return window.isPhotoShown && isListed && isShown && performance.now();
}"""
# The image of the open photo has arrived.
WATCH = """new PerformanceObserver((list) => {
  if (list.getEntries().some(({ name }) => /\\/image\\?/.test(name))) window.isPhotoShown = true;
}).observe({ type: "resource", buffered: true });"""
SCROLL = """async ([from, to, stops]) => {
  const list = document.querySelector("#photos .rows");
  const page = list.clientHeight - 60;
  const rest = (to - from) / stops;
  let next = from;
  for (let top = from; top < to; top += page) {
    list.scrollTop = top;
    await new Promise(requestAnimationFrame);
    if (top >= next) {
      next += rest;
      await new Promise((resolve) => { setTimeout(resolve, 250); });
    }
  }
}"""


class Memory:
    """The memory of a page and of its server in MB."""

    def __init__(self, page, server):
        self.session, self.server = page.context.new_cdp_session(page), server
        self.session.send("Performance.enable")

    def read(self):
        """Return the memory after a collection."""
        self.session.send("HeapProfiler.collectGarbage")
        metrics = {each["name"]: each["value"] for each in self.session.send("Performance.getMetrics")["metrics"]}
        return {
            "heap_mb": round(metrics["JSHeapUsedSize"] / 2**20, 2),
            "dom_nodes": int(metrics["Nodes"]),
            "server_mb": round(self.server.megabytes(), 1),
        }


def load(page, server, n):
    page.goto("about:blank")
    page.goto(f"{server.base}/?token={server.token}")
    return [page.wait_for_function(SHOWN, arg=count).json_value() for count in (min(n, 100), n)]


def measure(page, server, n, n_opened):
    result = {"load_average": os.getloadavg()[0]}
    page.add_init_script(WATCH)
    thumbnails = []
    page.on("request", lambda request: request.url.endswith("/thumbnail") and thumbnails.append(request.url))
    times = np.round([load(page, server, n) for _ in range(N_LOADS)])
    for name, column in zip(("usable_ms", "complete_ms"), times.T, strict=True):
        result[name] = {"median": float(np.median(column)), "min": float(column.min())}
    thumbnails.clear()
    memory = Memory(page, server)
    result["loaded"] = memory.read()
    height = page.evaluate("document.querySelector('#photos .rows').scrollHeight")
    result["scrolled"] = []
    for i in range(N_STOPS):
        begin = time.perf_counter()
        page.evaluate(SCROLL, [height * i / N_STOPS, height * (i + 1) / N_STOPS, 10])
        seconds = round(time.perf_counter() - begin, 2)
        result["scrolled"].append(
            {"part": (i + 1) / N_STOPS, "seconds": seconds, "n_thumbnails": len(thumbnails)} | memory.read()
        )
    result["opened"] = open_photos(page, memory, n_opened)
    result["search_ms"] = search(page, n)
    return result


def open_photos(page, memory, n):
    """Open photos one after another with a key."""
    page.locator("#view canvas").focus()
    before, times = memory.read(), []
    number = page.evaluate("Number(location.hash.slice(1))")
    key = "PageUp" if number > n else "PageDown"
    for _ in range(n):
        name = page.locator("#name").inner_text()
        begin = time.perf_counter()
        page.keyboard.press(key)
        page.wait_for_function("(name) => document.querySelector('#name').textContent !== name", arg=name)
        times.append(time.perf_counter() - begin)
    return {"median_ms": round(1000 * sorted(times)[len(times) // 2]), "before": before, "after": memory.read()}


def search(page, n):
    script = f"""() => {{
      const field = document.querySelector("#photos input[type=search]");
      const begin = performance.now();
      field.value = "photo{n - 1}.";
      field.dispatchEvent(new Event("input"));
      const names = document.querySelectorAll("#photos .row:not([hidden]) .name");
      return names.length === 1 && performance.now() - begin;
    }}"""
    milliseconds = page.evaluate(script)
    assert milliseconds is not False
    return round(milliseconds, 1)


def write_large_photos(folder):
    rng = np.random.default_rng(0)
    for i in range(N_LARGE):
        noise = Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8))
        noise.resize(LARGE_SIZE, Image.Resampling.BICUBIC).save(folder / f"large{i:02}.jpg", quality=90)


def mark(page):
    """Place all landmarks of the photo with the mouse; return the milliseconds until the first one was drawn."""
    box = page.locator("#view canvas").bounding_box()
    times = []
    for i in range(N_LARGE_POINTS):
        page.evaluate("window.placed = null")
        page.mouse.click(box["x"] + box["width"] * (0.4 + 0.05 * i), box["y"] + box["height"] / 2)
        times.append(page.wait_for_function("() => window.placed").json_value())
    return times[0]


def finish_photos(page, pause):
    """Mark photos and go on with Enter; return the milliseconds until the next photo, and a landmark, are drawn."""
    next_photo, first_point = [], []
    for _ in range(N_LARGE // 2 - 1):
        first_point.append(mark(page))
        time.sleep(pause)
        page.evaluate("window.drawn = []")
        page.keyboard.press("Enter")
        next_photo.append(page.wait_for_function("() => window.drawn[0]").json_value())
    return spread(next_photo), spread(first_point)


def drag(page, zoomed):
    """Drag a point; return the milliseconds from a move to the drawn frame, and between frames."""
    mark(page)
    box = page.locator("#view canvas").bounding_box()
    x, y = box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    for _ in range(8 * zoomed):
        page.keyboard.press("+")
    page.wait_for_timeout(1500)
    page.mouse.down()
    page.evaluate("window.moves = []; window.frames = []")
    for i in range(N_MOVES):
        page.mouse.move(x + i, y + 20 * np.sin(i / 9))
    moves, frames = page.evaluate("[window.moves, window.frames]")
    page.mouse.up()
    return {"move_to_drawn_ms": spread(moves), "between_frames_ms": spread(np.diff(frames))}


def spread(values):
    return {
        "median": round(float(np.median(values)), 1),
        "p95": round(float(np.percentile(values, 95)), 1),
        "max": round(float(np.max(values)), 1),
    }


def measure_large(browser):
    """Measure with photos of 12 megapixels."""
    with tempfile.TemporaryDirectory() as folder:
        write_large_photos(Path(folder))
        server = Server(Path(folder), "--points", str(N_LARGE_POINTS), "--first-training", "1000")
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.add_init_script(RECORD)
            page.goto(f"{server.base}/?token={server.token}")
            page.wait_for_function("() => window.drawn.length")
            result = {}
            for name, pause in (("after_a_pause", PAUSE_SECONDS), ("at_once", 0)):
                next_photo, first_point = finish_photos(page, pause)
                result[name] = {"enter_to_next_photo_ms": next_photo, "click_to_first_landmark_ms": first_point}
            result["drag"] = drag(page, False)
            page.keyboard.press("PageUp")
            page.wait_for_timeout(1500)
            page.keyboard.press("Control+z")
            result["drag_zoomed"] = drag(page, True)
            page.close()
        finally:
            server.end()
    return {"size": LARGE_SIZE, "load_average": os.getloadavg()[0]} | result


def main():
    arguments = common.arguments(__doc__, photos=5000, opened=1000, chromium="/usr/bin/chromium")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_photos(Path(folder), arguments.photos, 0)
        server = Server(Path(folder), "--points", "10")
        try:
            browser = playwright.chromium.launch(executable_path=arguments.chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            result = measure(page, server, arguments.photos, arguments.opened)
            version = subprocess.run([arguments.chromium, "--version"], capture_output=True, text=True, check=True)
        finally:
            server.end()
        result["large_photos"] = measure_large(browser)
        browser.close()
    chromium = version.stdout.strip()
    common.save_result("annotation_page", {"chromium": chromium, "n_photos": arguments.photos} | result)


if __name__ == "__main__":
    main()
