"""Damaged model files and wrong arguments are refused by ert.js as by Python: in one line that names the file."""

import json
import struct
import zlib

import numpy as np
import pytest
from builders import likely_cascade
from fuzz import web
from fuzz.models import add_locator, add_members, as_ert
from web.node import HERE, node

import ert
from ert.model.dlib_format import write_dlib_file
from ert.model.ert_format import read_model_file, write_model_file
from ert.model.limits import PARAMETER_LIMITS

PREFIX = struct.Struct("<8sII")
UNLABELLED = dict.fromkeys(("n_photos", "n_empty", "n_unreadable", "n_marked", "n_kept"), 3) | {"spread": None}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The bytes of a small model with a locator, the same in variants, and of one of dlib's.

    Variants: compressed, with channels, with a channel that does not exist, and of 3 members.
    """
    folder, rng = tmp_path_factory.mktemp("model"), np.random.default_rng(2)
    write_dlib_file(folder / "x.dat", likely_cascade(3))
    ert.load(folder / "x.dat").save(folder / "x.ert")
    header, arrays = as_ert(read_model_file(folder / "x.ert")[0], rng, 5, np.int8)
    add_locator(header, arrays, rng)
    for name, compress in (("plain", False), ("compressed", True)):
        write_model_file(folder / f"{name}.ert", header, arrays, compress=compress)
        ert.load(folder / f"{name}.ert")
    for name, last in (("channels.ert", 4), ("sixth.ert", 5)):
        channels = np.full(arrays["anchors"].shape, last, np.uint8)
        its_params = header["params"] | {"channels": "gray+orientation"}
        write_model_file(folder / name, header | {"params": its_params}, arrays | {"channels": channels})
    assert (ert.load(folder / "channels.ert").cascade_.channels == 4).all()
    add_members(header, arrays, rng)
    write_model_file(folder / "members.ert", header, arrays)
    assert len(ert.load(folder / "members.ert").members_) == 3
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_checksum(content):
    return content[:16] + struct.pack("<I", zlib.crc32(content[20:], zlib.crc32(content[:16]))) + content[20:]


def with_header(content, change):
    """Return a model file with a changed header."""
    magic, version, length = PREFIX.unpack_from(content)
    header = json.loads(content[20 : 20 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-(20 + len(text)) % 64)
    return with_checksum(PREFIX.pack(magic, version, len(text)) + b"\0" * 4 + text + content[20 + length :])


def setting(*keys, value):
    def change(header):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


def retyped(name, type_text):
    def change(header):
        next(entry for entry in header["arrays"] if entry[0] == name)[1] = type_text

    return change


def reshaped(name, shape):
    def change(header):
        next(entry for entry in header["arrays"] if entry[0] == name)[2] = shape

    return change


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE = {
    "sixth.ert": (lambda m: m["sixth.ert"], "channels"),
    "signed.ert": (
        lambda m: with_header(m["channels.ert"], retyped("channels", "|i1")),
        "channels has shape (3,30) and type int8",
    ),
    "one channel.ert": (
        lambda m: with_header(m["channels.ert"], reshaped("channels", [30, 3])),
        "channels has shape (30,3)",
    ),
    "empty.ert": (lambda m: b"", "is not an ert model file"),
    "text.ert": (lambda m: b"hello" * 20, "is not an ert model file"),
    "short.ert": (lambda m: m["plain.ert"][:15], "truncated: 15 bytes"),
    "cut.ert": (lambda m: m["plain.ert"][:-64], "truncated"),
    "cut header.ert": (lambda m: m["plain.ert"][:100], "truncated in its header"),
    "long.ert": (lambda m: m["plain.ert"] + b"\0" * 64, "longer than its arrays"),
    "flipped.ert": (lambda m: flipped(m["plain.ert"], 5000), "its checksum does not match"),
    "newer.ert": (lambda m: m["plain.ert"][:8] + b"\2" + m["plain.ert"][9:], "version 2"),
    "cut stream.ert": (lambda m: with_checksum(m["compressed.ert"][:-9]), "arrays are not of"),
    "bad stream.ert": (lambda m: with_checksum(flipped(m["compressed.ert"], -700)), "arrays are not of"),
    "kind.ert": (lambda m: with_header(m["plain.ert"], setting("kind", value="other")), "expected ert or dlib"),
    "float.ert": (
        lambda m: with_header(m["plain.ert"], setting("crop_spec", "working_size", value=24.0)),
        "working_size=24: expected an integer",
    ),
    "yes region.ert": (
        lambda m: with_header(m["plain.ert"], setting("crop_spec", "region", 2, value=True)),
        "expected four sides",
    ),
    "text region.ert": (
        lambda m: with_header(m["plain.ert"], setting("crop_spec", "region", 2, value="1.2")),
        "expected four sides",
    ),
    "yes locator.ert": (
        lambda m: with_header(m["plain.ert"], setting("locator", "crop_spec", "region", 2, value=True)),
        "expected four sides",
    ),
    "text number.ert": (
        lambda m: with_header(m["plain.ert"], setting("summary", "n_objects", value="3")),
        "n_objects is",
    ),
    "no counts.ert": (
        lambda m: with_header(m["plain.ert"], setting("summary", "unlabelled", value={"spread": None})),
        "unlabelled: n_photos is nothing, expected an integer",
    ),
    "fraction of photos.ert": (
        lambda m: with_header(m["plain.ert"], setting("summary", "unlabelled", value=UNLABELLED | {"n_kept": 2.0})),
        "unlabelled: n_kept is null, expected an integer",
    ),
    "text spread.ert": (
        lambda m: with_header(m["plain.ert"], setting("summary", "unlabelled", value=UNLABELLED | {"spread": "1"})),
        'unlabelled: spread is "1", expected a number',
    ),
    "names.ert": (lambda m: with_header(m["plain.ert"], setting("landmark_names", value=["a"])), "5 different names"),
    "mirror.ert": (lambda m: with_header(m["plain.ert"], setting("mirror_map", value=[1, 2, 0, 3, 4])), "in pairs"),
    "params.ert": (lambda m: with_header(m["plain.ert"], setting("params", "x", value=1)), "is not known"),
    "source.ert": (lambda m: with_header(m["plain.ert"], setting("box_source", value="x")), "box_source"),
    "pixels.ert": (lambda m: with_header(m["plain.ert"], setting("locator", "pixels", value=99)), "locator: pixels=99"),
    "levels.ert": (
        lambda m: with_header(m["plain.ert"], setting("more", value=[[[[[[[[1]]]]]]]])),
        "more than 8 levels",
    ),
    "shape.ert": (lambda m: with_header(m["plain.ert"], setting("arrays", 0, 2, value=[-1])), "cannot be read"),
    "more.ert": (lambda m: with_header(m["members.ert"], setting("n_members", value=5)), "n_members=5: expected an"),
    "absent.ert": (lambda m: with_header(m["members.ert"], setting("n_members", value=4)), "no array member4_anchors"),
    "spare.ert": (lambda m: with_header(m["members.ert"], setting("n_members", value=2)), "not known: member3_anchors"),
    "true.ert": (lambda m: with_header(m["members.ert"], setting("n_members", value=True)), "n_members=true"),
    "null.ert": (lambda m: with_header(m["members.ert"], setting("n_members", value=None)), "n_members=null"),
    "fraction.ert": (lambda m: with_header(m["members.ert"], setting("n_members", value=3.0)), "n_members=3: expected"),
    "alone.ert": (lambda m: with_header(m["members.ert"], setting("kind", value="dlib")), "n_members=3: expected 1"),
    "type.ert": (
        lambda m: with_header(m["members.ert"], retyped("member2_leaves", "|u1")),
        "member 2: leaves has shape (2,6,16,7) and type uint8",
    ),
    "pool.ert": (
        lambda m: with_header(m["members.ert"], reshaped("member3_anchors", [2, 60])),
        "member 3: anchors has shape (2,60)",
    ),
    "cut.dat": (lambda m: m["x.dat"][:-1], "truncated"),
    "long.dat": (lambda m: m["x.dat"] + b"\1", "longer than the model"),
    "text.dat": (lambda m: b"hello" * 9, "dlib model file"),
}


def test_damaged_files_are_refused_in_one_line_that_names_them(model, tmp_path):
    names = list(DAMAGE)
    for name, (damage, _) in DAMAGE.items():
        (tmp_path / name).write_bytes(damage(model))
        with pytest.raises(ert.InputError):
            ert.load(tmp_path / name)
    messages = json.loads(node(HERE / "load.mjs", tmp_path, json.dumps(names)))
    for name, message in zip(names, messages, strict=True):
        assert message.startswith(f"ModelError: {name}: "), message
        assert DAMAGE[name][1] in message
        assert message.isprintable()


def test_parameters_have_the_limits_of_python(model, tmp_path):
    names, expected = [], []
    for name, (kind, *limits) in PARAMETER_LIMITS.items():
        for value, beyond in zip(limits, (-1, 1), strict=True):
            for fits in (True, False):
                number = kind(value if fits else value + beyond)
                names.append(f"{name}{number}.ert")
                content = with_header(model["members.ert"], setting("params", name, value=number))
                (tmp_path / names[-1]).write_bytes(content)
                expected.append(fits)
                if fits:
                    ert.load(tmp_path / names[-1])
                else:
                    with pytest.raises(ert.InputError, match=f"{name}="):
                        ert.load(tmp_path / names[-1])
    messages = json.loads(node(HERE / "load.mjs", tmp_path, json.dumps(names)))
    assert [message == "loaded 5" for message in messages] == expected, messages


def test_a_model_is_known_by_its_bytes_without_a_name_and_from_any_place_in_memory(model, tmp_path):
    for name, content in model.items():
        (tmp_path / name).write_bytes(content)
    names = [name for name in model if name != "sixth.ert"]
    assert json.loads(node(HERE / "load.mjs", tmp_path, json.dumps(names), "unnamed")) == ["loaded 5"] * len(names)
    assert json.loads(node(HERE / "load.mjs", tmp_path, json.dumps(names), "moved")) == ["loaded 5"] * len(names)


def test_wrong_arguments_are_named(model, tmp_path):
    (tmp_path / "x.ert").write_bytes(model["plain.ert"])
    messages = json.loads(node(HERE / "arguments.mjs", tmp_path / "x.ert"))
    expected = [
        "box: , expected left, top, width, height",
        "box: 1,2,NaN,4, expected",
        "box: 1,2,3,5, expected",
        "box: 0 x 5 pixels",
        "outside the image of 40 x 30 pixels",
        "far larger than the image",
        "image: expected {data, width, height}",
        "image: expected {data, width, height}",
        "mode: expected fast, accurate",
        "mode: expected fast, accurate",
        "without a mirror map",
        "no confidence model",
        "roll: Infinity, expected degrees",
        "no confidence model",
    ]
    for message, part in zip(messages, expected, strict=True):
        assert part in message
        assert len(message.splitlines()) == 1


def test_what_python_refuses_of_damaged_models_ert_js_refuses(tmp_path):
    assert node(HERE / "load.mjs", tmp_path, "[]") == "[]\n"  # or skipped, without Node
    outcomes, faults = [], []
    for number, outcome, fault in web.run(0, 250, 15, tmp_path):
        outcomes.append(outcome)
        if fault:
            faults.append(f"{number}: {fault}")
    assert not faults
    assert outcomes.count("used used") > 40
    assert outcomes.count("refused refused") > 100
