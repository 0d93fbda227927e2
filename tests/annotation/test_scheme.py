import pytest

from ert import InputError
from ert.annotation.scheme import numbered_scheme, read_scheme


def test_numbers():
    assert numbered_scheme(3) == (("0", "1", "2"), [])
    for n in (0, -1, 10_001):
        with pytest.raises(InputError, match=f"--points {n}: expected a number from 1 to 10000"):
            numbered_scheme(n)


def test_bundled_schemes():
    names, links = read_scheme("face68")
    assert names == tuple(map(str, range(68)))
    assert (0, 1) in links
    assert (41, 36) in links  # an eye is closed
    assert (16, 17) not in links  # the jaw does not lead to the brows
    assert (47, 42) in links
    assert read_scheme("face5").names[4] == "nose"


def test_a_text_file(tmp_path):
    path = tmp_path / "wing.txt"
    path.write_text("# of a wing\ntip\n  inner hinge \n\nnotch\nLinks: tip-inner hinge-notch, notch-tip\n")
    assert read_scheme(str(path)) == (("tip", "inner hinge", "notch"), [(0, 1), (1, 2), (2, 0)])


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ('["a", "b", "c"]', []),
        ('{"landmarks": ["a", "b", "c"]}', []),
        ('{"landmarks": ["a", "b", "c"], "links": [[0, 1], ["b", "c", "a"], "a-c"]}', [(0, 1), (1, 2), (2, 0), (0, 2)]),
    ],
)
def test_a_json_file(tmp_path, text, links):
    path = tmp_path / "wing.json"
    path.write_text(text)
    assert read_scheme(str(path)) == (("a", "b", "c"), links)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "0 landmark names, expected 1 to 10000"),
        ("a.txt", "tip\ntip\n", "duplicate landmark name 'tip'"),
        ("a.txt", "tip\nlinks: tip-tail\n", "no landmark 'tail'"),
        ("a.txt", "tip\nlinks: tip\n", "expected two landmarks or more"),
        ("a.json", "{", "invalid JSON"),
        ("a.json", "5", "landmarks are 5, expected a list of names"),
        ("a.json", "[1]", "expected a list of names"),
        ("a.json", '["a", ""]', "'' is not a valid name"),
        ("a.json", '{"landmarks": ["a"], "links": {}}', "expected a list of pairs"),
        ("a.json", '{"landmarks": ["a"], "links": [5]}', "link 5: expected two landmarks"),
        ("a.json", '{"landmarks": ["a"], "links": [[0, 1]]}', "no landmark 1, expected a name or a number from 0 to 0"),
        ("a.json", '{"landmarks": ["a"], "links": [[0, true]]}', "no landmark True"),
        ("a.json", '{"landmarks": ["a"], "links": [[0, {}]]}', "no landmark an object"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as info:
        read_scheme(str(path))
    assert message in str(info.value)
    assert str(info.value).startswith(str(path))
    assert "\n" not in str(info.value)


def test_an_unknown_scheme():
    with pytest.raises(InputError, match="--scheme face86: no such file, and no scheme of that name; known: face5"):
        read_scheme("face86")
