import json
import os
import re
import zlib

import numpy as np
import pytest
from helpers import SHARED, small_predictor
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
    path.write_bytes(b"something else than a model")
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


def rewritten(path, edit):
    """Change the header's text of a model file; the checksum and the length are right again."""
    content = path.read_bytes()
    n = int.from_bytes(content[12:16], "little")
    text = edit(content[20 : 20 + n].rstrip())
    text += b" " * (-(20 + len(text)) % 64)
    start = content[:12] + len(text).to_bytes(4, "little")
    body = text + content[20 + n :]
    path.write_bytes(start + zlib.crc32(body, zlib.crc32(start)).to_bytes(4, "little") + body)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (rb'"train_nme":[\d.]+', b'"train_nme":NaN', "a number that is not finite, or too large"),
        (rb'"train_nme":[\d.]+', b'"train_nme":Infinity', "not finite"),
        (rb'"train_nme":[\d.]+', b'"train_nme":1e999', "not finite"),
        (rb'"train_nme":[\d.]+', b'"train_nme":1' + b"0" * 300, "too large"),
        (rb'"train_nme":[\d.]+', b'"train_nme":1' + b"0" * 5000, "header cannot be read"),
        (rb'"stage":1,', b"", "history: an entry without a stage"),
        (rb'"stage":1,', b'"stage":"one",', "history: stage is 'one', expected a number"),
        (rb'"stage":1,', b'"stage":true,', "history: stage is True, expected a number"),
        (rb'"notes":{}', rb'"notes":{"k":"\\ud800"}', "surrogates not allowed"),
        (rb'"notes":{}', rb'"notes":{"\\udfff":"v"}', "surrogates not allowed"),
        (rb'"notes":{}', b'"notes":{"a":[1]}', "notes: expected texts"),
        (rb'"notes":{}', b'"notes":[]', "list"),
        (rb'"notes":{}', b'"notes":' + b'{"a":' * 20 + b"1" + b"}" * 20, "in more than 8 levels"),
        (rb'"notes":{}', b'"notes":' + b"[" * 100_000, "header cannot be read"),
        (rb'"digest":"\w+"', b'"digest":5', "digest is 5, expected a text"),
        (rb'"n_objects":\d+', b'"n_objects":1.5', "n_objects is 1.5, expected an integer"),
        (rb'"landmark_names":\["0"', b'"landmark_names":[["0"]', "landmark_names: expected texts"),
        (rb'"stages_per_basis":1,"summary"', b'"stages_per_basis":9223372036854775808,"summary"', "too large"),
        (
            rb'"stages_per_basis":1,"summary"',
            b'"stages_per_basis":1001,"summary"',
            "stages_per_basis=1001: expected 1 to",
        ),
        (rb'"kind":"ert","landmark', b'"kind":"eos","landmark', "kind='eos': expected ert or dlib"),
        (rb'"normalizer":null', b'"normalizer":[1]', "does not hold a valid model"),
        (rb"\[3,150\]", b"[3,9223372036854775807]", "truncated"),
        (rb"\[3,150\]", b"[3,150.0]", "cannot be read"),
        (rb"\[3,150\]", b"[0,9223372036854775807]", "model"),
        (rb"\A", b" " * 2_000_000, r"a header of 20\d{5} bytes, expected at most 2000000"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_in_one_line(small_model, tmp_path, old, new, message):
    small_model.save(tmp_path / "x.ert")

    def edit(text):
        changed, n = re.subn(old, new, text, count=1)
        assert n == 1
        return changed

    with pytest.raises(InputError, match=message) as error:
        ert.load(rewritten(tmp_path / "x.ert", edit))
    assert str(error.value).startswith(f"{tmp_path / 'x.ert'}: ")
    assert len(str(error.value)) < 700


def absurd(name, value):
    def edit(header, arrays):
        arrays[name].flat[0] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (absurd("mean_shape", 51), "mean_shape has the number 51, expected -50 to 50"),
        (absurd("mean_shape", np.inf), "mean_shape has numbers that are not finite"),
        (absurd("confidence_confidence_weights", np.inf), "not finite"),
        (absurd("deltas", -1e30), "deltas has the number -1e.30, expected -50 to 50"),
        (absurd("scales", 1e30), "leaves and scales add up to .*, expected at most 1e.10"),
        (absurd("scales", np.nan), "not finite"),
        (lambda h, a: h.update(stages_per_basis=10**6), "stages_per_basis=1000000: expected 1 to 1000"),
        (lambda h, a: h["crop_spec"].update(region=[-20, -20, 20, 20], blur=50), "blur=50 in a region of 40 sides"),
        (lambda h, a: h["crop_spec"].update(region=[-20, -20, 30, 30]), "region"),
        (lambda h, a: h["crop_spec"].update(blur=1e10), r"blur=10000000000\.0: expected 0 to 50"),
        (lambda h, a: h["crop_spec"].update(working_size=2000, region=[-9, -9, 9, 9]), "reduce working_size"),
        (absurd("confidence_baseline", 101.0), "baseline has the number 101, expected -100 to 100"),
        (absurd("confidence_baseline", -1e308), "baseline has the number"),
        (absurd("confidence_curve", -1e9), "curve has the number"),
        (absurd("confidence_ratios", -1.0), "ratios has the number -1, expected 0"),
        (absurd("confidence_within_curve", -2.0), "within_curve has the number -2, expected 0"),
        (absurd("confidence_confidence_weights", 1e200), "confidence_weights has the number"),
        (absurd("confidence_deltas", 1e20), "deltas has the number"),
        (absurd("confidence_errors_scales", 1e30), "errors: leaves and scales add up to"),
        (absurd("confidence_trust_scales", np.inf), "trust"),
        (lambda h, a: h["confidence"]["crop_spec"].update(working_size=7), "working_size=7: expected 8 to 2000"),
        (lambda h, a: h["confidence"]["summary"].pop("n_folds"), "n_folds"),
        (lambda h, a: h["confidence"]["summary"].update(failed_auc="high"), "failed_auc is 'high', expected a number"),
    ],
)
def test_absurd_numbers_are_refused(confident_model, tmp_path, edit, message):
    confident_model.save(tmp_path / "x.ert")
    with pytest.raises(InputError, match=rf"edited\.ert: the model file does not hold a valid model: .*{message}"):
        ert.load(edited(tmp_path / "x.ert", tmp_path, edit))


