import bz2
import gzip

import numpy as np
import pytest
from builders import random_dlib_cascade
from helpers import run_alone
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive

import ert
from ert import InputError
from ert._kernels import choice
from ert.model import dlib_kernels, dlib_numpy
from ert.model.dlib_format import read_dlib_file, write_dlib_file


@pytest.fixture(scope="module", autouse=True, params=["compiled", "NumPy"])
def form(request):
    """All tests are of both forms."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "NumPy":
            patch.setattr(choice, "never_compiles", lambda: True)
            patch.delattr(dlib_kernels, "read_model")
        yield


@pytest.fixture(scope="module")
def written():
    return naive.dlib_model(random_dlib_cascade(0))


def test_the_encoder_writes_what_the_format_says():
    assert naive.dlib_int(0).hex() == "0100"
    assert naive.dlib_int(338).hex() == "025201"
    assert naive.dlib_int(-136).hex() == "8188"
    assert naive.dlib_float(0.0).hex() == "01000128"


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_models_are_read_back_to_the_last_bit(tmp_path_factory, seed, depth):
    cascade = random_dlib_cascade(seed, depth=depth)
    path = tmp_path_factory.mktemp("dat") / "model.dat"
    path.write_bytes(naive.dlib_model(cascade))
    for name, array in read_dlib_file(path).arrays().items():
        assert array.dtype == cascade.arrays()[name].dtype
        assert np.array_equal(array, cascade.arrays()[name]), name


def test_a_file_cut_short_at_any_byte_is_refused(written, tmp_path):
    path = tmp_path / "short.dat"
    for length in range(0, len(written), 7):
        path.write_bytes(written[:length])
        with pytest.raises(InputError, match=r"short\.dat: the dlib model file"):
            read_dlib_file(path)
    path.write_bytes(written + b"\x01")
    with pytest.raises(InputError, match="is longer than the model in it"):
        read_dlib_file(path)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(written, tmp_path_factory, data):
    content = bytearray(written)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "damaged.dat"
    path.write_bytes(content)
    try:
        cascade = read_dlib_file(path)
    except InputError:
        return
    assert cascade.pairs.max() < cascade.anchors.shape[1]
    assert cascade.anchors.max() < len(cascade.mean_shape)
    assert all(np.isfinite(array).all() for array in cascade.arrays().values())


READERS = dlib_kernels.read_model, dlib_numpy.read_model


@settings(max_examples=300)
@given(st.data())
def test_both_forms_read_or_refuse_the_same(written, data):
    content = np.frombuffer(written, np.uint8).copy()
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    found = []
    for read in READERS:
        try:
            found.append([array.tobytes() for array in read(content)])
        except dlib_numpy.DamagedError:
            found.append(None)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is truncated"),
        (b"1 136 1", "as text"),
        (naive.dlib_int(2), "no shape_predictor"),
        (naive.dlib_int(1) + naive.dlib_int(-(2**60)) + naive.dlib_int(-1), "a count that does not fit"),
        (naive.dlib_int(1) + naive.dlib_int(-(2**62)) + naive.dlib_int(-1), "a count that does not fit"),
        (naive.dlib_int(1) + naive.dlib_int(-3) + naive.dlib_int(-1), "no shape_predictor"),
        (naive.dlib_int(1) + naive.dlib_int(-2) + naive.dlib_int(-5), "no shape_predictor"),
        (
            naive.dlib_int(1) + naive.dlib_int(-2) + naive.dlib_int(-1) + 2 * (b"\x01\x00" + naive.dlib_int(32002)),
            "not finite",
        ),
    ],
)
def test_foreign_files_are_refused(tmp_path, content, message):
    path = tmp_path / "foreign.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_dlib_file(path)


@pytest.mark.parametrize("name", ["model.dat", "model.dat.bz2", "model.ert"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bz2.compress(b"a model"), "is compressed with bzip2: unpack it first"),
        (gzip.compress(b"a model", mtime=0), "is compressed with gzip"),
        (b"PK\x03\x04" + bytes(30), "is a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "is a web page or an XML file"),
    ],
    ids=["bzip2", "gzip", "zip", "Git LFS", "web page"],
)
def test_what_is_downloaded_in_place_of_a_model_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        ert.load(tmp_path / name)


@pytest.mark.parametrize("place", ["stages", "trees", "splits"])
def test_absurd_counts_allocate_nothing(tmp_path, place):
    head = naive.dlib_int(1) + naive.dlib_int(-2) + naive.dlib_int(-1) + 2 * naive.dlib_float(0.5)
    many = naive.dlib_int(2**60 - 1)
    counts = {
        "stages": many + naive.dlib_int(1) + naive.dlib_int(1),
        "trees": naive.dlib_int(1) + many + naive.dlib_int(1),
        "splits": naive.dlib_int(1) + naive.dlib_int(1) + many,
    }
    path = tmp_path / "absurd.dat"
    path.write_bytes(head + counts[place] + bytes(1000))
    with pytest.raises(InputError, match="a count that does not fit"):
        read_dlib_file(path)


def test_numbers_out_of_range_are_refused(tmp_path):
    for name, value in (("anchors", 5), ("pairs", 20)):
        cascade = random_dlib_cascade(1)
        cascade.arrays()[name].flat[3] = value
        path = tmp_path / "range.dat"
        path.write_bytes(naive.dlib_model(cascade))
        with pytest.raises(InputError, match="pixel or landmark that does not exist"):
            read_dlib_file(path)


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_models_are_written_as_the_slow_encoder_writes_them(tmp_path_factory, seed, depth):
    cascade = random_dlib_cascade(seed, depth=depth)
    path = tmp_path_factory.mktemp("dat") / "model.dat"
    write_dlib_file(path, cascade)
    assert path.read_bytes() == naive.dlib_model(cascade)


def test_loading_and_saving(tmp_path, written):
    (tmp_path / "a.dat").write_bytes(written)
    model = ert.load(tmp_path / "a.dat")
    assert (model.n_landmarks_, model.n_stages, model.n_trees, model.max_depth, model.gray_weights) == (
        5,
        2,
        3,
        2,
        "dlib",
    )
    model.save(tmp_path / "b.ert")
    ert.load(tmp_path / "b.ert").save(tmp_path / "c.dat")
    assert (tmp_path / "c.dat").read_bytes() == written


def test_what_dlib_cannot_express_is_refused_with_the_reason(small_model, tmp_path):
    with pytest.raises(InputError, match=r"x\.dat: dlib's format cannot express this model: it reads resampled"):
        small_model.save(tmp_path / "x.dat")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["NUMBA_DISABLE_JIT=1", "ERT_COMPILE=never"])
def test_nothing_is_compiled_to_read_and_write_where_nothing_may_be(tmp_path, written, setting):
    (tmp_path / "a.dat").write_bytes(written)
    code = f"""
import sys, ert
ert.load({str(tmp_path / "a.dat")!r}).save({str(tmp_path / "b.dat")!r})
print("numba" in sys.modules)
"""
    assert run_alone(code, **dict([setting.split("=")])) == "False\n"
    assert (tmp_path / "b.dat").read_bytes() == written
