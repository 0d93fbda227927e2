import codecs

import pytest

from ert._core.exceptions import InputError
from ert.datasets.text import text_lines


def read(tmp_path, data):
    path = tmp_path / "x.txt"
    path.write_bytes(data)
    return [(line, text.strip("\n")) for line, text in text_lines(path)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_lines_of_any_encoding(tmp_path, encoding, end):
    assert read(tmp_path, end.join(["a é", "", "b €"]).encode(encoding)) == [(1, "a é"), (2, ""), (3, "b €")]


def test_letters_far_behind_the_start_decide_too(tmp_path):
    for encoding in ("utf-8", "cp1252"):
        lines = read(tmp_path, ("a" * 99 + "\n").encode() * 30_000 + "ö".encode(encoding))
        assert lines[-1] == (30_001, "ö")
    # A letter of two bytes on the border of two pieces.
    assert read(tmp_path, b"a" * ((1 << 20) - 1) + "ö".encode())[0][1][-2:] == "aö"


@pytest.mark.parametrize("end", [b"\x1a", b"\n\x1a", b"\x1a\x1a\n", b"\r\n\x1a\r\n"])
def test_ctrl_z_at_the_end_is_no_text(tmp_path, end):
    assert [text for _, text in read(tmp_path, b"a\nb" + end) if text] == ["a", "b"]


def test_two_files_of_old_systems_in_one(tmp_path):
    assert [text for _, text in read(tmp_path, b"a\n\x1ab\n\x1a")] == ["a", "b", ""]


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"a\nb\0c\n", 2, "bytes that are not text"),
        (b"\0\0\0\0", 1, "bytes that are not text"),
        (b"a\r\nb\r\n\xf6\r\n\0", 4, "bytes that are not text"),
        ("a\nb\0\n".encode("utf-16"), 2, "bytes that are not text"),
        ("a\nb".encode("utf-16") + b"\n", 2, "bytes that are not text"),
        (b"a\n\x81\n", 2, "bytes that are not text"),
        ("a\n\ufffd\n".encode(), 2, "bytes that are not text"),
        ("a\nb".encode("utf-32"), 1, "bytes that are not text"),
        ("a\nö\n".encode() + b"\xf6\n", 3, "bytes that are not UTF-8 text, as in other lines"),
        (b"\xf6\n" + "a\nö\n".encode(), 1, "bytes that are not UTF-8 text, as in other lines"),
        (b"a\n1\x1a2\n", 2, "Ctrl-Z inside a line"),
    ],
)
def test_refuses(tmp_path, data, place, message):
    with pytest.raises(InputError) as info:
        read(tmp_path, data)
    assert str(info.value).startswith(f"{tmp_path / 'x.txt'}:{place}: ")
    assert message in str(info.value)


@pytest.mark.parametrize("start", [b"", codecs.BOM_UTF16_LE, codecs.BOM_UTF8 + b"a"])
def test_sparse_giants_are_refused_at_once(tmp_path, start):
    path = tmp_path / "x.txt"
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(1 << 34)
    with pytest.raises(InputError, match=r"x\.txt.*(not text|nothing but zeros)"):
        next(text_lines(path))
