import json

import pytest

from ert._core.exceptions import InputError
from ert.datasets.parsing import natural_key, read_json


def test_natural_key_sorts_numbers_by_value_and_never_fails():
    names = ["10", "2", "nose", "1", "01", "p10", "p9", "", "9" * 5000, "p9b"]
    expected = ["", "01", "1", "2", "10", "9" * 5000, "nose", "p9", "p9b", "p10"]
    assert sorted(names, key=natural_key) == expected


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"", ":1", "Expecting value (column 1)"),
        (b" \n", ":2", "Expecting value (column 1)"),
        (b"[1]x", ":1", "Extra data (column 4)"),
        (b'{"a": [1,\n\xff]}', "", "bytes that are not text"),
        (b'{"a": [' + b"9" * 5000 + b"]}", "", "a number with too many digits"),
        (b'{"a": ["\n"]}', ":1", "Invalid control character at"),
        (b'{"a": [1,', ":1", "Expecting value"),
        (b'{"a"', ":1", "Expecting ':' delimiter"),
        (b"[" * 100000, "", "nested too deep"),
        (b'{"a": [' + b"[" * 100000, "", "nested too deep"),
    ],
)
def test_invalid_json_is_refused_with_its_place(tmp_path, content, place, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as info:
        read_json(path)
    assert str(info.value).startswith(f"{path}{place}: invalid JSON: ")
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_duplicate_keys_of_json_are_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": [{"b": 1, "c": 2, "b": 3}]}')
    with pytest.raises(InputError, match=r"x\.json: duplicate key 'b'"):
        read_json(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_json_in_any_encoding_of_the_standard(tmp_path, encoding):
    path, data = tmp_path / "x.json", {"Zoë": [1, 2.5, None, {"b": [True]}]}
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    assert read_json(path) == data
