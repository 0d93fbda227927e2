"""`fit` on a Dask Bag: threads of this process as workers, and processes that are killed."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from helpers import small_predictor
from threadpoolctl import threadpool_limits

import ert
from ert import InputError
from ert.model.fitted import read_fitted
from ert.training.sharded import client as client_module
from ert.training.sharded import rank as module
from ert.training.sharded.client import divide
from ert.training.sharded.links import LinkLostError

distributed = pytest.importorskip("distributed")
array = pytest.importorskip("dask.array")
bag = pytest.importorskip("dask.bag")

pytestmark = pytest.mark.filterwarnings("ignore")

N = 30
SMALL = {"n_stages": 2, "n_trees": 6, "n_inits": 5, "n_pixels": 60, "working_size": 48, "n_jobs": 1}
QUIET = {"dashboard_address": None, "silence_logs": 60}


@pytest.fixture(scope="module")
def client():
    """A cluster of three workers that are threads of this process, whose libraries get their threads back."""
    with (
        threadpool_limits(),
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, processes=False, **QUIET) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def objects(faces):
    return faces[0][:N], faces[1][:N]


@pytest.fixture(scope="module")
def local(objects):
    return small_predictor(**SMALL).fit(*objects)


def bag_of(X, n):
    return bag.from_sequence(X, npartitions=n)


def check_same(model, expected):
    assert model.history_ == expected.history_
    assert len(model.fitted_.members) == len(expected.fitted_.members)
    for cascade, known in zip(model.fitted_.members, expected.fitted_.members, strict=True):
        for name, values in known.arrays().items():
            np.testing.assert_array_equal(cascade.arrays()[name], values, err_msg=name)
    found, known = ({**each.fitted_.summary, "digest": ""} for each in (model, expected))
    assert found == known


def nothing_left(client):
    """Return whether workers forget their parts of a training, soon."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        kinds = client.run(lambda dask_worker: {type(value).__name__ for value in dask_worker.data.values()})
        if "Rank" not in set().union(*kinds.values()):
            return True
        time.sleep(0.05)
    return False


def test_the_same_file_for_any_number_of_workers(client, objects, local, tmp_path, capsys):
    contents = set()
    for n in (1, 2, 3):
        model = small_predictor(**SMALL, verbose=1).fit(bag_of(objects[0], n), objects[1])
        check_same(model, local)
        model.save(tmp_path / "model.ert")
        contents.add((tmp_path / "model.ert").read_bytes())
        assert f"ert: training on {n} workers" in capsys.readouterr().err
    assert len(contents) == 1
    assert nothing_left(client)
    assert np.array_equal(model.predict(objects[0][:2]), local.predict(objects[0][:2]))


def test_more_partitions_than_workers_and_landmarks_of_dask(client, objects):
    X, y = objects
    params = {**SMALL, "mirror": "face68", "n_members": 2, "kind": "ert", "occlusion": 0.3}
    further = {
        "validation": (X[:5], y[:5]),
        "rolls": np.zeros(N),
        "sample_weight": np.linspace(0, 2, N),
        "landmark_names": [f"point {i}" for i in range(68)],
        "notes": {"data": "drawn"},
    }
    model = small_predictor(**params).fit(bag_of(X, 8), array.from_array(y, chunks=(7, 68, 2)), **further)
    check_same(model, small_predictor(**params).fit(X, y, **further))
    assert model.landmark_names_[3] == "point 3"


def test_images_of_files_and_of_other_sizes(client, objects, tmp_path):
    from PIL import Image

    X = []
    for i, (image, box) in enumerate(objects[0][:6]):
        Image.fromarray(np.pad(image, ((0, i), (0, 2 * i)))).save(tmp_path / f"{i}.png")
        X.append((str(tmp_path / f"{i}.png"), box))
    params = {**SMALL, "kind": "dlib", "gray_weights": "dlib"}
    check_same(
        small_predictor(**params).fit(bag_of(X, 3), objects[1][:6]), small_predictor(**params).fit(X, objects[1][:6])
    )


class InterruptedFitError(Exception):
    """Raised after some stages."""


def after(n_stages, action):
    def on_stage(model):
        if len(model.history_) == n_stages:
            action()

    return on_stage


def interrupt():
    raise InterruptedFitError


def test_it_goes_on_from_a_checkpoint_with_other_workers(client, objects, local, tmp_path):
    checkpoint = tmp_path / "model.ert"
    with pytest.raises(InterruptedFitError):
        small_predictor(**SMALL).fit(
            bag_of(objects[0], 3), objects[1], checkpoint=checkpoint, on_stage=after(1, interrupt)
        )
    assert nothing_left(client)
    assert len(read_fitted(checkpoint).history) == 1
    model = small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1], checkpoint=checkpoint, resume=True)
    check_same(model, local)
    check_same(ert.load(checkpoint), local)
    with pytest.raises(InputError, match="the checkpoint was written by a fit with other data or parameters"):
        small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1] + 1, checkpoint=checkpoint, resume=True)


def test_ctrl_c_ends_all_workers(client, objects, monkeypatch):
    train_stage = module.train_stage

    def press(samples, *args):
        if samples.exchange.rank == 1:
            signal.raise_signal(signal.SIGINT)
            # Until the client ends the connections.
            samples.exchange.copy(np.zeros(1), 0, 1)
        return train_stage(samples, *args)

    with monkeypatch.context() as patched:
        patched.setattr(module, "train_stage", press)
        with pytest.raises(KeyboardInterrupt):
            small_predictor(**SMALL).fit(bag_of(objects[0], 3), objects[1])
    assert nothing_left(client)
    # And they can train again.
    small_predictor(**SMALL | {"n_stages": 1}).fit(bag_of(objects[0], 3), objects[1])


