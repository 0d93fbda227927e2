import errno
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from numba.core.caching import FunctionCache, NullCache
from numba.core.dispatcher import Dispatcher

from ert._core.images import to_gray
from ert._kernels import cache, choice
from ert._kernels.start import cache_folders

N = cache.DIGEST_BYTES


def weighted_sum(array, factor):
    total = 0.0
    for i in range(array.shape[0]):
        total += factor * array[i]
    return total


# As if it were a kernel of a module of this package, which numba imports for compiled code.
weighted_sum.__module__ = "ert.example"
sys.modules["ert.example"] = sys.modules[__name__]
ARRAY = np.arange(5.0)


def fresh_kernel():
    """Return the kernel as a new process has it: nothing of it is compiled."""
    return numba.njit(cache=True, nogil=True)(weighted_sum)


def is_cached(kernel):
    (hits,), misses = kernel.stats.cache_hits.values() or (0,), kernel.stats.cache_misses
    return hits == 1 and not misses


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Three folders in place of NUMBA_CACHE_DIR, the one in the package and the user's."""
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path / "configured"))
    monkeypatch.setattr(cache_folders, "IN_PACKAGE", tmp_path / "package" / "__pycache__")
    monkeypatch.setattr(cache_folders, "user_folder", lambda: tmp_path / "home/numba")
    monkeypatch.setattr(choice, "not_kept", "")
    cache_folders._warn_once.cache_clear()
    yield tmp_path
    cache_folders._warn_once.cache_clear()


def cached_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The name and the content of the file of the compiled kernel."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.config, "CACHE_DIR", str(folder))
        assert fresh_kernel()(ARRAY, 2.0) == 20
        assert is_cached_for(folder)
    (path,) = cached_files(folder)
    assert path.suffix == ".nbc"
    return path.relative_to(folder), path.read_bytes()


@pytest.fixture
def cached_file(folders, compiled):
    """The file of the compiled kernel."""
    path = folders / "configured" / compiled[0]
    path.parent.mkdir(parents=True, mode=0o755)
    path.write_bytes(compiled[1])
    return path


def is_cached_for(folders):
    kernel = fresh_kernel()
    assert kernel(ARRAY, 2.0) == 20
    return is_cached(kernel)


def with_payload(content, payload):
    return content[:N] + cache.digest_of(payload) + payload


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


