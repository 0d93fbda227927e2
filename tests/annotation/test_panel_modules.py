"""What the panels of the annotation page compute, in Node."""

import shutil
import subprocess
from pathlib import Path

import pytest


def test_panels_in_node():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node (apt-get install nodejs)")
    command = [node, "--test", str(Path(__file__).with_name("panel_modules.mjs"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
