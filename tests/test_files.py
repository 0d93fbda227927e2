import pytest

from ert import InputError
from ert.files import write_atomically


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
