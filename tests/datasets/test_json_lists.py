import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ert._core.exceptions import InputError
from ert.datasets.formats import json_lists as module
from ert.datasets.formats.json_lists import json_lists

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
DOCUMENTS = st.dictionaries(st.text(max_size=5), st.lists(VALUES, max_size=5) | VALUES, max_size=4) | VALUES


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("json") / "x.json"


def read(path):
    """The whole as `json_lists` gives it, "other" for what is no list."""
    try:
        return [(key, "other" if items is None else list(items)) for key, items in json_lists(path)]
    except InputError as error:
        return str(error)


def expected(path):
    try:
        pairs = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: dict(pairs) | {None: pairs})
    except json.JSONDecodeError as error:
        return f"{path}:{error.lineno}: not JSON: {error.msg}"
    except ValueError:
        return f"{path}: not JSON: bytes that are no text, or a number too long"
    pairs = [(key, plain(value)) for key, value in pairs[None]] if isinstance(pairs, dict) else []
    return [(key, value if isinstance(value, list) else "other") for key, value in pairs]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value


def same(path):
    found, truth = read(path), expected(path)
    if "Illegal trailing comma" in truth:  # Python 3.13 and later say so
        assert isinstance(found, str)
        return
    # NaN is not itself.
    assert repr(found) == repr(truth)


@given(data=st.data())
def test_reads_and_refuses_as_json_does_wherever_the_text_is_cut(path, data):
    indent = data.draw(st.sampled_from([None, 0, 2]))
    text = json.dumps(data.draw(DOCUMENTS), indent=indent, ensure_ascii=data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(0, 2))):
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        text = (
            text[:start]
            + data.draw(st.sampled_from(["", ",", '"', "\n", "}", "9", "\\", text]))
            + text[stop:]
        )
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]))
    path.write_bytes(text.encode(encoding, "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", data.draw(st.integers(1, 40)))
        same(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"[1]x",
        b'{"a": [1,\n\xff]}',
        b'{"a": [' + b"9" * 5000 + b"]}",
        b'{"a": ["\n"]}',
        b'{"a": [1,',
        b'{"a"',
    ],
)
def test_refuses(path, content):
    path.write_bytes(content)
    assert isinstance(read(path), str)
    same(path)


@pytest.mark.parametrize(
    "number", ["1", "0.5", "-0", "-1.5e+10", "1E-7", "NaN", "-Infinity", "1e999", "1e+", "1."]
)
@pytest.mark.parametrize("chunk", range(1, 6))
def test_numbers_that_are_cut(path, number, chunk, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    for text in (number, f'{{"a": [{number}]}}', f'{{"a": {number}, "b": [{number},{number}]}}'):
        path.write_text(text)
        same(path)


@pytest.mark.parametrize("content", ["[" * 100000, '{"a": [' + "[" * 100000])
def test_refuses_deep_nesting(path, content):
    path.write_text(content)
    assert read(path).endswith("nested too deep")


def test_items_that_are_not_taken_are_passed_over(path):
    path.write_text('{"a": [1, 2, 3], "b": {"c": [4]}, "d": []}')
    assert [key for key, _ in json_lists(path)] == ["a", "b", "d"]
    first = [next(items) for key, items in json_lists(path) if key == "a"]
    assert first == [1]
    assert [list(items) for key, items in json_lists(path) if key == "d"] == [[]]


def test_memory_does_not_grow_with_the_file(path):
    path.write_text('{"a": [' + ",\n".join([f'["{"x" * 1000}", 2.5]'] * 4000) + "]}")
    tracemalloc.start()
    ((_, items),) = ((key, sum(map(len, items))) for key, items in json_lists(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert items == 8000
    assert peak < 2_000_000 < path.stat().st_size


def test_an_error_is_found_without_reading_on(path):
    path.write_text('{"a": [1, oops, ' + "2, " * 2_000_000)
    tracemalloc.start()
    assert "Expecting value" in read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000 < path.stat().st_size
