import subprocess
import sys

SLOW = ("cv2", "PIL", "skimage", "scipy.spatial", "scipy.ndimage", "pandas", "matplotlib", "dlib", "lxml")


def test_import_ert_imports_nothing_slow():
    script = "import sys, ert; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, *SLOW], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
