"""Prediction by the workers of a Dask cluster: threads of this process, and processes that are killed."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import ert
from ert._core.exceptions import InputError

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
parquet = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")

from ert.pipeline.cluster import run, stores, worker  # noqa: E402
from ert.pipeline.cluster.client import connected  # noqa: E402
from ert.pipeline.cluster.run import predict_photos_on_cluster  # noqa: E402
from ert.pipeline.cluster.stores import batches, list_images  # noqa: E402
from ert.pipeline.inputs import Inputs  # noqa: E402
from ert.pipeline.predict import choose_request, predict_photos  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def client():
    """A cluster of two workers that are threads of this process, whose libraries get their threads back."""
    cv2 = pytest.importorskip("cv2")
    n_threads = cv2.getNumThreads()
    options = {"processes": False, "dashboard_address": None, "silence_logs": 60}
    with (
        threadpool_limits(),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
    cv2.setNumThreads(n_threads)


@pytest.fixture
def store(photos):
    """A store with the photographs; it is emptied at the end."""
    files = fsspec.filesystem("memory")
    for file in photos.rglob("*.png"):
        files.pipe_file(f"/bucket/{file.relative_to(photos)}", file.read_bytes())
    yield files
    files.rm("/bucket", recursive=True)
    if files.exists("/out"):
        files.rm("/out", recursive=True)


def rows(folder):
    """Return the rows of all parts, in order."""
    return [row for file in sorted(folder.glob("part-*.parquet")) for row in parquet.read_table(file).to_pylist()]


def parts(folder):
    """Return the files with results, and when each was written."""
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("part-*")}


def test_results_are_those_without_a_cluster(whole_model, photos, tmp_path, client):
    ert.write_predictions(ert.predict(whole_model, photos), tmp_path / "alone.parquet")
    progress = []
    found = ert.predict_on_cluster(
        whole_model, photos, tmp_path / "out", cluster=client, images_per_part=5, on_progress=progress.append
    )
    assert found == (12, 12, 0, 0, 0, 3, 0)
    assert sorted(progress) == [2, 5, 5]
    expected = parquet.read_table(tmp_path / "alone.parquet").to_pylist()
    for row in expected:
        # Relative to the folder of the file.
        row["image"] = os.path.join("..", row["image"])
    assert rows(tmp_path / "out") == expected
    assert not list(tmp_path.glob("out/_part*"))
    assert not any("incomplete" in file.name or file.name.startswith(".ert") for file in (tmp_path / "out").iterdir())


def test_confidence_and_standard_errors(confident_model, photos, tmp_path, client):
    options = {"mode": "accurate", "min_confidence": 0.01}
    found = ert.predict(confident_model, photos, boxes=(10, 10, 75, 75), **options)
    ert.write_predictions(found, tmp_path / "alone.parquet")
    out = tmp_path / "out"
    ert.predict_on_cluster(confident_model, photos, out, cluster=client, box=(10, 10, 75, 75), **options)
    expected = parquet.read_table(tmp_path / "alone.parquet").to_pylist()
    # An image without an object has a row, as in the table of the command.
    objects = [row for row in rows(out) if row["object"]]
    assert [row | {"image": None} for row in objects] == [row | {"image": None} for row in expected]
    assert {"confidence", "std_0"} <= set(expected[0])


def test_names_that_no_table_can_hold(whole_model, photos, tmp_path, client):
    odd = tmp_path / "line\nbreak.png"
    odd.write_bytes((photos / "wing0.png").read_bytes())
    faults = []
    options = {"cluster": client, "on_error": faults.append}
    assert ert.predict_on_cluster(whole_model, [odd, photos], tmp_path / "out", **options).n_images == 12
    assert len(faults) == 1
    assert "break.png" in faults[0]


def test_tps_of_all_subfolders_with_a_scale(whole_model, photos, tmp_path, client):
    out = tmp_path / "out"
    options = {"format": "tps", "scale": 0.5, "recursive": True}
    found = ert.predict_on_cluster(whole_model, photos, out, cluster=client, **options)
    assert found.n_objects == 14
    (file,) = out.glob("part-000000-*.tps")
    dataset = ert.load_dataset(file)
    assert [image.name for image in dataset.files] == [f"wing{i}.png" for i in range(14)]
    assert set(dataset.scales) == {0.5}


def test_images_and_results_in_a_store(whole_model, photos, tmp_path, store, client):
    store.pipe_file("/bucket/list.txt", b"wing3.png\nmissing.png\n# comment\nmemory://bucket/more\n")
    faults = []
    images = ["memory://bucket/wing1*.png", "@memory://bucket/list.txt"]
    options = {"cluster": client, "images_per_part": 4, "on_error": faults.append}
    found = ert.predict_on_cluster(whole_model, images, "memory://out/run", **options)
    assert found[:5] == (6, 6, 0, 0, 1)
    assert faults == ["memory://bucket/missing.png: no such file"]
    names = sorted(os.path.basename(name) for name in store.ls("/out/run", detail=False))
    assert [name.partition("-")[0] for name in names] == ["_ert_predict.json", "_part", "part", "part"]
    table = [row for name in names[2:] for row in parquet.read_table(store.open(f"/out/run/{name}")).to_pylist()]
    chosen = [1, 10, 11, 3, 12, 13]
    assert [row["image"] for row in table] == [
        f"memory://{'bucket/wing3' if i == 3 else f'/bucket/wing{i}' if i < 12 else f'/bucket/more/wing{i}'}.png"
        for i in chosen
    ]
    files = [photos / ("more" if i > 11 else "") / f"wing{i}.png" for i in chosen]
    ert.write_predictions(ert.predict(whole_model, files), tmp_path / "alone.parquet")
    for row, expected in zip(table, parquet.read_table(tmp_path / "alone.parquet").to_pylist(), strict=True):
        assert row == expected | {"image": row["image"]}


def test_finished_parts_are_not_done_again(whole_model, photos, tmp_path, client):
    out = tmp_path / "out"
    options = {"cluster": client, "images_per_part": 5}
    ert.predict_on_cluster(whole_model, photos, out, **options)
    before = parts(out)
    lost = min(before)
    (out / lost).unlink()
    with pytest.raises(InputError, match="has results of a run; --resume goes on with it"):
        ert.predict_on_cluster(whole_model, photos, out, **options)
    found = ert.predict_on_cluster(whole_model, photos, out, resume=True, **options)
    assert (found.n_images, found.n_parts, found.n_parts_before) == (5, 3, 2)
    after = parts(out)
    assert after.pop(lost) > before.pop(lost)
    assert after == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "accurate"}, "results of another model or of other options"),
        ({"images_per_part": 4}, "results of another model or of other options"),
        ({"recursive": True}, "part-000002-[0-9a-f]{16}: is of other images than there are now"),
        ({"images": "wing[0-4].png"}, "part-000001-[0-9a-f]{16}: is of other images than there are now"),
    ],
)
def test_a_run_of_something_else_is_noticed(whole_model, photos, tmp_path, client, change, message):
    options = {"cluster": client, "images_per_part": 5}
    ert.predict_on_cluster(whole_model, photos, tmp_path, **options)
    before = parts(tmp_path)
    options |= change
    images = photos / options.pop("images", "")
    with pytest.raises(InputError, match=message):
        ert.predict_on_cluster(whole_model, images, tmp_path, resume=True, **options)
    assert parts(tmp_path) == before


def test_a_model_is_sent_and_loaded_once_a_worker(whole_model, photos, tmp_path, client, monkeypatch):
    loads, load = [], worker._load

    def counted(contents, suffix):
        loads.append(threading.get_ident())
        return load(contents, suffix)

    monkeypatch.setattr(worker, "_load", counted)
    ert.predict_on_cluster(whole_model, photos, tmp_path, cluster=client, images_per_part=1)
    assert 1 <= len(loads) <= 2
    assert not any("ert" in name for name in client.run(lambda dask_worker: ",".join(dask_worker.plugins)).values())


def test_tasks_in_flight_are_bounded(whole_model, photos, tmp_path, client):
    """The list of images is not read much faster than it is predicted."""
    n_listed, ahead = 0, []

    def images():
        nonlocal n_listed
        for n_listed in range(1, 41):
            yield photos / f"wing{n_listed % 12}.png"

    n_done = 0

    def count(n):
        nonlocal n_done
        n_done += n
        ahead.append(n_listed - n_done)

    ert.predict_on_cluster(whole_model, images(), tmp_path, cluster=client, images_per_part=1, on_progress=count)
    assert n_done == 40
    # Two parts for each of two threads, and that which is in hand.
    assert max(ahead) <= 2 * 2 + 1


def test_a_disk_that_is_full_on_one_worker(whole_model, photos, tmp_path, client, monkeypatch):
    bad = min(client.nthreads())
    publish = worker.publish

    def full_on_one(folder, name, write):
        if worker.get_worker().address == bad:
            raise InputError(f"{folder}/{name}: cannot be written: No space left on device")
        publish(folder, name, write)

    monkeypatch.setattr(worker, "publish", full_on_one)
    assert ert.predict_on_cluster(whole_model, photos, tmp_path, cluster=client, images_per_part=3).n_images == 12
    assert len(rows(tmp_path)) == 12


def test_a_disk_that_is_full_everywhere(whole_model, photos, tmp_path, client, monkeypatch):
    publish, written = worker.publish, []

    def full(folder, name, write):
        if written:
            raise InputError(f"{folder}/{name}: cannot be written: No space left on device")
        written.append(name)
        publish(folder, name, write)

    options = {"cluster": client, "images_per_part": 3}
    with monkeypatch.context() as patched:
        patched.setattr(worker, "publish", full)
        with pytest.raises(InputError, match=r"^worker inproc.*part-.*: cannot be written: No space left on device"):
            ert.predict_on_cluster(whole_model, photos, tmp_path, **options)
    assert written[0] in parts(tmp_path)
    found = ert.predict_on_cluster(whole_model, photos, tmp_path, resume=True, **options)
    # Tasks that were running when the run ended may have written their part after it.
    assert found.n_parts_before >= 1
    assert found.n_images == 12 - 3 * found.n_parts_before


def test_a_store_that_does_not_answer(whole_model, tmp_path, store, client, monkeypatch):
    answered = threading.Event()

    def wait(paths, *_, **options):
        answered.wait()

    options = {"cluster": client, "images_per_part": 3}
    with monkeypatch.context() as patched:
        patched.setattr(stores, "STORE_SECONDS", 0.05)
        patched.setattr(type(store), "cat_ranges", lambda self, paths, *_, **options: wait(paths))
        with pytest.raises(InputError, match=r"memory:///bucket/wing\d+.png: its store has not answered for 0.05 s"):
            ert.predict_on_cluster(whole_model, "memory://bucket", tmp_path, **options)
        answered.set()
    assert ert.predict_on_cluster(whole_model, "memory://bucket", tmp_path, resume=True, **options).n_images == 12


def test_a_store_that_refuses_is_not_passed_over(whole_model, tmp_path, store, client, monkeypatch):
    def refuse(self, paths, *_, **options):
        return [PermissionError("Access Denied") for _ in paths]

    monkeypatch.setattr(type(store), "cat_ranges", refuse)
    with pytest.raises(InputError, match=r"memory:///bucket/wing\d+.png: cannot be read: Access Denied"):
        ert.predict_on_cluster(whole_model, "memory://bucket", tmp_path, cluster=client)
    assert not parts(tmp_path)


def test_images_that_cannot_be_used_are_listed(whole_model, photos, tmp_path, client):
    (tmp_path / "bad.png").write_bytes(b"no image")
    faults = []
    images = [tmp_path, photos / "wing1.png", tmp_path / "none", tmp_path / "*.jpg"]
    out = tmp_path / "out"
    found = ert.predict_on_cluster(whole_model, images, out, cluster=client, on_error=faults.append)
    assert (found.n_images, found.n_faults) == (1, 3)
    assert [fault.partition(": ")[2] for fault in sorted(faults)] == [
        "no image matches this pattern",
        "is not an image, or of a kind that Pillow cannot read",
        "no such folder, and no image by its suffix; annotations are read where --out is a file",
    ]
    (errors,) = out.glob("_part-000000-*.errors.txt")
    assert errors.read_text() == f"{tmp_path / 'bad.png'}: is not an image, or of a kind that Pillow cannot read\n"


def test_a_folder_that_a_machine_does_not_have(whole_model, tmp_path, client):
    images = [tmp_path / "elsewhere/a.png", tmp_path / "elsewhere/b.png"]
    with pytest.raises(InputError, match="there is no such folder on this machine, expected the same paths"):
        ert.predict_on_cluster(whole_model, images, tmp_path / "out", cluster=client)
    assert not parts(tmp_path / "out")


def test_a_folder_that_cannot_be_listed_ends_the_run(whole_model, photos, tmp_path, store, client, monkeypatch):
    """Its images would be left out, and the results look complete."""

    def refuse(self, path, **options):
        raise OSError("Slow down")

    monkeypatch.setattr(type(store), "ls", refuse)
    images = [photos, "memory://bucket"]
    with pytest.raises(InputError, match=r"/bucket: cannot be read: Slow down"):
        ert.predict_on_cluster(whole_model, images, tmp_path, cluster=client)


def test_two_runs_of_one_model_at_a_time(whole_model, photos, tmp_path, client):
    names = ["first", "second"]

    def predict(name):
        return ert.predict_on_cluster(whole_model, photos, tmp_path / name, cluster=client, images_per_part=2)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(predict, names))
    assert [found.n_images for found in results] == [12, 12]
    assert rows(tmp_path / names[0]) == rows(tmp_path / names[1])
    assert len(rows(tmp_path / names[0])) == 12


def test_workers_of_another_version(whole_model, photos, tmp_path, client, monkeypatch):
    monkeypatch.setattr(worker, "__version__", "0.0.1")
    with pytest.raises(InputError, match=r"^worker .*: has ert 0.0.1, expected "):
        ert.predict_on_cluster(whole_model, photos, tmp_path, cluster=client)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("local:x", "local:x: expected a number of processes, such as local:4"),
        ("", "cluster '': no address of a scheduler, expected one such as tcp://10.0.0.1:8786, or local:4"),
        ("nothing://x", "cluster 'nothing://x': no address of a scheduler"),
        ("localhost", "cluster 'localhost': no address of a scheduler"),
        ("tcp://127.0.0.1:9", "tcp://127.0.0.1:9: no scheduler answers at this address"),
    ],
)
def test_clusters_that_are_none(whole_model, photos, tmp_path, cluster, message, monkeypatch):
    monkeypatch.setattr("ert.pipeline.cluster.client.CONNECT_SECONDS", 0.1)
    with pytest.raises(InputError, match=message):
        ert.predict_on_cluster(whole_model, photos, tmp_path, cluster=cluster)


def test_results_in_order(whole_model, photos, client, monkeypatch):
    """Whatever task is done first: the first image is waited for until the others are done."""
    monkeypatch.setattr(run, "IMAGES_PER_TASK", 1)
    others, predict = threading.Barrier(2), worker.predict_photo

    def first_is_last(request, item):
        if item.specimen in ("wing0", "wing3"):
            others.wait(timeout=60)
        return predict(request, item)

    monkeypatch.setattr(worker, "predict_photo", first_is_last)
    inputs = Inputs().add([photos])
    options = {"box_from": None, "boxes_given": False, "mode": "fast", "max_objects": None, "min_confidence": None}
    request = choose_request(whole_model, inputs, **options)
    alone = list(predict_photos(request, inputs.items.values(), 1))
    found = list(predict_photos_on_cluster(client, whole_model, request, inputs.items.values(), lambda client: None))
    assert [photo.item for photo in found] == [photo.item for photo in alone]
    for one, other in zip(found, alone, strict=True):
        assert one.size == other.size
        np.testing.assert_array_equal(one.objects[0].landmarks, other.objects[0].landmarks)
        assert one.objects[0].image == other.objects[0].image


def test_listing_is_lazy_and_natural(photos, tmp_path):
    def names(*inputs, **options):
        return [
            os.path.relpath(name, photos) for name in list_images(map(str, inputs), on_fault=pytest.fail, **options)
        ]

    every = [f"wing{i}.png" for i in range(12)]
    assert names(photos) == every
    assert names(photos, recursive=True) == [*every, "more/wing12.png", "more/wing13.png"]
    assert names(photos / "*/*3.png") == ["more/wing13.png"]
    assert names(photos / "**") == names(photos, recursive=True)
    (tmp_path / "list.txt").write_text(f"# some\n{photos}/wing2.png\n{photos}/more\n")
    assert names(f"@{tmp_path}/list.txt") == ["wing2.png", "more/wing12.png", "more/wing13.png"]
    assert [len(batch) for batch in batches(range(7), 3)] == [3, 3, 1]


def test_without_dask_one_line_names_the_extra(whole_model, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"^a cluster needs dask, .* pip install 'ert-landmarks\[cluster\]'$"):
        ert.predict_on_cluster(whole_model, photos, tmp_path, cluster="local:1")


def test_nothing_of_dask_is_imported_with_the_package():
    script = "import sys, ert, ert.cli.predict; ert.predict_on_cluster; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dask", "distributed", "fsspec", "pyarrow"} & set(loaded)


def kill_at_bright_images(image):
    """Find a box, except in bright images, at which the process is killed."""
    import os
    import signal

    import cv2
    from threadpoolctl import threadpool_info

    # A task is a thread, and starts no others; the client tries a black image.
    assert not image.any() or {cv2.getNumThreads(), *(library["num_threads"] for library in threadpool_info())} == {1}
    if image.min() == 255:
        os.kill(os.getpid(), signal.SIGKILL)
    return [(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))]


@pytest.fixture
def processes(monkeypatch):
    """A cluster of two processes that are replaced when they die."""
    # Processes have the same path, and import this module, which has the detector.
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    monkeypatch.setattr("ert.pipeline.cluster.client.ALLOWED_FAILURES", 0)
    with connected("local:2") as client:
        yield client


def fill_disk():
    """Limit the size of the files that a process writes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def test_processes_that_are_killed_or_cannot_write(whole_model, photos, tmp_path, processes):
    """An image that kills its worker is passed over; a worker that is killed or has a full disk loses nothing.

    One test, because starting processes takes long.
    """
    from PIL import Image

    white = tmp_path / "white.png"
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(white)
    images = [*(photos / f"wing{i}.png" for i in range(6)), white]
    faults = []
    options = {"cluster": processes, "box_from": "face", "detector": kill_at_bright_images}
    out = tmp_path / "out"
    found = ert.predict_on_cluster(whole_model, images, out, images_per_part=4, on_error=faults.append, **options)
    assert (found.n_images, found.n_faults) == (6, 1)
    assert faults == [f"{white}: the worker died each time that it predicted this image"]
    assert [row["specimen"] for row in rows(out)] == [f"wing{i}" for i in range(6)]

    killed = []

    def kill_one(n):
        if not killed:
            killed.append(min(processes.run(os.getpid).values()))
            os.kill(killed[0], signal.SIGKILL)

    names = [photos / f"wing{i % 12}.png" for i in range(36)]
    out = tmp_path / "killed"
    found = ert.predict_on_cluster(whole_model, names, out, cluster=processes, images_per_part=2, on_progress=kill_one)
    assert killed
    assert (found.n_images, found.n_faults) == (36, 0)
    assert [row["specimen"] for row in rows(out)] == [name.stem for name in names]

    processes.wait_for_workers(2)
    processes.run(fill_disk, workers=[min(processes.nthreads())])
    found = ert.predict_on_cluster(whole_model, photos, tmp_path / "full", cluster=processes, images_per_part=2)
    assert (found.n_images, found.n_faults) == (12, 0)