def test_a_normalizer_of_landmarks_that_a_model_lacks_is_refused(faces, tmp_path):
    small_predictor(n_stages=1, n_trees=2).fit(faces[0][:5], faces[1][:5, :5]).save(tmp_path / "x.ert")
    edit = lambda header, arrays: header["params"].update(normalizer="inter-ocular")  # noqa: E731
    with pytest.raises(InputError, match="inter-ocular distance of 5 landmarks, expected 68"):
        ert.load(edited(tmp_path / "x.ert", tmp_path, edit))


def test_a_file_that_inflates_more_than_any_model_does_is_refused_before_it_is_read(tmp_path):
    """Megabytes of zeros in kilobytes, as no writer of models makes them: that of ert makes 8:1 of zeros at most."""
    path = tmp_path / "x.ert"
    zeros = np.zeros(50_000_000, np.uint8)
    write_model_file(path, {"kind": "ert"}, {"a": zeros}, compress=True)
    n = int.from_bytes(path.read_bytes()[12:16], "little")
    assert 7.5 < len(zeros) / (path.stat().st_size - n) <= 8
    read_model_file(path)
    path.write_bytes(path.read_bytes()[: 20 + n] + zlib.compress(zeros.tobytes(), 9))
    with pytest.raises(
        InputError, match=r"truncated: \d+ bytes for arrays of 50000000, and compression is 8:1 at most"
    ):
        read_model_file(rewritten(path, lambda text: text))


def test_a_file_that_is_longer_than_its_arrays_is_refused(saved, tmp_path):
    for compress in (False, True):
        path = tmp_path / "x.ert"
        ert.load(saved).save(path, compress=compress)
        with open(path, "ab") as file:
            file.write(bytes(200_000))
        with pytest.raises(InputError, match=r"x\.ert: the model file is longer than its arrays: \d+ bytes for \d+"):
            ert.load(path)


@pytest.mark.parametrize("name", ["x.ert", "x.dat"])
def test_what_is_no_regular_file_or_has_no_end_is_refused_at_once(tmp_path, name):
    expected = "expected a model file"
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}: is a pipe.*, {expected}"):
        ert.load(tmp_path / name)
    (tmp_path / "zero").mkdir()
    (tmp_path / "zero" / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=rf"{name}: is a device.*, {expected}"):
        ert.load(tmp_path / "zero" / name)
    (tmp_path / "folder" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=rf"{name}: is a folder, {expected}"):
        ert.load(tmp_path / "folder" / name)
    (tmp_path / "sparse").mkdir()
    with open(tmp_path / "sparse" / name, "wb") as file:
        file.truncate(10**13)
    with pytest.raises(
        InputError, match=rf"{name}: (10000000 MB of nearly nothing but zeros|a file of 10{{13}} bytes)"
    ):
        ert.load(tmp_path / "sparse" / name)


def test_a_file_larger_than_any_model_is_refused_before_it_is_read(saved, monkeypatch):
    monkeypatch.setattr("ert.model.ert_format.MAX_FILE_BYTES", 999)
    with pytest.raises(InputError, match=r"a file of \d+ bytes, expected at most 999"):
        ert.load(saved)


def test_files_that_were_found_to_be_harmful_are_refused_in_one_line():
    folder = SHARED.parent / "cases" / "models"
    if not folder.is_dir():
        pytest.skip("needs ../shared/cases/models, which is not there")
    for path in sorted(folder.iterdir()):
        with pytest.raises(InputError) as error:
            ert.load(path)
        assert str(error.value).startswith(f"{path}: ")
