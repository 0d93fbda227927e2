import json
import zlib

import numpy as np
import pytest
from helpers import small_predictor
from hypothesis import given, settings
from hypothesis import strategies as st

import ert
from ert import InputError
from ert.model.ert_format import FORMAT_VERSION, read_model_file, write_model_file


@pytest.fixture(scope="session")
def saved(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.ert"
    small_model.save(path)
    return path


@given(st.data())
@settings(max_examples=50)
def test_headers_and_arrays_come_back(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("file") / "x.ert"
    header = data.draw(st.dictionaries(st.text(max_size=5).filter(lambda key: key != "arrays"), st.text(max_size=9)))
    dtypes = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.float32, np.float64])
    shapes = st.lists(st.integers(0, 4), min_size=1, max_size=4)
    arrays = {
        str(i): np.arange(np.prod(shape), dtype=dtype).reshape(shape)
        for i, (dtype, shape) in enumerate(data.draw(st.lists(st.tuples(dtypes, shapes), max_size=4)))
    }
    write_model_file(path, header, arrays, compress=data.draw(st.booleans()))
    got_header, got = read_model_file(path)
    assert got_header == header
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        assert np.array_equal(got[name], array)


def test_a_model_comes_back_and_predicts_the_same(saved, small_model, faces):
    loaded = ert.load(saved)
    assert np.array_equal(loaded.predict(faces[0]), small_model.predict(faces[0]))
    assert loaded.history_ == small_model.history_
    assert loaded.landmark_names_ == small_model.landmark_names_
    assert loaded.get_params() == small_model.get_params() | {"n_jobs": -1, "verbose": 0}
    assert loaded.mirror_map_.tolist() == small_model.mirror_map_.tolist()


def test_a_compressed_model_is_smaller_and_the_same(saved, tmp_path):
    small, again = tmp_path / "small.ert", tmp_path / "again.ert"
    ert.load(saved).save(small, compress=True)
    assert small.stat().st_size < 0.8 * saved.stat().st_size
    ert.load(small).save(again)
    assert again.read_bytes() == saved.read_bytes()
    with pytest.raises(InputError, match=r"x\.dat: dlib's format has no compressed models; expected \.ert"):
        ert.load(saved).save(tmp_path / "x.dat", compress=True)


@pytest.mark.parametrize("told", [0, 10, 10**15, -1, "many", None])
def test_a_compressed_model_of_another_size_is_refused(tmp_path, told):
    path = tmp_path / "x.ert"
    write_model_file(path, {}, {"a": np.zeros(100, np.uint8)}, compress=True)
    content = bytearray(path.read_bytes())
    header = content[20 : 20 + int.from_bytes(content[12:16], "little")]
    other = header.replace(b'"inflated_bytes":128', b'"inflated_bytes":' + json.dumps(told).encode())
    # Padded with spaces, of which there are enough.
    content[20 : 20 + len(header)] = other.rstrip().ljust(len(header))
    content[16:20] = zlib.crc32(content[20:], zlib.crc32(content[:16])).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.ert: the model file's header .*: .*(arrays|bytes|int)"):
        read_model_file(path)


def test_saving_a_loaded_model_gives_the_same_bytes(saved, tmp_path):
    ert.load(saved).save(tmp_path / "again.ert")
    assert (tmp_path / "again.ert").read_bytes() == saved.read_bytes()


