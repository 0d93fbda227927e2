"""The annotation page with 5,000 photos in Chromium: time until it can be used, and memory while it is used.

    python benchmarks/annotation_page.py
    python benchmarks/annotation_page.py --photos 500     # a short test

The page counts as usable when the first photo is drawn and the first photos are in the list with their thumbnails, and
as complete when all photos are in the list; of several loads, the median and the fastest are given. Then one scrolls
through the whole list, a page of rows at a time with a hundred pauses for thumbnails, opens photos, and searches for
one. The heap is that of JavaScript after a collection.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from annotation_server import Server, write_photos

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
N_LOADS, N_STOPS, N_OPENED = 5, 10, 40
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


def measure(page, server, n):
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
    result["opened"] = open_photos(page, memory)
    result["search_ms"] = search(page, n)
    return result


def open_photos(page, memory):
    """Open photos one after another with a key."""
    page.locator("#view canvas").focus()
    before, times = memory.read(), []
    number = page.evaluate("Number(location.hash.slice(1))")
    key = "PageUp" if number > N_OPENED else "PageDown"
    for _ in range(N_OPENED):
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


def main():
    arguments = common.arguments(__doc__, photos=5000, chromium="/usr/bin/chromium")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_photos(Path(folder), arguments.photos, 0)
        server = Server(Path(folder), "--points", "10")
        try:
            browser = playwright.chromium.launch(executable_path=arguments.chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            result = measure(page, server, arguments.photos)
            version = subprocess.run([arguments.chromium, "--version"], capture_output=True, text=True, check=True)
            browser.close()
        finally:
            server.end()
    chromium = version.stdout.strip()
    common.save_result("annotation_page", {"chromium": chromium, "n_photos": arguments.photos} | result)


if __name__ == "__main__":
    main()
