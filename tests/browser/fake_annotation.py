"""A small server with the answers of `ert annotate`, for tests of the page with states that take long to get to."""

import io
import json
import re
import threading
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from PIL import Image, ImageDraw

import ert.annotation

PAGE = Path(ert.annotation.__file__).with_name("page")
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
LANDMARKS = ["nose", "left eye", "right eye", "tail"]
WIDTH, HEIGHT = 600, 400
POINTS = [[300.0, 60.0], [250.0, 150.0], [350.0, 150.0], [300.0, 340.0]]
NO_MODEL = {
    "state": "waiting", "version": 0, "progress": 0, "text": "", "n_photos": 0, "next_at": 10, "errors": [],
    "advice": "", "corrections": {"n_landmarks": 0, "n_corrected": 0},
}  # fmt: skip


def marked(points=POINTS):
    return {"landmarks": [list(point) for point in points], "hidden": [], "box": None, "id": ""}


@lru_cache(maxsize=8)
def picture(width, height, part=(0, 0, 0, 0)):
    image = Image.new("RGB", (width, height), (226, 232, 226))
    draw = ImageDraw.Draw(image)
    draw.ellipse((0.3 * width, 0.1 * height, 0.7 * width, 0.9 * height), fill=(96, 122, 140))
    for x, y in POINTS:
        center = x * width / WIDTH, y * height / HEIGHT
        draw.ellipse((center[0] - 2, center[1] - 2, center[0] + 2, center[1] + 2), "black")
    left, top, part_width, part_height = part
    if part_width:
        image = image.crop((left, top, left + part_width, top + part_height))
    data = io.BytesIO()
    image.save(data, "JPEG")
    return data.getvalue()


class FakeAnnotation:
    """The answers, which a test may change between two requests, and the requests that came."""

    def __init__(self, n):
        self.photos = [
            {"id": i, "name": f"fish {i:04d}.jpg", "width": WIDTH, "height": HEIGHT, "revision": 0, "status": "todo",
             "objects": [], "scale": None, "findings": []}
            for i in range(n)
        ]  # fmt: skip
        self.project = {
            "title": "fish", "file": "fish photos/annotations.csv", "format": "csv", "landmarks": LANDMARKS,
            "links": [[0, 1], [0, 2]], "unit": "mm", "n_photos": n, "round": None,
        }  # fmt: skip
        self.model = dict(NO_MODEL)
        self.checks = {"state": "none", "progress": 0, "text": "", "n_suspicious": 0}
        self.reasons, self.proposals, self.opinions, self.answers = {}, {}, {}, {}
        self.changed, self.requests = [], []
        self.queue = list(range(n))

    def finish(self, *ids):
        for i in ids:
            self.photos[i] |= {"status": "done", "objects": [marked()]}

    def counts(self):
        statuses = [photo["status"] for photo in self.photos]
        return {status: statuses.count(status) for status in ("todo", "started", "done", "skipped")}

    def answer(self, method, path, query, body):
        if (method, path) in self.answers:
            return self.answers[method, path](body)
        if path == "/api/status":
            since = int(query.get("since", 0))
            return 200, {
                "changes": len(self.changed), "changed": self.changed[since:], "counts": self.counts(),
                "disk": {"state": "saved", "text": ""}, "model": self.model, "checks": self.checks,
            }  # fmt: skip
        if path == "/api/project":
            return 200, self.project
        if path == "/api/photos":
            return 200, self.listed(query)
        if found := re.fullmatch(r"/api/photos/(\d+)(/\w+)?", path):
            return self.answer_photo(method, self.photos[int(found[1])], found[2], body)
        return (200, {}) if method != "GET" else (404, {"error": f"{path}: unknown"})

    def listed(self, query):
        everything = range(len(self.photos))
        todo = [i for i in self.queue if self.photos[i]["status"] in ("todo", "started")]
        ids = {"name": everything, "queue": todo, "suspicious": list(self.reasons)}[query["order"]]
        offset = int(query["offset"])
        lines = [
            {"id": i, "name": self.photos[i]["name"], "status": self.photos[i]["status"],
             "n_objects": len(self.photos[i]["objects"]), "reason": self.reasons.get(i, "")}
            for i in ids[offset : offset + int(query["limit"])]
        ]  # fmt: skip
        return {"total": len(ids), "photos": lines}

    def answer_photo(self, method, photo, part, body):
        i = photo["id"]
        if method == "PUT":
            photo |= body | {"revision": photo["revision"] + 1}
            self.changed.append(i)
            return 200, {"revision": photo["revision"]}
        if part == "/next":
            left = [k for k in self.queue if k != i and self.photos[k]["status"] in ("todo", "started")]
            return 200, {"id": left[0] if left else None}
        none = {"model": 0, "objects": []}
        return 200, {"/proposal": self.proposals.get(i, none), "/opinion": self.opinions.get(i, none), None: photo}[
            part
        ]

    def start(self):
        """Serve from a thread; the address is in `url`."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.fake = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Print nothing."""

    def send(self, status, kind, data):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self):
        fake, parts = self.server.fake, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        fake.requests.append((self.command, self.path, body))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/thumbnail"):
            return self.send(200, "image/jpeg", picture(160, 107))
        if parts.path.endswith("/image"):
            part = tuple(int(query.get(name, 0)) for name in ("left", "top", "width", "height"))
            return self.send(200, "image/jpeg", picture(WIDTH, HEIGHT, part))
        if parts.path == "/" or parts.path.startswith("/static/"):
            file = PAGE / (parts.path.removeprefix("/static/").lstrip("/") or "index.html")
            return self.send(200, TYPES[file.suffix], file.read_bytes())
        status, answer = fake.answer(self.command, parts.path, query, body)
        return self.send(status, "application/json", json.dumps(answer).encode())

    do_GET = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815
