import io
import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
from annotation.annotating import NAMES, TOKEN, change, done, marked, opened, photos, saved, serving, wait
from PIL import Image

from ert import InputError
from ert.annotation.project import PhotoState
from ert.annotation.server import PAGE, make_app, open_socket, serve

OBJECT = {"landmarks": [[1, 2], None, [5.5, 6]], "hidden": [0], "missing": [1], "box": [0, 1, 30, 20], "id": "x"}


class Assistant:
    """One that prefers the last photo."""

    def __init__(self, project):
        self.project, self.calls = project, []

    def status(self):
        return {"state": "ready", "version": 3}

    def order(self):
        return self.project.todo()[::-1]

    def proposal(self, i):
        return {"model": 3, "objects": [], "score": 0.5, "photo": i}

    def train(self):
        self.calls.append("train")

    def stop(self):
        self.calls.append("stop")


class Checker:
    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")

    def status(self):
        return {"state": "ready", "n_suspicious": 2}

    def order(self):
        return [3, 1]

    def findings(self, i):
        return [{"kind": "far", "text": f"photo {i} is odd", "object": 0, "landmarks": [1]}] if i in (1, 3) else []

    def opinion(self, i):
        return {"model": 1, "objects": [], "photo": i}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    photos(folder / "photos", 5)
    return folder


@pytest.fixture
def project(place, tmp_path):
    one = opened(tmp_path / "a.tps", sorted((place / "photos").iterdir()), format="tps")
    yield one
    one.close()


@pytest.fixture
def server(project):
    with serving(partial(app, project)) as server:
        server.opened = project
        yield server


def app(project, hosts, assistant=None, checker=None, **rest):
    return make_app(
        project.project, assistant, checker, token=TOKEN, hosts=hosts, saver=project.saver, notes=project.notes, **rest
    )


def put(server, i, revision, status="done", objects=(OBJECT,), scale=None):
    body = {"revision": revision, "status": status, "objects": list(objects), "scale": scale}
    return server.ask(f"/api/photos/{i}", body)


def test_the_project_and_its_photos(server):
    project = server.get("/api/project")
    assert project["landmarks"] == list(NAMES)
    assert (project["format"], project["n_photos"], project["round"], project["unit"]) == ("tps", 5, None, "mm")
    assert project["file"].endswith("a.tps")
    assert "does not keep boxes, names of landmarks, objects with a single landmark" in project["notes"][0]
    listed = server.get("/api/photos?offset=1&limit=2")
    assert listed["total"] == 5
    assert listed["photos"][0] == {"id": 1, "name": "a1.png", "status": "todo", "n_objects": 0, "reason": ""}
    assert len(listed["photos"]) == 2
    photo = server.get("/api/photos/2")
    assert photo == {
        "id": 2, "name": "a2.png", "width": 60, "height": 40, "revision": 0, "status": "todo", "objects": [],
        "scale": None, "findings": [],
    }  # fmt: skip
    assert server.get("/api/photos/2/proposal") == server.get("/api/photos/2/opinion") == {"model": 0, "objects": []}


def test_a_photo_is_saved_and_another_tab_is_told(server):
    assert put(server, 1, 0, scale=0.25) == (200, {"revision": 1})
    photo = server.get("/api/photos/1")
    assert photo["objects"] == [OBJECT]
    assert (photo["status"], photo["scale"], photo["revision"]) == ("done", 0.25, 1)
    status, answer = put(server, 1, 0, status="skipped")
    assert status == 409
    assert answer["photo"] == photo
    assert "changed elsewhere" in answer["error"]
    assert server.get("/api/photos/1") == photo
    status = server.get("/api/status?since=0")
    assert (status["changes"], status["changed"]) == (1, [1])
    assert status["counts"] == {"todo": 4, "started": 0, "done": 1, "skipped": 0}
    assert status["model"]["state"] == status["checks"]["state"] == "none"
    assert server.get("/api/status?since=1")["changed"] == []
    # A page of a server before this one.
    assert server.get("/api/status?since=77")["changed"] == [1]
    wait(lambda: server.get("/api/status")["disk"]["state"] == "saved")
    assert server.get("/api/photos?status=done")["photos"][0]["n_objects"] == 1


