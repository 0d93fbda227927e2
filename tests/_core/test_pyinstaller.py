"""The hook that lets programs frozen by PyInstaller find the bundled models; and `python -OO`, as some are run."""

import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

from ert._core.files import bundled_models, pyinstaller_hooks, sample_image


def run_hook(monkeypatch):
    """Return what the hook sets, with PyInstaller's functions that collect files and modules or their like."""
    hooks = ModuleType("PyInstaller.utils.hooks")
    hooks.collect_submodules = lambda package: [package]
    hooks.collect_data_files = lambda package, includes=("**",): [
        (str(path), package)
        for pattern in includes
        for path in Path(sys.modules[package].__file__).parent.glob(f"{pattern}/*" if "**" in pattern else pattern)
    ]
    for name in ("PyInstaller", "PyInstaller.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)
    (folder,) = pyinstaller_hooks()
    return runpy.run_path(str(Path(folder) / "hook-ert.py"))


def test_the_hook_collects_models_and_modules(monkeypatch):
    from skimage.data import lbp_frontal_face_cascade_filename

    found = run_hook(monkeypatch)
    files = {Path(source).resolve() for source, _ in found["datas"]}
    assert {*bundled_models().values(), sample_image(), Path(lbp_frontal_face_cascade_filename())} <= files
    assert any(file.suffix == ".j2" for file in files)
    assert found["hiddenimports"] == ["ert"]
    # numba caches functions of modules whose source it finds.
    assert found["module_collection_mode"] == {"ert": "pyz+py"}


def test_pyinstaller_finds_the_hook():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"]["pyinstaller40"].items()
    assert entry[0] == "hook-dirs"
    folders = EntryPoint(*entry, "pyinstaller40").load()()
    assert (Path(folders[0]) / "hook-ert.py").is_file()


def test_it_runs_without_docstrings_and_asserts():
    script = (
        "import ert, numpy as np; model = ert.load('face68'); assert False\n"
        "image = np.full((200, 200), 90, np.uint8)\n"
        "assert model.predict([(image, (50, 50, 100, 100))]).shape[1] == 68 or exit(1)\n"
        "from ert.cli.main import main; main(['train', '--help'])"
    )
    done = subprocess.run([sys.executable, "-OO", "-c", script], capture_output=True, text=True, check=True)
    assert "--n-trees" in done.stdout
