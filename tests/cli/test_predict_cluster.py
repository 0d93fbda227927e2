"""``ert predict --cluster``: on threads of this process, whose address is given."""

import re
from contextlib import nullcontext

import pytest
from cli.running import refused, run

distributed = pytest.importorskip("distributed")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def address():
    """Address of the scheduler of two workers."""
    options = {"processes": False, "protocol": "tcp", "dashboard_address": None, "silence_logs": 60}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        yield cluster.scheduler_address


def test_a_folder_of_parts_and_going_on(wings, dataset, tmp_path, address, capsys):
    out = tmp_path / "out"
    command = ("predict", wings, dataset, "--out", out, "--cluster", address, "--images-per-part", 10)
    assert run(*command) == 0
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"ert: cluster tcp://.*, 2 threads; its dashboard: http://.*", lines[0])
    assert lines[-1] == f"{out}: 3 files, 24 objects in 24 images"
    files = sorted(out.glob("part-*.parquet"))
    assert [parquet.read_table(file).num_rows for file in files] == [10, 10, 4]
    assert "has results of a run; --resume goes on with it" in refused(capsys, *command)
    files[1].unlink()
    assert run(*command, "--resume") == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"{out}: 3 files, 10 objects in 10 images; 2 files were there before"


def test_an_interrupt_says_how_to_go_on(wings, dataset, tmp_path, address, capsys, monkeypatch):
    def interrupted(n):
        raise KeyboardInterrupt

    monkeypatch.setattr("ert.cli.common.progress", lambda total, unit: nullcontext(interrupted))
    out = tmp_path / "out"
    command = ("predict", wings, dataset, "--out", out, "--cluster", address, "--images-per-part", 10)
    assert run(*command) == 130
    assert f"finished parts are in {out}; the same command with --resume goes on" in capsys.readouterr().err
    assert list(out.glob("part-*"))
    monkeypatch.undo()
    assert run(*command, "--resume") == 0
    assert len(list(out.glob("part-*"))) == 3


def test_a_file_is_the_same_as_without_a_cluster(wings, dataset, tmp_path, address, capsys):
    (tmp_path / "alone").mkdir()
    (tmp_path / "many").mkdir()
    for name in ("out.csv", "out.jsonl"):
        # Boxes of a table, and scales: what one file has, parts have not.
        options = ("--boxes", f"{dataset / 'boxes.csv'}:haar", "--images", dataset, "--scale", 0.5)
        options = options if (dataset / "boxes.csv").exists() else ("--scale", 0.5)
        assert run("predict", wings, dataset, "--out", tmp_path / "alone" / name, *options) == 0
        assert run("predict", wings, dataset, "--out", tmp_path / "many" / name, *options, "--cluster", address) == 0
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_bad_images_are_reported_and_passed_over(wings, dataset, tmp_path, address, capsys, monkeypatch):
    monkeypatch.setattr("ert.cli.predict.MAX_FAULTS", 2)
    for i in range(3):
        (tmp_path / f"bad{i}.png").write_bytes(b"no image")
    images = [tmp_path, dataset / "face_0001.png"]
    assert run("predict", wings, *images, "--out", tmp_path / "out", "--cluster", address) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(": ")[0] for line in lines[1:3]] == [f"ert: {tmp_path}/bad{i}.png" for i in (0, 1)]
    assert lines[3] == f"ert: further ones are listed in {tmp_path}/out/_part-*.errors.txt"
    assert lines[4] == f"{tmp_path}/out: 1 file, 1 object in 1 image; 3 could not be used"
    (listed,) = (tmp_path / "out").glob("_part*.errors.txt")
    assert len(listed.read_text().splitlines()) == 3
    # They are still missing in what is there.
    assert run("predict", wings, *images, "--out", tmp_path / "out", "--cluster", address, "--resume") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("0 objects in 0 images; 1 file was there before; 3 could not be used")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draw", "pictures"], "--draw: cannot be used with --cluster"),
        (["--boxes", "boxes.csv:"], "--boxes: cannot be used with --cluster and a folder; give a file as --out"),
        (["--scale", "scales.csv:mm"], "--scale is 'scales.csv:mm', expected a number above 0"),
        (["--images-per-part", "0"], "--images-per-part 0: expected at least 1"),
        (["--box-from", "learned"], "the model has no locator"),
        (["--cluster", "local:none"], "cluster local:none: expected a number of processes, such as local:4"),
        (["--cluster", "tcp://127.0.0.1:9"], "cluster tcp://127.0.0.1:9: no scheduler answers at this address"),
    ],
)
def test_options_that_do_not_fit(wings, dataset, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setattr("ert.pipeline.cluster.client.CONNECT_SECONDS", 0.1)
    command = ("predict", wings, dataset, "--out", tmp_path / "out", "--cluster", "local:1", *options)
    assert message in refused(capsys, *command)
