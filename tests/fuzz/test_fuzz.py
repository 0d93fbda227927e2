"""Some seconds of what `tests/fuzz/run.py` runs for hours; times and memory are only judged there."""

import faulthandler
import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from fuzz import annotations, images, models, run
from fuzz.guards import guarded

# A clock, or memory of other threads, would make a test fail now and then.
UNLIMITED = {"SECONDS": 1e9, "MEMORY_BYTES": 1e18}


@pytest.mark.parametrize(
    ("module", "n", "outcomes"),
    [
        (models, 250, {"refused": 100, "used": 40}),
        (images, 500, {"refused": 100, "read": 100}),
        (annotations, 700, {"refused": 200, "accepted": 50}),
    ],
)
def test_damaged_files_are_used_or_refused_in_one_line(module, n, outcomes, tmp_path, monkeypatch):
    for name, value in UNLIMITED.items():
        monkeypatch.setattr(module, name, value)
    faulthandler.enable()
    counts, faults = Counter(), []
    for number, outcome, fault in module.run(0, n, 15, tmp_path):
        counts[outcome] += 1
        if fault:
            faults.append(f"{number}: {fault}")
    assert not faults
    assert all(counts[outcome] >= least for outcome, least in outcomes.items()), counts


def test_what_is_guarded_ends_the_process_when_it_is_touched():
    """Read one byte behind, and one before, an array between guards."""
    code = "import ctypes, numpy, fuzz.guards as g; a = g.guarded(numpy.arange({n}, dtype='u1'), {end})\n"
    code += "print(int(a.sum()), flush=True); ctypes.string_at(a.ctypes.data + {place}, 1)"
    for end, place in ((True, 100), (False, -1)):
        command = [sys.executable, "-c", code.format(n=100, end=end, place=place)]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.stdout == "4950\n"
        assert done.returncode < 0
    array = np.arange(5000.0).reshape(50, 100)
    assert np.array_equal(guarded(array), array)


# A worker of 40 cases, of which the tenth and the last end it.
WORKER = """
import os, sys, pathlib, json
assert sys.argv[1:3] == ["--worker", "annotations"]
first, n, folder, out = int(sys.argv[3]), int(sys.argv[4]), pathlib.Path(sys.argv[8]), sys.argv[10]
for number in range(first, first + n):
    (folder / "number").write_text(str(number))
    (folder / "x.csv").write_text(f"case {number}")
    if number in (10, 39):
        os.abort()
    with open(out, "a") as file:
        file.write(json.dumps({"outcome": "refused", "n": 1, "faults": []}) + "\\n")
"""


def test_a_run_keeps_what_ended_a_worker_goes_on_behind_it_and_does_not_repeat_what_is_done(
    tmp_path, monkeypatch, capsys
):
    worker, out = tmp_path / "a" / "b" / "worker.py", tmp_path / "out.json"
    worker.parent.mkdir(parents=True)
    worker.write_text(WORKER)
    monkeypatch.setattr(run, "HERE", worker)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "argv", ["run.py", "--annotations", "40", "--seed", "3", "--out", str(out)])
    assert run.main() == 1
    (chunk,) = json.loads(out.read_text())["chunks"].values()
    assert chunk["counts"] == {"refused": 38, "crashed": 2}
    assert [(fault["case"], fault["fault"][:13]) for fault in chunk["faults"]] == [
        (10, "CRASH SIGABRT"),
        (39, "CRASH SIGABRT"),
    ]
    kept = out.with_suffix(".crashes")
    assert {file.name: file.read_text() for file in kept.iterdir()} == {
        "annotations-3-10-x.csv": "case 10",
        "annotations-3-39-x.csv": "case 39",
    }
    capsys.readouterr()
    assert run.main() == 1
    assert "annotations: 40 (crashed 2, refused 38), 2 faults" in capsys.readouterr().out
