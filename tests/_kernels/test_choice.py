"""What computes: NumPy or kernels; the process that compiles ahead; the lines about it."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import run_alone

import ert
from ert._kernels import choice
from ert._kernels.start import ahead, cache_folders
from ert.cli.main import main
from ert.inference.warm_up import prepare

FEW, MANY = choice.FEW_RUNS, choice.MANY_RUNS


@pytest.fixture
def fresh(monkeypatch):
    """A process that has not predicted anything, with a cache and a process that compiles which are not there."""
    state = SimpleNamespace(ready=False, running=False, can_start=True, started=0, lines=[])

    def start():
        state.started += state.can_start
        state.running = state.can_start
        return state.can_start

    for name, value in (("_compiled", False), ("_n_runs", 0), ("_were_ready", None), ("_has_compiled", False)):
        monkeypatch.setattr(choice, name, value)
    monkeypatch.setattr(choice, "notice", state.lines.append)
    monkeypatch.delenv("ERT_COMPILE", raising=False)
    monkeypatch.delenv("ERT_KERNELS", raising=False)
    for name, value in (("is_ready", lambda: state.ready), ("is_running", lambda: state.running), ("start", start)):
        monkeypatch.setattr(ahead, name, value)
    monkeypatch.setattr(cache_folders, "can_write", lambda: True)
    return state


def predict(n_runs):
    """Make some runs one by one as predictions do; return whether the last was a kernel's."""
    for _ in range(n_runs):
        if choice.take_over():
            return True
        choice.count_runs(1)
    return False


IN_BACKGROUND = "compiling for this processor in the background, once; until that is done NumPy computes"


def test_few_faces_are_numpys_though_kernels_are_ready(fresh):
    fresh.ready = True
    assert not predict(FEW)
    assert predict(1)
    assert (fresh.started, fresh.lines) == (0, [])


def test_kernels_take_over_when_they_have_been_compiled_ahead(fresh):
    assert not predict(FEW + 50)
    assert (fresh.started, fresh.lines) == (1, [IN_BACKGROUND])
    fresh.ready, fresh.running = True, False
    assert predict(1)
    assert choice.is_compiled()
    assert fresh.lines == [IN_BACKGROUND]


def test_numpy_goes_on_while_another_process_compiles(fresh):
    assert not predict(MANY + 50)


def test_after_a_failed_process_many_faces_are_compiled_here(fresh):
    predict(1)
    fresh.running = False
    assert not predict(MANY - 2)
    assert predict(1)
    assert fresh.started == 1


def test_without_a_process_many_faces_are_compiled_here(fresh):
    fresh.can_start = False
    assert not predict(MANY - 1)
    assert predict(2)
    # Nothing is compiled before that, so nothing is said.
    assert fresh.lines == []


def test_a_large_job_is_compiled_here_at_once(fresh):
    assert choice.take_over(MANY)
    assert fresh.started == 0