def test_an_object_without_landmarks_is_dropped(server):
    assert put(server, 0, 0, objects=[{**OBJECT, "landmarks": [None] * 3, "missing": []}, OBJECT])[0] == 200
    assert server.get("/api/photos/0")["objects"] == [OBJECT]


def test_missing_landmarks_are_told_from_those_not_marked_yet(server):
    null = [[1, 2], None, None]
    for missing, kept in (([2], [2]), ([0, 2, 2], [2]), (None, [])):
        object = {**OBJECT, "landmarks": null, "missing": missing}
        if missing is None:
            del object["missing"]
        revision = server.get("/api/photos/0")["revision"]
        assert put(server, 0, revision, "started", [object])[0] == 200
        assert server.get("/api/photos/0")["objects"][0]["missing"] == kept
    nothing = {**OBJECT, "landmarks": [None] * 3, "hidden": [], "missing": [0]}
    assert put(server, 0, 3, "started", [nothing])[0] == 200
    assert server.get("/api/photos/0")["objects"] == [nothing]


def test_names_that_are_no_text(tmp_path):
    photo = photos(tmp_path / "photos", 1)[0]
    photo = photo.rename(photo.with_name(os.fsdecode(b"\xff.png")))
    one = opened(tmp_path / "a.json", [photo], format="coco")
    with serving(partial(app, one)) as server:
        assert put(server, 0, 0)[0] == 200
        assert server.get("/api/photos")["photos"][0]["name"] == "\udcff.png"
        assert server.get("/api/photos/0")["name"] == "\udcff.png"
        saved(one)
    one.close()


def test_next_photos_without_a_model(server):
    change(server.opened.project, 1, PhotoState("skipped"))
    change(server.opened.project, 2, done(marked((1, 2), (3, 4), (5, 6))))
    ids = [server.get(f"/api/photos/{i}/next?order=queue")["id"] for i in (0, 1, 3, 4)]
    assert ids == [3, 3, 4, 0]
    assert server.get("/api/photos/4/next?order=name")["id"] == 0
    assert server.get("/api/photos/4/next?order=suspicious")["id"] is None
    for i in (0, 3, 4):
        change(server.opened.project, i, PhotoState("skipped"))
    assert server.get("/api/photos/0/next")["id"] is None
    assert server.get("/api/photos/0/next?order=name")["id"] is None


def test_what_the_model_and_the_checks_say(project):
    assistant, checker = Assistant(project.project), Checker()
    with serving(partial(app, project, assistant=assistant, checker=checker)) as server:
        assert server.get("/api/status")["model"] == {"state": "ready", "version": 3}
        assert [photo["id"] for photo in server.get("/api/photos?order=queue")["photos"]] == [4, 3, 2, 1, 0]
        assert server.get("/api/photos/4/next")["id"] == 3
        assert server.get("/api/photos/1/next")["id"] == 4
        assert server.get("/api/photos/2/proposal")["photo"] == server.get("/api/photos/2/opinion")["photo"] == 2
        suspicious = server.get("/api/photos?order=suspicious")["photos"]
        assert [(photo["id"], photo["reason"]) for photo in suspicious] == [
            (3, "photo 3 is odd"),
            (1, "photo 1 is odd"),
        ]
        assert server.get("/api/photos/3/next?order=suspicious")["id"] == 1
        assert server.get("/api/photos/1/next?order=suspicious")["id"] is None
        assert server.get("/api/photos/0/next?order=suspicious")["id"] == 3
        assert server.get("/api/photos/3")["findings"][0]["landmarks"] == [1]
        assert server.ask("/api/train", {}, "POST")[0] == server.ask("/api/train", method="DELETE")[0] == 200
        assert server.ask("/api/checks", {}, "POST")[1]["n_suspicious"] == 2
        assert server.ask("/api/checks", method="DELETE")[1]["n_suspicious"] == 2
    assert (assistant.calls, checker.calls) == (["train", "stop"], ["start", "stop"])


