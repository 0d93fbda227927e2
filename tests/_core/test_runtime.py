import os
import subprocess
import sys

import pytest

import ert


@pytest.mark.parametrize("command", [["align", "IMAGE"], ["train", "none.xml", "--out", "m.ert"]])
def test_without_the_compiler_the_error_is_one_line(command, tmp_path):
    image = str(ert.sample_image())
    command = [sys.executable, "-m", "ert", *(image if word == "IMAGE" else word for word in command)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "NUMBA_DISABLE_JIT" in line or "none.xml" in line