def test_a_scheduler_that_goes_away(whole_model, photos, tmp_path, client):
    options = {"processes": False, "protocol": "tcp", "dashboard_address": None, "silence_logs": 60}
    with (
        # What is left of the cluster looks for its scheduler for so long.
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster,
    ):

        def stop(n):
            cluster.scheduler.loop.add_callback(cluster.scheduler.close)

        options = {"images_per_part": 1, "cluster": cluster.scheduler_address, "on_progress": stop}
        message = r"^cluster tcp://.*: the connection to the scheduler is lost; what is finished is kept"
        with pytest.raises(InputError, match=message):
            ert.predict_on_cluster(whole_model, photos, tmp_path, **options)
    finished = len(parts(tmp_path))
    options |= {"cluster": client, "on_progress": None}
    assert 1 <= finished < 12
    assert ert.predict_on_cluster(whole_model, photos, tmp_path, resume=True, **options).n_parts_before == finished


def test_faults_of_finished_parts_are_not_forgotten(whole_model, photos, tmp_path, client):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    images = [bad, *(photos / f"wing{i}.png" for i in range(5))]
    options = {"cluster": client, "images_per_part": 3}
    ert.predict_on_cluster(whole_model, images, tmp_path / "out", **options)
    max((tmp_path / "out").glob("part-*")).unlink()
    faults = []
    found = ert.predict_on_cluster(
        whole_model, images, tmp_path / "out", resume=True, on_error=faults.append, **options
    )
    assert (found.n_images, found.n_faults, found.n_parts_before) == (3, 1, 1)
    assert faults == [f"{bad}: is not an image, or of a kind that Pillow cannot read"]


