"""The annotation server with 5,000 photos: time to the first page, memory, and time of saving.

python benchmarks/annotation_server.py --json benchmarks/results/annotation_server.json
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

from ert._core import system

N_LANDMARKS = 68
LARGE_SIZE = 7728, 5152


def write_photos(folder, n, n_large):
    rng = np.random.default_rng(0)
    for i in range(n):
        noise = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        noise.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"photo{i}.jpg", quality=80)
    for i in range(n_large):
        noise = Image.fromarray(rng.integers(0, 256, (120, 160, 3), np.uint8))
        noise.resize(LARGE_SIZE, Image.Resampling.BICUBIC).save(folder / f"large{i}.jpg", quality=80)


class Server:
    """`ert annotate` as a process of its own."""

    def __init__(self, folder, *arguments):
        self.begin = time.perf_counter()
        command = [sys.executable, "-m", "ert", "annotate", str(folder), "--no-browser", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.base, self.token = re.search(r"(http://\S+)/\?token=(\S+)", self.process.stdout.readline()).groups()

    def ask(self, path, body=None):
        """Return the answer to a request, and the milliseconds that it took."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method="GET" if body is None else "PUT")
        begin = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            content = answer.read()
        return content, 1000 * (time.perf_counter() - begin)

    def get(self, path):
        """Return the JSON of an answer."""
        return json.loads(self.ask(path)[0])

    def megabytes(self):
        """Return the memory that is resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def processor_seconds(self):
        """Return the time of a processor that the process has taken; it does not depend on what else runs."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """Interrupt it, as a user does."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate()


def summary(milliseconds):
    return {
        "n": len(milliseconds),
        "median_ms": round(float(np.median(milliseconds)), 2),
        "p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        "max_ms": round(max(milliseconds), 2),
    }


def wait_until_saved(server):
    begin = time.perf_counter()
    while server.get("/api/status")["disk"]["state"] != "saved":
        time.sleep(0.02)
    return time.perf_counter() - begin


def first_page(server):
    """Return the seconds from the command to the end of everything that the page first asks for."""
    for path in ("/", "/api/project", "/api/photos?order=name&limit=100", "/api/status", "/api/photos/0"):
        server.ask(path)
    server.ask("/api/photos/0/image?side=2048")
    for i in range(20):
        server.ask(f"/api/photos/{i}/thumbnail")
    seconds = time.perf_counter() - server.begin
    return {"seconds": round(seconds, 2), "processor_seconds": server.processor_seconds()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--large", type=int, default=5)
    parser.add_argument("--json", default="benchmarks/results/annotation_server.json")
    options = parser.parse_args()
    load = system.machine_load()
    results = {"photos": options.photos, "large_photos": options.large, "landmarks": N_LANDMARKS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, options.photos, options.large)
        results |= measure(folder, options)
    record = {**system.provenance(["starlette", "uvicorn", "pillow"]), "load": load, **results}
    Path(options.json).write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(folder, options):
    points = [f"--points={N_LANDMARKS}", "--first-training=100000"]
    server = Server(folder, *points)
    found: dict = {"first_page": first_page(server)}
    n, memory = options.photos + options.large, {"first_page": server.megabytes()}
    times = [server.ask(f"/api/photos/{i}/thumbnail")[1] for i in range(n)]
    found["thumbnails"], memory["all_thumbnails"] = summary(times), server.megabytes()
    large = [i for i in range(n) if server.get(f"/api/photos/{i}")["width"] == LARGE_SIZE[0]]
    times = [server.ask(f"/api/photos/{i}/image?side=2048")[1] for i in range(0, n, 5)]
    found["images"], memory["a_fifth_of_images"] = summary(times), server.megabytes()
    times = [server.ask(f"/api/photos/{i}/image?side=2048")[1] for i in large for _ in range(2)]
    found["images_of_40_megapixels"], memory["large_images"] = summary(times[::2]), server.megabytes()
    parts = [f"left={left}&top={left}&width=1000&height=800" for left in range(0, 4000, 200)]
    times = [server.ask(f"/api/photos/{i}/image?side=2048&{part}")[1] for i in large for part in parts]
    found["parts_of_40_megapixels"], memory["parts"] = summary(times), server.megabytes()
    rng = np.random.default_rng(0)

    def save(i, revision):
        marked = {"landmarks": rng.uniform(0, 400, (N_LANDMARKS, 2)).round(2).tolist(), "hidden": [], "box": None}
        body = {"revision": revision, "status": "done", "objects": [{**marked, "id": ""}], "scale": None}
        return server.ask(f"/api/photos/{i}", body)[1]

    times = [save(i, 0) for i in range(n)]
    found["saves"] = summary(times)
    wait_until_saved(server)
    memory["all_done"] = server.megabytes()
    times = []
    for _ in range(3):
        for i in range(0, n, max(1, n // 50)):
            times.append(save(i, server.get(f"/api/photos/{i}")["revision"]))
            time.sleep(0.02)
    found["saves_with_all_done"] = summary(times)
    time.sleep(10)
    wait_until_saved(server)
    begin = server.processor_seconds()
    save(0, server.get("/api/photos/0")["revision"])
    seconds = round(wait_until_saved(server), 2)
    found["change_to_file"] = {"seconds": seconds, "processor_seconds": round(server.processor_seconds() - begin, 2)}
    times = [server.ask("/api/photos?order=name&limit=100")[1] for _ in range(50)]
    found["lists"], found["status"] = summary(times), summary([server.ask("/api/status")[1] for _ in range(50)])
    memory["end"] = server.megabytes()
    server.end()
    again = Server(folder, *points)
    found["first_page_of_a_finished_dataset"] = first_page(again)
    memory["finished_dataset"] = again.megabytes()
    again.end()
    found["memory_MB"] = {key: round(value) for key, value in memory.items()}
    found["file_MB"] = round(os.path.getsize(folder / "annotations.csv") / 1e6, 2)
    found["journal_MB"] = round(os.path.getsize(folder / "annotations.csv.annotate.jsonl") / 1e6, 2)
    return found


if __name__ == "__main__":
    main()