def test_a_model_cut_short_anywhere_is_refused(saved, tmp_path):
    data = saved.read_bytes()
    path = tmp_path / "short.ert"
    for length in [0, 1, 7, 8, 12, 19, 20, 21, 100, len(data) // 2, len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"short\.ert: .*(truncated|not an ert model)"):
            ert.load(path)


@given(st.data())
def test_a_damaged_model_is_refused(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "damaged.ert"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.ert"):
        ert.load(path)


def test_foreign_and_newer_files_are_refused(saved, tmp_path):
    path = tmp_path / "x.ert"
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(InputError, match="is not an ert model file"):
        ert.load(path)
    data = bytearray(saved.read_bytes())
    data[8] = FORMAT_VERSION + 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="version 2, this ert reads version 1: update ert"):
        ert.load(path)
    with pytest.raises(InputError, match=r"nothing\.ert: no such file"):
        ert.load(tmp_path / "nothing.ert")
    with pytest.raises(InputError, match=r"no bundled model of that name; bundled: .*face68"):
        ert.load("nothing")


def edited(saved, tmp_path, edit):
    header, arrays = read_model_file(saved)
    arrays = {name: array.copy() for name, array in arrays.items()}
    edit(header, arrays)
    path = tmp_path / "edited.ert"
    write_model_file(path, header, arrays)
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda header, arrays: arrays["pairs"].fill(60000), "pairs: expected pixels below 150"),
        (lambda header, arrays: arrays["anchors"].fill(68), "anchors: expected landmarks below 68"),
        (lambda header, arrays: arrays["scales"].fill(np.nan), "not finite"),
        (lambda header, arrays: arrays.update(leaves=arrays["leaves"][:, :, :-1]), "leaves has shape"),
        (lambda header, arrays: arrays.update(mean_shape=arrays["mean_shape"].astype(np.float64)), "mean_shape has"),
        (lambda header, arrays: arrays.pop("pairs"), "pairs"),
        (lambda header, arrays: arrays.update(more=arrays["pairs"]), "more"),
        (lambda header, arrays: header.pop("params"), "params"),
        (lambda header, arrays: header["params"].update(n_trees="many"), "n_trees"),
        (lambda header, arrays: header["params"].update(other=1), "other"),
        (lambda header, arrays: header["crop_spec"].update(working_size=10**9), "working_size"),
        (lambda header, arrays: header["crop_spec"].update(region=[0, 0, 99, 1]), "region"),
        (lambda header, arrays: header["crop_spec"].update(region=[10**400, 0, 1, 1]), ""),
        (lambda header, arrays: header.update(history=[1, 2]), ""),
        (lambda header, arrays: header.update(history=[{"stage": "one"}]), "history"),
        (lambda header, arrays: header.update(summary={}), "n_objects"),
        (lambda header, arrays: header["params"].update(mirror={"a": 1}), "mirror"),
        (lambda header, arrays: header["params"].update(n_jobs=3), "n_jobs"),
        (lambda header, arrays: header["crop_spec"].update(blur="much"), "blur"),
        (lambda header, arrays: header.update(landmark_names=["a"]), "68 different names"),
    ],
)
def test_a_model_whose_parts_do_not_fit_is_refused(saved, tmp_path, edit, message):
    with pytest.raises(InputError, match=rf"edited\.ert: .*{message}"):
        ert.load(edited(saved, tmp_path, edit))


def test_an_unwritable_place_is_named_and_an_existing_file_kept(small_model, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nowhere/model\.ert: cannot be written"):
        small_model.save(tmp_path / "nowhere" / "model.ert")
    path = tmp_path / "model.ert"
    small_model.save(path)
    precious = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ert.model.ert_format.zlib.crc32", full)
    with pytest.raises(InputError, match=r"model\.ert: cannot be written: No space left on device"):
        small_model.save(path)
    assert path.read_bytes() == precious
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_that_is_not_fitted_cannot_be_saved(tmp_path):
    with pytest.raises(InputError, match="not fitted"):
        small_predictor().save(tmp_path / "x.ert")


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_no_model_file_makes_a_kernel_read_outside(saved, tmp_path_factory, faces, seed):
    """Numbers of any size in the arrays: the model is refused, or predicts something."""
    rng = np.random.default_rng(seed)

    def edit(header, arrays):
        for name in ("mean_shape", "deltas", "scales"):
            if rng.random() < 0.5:
                arrays[name] *= rng.choice([-1, 1e10, 1e20, 1e38])

    with np.errstate(over="ignore", invalid="ignore"):
        path = edited(saved, tmp_path_factory.mktemp("numbers"), edit)
        try:
            model = ert.load(path)
        except InputError:
            return
        assert model.predict(faces[0][:2]).shape == (2, 68, 2)
