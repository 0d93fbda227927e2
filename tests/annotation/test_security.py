import http.client
import json
import random
import socket
from contextlib import suppress
from functools import partial

import pytest
from annotation.annotating import TOKEN, change, done, marked, opened, photos, saved, serving

from ert.annotation.security import MAX_BODY_BYTES, is_served
from ert.annotation.server import make_app

OBJECT = {"landmarks": [[1, 2], None, [5.5, 6]], "hidden": [0], "box": [0, 1, 30, 20], "id": "x"}
BODY = {"revision": 1, "status": "done", "objects": [OBJECT], "scale": None}


def app(one, hosts):
    return make_app(one.project, None, None, token=TOKEN, hosts=hosts, saver=one.saver)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure")
    one = opened(folder / "a.csv", photos(folder / "photos", 3))
    change(one.project, 0, done(marked((1, 2), (3, 4), (5, 6))))
    saved(one)
    with serving(partial(app, one)) as server:
        server.opened, server.folder = one, folder
        yield server
    one.close()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(server, status, path="/api/photos/0", body=None, method=None, **headers):
    """Send a request that must be refused, and leave everything as it is."""
    before = contents(server.folder)
    found, answer = server.ask(path, body, method, **headers)
    assert found == status, answer
    assert list(answer) == ["error"]
    assert "\n" not in answer["error"]
    assert "Traceback" not in answer["error"]
    assert contents(server.folder) == before
    return answer["error"]


def test_every_answer_has_the_headers_that_protect_the_page(server):
    for path, token in (("/api/status", TOKEN), ("/api/status", "no"), ("/nothing", TOKEN), ("/static/no", TOKEN)):
        _, headers, _ = server.raw("GET", path, None, {"Authorization": f"Bearer {token}"})
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "evil.example:{port}", ""])
def test_only_the_own_hosts_are_served(server, host):
    refused(server, 403, Host=host.format(port=server.port))
    assert server.ask("/api/status", Host=f"LOCALHOST:{server.port}")[0] == 200
    assert server.ask("/api/status", Host=f"[::1]:{server.port}")[0] == 200


def test_two_hosts_are_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("GET", "/api/status", skip_host=True)
    for host in (server.host, "evil.example"):
        connection.putheader("Host", host)
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.endheaders()
    assert connection.getresponse().status in (400, 403)
    connection.close()


def test_with_all_addresses_numbers_are_served_but_no_other_names():
    hosts = ["localhost:80", "*:80"]
    served = ["localhost:80", "192.168.3.4:80", "[fe80::1]:80", "10.0.0.1:80"]
    assert all(is_served(host, hosts) for host in served)
    assert not any(is_served(host, hosts) for host in ("evil.example:80", "192.168.3.4:81", "192.168.3.4", "*:80", ""))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_requests_of_other_sites_are_refused(server, headers):
    headers = {name: value.format(port=server.port) for name, value in headers.items()}
    refused(server, 403, body=BODY, **headers)
    refused(server, 403, "/api/train", method="DELETE", **headers)
    refused(server, 403, "/api/status", **headers)
    own = {"Origin": f"http://{server.host}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("/api/photos/2", {**BODY, "revision": 99}, **own)[0] == 409


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer no", "Basic secret", "bearer secretx", "Bearer sécret"])
def test_a_wrong_token_is_refused(server, value):
    refused(server, 401, Authorization=value.encode())
    refused(server, 401, "/static/index.html", Authorization=value.encode())
    refused(server, 401, body=BODY, Authorization=value.encode())
    for cookie in (f"ert_{server.port}=no", f"ert_1={TOKEN}", "ert", "a=b; \x01=c"):
        refused(server, 401, Authorization=b"", Cookie=cookie)


def test_only_json_changes_anything(server):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        refused(server, 415, body=BODY, **{"Content-Type": kind})
    status, _, _ = server.raw("PUT", "/api/photos/0", b"", {"Authorization": f"Bearer {TOKEN}"})
    assert status == 400


@pytest.mark.parametrize(
    "change_of",
    [
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1, 2], None]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1, "2"]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1, None]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1, True]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1, 1e300]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [601, 1]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [1, -401]]}]},
        {"objects": [{**OBJECT, "landmarks": [[1, 2], None, [10**400, 1]]}]},
        {"objects": [{**OBJECT, "landmarks": {"0": [1, 2]}}]},
        {"objects": [{**OBJECT, "landmarks": None}]},
        {"objects": [{**OBJECT, "hidden": [3]}]},
        {"objects": [{**OBJECT, "hidden": [-1]}]},
        {"objects": [{**OBJECT, "hidden": [0.0]}]},
        {"objects": [{**OBJECT, "hidden": [False]}]},
        {"objects": [{**OBJECT, "hidden": [0, 0, 0, 0]}]},
        {"objects": [{**OBJECT, "hidden": 0}]},
        {"objects": [{**OBJECT, "missing": [3]}]},
        {"objects": [{**OBJECT, "missing": ["1"]}]},
        {"objects": [{**OBJECT, "missing": {}}]},
        {"objects": [{**OBJECT, "box": [0, 0, 0, 5]}]},
        {"objects": [{**OBJECT, "box": [0, 0, 5]}]},
        {"objects": [{**OBJECT, "box": [0, 0, -5, 5]}]},
        {"objects": [{**OBJECT, "box": [0, 0, 1e9, 5]}]},
        {"objects": [{**OBJECT, "box": "0 0 5 5"}]},
        {"objects": [{**OBJECT, "id": 5}]},
        {"objects": [{**OBJECT, "id": "x" * 1001}]},
        {"objects": [{**OBJECT, "id": "a\nb"}]},
        {"objects": [{**OBJECT, "id": "\ud800"}]},
        {"objects": [None]},
        {"objects": None},
        {"objects": {}},
        {"objects": [OBJECT] * 1001},
        {"status": "finished"},
        {"status": None},
        {"status": ["done"]},
        {"scale": 0},
        {"scale": 1e-320},
        {"scale": -1},
        {"scale": 1e300},
        {"scale": "1"},
        {"scale": True},
        {"revision": None},
        {"revision": "1"},
        {"revision": 1.0},
        {"revision": True},
        {"revision": -1},
        {"revision": 10**400},
    ],
    ids=lambda change_of: str(change_of)[:120],
)  # fmt: skip
def test_a_photo_of_another_form_is_refused(server, change_of):
    refused(server, 400, body=json.dumps({**BODY, **change_of}).encode())


