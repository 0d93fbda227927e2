"""Members are trained one after the other: progress, history, checkpoints, memory."""

import re
import weakref

import numpy as np
import pytest
from helpers import small_predictor

import ert
from ert import InputError
from ert.training import confidence
from ert.training import fit as module
from ert.training.fit import Progress, member_seed
from ert.training.parameters import check_parameters


def tiny(**params):
    return small_predictor(**({"n_members": 2, "n_stages": 2, "n_trees": 6, "n_inits": 2, "n_jobs": 1} | params))


@pytest.fixture(scope="module")
def few(faces):
    return faces[0][:30], faces[1][:30]


def test_the_first_member_is_the_model_with_one_and_the_others_differ(few):
    first, second = tiny().fit(*few).members_
    alone = tiny(n_members=1).fit(*few)
    assert alone.members_ == (alone.cascade_,)
    for name, array in alone.cascade_.arrays().items():
        assert np.array_equal(first.arrays()[name], array)
        assert np.array_equal(second.arrays()[name], array) == (name == "mean_shape")


def test_seeds_of_members_are_far_from_each_other():
    seeds = [member_seed(random_state, number) for random_state in range(20) for number in range(4)]
    assert seeds[::4] == [*range(20)]
    assert len({*seeds}) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_history_and_stages_of_all_members(few):
    sizes = []
    model = tiny().fit(
        *few,
        validation=(few[0][:5], few[1][:5]),
        on_stage=lambda partly: sizes.append([len(member.anchors) for member in partly.members_]),
    )
    assert sizes == [[1], [2], [2, 1], [2, 2]]
    assert [(entry["stage"], entry.get("member")) for entry in model.history_] == [(1, None), (2, None), (1, 2), (2, 2)]
    for member in (None, 2):
        early, late = (entry for entry in model.history_ if entry.get("member") == member)
        assert late["train_nme"] < early["train_nme"]
        assert late["validation_nme"] < early["validation_nme"]


def test_progress_counts_the_stages_of_all_members(few, capsys, monkeypatch):
    tiny(verbose=1).fit(*few)
    lines = capsys.readouterr().err.splitlines()
    expected = [(1, 1), (1, 2), (2, 1), (2, 2)]
    for (member, stage), line in zip(expected, lines, strict=True):
        assert re.match(rf"ert: member {member} of 2, stage {stage} of 2: training error \d", line)
    seconds = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds[0])
    with Progress(2, 6, None, 1, n_members=3) as progress:
        for number, replayed in enumerate((True, False, True, False), 1):
            seconds[0] += 0 if replayed else 10
            progress.end_stage(number, {"train": 1.0}, replayed=replayed)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("ert: member 2 of 3, stage 2 of 2: ")
    assert line.endswith("0:20 elapsed, 0:20 left")


def test_threads_do_not_change_the_bytes(few, tmp_path):
    for n_jobs in (1, 3):
        tiny(n_jobs=n_jobs).fit(*few).save(tmp_path / f"{n_jobs}.ert")
    assert (tmp_path / "1.ert").read_bytes() == (tmp_path / "3.ert").read_bytes()


class Interrupted(BaseException):
    pass


def interrupted(model, data, checkpoint, n, **options):
    """Fit a model and stop after the n-th stage."""
    done = []

    def stop(_):
        done.append(None)
        if len(done) == n:
            raise Interrupted

    with pytest.raises(Interrupted):
        model.fit(*data, checkpoint=checkpoint, on_stage=stop, **options)


def test_a_fit_interrupted_in_any_member_is_resumed_to_the_same_bytes(few, tmp_path):
    whole, resumed = tmp_path / "whole.ert", tmp_path / "resumed.ert"
    tiny(n_members=3).fit(*few).save(whole)
    checkpoint = tmp_path / "check.ert"
    for n in (1, 3, 5):
        interrupted(tiny(n_members=3), few, checkpoint, n, resume=True)
        assert sum(len(member.anchors) for member in ert.load(checkpoint).members_) == n
    tiny(n_members=3).fit(*few, checkpoint=checkpoint, resume=True).save(resumed)
    assert resumed.read_bytes() == whole.read_bytes()
    # A member of another fit is refused as the first is.
    with pytest.raises(InputError, match="the checkpoint was written by a fit with other data or parameters"):
        tiny(random_state=1).fit(*few, checkpoint=checkpoint, resume=True)


def test_members_and_stages_can_be_added_to_a_finished_fit(few, tmp_path):
    checkpoint, whole, added = (tmp_path / f"{name}.ert" for name in ("check", "whole", "added"))
    tiny().fit(*few, checkpoint=checkpoint)
    # Interrupted while the first is trained on: nothing of the second is lost.
    interrupted(tiny(n_members=3, n_stages=3), few, checkpoint, 3, resume=True)
    assert [len(member.anchors) for member in ert.load(checkpoint).members_] == [3, 2]
    tiny(n_members=3, n_stages=3).fit(*few, checkpoint=checkpoint, resume=True).save(added)
    tiny(n_members=3, n_stages=3).fit(*few).save(whole)
    assert added.read_bytes() == whole.read_bytes()
    assert len(tiny(n_members=1, n_stages=3).fit(*few, checkpoint=checkpoint, resume=True).members_) == 1


def test_only_the_samples_of_one_member_are_in_memory(few, monkeypatch):
    drawn, draw = [], module.draw_samples

    def watched(*args, **options):
        assert all(reference() is None for reference in drawn)
        samples = draw(*args, **options)
        drawn.append(weakref.ref(samples))
        return samples

    monkeypatch.setattr(module, "draw_samples", watched)
    tiny(n_members=3).fit(*few, validation=few)
    assert len(drawn) == 3


def test_the_memory_plan_has_the_arrays_of_all_members(few):
    def least(n_members):
        with pytest.raises(InputError, match="expected at least") as info:
            tiny(n_members=n_members, n_trees=500, max_memory=1).fit(*few)
        return int(re.search(r"at least (\d+) MB", str(info.value))[1])

    # 2 stages of 500 trees of 16 leaves of 32 bytes, four times.
    assert least(3) - least(1) in (4, 5)


def test_what_no_model_can_have_is_refused(few):
    for n, message in ((0, "expected 1 to 4"), (5, "expected 1 to 4"), (1.5, "an integer"), (True, "an integer")):
        with pytest.raises(InputError, match=f"n_members={n}: expected .*{message.removeprefix('expected ')}"):
            tiny(n_members=n).fit(*few)
    with pytest.raises(InputError, match="n_members=2: expected 1 with kind='dlib'"):
        check_parameters(tiny(kind="dlib", gray_weights="dlib").get_params())
    large = {"n_stages": 1000, "n_trees": 3500, "max_depth": 5}
    with pytest.raises(InputError, match=r"4 members of 1000 stages of 3500 trees with 32 leaves take .* GB"):
        tiny(n_members=4, **large).fit(*few)


def test_models_of_folds_have_the_member_that_is_assessed(few, monkeypatch):
    def fit_cascade(settings, *_, **__):
        assert settings["n_members"] == 1
        raise Interrupted

    model = tiny(normalizer="inter-ocular").fit(*few)
    monkeypatch.setattr(confidence, "fit_cascade", fit_cascade)
    with pytest.raises(Interrupted):
        model.fit_confidence(*few, n_folds=2)
