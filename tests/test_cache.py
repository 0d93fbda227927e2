import os
import subprocess
import sys

from ert.cache import is_usable


def test_a_folder_is_usable_when_files_can_be_written_to_it(tmp_path):
    assert is_usable(tmp_path / "new" / "folder")
    (tmp_path / "file").touch()
    assert not is_usable(tmp_path / "file")
    assert not is_usable(tmp_path / "file" / "below")


def test_without_a_folder_for_its_cache_ert_still_works(tmp_path):
    """As in a container that is read-only: the one folder that numba may use cannot be made."""
    (tmp_path / "file").touch()
    code = (
        "import numpy as np, ert, numba, os;"
        "from ert.images import to_grey;"
        "print(to_grey(np.full((2, 2, 3), 7, np.uint8)).max(), numba.config.CACHE_DIR)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache"), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    grey, folder = run.stdout.split()
    assert grey == "7"
    assert folder.startswith(str(tmp_path))
    assert not os.path.exists(folder)
