"""What kind of file a file is, by how it begins: a file that is to be replaced must be of the kind that is written."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_HEAD_BYTES = 4096
_IMAGE = (
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|II\+\0|MM\0\+|RIFF....WEBP|....ftyp(avi[fs]|hei[cx]|mif1)"
    rb"|\0\0\0\x0cjP  |P[1-7]\s"
)


class FileKind(NamedTuple):
    """A kind of file: how messages name it, a pattern of its first bytes, and its suffixes if they matter."""

    name: str
    start: bytes
    suffixes: tuple[str, ...] = ()


# Each pattern matches what ert writes, and what other programs write for the same purpose.
FILE_KINDS: Mapping[str, FileKind] = {
    "model": FileKind("a model", rb"\x89ERTmdl\n|\x01\x01[\x81-\x88]"),
    "image": FileKind("an image", _IMAGE),
    "chart": FileKind("a chart or an image", _IMAGE + rb"|%PDF-|%!PS|%% Creator|(<\?xml.*)?<svg|\x1f\x8b"),
    "video": FileKind("a video", rb"RIFF....AVI |\x1a\x45\xdf\xa3|....ftyp(?!avi[fs]|hei[cx]|mif1)"),
    "json": FileKind("a JSON file", rb'\s*(\{\s*["}]|\[\s*(["{\[\]\d-]|true|false|null))'),
    "page": FileKind("a report of ert", rb"\s*(?i:<!doctype html>).*<meta name=\"generator\" content=\"ert\b"),
    "web page": FileKind(
        "a page of ert export web", rb"\s*(?i:<!doctype html>).*<meta name=\"generator\" content=\"web page of ert\b"
    ),
    "imglab": FileKind("an imglab file", rb"\s*(?=<)[^\0]*?<dataset\b"),
    # Lines of text with commas are not only in tables.
    "csv": FileKind("a table", rb"(?!\s*[{\[<])[^\0\r\n]*[,;\t][^\0\r\n]*", ("", ".csv", ".tsv", ".txt")),
    "tps": FileKind("a TPS file", rb"[^\0]*?\b(?i:LM3?)\s*=\s*\d"),
    "coco": FileKind("a JSON file", rb"\s*\{"),
    "pts": FileKind("a .pts file", rb"[^\0]*\Z", (".pts",)),
    "tem": FileKind("a .tem file", rb"[^\0]*\Z", (".tem",)),
    "jsonl": FileKind("a file of JSON lines", rb"\s*\{", (".jsonl",)),
    "parquet": FileKind("a Parquet file", rb"PAR1"),
    "part": FileKind("results of an interrupted run", rb'\{"ert_predict"', (".part",)),
    "study": FileKind("a study of ert tune", rb'\{"op_code"|SQLite format 3\0'),
    "ljson": FileKind("an .ljson file", rb"\s*\{", (".ljson",)),
}


def is_of_kind(path: Path, kind: str) -> bool:
    """Return whether an existing file is of a kind, or empty."""
    if kind not in FILE_KINDS:
        return True
    _, start, suffixes = FILE_KINDS[kind]
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    return not head or ((not suffixes or path.suffix.lower() in suffixes) and bool(re.match(start, head, re.DOTALL)))
