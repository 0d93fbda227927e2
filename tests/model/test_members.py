"""Files of models of several members."""

import numpy as np
import pytest

import ert
from ert import InputError
from ert.model.ert_format import read_model_file, write_model_file
from ert.model.limits import PARAMETER_LIMITS


@pytest.fixture(scope="module")
def saved(members_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("members") / "model.ert"
    members_model.save(path)
    return path


def test_all_members_come_back(saved, members_model, tmp_path):
    loaded = ert.load(saved)
    assert len(loaded.members_) == loaded.n_members == 3
    assert loaded.members_[0] is loaded.cascade_
    for one, other in zip(loaded.members_, members_model.members_, strict=True):
        assert all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())
    for compress in (True, False):
        loaded.save(tmp_path / "again.ert", compress=compress)
        ert.load(tmp_path / "again.ert").save(tmp_path / "again.ert")
        assert (tmp_path / "again.ert").read_bytes() == saved.read_bytes()


def test_a_model_of_one_member_is_written_as_before_there_were_any(small_model, tmp_path):
    small_model.save(tmp_path / "x.ert")
    header, arrays = read_model_file(tmp_path / "x.ert")
    assert "n_members" not in header.keys() | header["params"].keys()
    assert not any(name.startswith("member") for name in arrays)


def without(name):
    return lambda header, arrays: arrays.pop(name)


def with_array(name, change):
    return lambda header, arrays: arrays.update({name: change(arrays[name].copy())})


def with_count(n):
    return lambda header, arrays: header.update(n_members=n)


def filled(value):
    def fill(array):
        array[...] = value
        return array

    return fill


MOST = PARAMETER_LIMITS["n_members"][2]
EDITS = {
    "too many": (with_count(MOST + 1), f"n_members={MOST + 1}: expected 1 to {MOST}"),
    "none": (with_count(0), "n_members=0: expected 1"),
    "no integer": (with_count(2.0), "n_members=2.0: expected an integer"),
    "true": (with_count(True), "n_members=True: expected an integer"),
    "no number": (with_count([2]), r"n_members=\[2\]: expected an integer"),
    "one more": (with_count(4), "member 4: expected arrays anchors, basis"),
    "one fewer": (with_count(2), "member3_"),
    "not counted": (lambda header, arrays: header.pop("n_members"), "member2_"),
    "array missing": (without("member3_leaves"), "member 3: expected arrays anchors"),
    "array of its own": (
        lambda header, arrays: arrays.update(member2_mean_shape=arrays["mean_shape"]),
        "member 2: expected arrays",
    ),
    "type": (with_array("member2_leaves", lambda a: a.astype(np.int16)), "member 2: leaves has .* int16, the first"),
    "fewer trees": (with_array("member2_leaves", lambda a: a[:, 1:].copy()), "member 2: leaves has shape"),
    "fewer landmarks": (with_array("member3_basis", lambda a: a[:, :, 2:].copy()), "member 3: basis has shape"),
    "dimensions": (with_array("member3_pairs", np.ravel), "member 3: pairs has shape"),
    "fewer stages": (with_array("member2_deltas", lambda a: a[1:].copy()), "member 2: deltas has shape"),
    "index": (with_array("member2_pairs", filled(60_000)), "member 2: pairs: expected pixels below"),
    "not a number": (with_array("member3_deltas", filled(np.nan)), "member 3: deltas has numbers that are not finite"),
    "large": (with_array("member3_scales", filled(1e30)), "member 3: the cascade: leaves and scales add up"),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_members_that_do_not_fit_are_refused(saved, tmp_path, edit, message):
    header, arrays = read_model_file(saved)
    edit(header, arrays)
    write_model_file(tmp_path / "x.ert", header, arrays)
    with pytest.raises(InputError, match=message) as info:
        ert.load(tmp_path / "x.ert")
    assert str(info.value).startswith(str(tmp_path / "x.ert"))
    assert "\n" not in str(info.value)


def test_members_may_have_other_numbers_of_stages(saved, tmp_path, faces):
    """As in the checkpoint of a training."""
    header, arrays = read_model_file(saved)
    arrays |= {name: array[:1] for name, array in arrays.items() if name.startswith("member3_")}
    write_model_file(tmp_path / "x.ert", header, arrays)
    model = ert.load(tmp_path / "x.ert")
    assert [len(member.anchors) for member in model.members_] == [2, 2, 1]
    assert np.isfinite(model.predict(faces[0][:2], "accurate")).all()


def test_a_cascade_of_dlibs_kind_has_no_members(tmp_path):
    from builders import likely_cascade

    from ert.model.dlib_format import write_dlib_file

    write_dlib_file(tmp_path / "x.dat", likely_cascade(3))
    ert.load(tmp_path / "x.dat").save(tmp_path / "x.ert")
    header, arrays = read_model_file(tmp_path / "x.ert")
    for change in ({"n_members": 2}, {"params": header["params"] | {"n_members": 2}}):
        write_model_file(tmp_path / "x.ert", header | change, arrays)
        with pytest.raises(InputError, match="n_members=2: expected 1 with kind='dlib'"):
            ert.load(tmp_path / "x.ert")