def test_the_runs_of_a_job_are_counted(fresh, small_model):
    prepare(small_model.fitted_, MANY // 100)
    prepare(small_model.fitted_, MANY // 100, max_roll=0.0)
    assert not choice.is_compiled()
    prepare(small_model.fitted_, MANY // 100, max_roll=180.0)
    assert choice.is_compiled()


@pytest.mark.parametrize(("name", "value"), [("ERT_COMPILE", "now"), ("ERT_KERNELS", "portable")])
def test_kernels_can_be_asked_for(fresh, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert choice.take_over()


@pytest.mark.parametrize(("name", "value"), [("ERT_COMPILE", "never"), ("DISABLE_JIT", 1)])
def test_numba_can_be_left_alone(fresh, monkeypatch, small_model, name, value):
    if name == "DISABLE_JIT":
        monkeypatch.setattr("numba.core.config.DISABLE_JIT", value)
    else:
        monkeypatch.setenv(name, value)
    assert not choice.take_over(10 * MANY)
    small_model.warm_up()
    with pytest.raises(ert.InputError, match="is set, and ert's kernels need numba's compiler here: unset it"):
        small_model.fit([], [])
    assert not choice.is_compiled()


def test_a_model_changes_to_kernels_within_a_process(fresh, small_model, faces):
    model = ert.ShapePredictor(n_jobs=2)
    model.fitted_ = replace(small_model.fitted_, cascade=replace(small_model.cascade_))
    expected = small_model.predict(faces[0][:FEW])
    found = model.predict(faces[0][: FEW // 2])
    assert model.cascade_.compiled.bound is None
    fresh.ready = True
    found = np.concatenate([found, model.predict(faces[0][FEW // 2 : FEW]), model.predict(faces[0][:20])])
    assert model.cascade_.compiled.bound is not None
    np.testing.assert_array_equal(found, np.concatenate([expected, expected[:20]]))


@pytest.mark.parametrize(
    ("can_write", "end"), [(True, "the next run starts at once"), (False, "there is no folder to keep the result in")]
)
def test_compiling_here_is_said_once(fresh, monkeypatch, can_write, end):
    monkeypatch.setattr(cache_folders, "can_write", lambda: can_write)
    choice.compiling()
    choice.compiling()
    assert fresh.lines == [f"compiling for this processor; {end} ..."]


def test_commands_print_the_line(fresh, capsys, tmp_path):
    assert main(["align", str(ert.sample_image())]) == 0
    assert capsys.readouterr().err.splitlines()[0] == f"ert: {IN_BACKGROUND}"
    assert choice.notice == fresh.lines.append


# The process that compiles ahead


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty cache."""
    monkeypatch.setenv("ERT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    monkeypatch.setattr(cache_folders, "IN_PACKAGE", tmp_path / "none" / "__pycache__")
    monkeypatch.setattr(cache_folders, "user_folder", lambda: tmp_path / "home")
    monkeypatch.setattr(cache_folders, "_alone", False)
    return next(cache_folders.trusted_folders(create=True))


def test_ready_is_what_has_all_files_that_were_noted(folder):
    (folder / "one.nbc").touch()
    (folder / "two.nbc").touch()
    assert not ahead.is_ready()
    ahead.note_ready({"one.nbc", "two.nbc"})
    assert ahead.ready_folder() == folder
    (folder / "two.nbc").unlink()
    assert not ahead.is_ready()
    # Also where files are in several folders.
    other = next(cache_folders.trusted_folders(create=True)).parent.parent / "home" / folder.name
    other.mkdir(parents=True)
    (other / "two.nbc").touch()
    assert ahead.is_ready()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 3}', '{"version": "VERSION", "files": 3}', "\0\xff", "[" * 100_000]
)
def test_a_damaged_note_is_none(folder, text):
    ahead.note_ready([])
    (note,) = folder.glob("ready.*.json")
    note.write_text(text.replace("VERSION", json.loads(note.read_text())["version"]))
    assert not ahead.is_ready()


def test_a_note_of_other_sources_or_settings_does_not_count(folder, monkeypatch):
    ahead.note_ready([])
    for name, value in (("_version", "other"), ("_processor", b"other")):
        with monkeypatch.context() as patch:
            patch.setattr(ahead, name, lambda value=value: value)
            assert not ahead.is_ready()
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_CPU_NAME", "generic")
        assert not ahead.is_ready()
    # Code for a processor that is named is for any machine.
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.setenv(name, "+sse2")
    ahead.note_ready([])
    monkeypatch.setattr(ahead, "_processor", lambda: b"other")
    assert ahead.is_ready()


# In place of the compiler: waits until a file is there, and leaves one with its number and priority.
STUB = """
import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from ert._kernels.start import ahead, cache_folders
ahead.LOCK_TRIES = 3
cache = os.environ["ERT_CACHE_DIR"]
cache_folders.use_alone(cache)
with ahead.alone() as mine:
    assert "numba" not in sys.modules and "numpy" not in sys.modules
    if mine:
        with open(cache + ".ran", "a") as file:
            file.write(f"{os.getpid()} {os.nice(0) if hasattr(os, 'nice') else 19}" + chr(10))
        while not Path(cache + ".go").exists():
            time.sleep(0.01)
        ahead.note_ready([])
"""


def wait_until(condition):
    """Wait, but not forever: a process that has failed says nothing."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def processes(folder, monkeypatch):
    """Those that are started, with the stub."""
    started = []

    class Recorded(ahead._Process):
        def __init__(self, *args, **options):
            started.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(ahead, "_Process", Recorded)
    monkeypatch.setattr(ahead, "_CODE", STUB)
    return started


def test_one_process_compiles_at_a_time(processes, tmp_path):
    ran = tmp_path / "cache.ran"
    assert ahead.start()
    wait_until(ran.exists)
    assert ahead.is_running()
    assert ahead.start()
    (first,) = processes
    command = [sys.executable, "-c", STUB, json.dumps(sys.path)]
    subprocess.run(command, check=True)
    (tmp_path / "cache.go").touch()
    assert first.wait() == 0
    assert not ahead.is_running()
    assert ahead.is_ready()
    (line,) = ran.read_text().splitlines()
    assert line == f"{first.pid} 19"


def test_a_killed_process_leaves_no_lock_and_is_not_started_again_at_once(processes, folder, monkeypatch, tmp_path):
    assert ahead.start()
    wait_until((tmp_path / "cache.ran").exists)
    processes[0].kill()
    processes[0].wait()
    assert not ahead.is_running()
    assert not ahead.is_ready()
    assert not ahead.start()
    # A day later, with other sources, and when the clock has been set back.
    (note,) = folder.glob("begun.*.json")
    noted = json.loads(note.read_text())
    for change in ({"time": noted["time"] - ahead.PAUSE_SECONDS}, {"version": "other"}, {"time": noted["time"] + 9e9}):
        note.write_text(json.dumps(noted | change))
        assert ahead.start()
        processes[-1].kill()
        wait_until(lambda: not ahead.is_running())
    # Success ends it.
    assert not ahead.start()
    ahead.note_ready([])
    assert not list(folder.glob("begun*"))


def test_a_process_that_has_ended_is_removed_from_the_systems_table(processes, tmp_path):
    (tmp_path / "cache.go").touch()
    assert ahead.start()
    wait_until(lambda: processes[0].returncode is not None)
    assert ahead.is_ready()


def test_a_process_that_is_asked_for_its_lock_in_a_moment_of_a_question_tries_again(folder, monkeypatch):
    answers = iter([False, False, True])
    monkeypatch.setattr(ahead, "_lock", lambda file: next(answers))
    monkeypatch.setattr(ahead.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ahead.os, "nice", lambda by: None, raising=False)
    monkeypatch.setattr(ahead.threading, "Timer", lambda *_: SimpleNamespace(start=lambda: None))
    with ahead.alone() as mine:
        assert mine


def test_each_processor_has_a_lock_of_its_own(folder, monkeypatch):
    with ahead._locked() as mine:
        assert mine
        assert ahead.is_running()
        monkeypatch.setattr(ahead, "_processor", lambda: b"other")
        assert not ahead.is_running()


@pytest.mark.parametrize("name", ["ERT_CACHE_DIR", "NUMBA_CACHE_DIR"])
def test_an_empty_variable_names_no_folder(folder, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    calls = []

    def process(*args, env, **options):
        calls.append(env)
        return SimpleNamespace(wait=lambda: None)

    monkeypatch.setattr(ahead, "_Process", process)
    for variable in ("ERT_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(variable, "" if variable == name else "cache")
    assert ahead.start()
    assert (calls[0][name], len(calls)) == ("", 1)
    assert calls[0]["NUMBA_CACHE_DIR" if name == "ERT_CACHE_DIR" else "ERT_CACHE_DIR"] == os.path.abspath("cache")


def test_what_cannot_change_is_read_once(folder, monkeypatch):
    ahead.is_ready()
    monkeypatch.setattr(ahead, "find_spec", None)
    monkeypatch.setattr("builtins.open", None)
    assert not ahead.is_ready()


def test_it_says_nothing_and_outlives_its_parent(folder, tmp_path):
    # Another one may be at work for the installed package.
    code = f"""
from ert._kernels.start import ahead, cache_folders
cache_folders.use_alone({str(tmp_path / "cache")!r})
ahead._CODE = {STUB!r}
assert ahead.start()
"""
    assert run_alone(code) == ""
    (tmp_path / "cache.go").touch()
    wait_until(ahead.is_ready)


@pytest.mark.parametrize(
    ("place", "value"), [("sys.executable", "/usr/bin/uwsgi"), ("sys.executable", ""), ("sys.frozen", True)]
)
def test_a_program_that_has_python_in_it_starts_none(folder, monkeypatch, place, value):
    monkeypatch.setattr(f"ert._kernels.start.ahead.{place}", value, raising=False)
    assert not ahead.start()


def full_disk(monkeypatch):
    """Let files be created, with nothing in them."""

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache_folders.os, "fdopen", fail)


def test_on_a_full_disk_none_is_started(processes, folder, monkeypatch):
    assert cache_folders.can_write()
    full_disk(monkeypatch)
    assert not cache_folders.can_write()
    assert not ahead.start()
    assert processes == []
    # And nothing is left there.
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


def test_numbas_folder_of_the_user():
    from numba.misc.appdirs import AppDirs

    assert str(cache_folders.user_folder()) == AppDirs("numba", appauthor=False).user_cache_dir


# Read-only images


MAKE = """
import os, numpy as np
from ert._kernels import choice
choice.use_compiled()
from ert._kernels.images import weigh
print(weigh(np.array([9, 9, 9], np.uint8), np.array([1, 1, 1, 65536], np.uint32)))
choice.ahead.note_ready(choice.files_used)
"""
USE = """
import os, numpy as np
from ert._kernels import choice
from ert._kernels.start import cache_folders
choice.use_compiled()
from ert._kernels.images import weigh
if os.geteuid() == 0:
    # Python itself may be in a folder of root's.
    weigh.targetctx.refresh()
    os.setgid(65534)
    os.setuid(65534)
print(choice.ahead.is_ready(), cache_folders.can_write(), choice.ahead.start())
weigh(np.array([9, 9, 9], np.uint8), np.array([1, 1, 1, 65536], np.uint32))
print(sum(weigh.stats.cache_hits.values()), sum(weigh.stats.cache_misses.values()))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of files")
def test_a_cache_of_an_image_serves_another_user_who_cannot_write(tmp_path_factory):
    # Below a folder that others may enter.
    folder = Path("/tmp") / f"ert-{os.getpid()}"
    environment = {"ERT_CACHE_DIR": str(folder), "NUMBA_CACHE_DIR": "/proc/none", "HOME": "/proc/none"}
    environment |= {"XDG_CACHE_HOME": "/proc/none"}
    try:
        assert run_alone(MAKE, **environment) == "1\n"
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        assert run_alone(USE, **environment) == "True False False\n1 0\n"
    finally:
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def test_warmup_fills_a_folder(folder, tmp_path, monkeypatch, capsys):
    def compile_one():
        # What is in other folders does not count.
        assert len(list(cache_folders.trusted_folders(create=True))) == 1
        (next(cache_folders.trusted_folders()) / "one.nbc").touch()
        return ()

    monkeypatch.setattr("ert.inference.warm_up._kinds_of_models", compile_one)
    monkeypatch.setattr(choice, "files_used", {"one.nbc"})
    assert main(["warmup", "--cache", str(tmp_path / "build")]) == 0
    (note,) = (tmp_path / "build").rglob("ready.*.json")
    assert json.loads(note.read_text())["files"] == ["one.nbc"]
    assert f"cache: {note.parent}" in capsys.readouterr().out


WHY_NOT = {
    "file": "file: cannot be created: File exists",
    "open": "can be written to by other users",
    "full": "No space",
}


@pytest.mark.parametrize("way", ["--cache", "ERT_CACHE_DIR"])
@pytest.mark.parametrize("case", WHY_NOT)
def test_warmup_refuses_a_folder_that_keeps_nothing_before_it_compiles(
    folder, tmp_path, monkeypatch, capsys, case, way
):
    monkeypatch.setattr("ert.cli.setup.compile_all", None)
    place = tmp_path / case
    if case == "file":
        place.touch()
    else:
        place.mkdir(mode=0o755)
    if case == "open":
        place.chmod(0o777)
    if case == "full":
        full_disk(monkeypatch)
    monkeypatch.setenv("ERT_CACHE_DIR", str(place if way == "ERT_CACHE_DIR" else tmp_path / "cache"))
    assert main(["warmup", *(["--cache", str(place)] if way == "--cache" else [])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(place) in line
    assert WHY_NOT[case] in line


def test_warmup_without_any_folder_says_so_before_it_compiles(monkeypatch, capsys):
    monkeypatch.setattr("ert.cli.setup.compile_all", None)
    monkeypatch.delenv("ERT_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache_folders, "can_write", lambda: False)
    monkeypatch.setattr(ahead, "ready_folder", lambda: None)
    assert main(["warmup"]) == 2
    assert "no folder for compiled kernels can be written to; name one with --cache" in capsys.readouterr().err


def test_a_cache_that_is_complete_need_not_be_written_to(folder, monkeypatch, capsys):
    monkeypatch.setattr("ert.cli.setup.compile_all", lambda: None)
    monkeypatch.setattr(choice, "not_kept", "")
    ahead.note_ready([])
    full_disk(monkeypatch)
    assert main(["warmup"]) == 0
    assert f"cache: {folder}" in capsys.readouterr().out


def test_what_is_not_kept_is_not_noted_as_ready(folder, monkeypatch, capsys):
    def compile_one():
        monkeypatch.setattr(choice, "not_kept", "x: No space left on device")
        return ()

    monkeypatch.setattr(choice, "not_kept", "")
    monkeypatch.setattr("ert.inference.warm_up._kinds_of_models", compile_one)
    assert main(["warmup"]) == 2
    assert "ert: compiled, but not kept: x: No space left on device" in capsys.readouterr().err
    assert not ahead.is_ready()


# Values of the variables


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ERT_COMPILE", "auto, now or never"), ("ERT_KERNELS", "auto, avx512, avx2, neon or portable")],
)
def test_an_unknown_value_is_refused_in_one_line(fresh, monkeypatch, capsys, faces, name, expected):
    monkeypatch.setenv(name, "foo")
    line = f"{name}=foo: expected {expected}"
    with pytest.raises(ValueError, match=line):
        ert.load("face5").predict(faces[0][:1])
    assert main(["align", str(ert.sample_image())]) == 2
    assert capsys.readouterr().err == f"ert: {line}\n"
    if name == "ERT_COMPILE":
        assert main(["warmup"]) == 2
        assert capsys.readouterr().err == f"ert: {line}\n"


def test_an_empty_value_is_the_default(fresh, monkeypatch):
    monkeypatch.setenv("ERT_KERNELS", "")
    monkeypatch.setenv("ERT_COMPILE", "")
    named = ahead._file_name("ready")
    assert not choice.take_over()
    monkeypatch.setenv("ERT_KERNELS", "auto")
    assert ahead._file_name("ready") == named