DAMAGED = {
    "empty": lambda content: b"",
    "fingerprint alone": lambda content: content[:N],
    "no payload": lambda content: content[: 2 * N],
    "half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "random": lambda content: np.random.default_rng(0).bytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "one bit of the fingerprint": lambda content: flipped(content, 3),
    "one bit of the digest": lambda content: flipped(content, N + 3),
    "one bit of the machine code": lambda content: flipped(content, content.index(b"ELF") + 500),
    "EOFError": lambda content: with_payload(content, b""),
    "UnpicklingError": lambda content: with_payload(content, content[2 * N : -100]),
    "AttributeError": lambda content: with_payload(content, b"cert._kernels.grow\nRenamedClass\n."),
    "ModuleNotFoundError": lambda content: with_payload(content, b"cert._kernels.renamed\nName\n."),
    "TypeError": lambda content: with_payload(content, pickle.dumps(None)),
    "ValueError": lambda content: with_payload(content, pickle.dumps((1, 2, 3))),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_replaced(folders, cached_file, damage):
    cached_file.write_bytes(DAMAGED[damage](cached_file.read_bytes()))
    assert not is_cached_for(folders)
    assert cached_files(folders) == [cached_file]
    assert is_cached_for(folders)


def test_a_damaged_file_is_removed_even_if_no_new_one_can_be_written(folders, cached_file, monkeypatch):
    cached_file.write_bytes(b"damaged")
    monkeypatch.setattr(os, "open", refuse(errno.ENOSPC))
    assert not is_cached_for(folders)
    assert cached_files(folders) == []


def refuse(number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    return refused


def test_a_folder_in_place_of_a_file_is_no_error(folders, cached_file):
    cached_file.unlink()
    cached_file.mkdir()
    assert not is_cached_for(folders)
    # In the next folder.
    assert is_cached_for(folders)


def test_kernels_are_compiled_anew_when_any_source_of_theirs_has_changed(folders, cached_file, monkeypatch):
    monkeypatch.setattr(cache, "source_stamp", lambda filename: b"another version")
    assert not is_cached_for(folders)
    assert is_cached_for(folders)
    assert cached_files(folders) == [cached_file]


def test_the_stamp_covers_the_other_kernels(monkeypatch, tmp_path):
    for name in ("cache.py", "pixels.py", "caller.py"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(cache_folders, "KERNELS", tmp_path)
    stamp = cache_folders.source_stamp.__wrapped__
    before = stamp(str(tmp_path / "caller.py"))
    assert before == stamp(str(tmp_path / "caller.py"))
    (tmp_path / "pixels.py").write_text("changed")
    assert before != stamp(str(tmp_path / "caller.py"))


@pytest.mark.parametrize("frozen", [True, False])
def test_without_source_files_the_stamp_is_of_the_program_or_archive(monkeypatch, tmp_path, frozen):
    program = tmp_path / "program"
    program.write_bytes(b"one")
    monkeypatch.setattr(cache.sys, "frozen", frozen, raising=False)
    monkeypatch.setattr(cache.sys, "executable", str(program))
    source = str((tmp_path if frozen else program) / "ert" / "_kernels" / "none.py")
    stamp = cache_folders.source_stamp.__wrapped__
    before = stamp(source)
    program.write_bytes(b"another")
    assert before != stamp(source)


def test_settings_that_change_the_code_have_files_of_their_own(folders, cached_file, monkeypatch):
    monkeypatch.setattr(cache.config, "BOUNDSCHECK", 1)
    assert not is_cached_for(folders)
    assert is_cached_for(folders)
    monkeypatch.undo()
    assert len(cached_files(cached_file.parent)) == 2


def test_recompiling_removes_the_files(folders, cached_file):
    cached_file.write_bytes(cached_file.read_bytes())
    kernel = fresh_kernel()
    kernel(ARRAY, 2.0)
    kernel.recompile()
    assert kernel.stats.cache_misses
    assert kernel(ARRAY, 3.0) == 30


# Folders that are not to be trusted, and those that cannot be written to


def test_files_and_folders_are_writable_for_their_owner_alone(folders):
    before = os.umask(0)
    try:
        fresh_kernel()(ARRAY, 2.0)
    finally:
        os.umask(before)
    (path,) = cached_files(folders)
    modes = [each.stat().st_mode & 0o777 for each in (path, path.parent, folders / "configured")]
    assert modes == [0o644, 0o755, 0o755]


def give_away(folder, monkeypatch):
    """Let a folder belong to another user."""
    if os.geteuid() == 0:
        os.chown(folder, 4321, 4321)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4321)
        monkeypatch.setattr(cache_folders, "PACKAGE", Path("/"))


def refused_folder(folder):
    kernel = fresh_kernel()
    with pytest.warns(RuntimeWarning, match="cache of compiled kernels") as found:
        assert kernel(ARRAY, 2.0) == 20
    (message,) = [str(each.message) for each in found]
    assert str(folder) in message
    assert "\n" not in message
    # The next folder is used, and nothing is said a second time.
    assert is_cached_for(folders)
    assert not Path(kernel.stats.cache_path).is_relative_to(folder)
    return message


@pytest.mark.parametrize("where", ["configured", "folder of the package"])
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o775, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_used(folders, cached_file, where, mode):
    if mode == 0o1777 and where == "configured":
        pytest.skip("is as /tmp")
    folder = folders / "configured" if where == "configured" else cached_file.parent
    if os.geteuid() == 0:
        os.chown(folder, 0, 4321)
    elif mode == 0o775:
        pytest.skip("needs another group")
    folder.chmod(mode)
    assert "can be written to by other users" in refused_folder(folder)
    # Nothing was written to it.
    assert cached_files(folders / "configured") == [cached_file]
    # Once nobody else can write to it, it is used again.
    folder.chmod(0o755)
    assert is_cached_for(folders)


@pytest.mark.parametrize("where", ["configured", "folder of the package"])
def test_a_folder_of_another_user_is_not_used(folders, cached_file, where, monkeypatch):
    folder = folders / "configured" if where == "configured" else cached_file.parent
    if os.geteuid() != 0:
        pytest.skip("needs root to give a folder away")
    give_away(folder, monkeypatch)
    assert "belongs to user 4321, expected 0" in refused_folder(folder)


def test_what_is_trusted(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir()
    uid = folder.stat().st_uid
    os.chown(folder, -1, uid if os.geteuid() == 0 else -1)
    folder.chmod(0o777)
    assert cache_folders._distrust(folder)
    # As /tmp is.
    folder.chmod(0o1777)
    assert not cache_folders._distrust(folder)
    # But anybody could add a file there.
    assert cache_folders._distrust(folder, holds_code=True)
    if folder.stat().st_gid == uid:
        # The group of one user.
        folder.chmod(0o775)
        assert not cache_folders._distrust(folder)
    # What root has compiled, for instance when an image of a container was built, serves all users.
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    folder.chmod(0o755)
    assert bool(cache_folders._distrust(Path("/"))) is False
    # The user who has installed the package.
    assert not cache_folders._distrust(cache_folders.PACKAGE)
    monkeypatch.setattr(cache_folders, "PACKAGE", Path("/"))
    assert bool(cache_folders._distrust(folder)) == (uid != 0)
    # Elsewhere than on POSIX systems modes say nothing.
    monkeypatch.setattr(os, "name", "nt")
    folder.chmod(0o777)
    assert not cache_folders._distrust(folder)


def test_a_package_that_a_group_may_change_has_a_cache_that_this_group_may_change(tmp_path, monkeypatch):
    folder = tmp_path / "__pycache__"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 0, 4321)
    monkeypatch.setattr(cache_folders, "PACKAGE", tmp_path)
    tmp_path.chmod(0o775)
    folder.chmod(0o775)
    assert cache_folders._distrust(folder) or folder.stat().st_gid == os.geteuid()
    monkeypatch.setattr(cache_folders, "IN_PACKAGE", folder)
    assert not cache_folders._distrust(folder)
    folder.chmod(0o777)
    assert cache_folders._distrust(folder)


def test_a_cache_that_cannot_be_written_to_is_read(folders, cached_file, monkeypatch):
    monkeypatch.setattr(os, "open", refuse(errno.EROFS))
    monkeypatch.setattr(cache.Path, "mkdir", refuse(errno.EROFS))
    assert is_cached_for(folders)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_when_no_file_can_be_written_kernels_stay_in_memory(folders, monkeypatch, number):
    monkeypatch.setattr(os, "open", refuse(number))
    kernel = fresh_kernel()
    assert kernel(ARRAY, 2.0) == 20
    assert kernel(ARRAY, 3.0) == 30
    assert os.strerror(number) in choice.not_kept
    assert kernel.stats.cache_path is None
    assert cached_files(folders) == []


def test_a_full_disk_leaves_no_temporary_file(folders, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: refuse(errno.ENOSPC)())
    assert fresh_kernel()(ARRAY, 2.0) == 20
    assert cached_files(folders) == []


def test_temporary_files_of_killed_processes_are_removed(folders, cached_file):
    content = cached_file.read_bytes()
    old, new = (cached_file.with_name(f"{cached_file.name}.{name}.tmp") for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(content[:99])
    os.utime(old, (0, 0))
    cached_file.unlink()
    assert not is_cached_for(folders)
    assert cached_files(folders) == sorted([cached_file, new])


IMAGE = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
UNWRITABLE = """
import sys
from pathlib import Path
import numpy as np
from ert._core.images import to_gray
from ert._kernels import choice
from ert._kernels.start import cache_folders
choice.use_compiled()
cache_folders.IN_PACKAGE = Path("/proc/none")
print(to_gray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3), "rgb", "luma").sum())
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder to which not even root can write")
def test_without_a_folder_that_can_be_written_to_kernels_run():
    kept = {key: value for key, value in os.environ.items() if key != "XDG_CACHE_HOME"}
    environment = kept | {"HOME": "/proc/none", "NUMBA_CACHE_DIR": "/proc/none"}
    command = [sys.executable, "-W", "error", "-c", UNWRITABLE]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    assert int(done.stdout) == to_gray(IMAGE, "rgb", "luma").sum()


def test_a_user_without_a_home(folders, monkeypatch):
    monkeypatch.setattr(cache_folders, "user_folder", lambda: Path("~/.cache/numba"))
    monkeypatch.setattr(cache.config, "CACHE_DIR", "")
    assert [folder for _, folder in cache_folders._folders()] == [cache_folders.IN_PACKAGE]
    assert not is_cached_for(folders)
    assert is_cached_for(folders)


def test_a_frozen_program_does_not_write_to_the_folder_that_it_is_unpacked_to(folders, monkeypatch):
    before = [folder for _, folder in cache_folders._folders()]
    monkeypatch.setattr(cache.sys, "frozen", True, raising=False)
    monkeypatch.setattr(cache_folders, "PACKAGE", folders / "unpacked.exe" / "ert")
    configured, users = [folder for _, folder in cache_folders._folders()]
    assert configured.parent == before[0].parent
    assert users.name == configured.name != before[0].name
    assert not is_cached_for(folders)
    assert is_cached_for(folders)


# First use by several at once


def test_eight_threads_at_once_on_an_empty_cache(folders):
    kernel = fresh_kernel()
    arrays = [np.arange(5.0, dtype=dtype) for dtype in (np.float64, np.float32, np.uint8, np.int16)] * 2
    barrier, found = threading.Barrier(8), [None] * 8

    def use(i):
        barrier.wait()
        found[i] = [kernel(arrays[i], float(factor)) for factor in range(20)]

    threads = [threading.Thread(target=use, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[10.0 * factor for factor in range(20)]] * 8
    assert len(cached_files(folders)) == 4
    again = fresh_kernel()
    assert [again(array, 2.0) for array in arrays] == [20.0] * 8
    assert not again.stats.cache_misses


# The processes begin when the pipe is closed; half of them compile for another type first.
RACE = """
import os, sys
import numba, numpy as np
import ert._kernels.cache

def weighted_sum(array, factor):
    total = 0.0
    for i in range(array.shape[0]):
        total += factor * array[i]
    return total

weighted_sum.__module__ = "ert.example"
sys.modules["ert.example"] = sys.modules["__main__"]
kernel = numba.njit(cache=True, nogil=True)(weighted_sum)
reader, writer = os.pipe()
for number in range(8):
    if os.fork() == 0:
        os.close(writer)
        os.read(reader, 1)
        order = 1 - 2 * (number % 2)
        found = [kernel(np.arange(5, dtype=dtype), 2.0) for dtype in (np.uint8, np.float32)[::order]]
        os.write(1, f"{found}\\n".encode())
        os._exit(0)
os.close(writer)
for _ in range(8):
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin at the same time")
def test_eight_processes_at_once_on_an_empty_cache(tmp_path):
    (tmp_path / "race.py").write_text(RACE)
    command = [sys.executable, "-W", "error", tmp_path / "race.py"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[20.0, 20.0]"] * 8
    files = cached_files(tmp_path / "cache")
    assert len(files) == 2
    for path in files:
        assert path.suffix == ".nbc"
        content = path.read_bytes()
        assert content[N : 2 * N] == cache.digest_of(content[2 * N :])


# What has this cache


def test_all_kernels_of_the_package_have_this_cache():
    import ert.model.dlib_format
    import ert.training.samples

    assert ert.model.dlib_format
    kernels = {
        id(value): value
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("ert.")
        for value in vars(module).values()
        if isinstance(value, Dispatcher)
    }
    assert len(kernels) > 40
    # Kernels of the same name with other values would share their files.
    assert {kernel.py_func.__closure__ for kernel in kernels.values()} == {None}
    assert {type(kernel._cache) for kernel in kernels.values()} == {cache.KernelCache, NullCache}
    assert len({kernel._cache._stem for kernel in kernels.values() if type(kernel._cache) is cache.KernelCache}) > 40


def test_functions_of_other_packages_keep_numbas_cache(folders):
    @numba.njit(cache=True)
    def doubled(x):
        return 2 * x

    assert type(doubled._cache) is FunctionCache
    assert doubled(4) == 8
    doubled.py_func.__module__ = None
    assert type(cache._choose_cache(doubled.py_func)) is FunctionCache
    assert any(path.suffix == ".nbi" for path in cached_files(folders))


def test_what_cannot_be_cached_is_named(folders):
    result = SimpleNamespace(codegen=fresh_kernel().targetctx.codegen(), lifted=["loop"])
    with pytest.warns(UserWarning, match="weighted_sum: cannot be cached"):
        fresh_kernel()._cache.save_overload((numba.float64,), result)
    with warnings.catch_warnings():
        assert cached_files(folders) == []