@pytest.mark.parametrize(
    "text",
    ["", "junk", "[]", "1", '"x"', "null", "{", '{"a":1}x', "[" * 100_000, '{"a":' * 100_000, "\ufeff{}", "{'a': 1}"],
    ids=lambda text: text[:9],
)
def test_other_bodies_are_refused(server, text):
    refused(server, 400, body=text.encode() or b" ")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_numbers_that_are_none_are_refused(server, number):
    text = json.dumps(BODY).replace("5.5", number)
    refused(server, 400, body=text.encode())
    refused(server, 400, body=json.dumps(BODY).replace('"revision": 1', f'"revision": {number}').encode())


def test_bytes_that_are_no_text_are_refused(server):
    refused(server, 400, body=b'{"status": "\xff"}')
    refused(server, 400, body=json.dumps(BODY).encode("utf-16"))


def test_a_long_body_is_refused_before_it_is_read(server):
    refused(server, 413, body=b" " * (MAX_BODY_BYTES + 1))
    # Without its length in advance, it is not read further than the limit.
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"PUT /api/photos/0 HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall((head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 100 * MAX_BODY_BYTES:
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
        assert sent < 20 * MAX_BODY_BYTES


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd",
        "/static/%2fetc%2fpasswd", "/static/index.html/x", "/static/", "/static/INDEX.HTML", "/static/index.html%00",
        "/api/photos/-1", "/api/photos/3", "/api/photos/00000000000000", "/api/photos/1.0", "/api/photos/%D9%A1",
        "/api/photos/0x1", "/api/photos/1e0", "/api/photos/..%2f..%2fetc", "/api/photos/" + "9" * 5000,
        "/api/photos/0/image/../../../x", "/api/photos//image", "/api", "/api/nothing", "/etc/passwd",
        "//evil.example/", "/api/repeatability",
    ],
)  # fmt: skip
def test_other_paths_are_not_found(server, path):
    refused(server, 404, path)


@pytest.mark.parametrize(
    "path",
    [
        "/api/photos?order=worst", "/api/photos?status=no", "/api/photos?offset=-1", "/api/photos?limit=1001",
        "/api/photos?limit=x", "/api/photos?limit=%D9%A1", "/api/status?since=-1", "/api/status?since=1e5",
        "/api/photos/0/next?order=x", "/api/photos/0/image?side=" + "9" * 5000, "/api/status?since=" + "9" * 10,
    ],
)  # fmt: skip
def test_other_queries_are_refused(server, path):
    refused(server, 400, path)


