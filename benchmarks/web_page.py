"""Measure the page that `ert export web face68` writes, in Chromium: size, time to open, frames a second, time a frame.

    python benchmarks/web_page.py

Needs playwright and chromium. The camera is a video of the sample photo that moves from side to side, 640 x 480 pixels
with 60 frames a second; the time of a frame is that from reading its pixels to painting the landmarks. What the page
does with a model is measured by itself: reading it from base64, loading it, and locating the landmarks of a face.
"""

import csv
import io
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import common

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
N_OPENINGS, CAMERA_SECONDS, N_FRAMES = 7, 20, 60
MEASURE = """async () => {
  const { loadModel } = await import("ert.js");
  const { readBytes } = await import("embedded.js");
  const { decode, readGray } = await import("photos.js");
  const time = async (run, calls = 1) => {
    const times = [];
    for (let repeat = 0; repeat < 75; repeat++) {
      const begin = performance.now();
      for (let i = 0; i < calls; i++) await run();
      times.push((performance.now() - begin) / calls);
    }
    times.sort((a, b) => a - b);
    return { median: times[times.length >> 1], least: times[0] };
  };
  const bytes = readBytes("model");
  const model = await loadModel(bytes);
  const { gray } = readGray(await decode(new Blob([readBytes("example")])));
  const box = [176, 65, 98, 98];
  const result = {
    base64_ms: await time(() => readBytes("model")),
    load_ms: await time(() => loadModel(bytes)),
    predict_ms: await time(() => model.predict(gray, box), 10),
  };
  const landmarks = model.predict(gray, box);
  result.assess_ms = await time(() => model.assess(gray, box, landmarks), 10);
  result.accurate_ms = await time(() => model.predict(gray, box, { mode: "accurate" }), 3);
  return result;
}"""


def write_video(path):
    import numpy as np
    from PIL import Image

    import ert

    photo = Image.open(ert.sample_image()).convert("RGB").resize((480, 480))
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F60:1 Ip A1:1 C420\n")
        for i in range(N_FRAMES):
            frame = Image.new("RGB", (640, 480), "gray")
            frame.paste(photo, (80 + round(60 * np.sin(2 * np.pi * i / N_FRAMES)), 0))
            y, *colors = (np.asarray(part).astype(float) for part in frame.convert("YCbCr").split())
            parts = [16 + y * 219 / 255]
            parts += [128 + (part.reshape(240, 2, 320, 2).mean(axis=(1, 3)) - 128) * 224 / 255 for part in colors]
            file.write(b"FRAME\n" + b"".join(part.round().astype(np.uint8).tobytes() for part in parts))


def open_ready(browser, url):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    while page.evaluate("document.documentElement.dataset.state") != "ready":
        page.wait_for_timeout(20)
    return page


def camera_figures(page):
    """Return the figures of each second of the camera after the first two."""
    page.click("#camera")
    figures = []
    for second in range(CAMERA_SECONDS + 2):
        page.wait_for_timeout(1000)
        found = page.evaluate("({ ...document.getElementById('rate').dataset })")
        if second >= 2:
            figures.append({key: float(value) for key, value in found.items()})
    page.click("#camera")
    return figures


def difference(page):
    """Return the largest difference from Python of the sample's landmarks, in pixels: two programs decode the JPEG."""
    import numpy as np

    import ert

    page.set_input_files("#files", ert.sample_image())
    page.wait_for_selector("#save-csv:enabled")
    with page.expect_download() as download:
        page.click("#save-csv")
    (row,) = csv.DictReader(io.StringIO(download.value.path().read_text()))
    image, model = ert.load_image(ert.sample_image()), ert.load("face68")
    box = [float(row[name]) for name in ("left", "top", "width", "height")]
    found = [[float(row[f"{axis}_{name}"]) for axis in "xy"] for name in model.landmark_names_]
    return float(np.abs(model.predict([(image, box)])[0] - found).max())


def main():
    import numpy as np
    from playwright.sync_api import sync_playwright

    import ert
    from ert.web import export_page

    load = os.getloadavg()[0]
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        size = export_page("face68", Path(folder, "plain.html"))
        export_page("face68", Path(folder, "example.html"), image=ert.sample_image())
        write_video(Path(folder, "camera.y4m"))
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        camera.append(f"--use-file-for-fake-video-capture={folder}/camera.y4m")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS, *camera])
        opened = []
        for _ in range(N_OPENINGS):
            page = open_ready(browser, Path(folder, "plain.html").as_uri())
            opened.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
            if len(opened) == N_OPENINGS:
                figures, pixels = camera_figures(page), difference(page)
            page.close()
        measured = open_ready(browser, Path(folder, "example.html").as_uri()).evaluate(MEASURE)
        version = browser.version
        browser.close()
    rates, medians, longest = (
        np.array([second[key] for second in figures]) for key in ("framesPerSecond", "median", "longest")
    )
    common.save_result(
        "web_page",
        {
            "chromium": version,
            "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
            "page_bytes": size,
            "largest_difference_from_python_pixels": round(pixels, 3),
            "ready_ms": {"median": round(float(np.median(opened)), 1), "all": [round(time, 1) for time in opened]},
            "model": {key: {name: round(value, 3) for name, value in times.items()} for key, times in measured.items()},
            "camera": {
                "size": [640, 480],
                "video_frames_per_second": 60,
                "frames_per_second": round(float(np.median(rates)), 1),
                "frame_ms": round(float(np.median(medians)), 2),
                "longest_frame_ms": {
                    "median_of_seconds": round(float(np.median(longest)), 1),
                    "longest": round(float(longest.max()), 1),
                },
            },
        },
    )


if __name__ == "__main__":
    sys.exit(main())
