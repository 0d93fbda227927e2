import os
import subprocess
import sys
import time

import pytest

from ert import InputError
from ert._core import files
from ert._core.file_kinds import FILE_KINDS, is_of_kind
from ert._core.files import (
    ABANDONED_SECONDS,
    as_path,
    check_input,
    check_writable,
    claim,
    guarded,
    protect,
    write_atomically,
    write_text,
)

STARTS = {
    "model": [b"\x89ERTmdl\n\x01\0\0\0", b"\x01\x01\x81\x88"],
    "image": [b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF1234WEBPVP8 ", b"II*\0", b"P5\n2 2"],
    "chart": [b"%PDF-1.4", b"<?xml version='1.0'?>\n<svg width='1'>", b"<svg >", b"%!PS-Adobe", b"\x89PNG"],
    "video": [b"RIFF1234AVI LIST", b"\0\0\0\x1cftypisom", b"\x1a\x45\xdf\xa3"],
    "json": [b'{\n "a": 1}', b"[1, 2]", b"{}", b"[]", b'\xef\xbb\xbf{"a": 1}'],
    "page": [b'<!DOCTYPE html>\n<head>\n<meta name="generator" content="ert">'],
    "imglab": [b"<?xml version='1.0'?>\n<!-- mine -->\n<dataset>", b"<dataset>"],
    "csv": [b"image,x0,y0\n", b"a;b", b"\tb\n"],
    "tps": [b"LM=4\n1 2", b"lm3 = 4"],
    "coco": [b'{"images": []'],
}
FOREIGN = [
    b"notes\n",
    b"PK\x03\x04\x14\0\0\0",
    b"#!/bin/sh\nexit\n",
    b"[section]\nkey = 1\n",
    b"<html><body>Mine</body></html>",
    b"<?xml version='1.0'?><annotation></annotation>",
    b"\0\0\0\x1cftypheic"[:3],
]
needs_locks = pytest.mark.skipif(files.fcntl is None, reason="needs locks of files")


def test_a_finished_write_replaces_the_file(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".json"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("oops"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_file_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "x.json"
    path.write_text("old")

    def fail():
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_names_the_file(tmp_path):
    with (
        pytest.raises(InputError, match=r"no/x\.json: cannot be written: there is no folder"),
        write_atomically(tmp_path / "no" / "x.json") as temporary,
    ):
        temporary.write_text("text")
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match=r"folder: cannot be written: Is a directory"),
        write_atomically(tmp_path / "folder") as temporary,
    ):
        temporary.write_text("text")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with write_atomically(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_checking_ahead_of_long_work(tmp_path):
    check_writable(tmp_path / "new.txt")
    for path in (tmp_path, tmp_path / "no" / "x.txt"):
        with pytest.raises(InputError, match="cannot be written"):
            check_writable(path)


@pytest.mark.parametrize("kind", STARTS)
def test_files_are_of_the_kind_that_they_begin_like(tmp_path, kind):
    path = tmp_path / "file"
    for start in [b"", *STARTS[kind]]:
        path.write_bytes(start + b"\n" * bool(start))
        assert is_of_kind(path, kind), start
        check_writable(path, kind)
    others = [start for other, starts in STARTS.items() if not {kind, other} <= {"image", "chart"} for start in starts]
    for start in [*FOREIGN, *others]:
        if {start} & {*STARTS[kind], *(STARTS["json"] if kind == "coco" else STARTS["coco"])}:
            continue
        path.write_bytes(start)
        assert not is_of_kind(path, kind), start
        name = FILE_KINDS[kind].name
        with pytest.raises(InputError, match=f"file: exists and is not {name}, expected another name$"):
            check_writable(path, kind)


def test_text_with_commas_is_a_table_only_if_it_is_named_like_one(tmp_path):
    for suffix, same in ((".csv", True), (".txt", True), (".py", False)):
        path = tmp_path / f"x{suffix}"
        path.write_text("import os, sys\n")
        assert is_of_kind(path, "csv") is same


def test_a_file_that_is_read_is_not_written(tmp_path):
    model, link, hard = tmp_path / "model.ert", tmp_path / "link.ert", tmp_path / "hard.ert"
    model.write_bytes(STARTS["model"][0])
    (tmp_path / "folder").mkdir()
    link.symlink_to(model)
    os.link(model, hard)
    spellings = [model, link, hard, tmp_path / "folder" / ".." / "model.ert"]
    for path in spellings:
        with guarded(force=True):
            protect([model, tmp_path / "absent", tmp_path])
            with pytest.raises(InputError, match=r"cannot be written: it is .*input"), write_atomically(path):
                pass
        # The other way around: the input is known after the output.
        with guarded(force=True):
            claim(path, "model", "--out")
            with pytest.raises(InputError, match=r"cannot be written: it is .*input"):
                protect([tmp_path / "absent", model])
        check_writable(path, "model")
    with guarded():
        protect([model])
        check_writable(tmp_path / "new.ert")
    assert model.read_bytes() == STARTS["model"][0]


def test_another_spelling_of_a_new_file_is_the_same_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in ("x.json", "./x.json", "link/x.json", "X.JSON", str(tmp_path / "x.json")):
        with guarded():
            claim("x.json", "json", "--a")
            claim("x.json", "json", "--a")
            claim("y.json", "json", "--b")
            with pytest.raises(InputError, match=r"is the output of --a and of --b, expected two files"):
                claim(other, "json", "--b")


@needs_locks
def test_temporaries_of_killed_processes_are_removed_and_those_of_running_ones_kept(tmp_path):
    program = "import sys, time; from ert._core.files import write_atomically\n"
    program += (
        "with write_atomically(sys.argv[1]) as path: path.write_text('half'); print(path, flush=True); time.sleep(99)"
    )
    command = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen([*command, tmp_path / name], stdout=subprocess.PIPE, text=True) for name in ("a.txt", "b.csv")
    ]
    try:
        killed, running = (tmp_path / process.stdout.readline().strip() for process in processes)
        processes[0].kill()
        processes[0].wait()
        number = "0123456789abcdef" * 2
        others = [".ert-notes", f".ert-{number}x", f"ert-{number}.txt", f".ert-{number[1:]}.txt", f".a.{number}.txt"]
        for name in others:
            (tmp_path / name).write_text("mine")
        (tmp_path / f".ert-{number}").mkdir()
        (tmp_path / f".ert-{number}.link").symlink_to(tmp_path / ".ert-notes")
        assert killed.exists()
        with write_text(tmp_path / "c.json", "json") as file:
            file.write("{}")
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {*others, f".ert-{number}", f".ert-{number}.link", running.name, "c.json"}
        assert running.read_text() == "half"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.parametrize("locks", [False, True], ids=["no locks", "locks of another system"])
def test_where_locks_do_not_show_that_a_process_is_running_only_old_temporaries_are_removed(
    tmp_path, monkeypatch, locks
):
    if not locks:
        monkeypatch.setattr(files, "fcntl", None)
    new, old = (tmp_path / f".ert-{digit * 32}.csv" for digit in "ab")
    for path in (new, old):
        path.write_text("half")
    then = time.time() - ABANDONED_SECONDS - 1
    os.utime(old, (then, then))
    with write_atomically(tmp_path / "x.csv") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, "x.csv"]


def test_names_of_the_greatest_length_are_written(tmp_path):
    path = tmp_path / ("x" * 250 + ".csv")
    with write_text(path, "csv") as file:
        file.write("a,b\n")
    assert path.read_text() == "a,b\n"


@pytest.mark.parametrize("path", [5, None, 2.5, b"x", ["x"], object(), "a\0b", "a\ud800"])
def test_what_is_no_path_is_refused(path):
    for function in (as_path, check_writable, lambda path: check_input(path, "a file")):
        with pytest.raises(InputError, match=r"^path: .*, expected the path of a file$|null character"):
            function(path)


def test_endless_paths_are_refused(tmp_path):
    for path in ("x" * 10**5, "x/" * 10**5, str(tmp_path / ("y" * 5000))):
        for function in (check_writable, lambda path: check_input(path, "a file")):
            with pytest.raises(InputError, match=r"\.\.\..*: (no such file|cannot be)") as info:
                function(path)
            assert len(str(info.value)) <= 1000


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for function in (check_writable, lambda path: check_input(path, "a file")):
        with pytest.raises(InputError, match=r"a: cannot be (read|written): "):
            function(tmp_path / "a")
