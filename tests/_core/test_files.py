import pytest

from ert import InputError
from ert._core.files import check_writable, write_atomically


def test_a_finished_write_replaces_the_file(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".json"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("oops"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_file_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "x.json"
    path.write_text("old")

    def fail():
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_names_the_file(tmp_path):
    with (
        pytest.raises(InputError, match=r"no/x\.json: cannot be written: there is no folder"),
        write_atomically(tmp_path / "no" / "x.json") as temporary,
    ):
        temporary.write_text("text")
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match=r"folder: cannot be written: Is a directory"),
        write_atomically(tmp_path / "folder") as temporary,
    ):
        temporary.write_text("text")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with write_atomically(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_checking_ahead_of_long_work(tmp_path):
    check_writable(tmp_path / "new.txt")
    for path in (tmp_path, tmp_path / "no" / "x.txt"):
        with pytest.raises(InputError, match="cannot be written"):
            check_writable(path)
