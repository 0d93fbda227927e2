"""The modules of the annotation page that need no browser, in Node."""

import shutil
import subprocess
from pathlib import Path

import pytest

import ert.annotation

PAGE = Path(ert.annotation.__file__).parent / "page"


def test_modules_in_node():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node (apt-get install nodejs)")
    command = [node, "--test", str(Path(__file__).with_name("page_modules.mjs"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_no_address_outside_the_machine(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text
    assert len(text.splitlines()) <= 500
