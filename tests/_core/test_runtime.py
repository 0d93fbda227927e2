import math
import os
import subprocess
import sys

import joblib
import pytest

import ert
from ert import InputError
from ert._core import runtime
from ert._core.runtime import count_threads, cpu_quota


def test_without_the_compiler_faces_are_aligned(tmp_path):
    command = [sys.executable, "-m", "ert", "align", str(ert.sample_image())]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 0
    assert len(run.stderr.splitlines()) == 1


def test_without_the_compiler_the_error_of_training_is_one_line(tmp_path):
    command = [sys.executable, "-m", "ert", "train", "none.xml", "--out", "m.ert"]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "NUMBA_DISABLE_JIT" in line or "none.xml" in line


def test_counting_threads():
    assert count_threads(3) == 3
    assert count_threads(None) == 1
    assert count_threads(-1) >= 1
    assert count_threads(-1000) == 1
    for wrong in (0, 1.5, "many"):
        with pytest.raises(InputError, match="n_jobs"):
            count_threads(wrong)


def groups(folder, membership, files):
    """Return the arguments of `cpu_quota` for the text of a process's groups and {file: its text}."""
    mounted = folder / "mounted"
    mounted.mkdir()
    for name, text in files.items():
        (mounted / name).parent.mkdir(parents=True, exist_ok=True)
        (mounted / name).write_text(text)
    (folder / "cgroup").write_text(membership)
    return folder / "cgroup", mounted


V1 = "4:memory:/box\n3:cpuset:/set\n2:cpu,cpuacct:/box\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        # Version 2: in a container, in a group of one's own, and in one around it.
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "400000 100000\n"}, 0.5),
        # The name that the host has for the group, in a container that has its group at the root.
        ("0::/docker/0123\n", {"cpu.max": "200000 100000"}, 2),
        # Version 1, under either name; -1 is no bound.
        (V1, {"cpu/box/cpu.cfs_quota_us": "250000\n", "cpu/box/cpu.cfs_period_us": "100000\n"}, 2.5),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "10000"}, 5),
        (V1, {"cpu/box/cpu.cfs_quota_us": "-1\n", "cpu/box/cpu.cfs_period_us": "100000\n"}, math.inf),
        (V1, {"memory/box/cpu.cfs_quota_us": "1\n", "cpu/set/cpu.cfs_quota_us": "1\n"}, math.inf),
        # Both.
        (
            V1 + "0::/box\n",
            {
                "cpu/cpu.cfs_quota_us": "300000",
                "cpu/cpu.cfs_period_us": "100000",
                "unified/box/cpu.max": "200000 100000",
            },
            2,
        ),
        # Nothing, or nothing that makes sense.
        ("0::/\n", {}, math.inf),
        ("", {"cpu.max": "100000 100000"}, math.inf),
        ("what\n", {"cpu.max": "100000 100000"}, math.inf),
        ("0::/\n", {"cpu.max": ""}, math.inf),
        ("0::/\n", {"cpu.max": "100000"}, math.inf),
        ("0::/\n", {"cpu.max": "many few"}, math.inf),
        ("0::/\n", {"cpu.max": "100000 0"}, math.inf),
        ("0::/\n", {"cpu.max": "nan 100000"}, math.inf),
    ],
)
def test_the_quota_of_control_groups(tmp_path, membership, files, expected):
    assert cpu_quota(*groups(tmp_path, membership, files)) == expected


def test_there_is_no_quota_where_there_are_no_groups(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path / "none") == math.inf


@pytest.mark.parametrize(("quota", "n_jobs", "expected"), [(1.5, -1, 2), (0.1, -1, 1), (math.inf, -1, 6), (4, -2, 3)])
def test_all_processors_are_those_of_the_quota(monkeypatch, quota, n_jobs, expected):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 6)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 7, raising=False)
    monkeypatch.setattr(runtime, "_own_quota", lambda: quota)
    assert count_threads(n_jobs) == expected
    # What is asked for is used.
    assert count_threads(5) == 5