@pytest.mark.parametrize("in_store", [False, True])
def test_errors_of_images_that_were_mended_are_removed(whole_model, photos, tmp_path, store, client, in_store):
    """The worker wrote the file of errors, but not the part."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    out = "memory://out/run" if in_store else str(tmp_path / "out")
    options = {"cluster": client, "resume": True}
    ert.predict_on_cluster(whole_model, [bad], out, **options)
    before = sorted(stores.names_in(out))
    assert [name.partition("-")[0] for name in before] == ["_ert_predict.json", "_part", "part"]
    stores.remove(out, before[2])
    bad.write_bytes((photos / "wing0.png").read_bytes())
    assert ert.predict_on_cluster(whole_model, [bad], out, **options).n_faults == 0
    assert sorted(stores.names_in(out)) == [before[0], before[2]]


def test_an_interrupted_run_ends_in_the_same_table(whole_model, photos, tmp_path, client):
    options = {"cluster": client, "images_per_part": 2}
    ert.predict_on_cluster(whole_model, photos, tmp_path / "whole", **options)

    def interrupt(n):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        ert.predict_on_cluster(whole_model, photos, out, on_progress=interrupt, **options)
    assert ert.predict_on_cluster(whole_model, photos, out, resume=True, **options).n_parts_before >= 1
    assert sorted(parts(out)) == sorted(parts(tmp_path / "whole"))
    assert rows(out) == rows(tmp_path / "whole")


@pytest.mark.parametrize("place", ["file", "file/out", "/proc/out"])
def test_folders_that_cannot_be_made(whole_model, photos, tmp_path, client, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r": cannot create folder: (File exists|Not a directory|No such file)"):
        ert.predict_on_cluster(whole_model, photos, tmp_path / place, cluster=client)


def test_kernels_are_compiled_before_processes_start(whole_model, photos, tmp_path, monkeypatch):
    class StartedError(Exception):
        pass

    def start(*args, **options):
        raise StartedError

    for ready, expected in ((False, ["warm"]), (True, [])):
        calls = []
        monkeypatch.setattr("ert._kernels.start.ahead.is_ready", lambda ready=ready: ready)
        monkeypatch.setattr("ert._kernels.start.cache_folders.can_write", lambda: True)
        monkeypatch.setattr(ert.ShapePredictor, "warm_up", lambda self, calls=calls, **options: calls.append("warm"))
        monkeypatch.setattr("ert.pipeline.cluster.client.LocalCluster", start)
        with pytest.raises(StartedError):
            ert.predict_on_cluster(whole_model, photos, tmp_path, cluster="local:2")
        assert calls == expected
        # Not for a number that is none.
        with pytest.raises(InputError, match="expected a number of processes"):
            ert.predict_on_cluster(whole_model, photos, tmp_path, cluster="local:x")
        assert calls == expected