def test_measurements(server):
    body = {"objects": [OBJECT], "scale": 0.5, "distances": "tip-tail", "centroid_size": True}
    status, answer = server.ask("/api/measure", body, "POST")
    assert status == 200
    assert answer["measurements"][0]["value"] == pytest.approx(0.5 * np.hypot(4.5, 4))
    assert answer["measurements"][0]["unit"] == "mm"
    status, answer = server.ask("/api/measure", {**body, "distances": "tip-nose"}, "POST")
    assert (status, "nose" in answer["error"]) == (400, True)


def test_landmarks_are_renamed(server):
    status, answer = server.ask("/api/project", {"landmarks": ["a", "b", "c"]})
    assert (status, answer["landmarks"]) == (200, ["a", "b", "c"])
    assert server.get("/api/project")["landmarks"] == ["a", "b", "c"]
    for names in (["a", "b"], ["a", "a", "b"], ["a", "b", ""], ["a", "b", "x\n"], "abc", ["a", "b", 1], None):
        assert server.ask("/api/project", {"landmarks": names})[0] == 400
    assert server.get("/api/project")["landmarks"] == ["a", "b", "c"]


def test_another_program_changes_the_file(server, monkeypatch):
    monkeypatch.setattr("ert.annotation.storage.LOOK_SECONDS", 0.01)
    put(server, 0, 0)
    saved(server.opened)
    path = server.opened.saver.target.path
    path.write_text(path.read_text().replace("IMAGE", "COMMENT=by hand\nIMAGE"))
    wait(lambda: server.get("/api/status")["disk"]["state"] == "changed outside")
    assert put(server, 1, 0)[0] == 200
    assert "by hand" in path.read_text()
    assert server.ask("/api/disk", {"action": "overwrite"}, "POST")[0] == 400
    status, answer = server.ask("/api/disk", {"action": "keep mine"}, "POST")
    assert (status, answer) == (200, {"kept": "a.theirs-1.tps"})
    wait(lambda: server.get("/api/status")["disk"]["state"] == "saved")
    assert path.read_text().count("LM=") == 2


def test_images_are_reduced_parts_and_thumbnails(server, place):
    def picture(path, headers=None):
        sent = {"Authorization": f"Bearer {TOKEN}", **(headers or {})}
        return server.raw("GET", path, None, sent)

    status, headers, body = picture("/api/photos/0/image?side=30")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(body)).size == (30, 20)
    assert Image.open(io.BytesIO(picture("/api/photos/0/image")[2])).size == (60, 40)
    part = picture("/api/photos/0/image?side=9&left=-5&top=10&width=35&height=100")[2]
    assert Image.open(io.BytesIO(part)).size == (9, 9)
    assert Image.open(io.BytesIO(picture("/api/photos/0/thumbnail")[2])).size == (60, 40)
    assert picture("/api/photos/0/image?side=30", {"If-None-Match": headers["etag"]})[0] == 304
    assert picture("/api/photos/1/image?side=30", {"If-None-Match": headers["etag"]})[0] == 200
    for query in ("side=0", "side=x", "side=1e3", "side=99999", "left=1", "left=60&top=0&width=5&height=5",
                  "left=1&top=1&width=0&height=5"):  # fmt: skip
        assert server.ask(f"/api/photos/0/image?{query}")[0] == 400


def test_a_photo_that_cannot_be_read_is_reported_and_others_go_on(tmp_path):
    files = photos(tmp_path, 4)
    files[0].write_bytes(b"no image")
    files[1].write_bytes(files[1].read_bytes()[:-40])
    one = opened(tmp_path / "a.csv", files)
    with serving(partial(app, one)) as server:
        files[2].unlink()
        photo = server.get("/api/photos/0")
        assert (photo["width"], photo["height"]) == (0, 0)
        assert "a0.png" in photo["error"]
        assert [server.ask(f"/api/photos/{i}/thumbnail")[0] for i in range(4) if i != 3] == [415, 415, 404]
        assert server.ask("/api/photos/1/image")[0] == 415
        assert "a2.png" in server.ask("/api/photos/2/image")[1]["error"]
        assert put(server, 0, 0, status="skipped", objects=[])[0] == 200
        assert put(server, 3, 0)[0] == 200
        saved(one)
    one.close()