@pytest.mark.parametrize("method", ["DELETE", "POST", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"])
def test_other_methods_are_refused(server, method):
    refused(server, 405, "/api/photos/0", method=method)


PIECES = (
    "api", "photos", "0", "1", "image", "static", "..", ".", "%2e%2e", "etc", "passwd", "%00", "%ff", "", "~", "disk",
    "index.html", "a.csv", "\\..\\", "project", "status", "thumbnail", "%25%32%65", "-1", "9" * 40,
)  # fmt: skip
PATHS = ("/api/photos/0", "/api/project", "/api/disk", "/api/measure", "/api/photos/1", "/")
QUERIES = ("side", "left", "token", "since", "order", "%00", "limit"), ("-1", "x", "%", "1e9", "%0d%0a", "nan")
HEADERS = [
    ("Host", "evil.example"), ("Authorization", "Bearer x"), ("Cookie", "ert_=;" * 20), ("Content-Type", "text/html"),
    ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Content-Length", "5"), ("Bad Name", "1"),
    ("Content-Length", "-5"), ("Content-Length", "x"), ("Transfer-Encoding", "chunked"), ("If-None-Match", "*" * 500),
    ("X-Long", "y" * 9000), ("Range", "bytes=0-99999999999"), ("Connection", "upgrade"), ("Upgrade", "websocket"),
    ("Expect", "100-continue"), ("Authorization", ""),
]  # fmt: skip
METHODS = ("PUT", "PUT", "POST", "POST", "DELETE", "PATCH", "GET", "BREW", "HEAD", "OPTIONS")


def hostile(rng, port):
    """Return method, path, body and headers of a request that nobody of good will sends."""
    path = "/" + "/".join(rng.choices(PIECES, k=rng.randint(0, 6)))
    if rng.random() < 0.5:
        path = rng.choice(PATHS)
    if rng.random() < 0.4:
        path += "?" + "&".join("=".join(map(rng.choice, QUERIES)) for _ in range(rng.randint(1, 4)))
    point = [rng.choice([None, "x", 1e308, [], {}])] * 2
    bodies = [
        {**BODY, "objects": [{**OBJECT, "landmarks": [point] * 3}]},
        {"landmarks": [rng.choice([0, None, "", "\x00", "a" * 2000])] * 3},
        {"action": rng.choice(["reload", "keep mine", "../x", None, {}])},
        {"objects": "x", "distances": "0-1" * 9000},
    ]
    texts = [b"", b"{", b"[" * rng.randint(1, 5000), b'{"revision":1e999}', b"\x00\xff" * rng.randint(1, 99), b"null"]
    texts += [*(json.dumps(body).encode() for body in bodies), rng.randbytes(rng.randint(1, 3000))]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Host": f"127.0.0.1:{port}"}
    headers |= dict(rng.sample(HEADERS, rng.randint(0, 2)))
    return rng.choice(METHODS), path, rng.choice(texts), headers


def send(port, method, path, body, headers):
    """Send bytes as they are, and return the status and the body of the answer."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8") + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else None, text


def test_a_thousand_hostile_requests_are_answered_with_errors(server):
    before = contents(server.folder)
    rng = random.Random(7)
    n_refused = 0
    while n_refused < 1000:
        method, path, body, headers = hostile(rng, server.port)
        status, text = send(server.port, method, path, body, headers)
        # A connection that ends within its request has no answer; some requests only read.
        if status is None or (200 <= status < 400 and method in ("GET", "HEAD")):
            continue
        assert 400 <= status < 500, (method, path, body, headers, status, text)
        assert len(text.splitlines()) <= 1 or b"\r\nInvalid HTTP request received.\r\n" in text
        assert b"Traceback" not in text
        n_refused += 1
    assert contents(server.folder) == before
    assert server.opened.saver.is_saved
    assert server.get("/api/photos/0")["revision"] == 1


RAW = [b"\x00\xff" * 50, b"GET / HTTP/9\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
       b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, b"GET / HTTP/1.1\r\nA: " + b"x" * 200_000, b"POST / HTTP/1.1\r\n"
       b"Transfer-Encoding: chunked\r\nHost: x\r\n\r\nzz\r\n", b"\r\n" * 50_000]  # fmt: skip


def test_bytes_that_are_no_request_print_nothing(server, caplog, capfd):
    for data in RAW * 3:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection, suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert server.get("/api/photos/0")["id"] == 0
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nHost: ", b"GET /none HTTP/1.1\r\nHost: x\r\n\r\nGET /"])
def test_a_connection_that_sends_no_request_is_ended(server, monkeypatch, begin):
    monkeypatch.setattr("ert.annotation.server._REQUEST_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(begin)
        while connection.recv(65536):
            pass
    assert server.get("/api/photos/0")["id"] == 0
