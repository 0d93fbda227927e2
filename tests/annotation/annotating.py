"""Open annotations of drawn photos, for the tests of projects, files and the server."""

import http.client
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ert.annotation.opening import Request, open_project
from ert.annotation.project import Marked, PhotoState
from ert.annotation.scheme import Scheme, numbered_scheme
from ert.annotation.storage import Target

TOKEN = "secret"
NAMES = ("tip", "wing", "tail")


def photos(folder: Path, n: int = 4, size: tuple[int, int] = (60, 40)) -> list[Path]:
    """Write n small photos: a0.png, a1.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"a{i}.png" for i in range(n)]
    for i, file in enumerate(files):
        Image.new("L", size, 40 + i).save(file)
    return files


def marked(*points, **rest) -> Marked:
    """Return an object; None is a missing landmark."""
    return Marked(np.array([(np.nan, np.nan) if point is None else point for point in points], float), **rest)


def done(*objects: Marked, scale: float | None = None) -> PhotoState:
    return PhotoState("done", objects, scale)


def opened(out: Path, files=(), *, format="csv", names=NAMES, **rest):
    """Open an annotation."""
    scheme = numbered_scheme(names) if isinstance(names, int) else names and Scheme(tuple(names), [])
    return open_project(Request(list(files), Target(out, format), scheme=scheme, **rest))


def change(project, i: int, state: PhotoState) -> PhotoState:
    return project.change(i, project.photo(i).revision, state)


def wait(holds, seconds: float = 20):
    """Wait until a function returns something true."""
    end = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return result


def saved(opened_project) -> None:
    """Wait until the file holds everything."""
    wait(lambda: opened_project.saver.is_saved)


def same(a: PhotoState, b: PhotoState) -> bool:
    return replace(a, revision=0).to_json() == replace(b, revision=0).to_json()


class Served:
    """A server in a thread of this process."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"

    def raw(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        """Send a request; return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def ask(self, path: str, body=None, method: str | None = None, **headers):
        """Send a request with the token; return its status and JSON."""
        sent = {"Authorization": f"Bearer {TOKEN}", **headers}
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        status, _, text = self.raw(method or ("GET" if body is None else "PUT"), path, data, sent)
        return status, json.loads(text)

    def get(self, path: str):
        status, answer = self.ask(path)
        assert status == 200, answer
        return answer


@contextmanager
def serving(app):
    """Serve an application of `make_app`, which is made by a function of the hosts."""
    import uvicorn

    from ert.annotation.server import LOOPBACK, open_socket, server_config

    listening = open_socket("127.0.0.1", 0, 0)
    port = listening.getsockname()[1]
    server = uvicorn.Server(server_config(app([f"{name}:{port}" for name in LOOPBACK])))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        wait(lambda: server.started)
        yield Served(port)
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