def test_lost_connections_are_made_again(client, objects, local, monkeypatch, capsys):
    train_stage, lost = module.train_stage, []

    def lose(samples, stage, *args):
        if stage == 1 and len(lost) < 2:
            lost.append(stage)
            raise LinkLostError("worker 1 of the training: the connection is closed")
        return train_stage(samples, stage, *args)

    monkeypatch.setattr(module, "train_stage", lose)
    model = small_predictor(**SMALL, verbose=1).fit(bag_of(objects[0], 3), objects[1])
    check_same(model, local)
    assert "going on with the others from the last stage" in capsys.readouterr().err


def test_workers_that_are_lost_again_and_again(client, objects, monkeypatch):
    def lose(*args):
        raise LinkLostError("worker 1 of the training: the connection is closed")

    monkeypatch.setattr(module, "train_stage", lose)
    with pytest.raises(InputError, match=r"cluster inproc.*: workers were lost 4 times before the next stage was"):
        small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1])
    assert nothing_left(client)


def test_what_a_worker_cannot_do_is_an_error_of_one_line(client, objects, monkeypatch):
    def fail(*args):
        raise MemoryError("no memory\nat all")

    monkeypatch.setattr(module, "train_stage", fail)
    with pytest.raises(InputError, match=r"^a worker failed: MemoryError: no memory at all$"):
        small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1])


def test_workers_of_another_version(client, objects, monkeypatch):
    monkeypatch.setattr("ert._core.version.__version__", "0.0.1")
    with pytest.raises(InputError, match=r"^worker .*: has ert 0.0.1, expected "):
        small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (bag_of(X, 2), y[:-1]), "y has 29 objects and X has 30, expected as many"),
        (lambda X, y: (array.ones(3), y), r"X: expected a Dask Bag of pairs \(image, box\), got Array"),
        (lambda X, y: (bag_of([*X[:-1], "face.png"], 3), y), r"^partition 2 of X\[9\]: expected a pair \(image, box\)"),
        (
            lambda X, y: (bag_of([*X[:-1], (np.zeros((4, 4), np.uint8), X[-1][1])], 3), y),
            r"^X\[29\]: the box lies outside the image of 4 x 4 pixels",
        ),
        (lambda X, y: (bag_of([*X[:-1], ("missing.png", X[-1][1])], 3), y), "^missing.png: no such file"),
    ],
)
def test_input_that_cannot_be_used(client, objects, change, message):
    with pytest.raises(InputError, match=message):
        small_predictor(**SMALL).fit(*change(*objects))
    assert nothing_left(client)


def test_a_bag_that_changes(client, objects, monkeypatch):
    monkeypatch.setenv("TIMES_COMPUTED", "")

    def fewer(faces):
        os.environ["TIMES_COMPUTED"] += "x"
        return list(faces)[len(os.environ["TIMES_COMPUTED"]) - 1 :]

    with pytest.raises(InputError, match=r"^X\[0\]: a partition has 29 faces, and had 30 before"):
        small_predictor(**SMALL).fit(bag_of(objects[0], 1).map_partitions(fewer), objects[1])


def test_a_worker_that_is_paused(client, objects, monkeypatch):
    states = client_module._worker_states(client)
    assert sorted(states) == sorted(client.nthreads())
    assert set(states.values()) == {"running"}
    released = threading.Event()
    monkeypatch.setattr(client_module, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(client_module, "PAUSED_SECONDS", 0.0)
    monkeypatch.setattr(client_module, "FAILURE_SECONDS", 0.1)
    monkeypatch.setattr(client_module, "_worker_states", lambda client: dict.fromkeys(states, "paused"))
    monkeypatch.setattr(module, "train_stage", lambda *args: released.wait())
    try:
        with pytest.raises(InputError, match=r"^worker .*: Dask has paused it: it uses more than its memory_limit"):
            small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1])
    finally:
        released.set()
    assert nothing_left(client)


def test_validation_data_is_the_clients(client, objects):
    validation = bag_of(objects[0], 2), objects[1]
    with pytest.raises(InputError, match=r"validation X: expected a sequence of pairs \(image, box\), got Bag"):
        small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1], validation=validation)


def test_without_a_client(objects, monkeypatch):
    def none():
        raise ValueError

    monkeypatch.setattr("distributed.default_client", none)
    with pytest.raises(InputError, match=r"X is a Dask collection, expected a distributed\.Client that is connected"):
        small_predictor(**SMALL).fit(bag_of(objects[0], 2), objects[1])


def test_partitions_are_divided_by_objects_and_threads():
    assert divide([10] * 6, [1, 1, 1]) == [0, 2, 4, 6]
    assert divide([10] * 8, [1, 3]) == [0, 2, 8]
    assert divide([1, 1, 1, 100], [1, 1, 1]) == [0, 2, 3, 4]
    assert divide([100, 0, 0], [1, 1, 1]) == [0, 1, 2, 3]
    assert divide([5], [7]) == [0, 1]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_worker_that_is_killed_and_a_scheduler_that_is_gone(objects, local, tmp_path):
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, **QUIET}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:

        def kill():
            os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)

        model = small_predictor(**SMALL).fit(bag_of(objects[0], 4), objects[1], on_stage=after(1, kill))
        check_same(model, local)
        with pytest.raises(
            InputError, match="the connection to the scheduler is lost; what is finished is in the check"
        ):
            small_predictor(**SMALL).fit(
                bag_of(objects[0], 4),
                objects[1],
                checkpoint=tmp_path / "model.ert",
                on_stage=after(1, lambda: cluster.close(timeout=5)),
            )
    assert len(read_fitted(tmp_path / "model.ert").history) == 1