def test_an_image_that_would_fill_the_memory_is_refused(server, monkeypatch):
    monkeypatch.setattr("ert._core.images.MAX_PIXELS", 2000)
    for what in ("image", "thumbnail", "image?side=9&left=0&top=0&width=9&height=9"):
        status, answer = server.ask(f"/api/photos/4/{what}")
        assert status in (400, 415)
        assert "60 x 40 pixels are too many" in answer["error"]
    assert "too many" in server.get("/api/photos/4")["error"]


def test_the_page_and_its_files(server):
    assert set(os.listdir(PAGE)) >= {"index.html"}
    cookie = {"Cookie": f"ert_{server.port}={TOKEN}"}
    for name in sorted(os.listdir(PAGE)):
        status, headers, body = server.raw("GET", f"/static/{name}", None, cookie)
        assert status == 200
        assert body == (PAGE / name).read_bytes()
        assert headers["content-security-policy"].startswith("default-src 'none'")
    status, headers, body = server.raw("GET", "/", None, cookie)
    assert (status, body) == (200, (PAGE / "index.html").read_bytes())
    assert server.raw("GET", "/", None, {**cookie, "If-None-Match": headers["etag"]})[0] == 304
    # Nothing in the page that its policy would not run.
    assert b"<script>" not in body
    assert b"style=" not in body


def test_the_address_sets_a_cookie(server):
    status, headers, _ = server.raw("GET", f"/?token={TOKEN}")
    assert (status, headers["location"]) == (303, "/")
    assert headers["set-cookie"] == f"ert_{server.port}={TOKEN}; HttpOnly; Path=/; SameSite=strict"
    assert server.raw("GET", "/?token=wrong")[0] == 401
    assert server.raw("GET", "/")[0] == 401


def test_repeatability_of_a_second_round(project):
    class Round:
        def to_json(self):
            return {"of": "wings.tps", "n": 5}

        def repeatability(self, dataset):
            return {"n": len(dataset)}

    with serving(partial(app, project, second_round=Round())) as server:
        assert server.get("/api/project")["round"] == {"of": "wings.tps", "n": 5}
        put(server, 0, 0)
        assert server.get("/api/repeatability") == {"n": 1}


def test_a_fault_of_ours_is_one_line(project, capsys):
    class Broken(Assistant):
        def proposal(self, i):
            raise RuntimeError("secret details")

    with serving(partial(app, project, assistant=Broken(project.project))) as server:
        assert server.ask("/api/photos/0/proposal") == (500, {"error": "a fault of ert annotate: RuntimeError"})
        assert server.get("/api/photos/0")["id"] == 0


def test_many_changes_at_once_are_all_saved(server):
    def work(first):
        for k in range(15):
            assert put(server, first, k, objects=[{**OBJECT, "landmarks": [[k, first], None, [1, 1]]}])[0] == 200

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        photo = server.get(f"/api/photos/{i}")
        assert (photo["revision"], photo["objects"][0]["landmarks"][0]) == (15, [14, i])


# --- running ---


def test_a_port_that_is_taken(tmp_path):
    with open_socket("127.0.0.1", 0, 0) as one:
        port = one.getsockname()[1]
        with pytest.raises(InputError, match=rf"--host 127.0.0.1 --port {port}: cannot listen there"):
            open_socket("127.0.0.1", port, 0)
        with open_socket("127.0.0.1", None, port) as other:
            assert other.getsockname()[1] != port
    for host, port in (("nowhere.invalid", 0), ("127.0.0.1", 99999), ("192.0.2.1", 0)):
        with pytest.raises(InputError, match="cannot listen there"):
            open_socket(host, port, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_the_browser_is_opened(project, monkeypatch, number):
    addresses, visited = [], []
    monkeypatch.setattr("webbrowser.open", visited.append)

    def announce(address):
        addresses.append(address)

        def end():
            wait(lambda: visited)
            time.sleep(0.2)
            os.kill(os.getpid(), number)

        threading.Thread(target=end, daemon=True).start()

    before = signal.getsignal(number)
    serve(lambda token, hosts: app(project, hosts), open_socket("127.0.0.1", 0, 0), announce=announce)
    assert visited == addresses
    assert addresses[0].startswith("http://127.0.0.1:")
    assert signal.getsignal(number) is before
