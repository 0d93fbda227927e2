import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import ert
from ert._core import runtime as cache


def test_a_folder_is_usable_when_files_can_be_written_to_it(tmp_path):
    assert cache.is_usable(tmp_path / "new" / "folder")
    (tmp_path / "file").touch()
    assert not cache.is_usable(tmp_path / "file")
    assert not cache.is_usable(tmp_path / "file" / "below")


@pytest.fixture
def configured(monkeypatch):
    # No configured folder; restored whatever the functions do.
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")


def test_a_usable_folder_is_left_to_numba(configured, monkeypatch, tmp_path):
    before = numba.config.CACHE_DIR
    monkeypatch.setattr(cache, "_default_folders", lambda: [Path("/dev/null/below"), tmp_path])
    cache.ensure_cache()
    assert before == numba.config.CACHE_DIR


def test_without_any_usable_folder_the_process_gets_one_of_its_own(configured, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_default_folders", lambda: [Path("/dev/null/below")])
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    cache.ensure_cache()
    assert os.path.dirname(numba.config.CACHE_DIR) == str(tmp_path)
    assert cache.is_usable(Path(numba.config.CACHE_DIR))


def test_without_a_folder_for_temporary_files_it_is_left_to_numba(configured, monkeypatch, tmp_path):
    before = numba.config.CACHE_DIR
    monkeypatch.setattr(cache, "_default_folders", list)
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "none"))
    cache.ensure_cache()
    assert before == numba.config.CACHE_DIR


def test_a_user_without_a_home_is_no_error(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", homeless)
    assert cache._default_folders()


@pytest.mark.parametrize("command", [["align", "IMAGE"], ["train", "none.xml", "--out", "m.ert"]])
def test_without_the_compiler_the_error_is_one_line(command, tmp_path):
    image = str(ert.sample_image())
    command = [sys.executable, "-m", "ert", *(image if word == "IMAGE" else word for word in command)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "NUMBA_DISABLE_JIT" in line or "none.xml" in line
