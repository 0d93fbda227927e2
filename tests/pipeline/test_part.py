"""Results of a run that is not finished."""

import errno
import io
import json
import os
import sys

import numpy as np
import pytest
from pipeline.test_outputs import ALL, photos_of, predictions

from ert._core.exceptions import InputError
from ert.pipeline.part import PartFile, adds_to_output, part_path


@pytest.fixture
def photos(tmp_path):
    return photos_of(predictions(tmp_path, 3, n_objects=2), tmp_path)


def test_results_are_read_as_they_were_added(tmp_path, photos):
    with PartFile(tmp_path / "a.csv.part", "digest", ALL, resume=False) as part:
        for photo in photos:
            part.add(photo)
        found = list(part.photos())
    assert [photo.item for photo in found] == [photo.item for photo in photos]
    for ours, theirs in zip(found, photos, strict=True):
        for one, other in zip(ours.objects, theirs.objects, strict=True):
            for name in ("box", "landmarks", "std"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            for name in ("image", "specimen", "landmark_names", "roll", "confidence", "number", "scale", "image_size"):
                assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_line_that_was_not_written_to_its_end_is_predicted_again(tmp_path, photos, cut):
    path = tmp_path / "a.csv.part"
    with PartFile(path, "digest", ALL, resume=False) as part:
        for photo in photos[:3]:
            part.add(photo)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    with PartFile(path, "digest", ALL, resume=True) as part:
        assert len(part.done) == (3 if cut == 0 else 2)
        if cut:
            part.add(photos[2])
    assert path.read_bytes() == whole


def test_a_file_of_another_run_is_refused(tmp_path, photos):
    path = tmp_path / "a.csv.part"
    with PartFile(path, "digest", ALL, resume=False) as part:
        part.add(photos[0])
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"a.csv.part: results of an interrupted run; --resume goes on with them"):
        PartFile(path, "digest", ALL, resume=False)
    for digest, columns in (("other", ALL), ("digest", ALL._replace(std=False))):
        with pytest.raises(InputError, match=r"a.csv.part: results of another model, of other options"):
            PartFile(path, digest, columns, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"size":[40,30]', b'"size":[40]'),
        (b'"specimen"', b'"name"'),
        (b'"objects":[', b'"objects":[5,'),
        (b"[[", b"[[["),
    ],
)
def test_damaged_results_are_an_error(tmp_path, photos, old, new):
    path = tmp_path / "a.part"
    with PartFile(path, "digest", ALL) as part:
        part.add(photos[0])
        content = path.read_bytes()
        head, line = content.splitlines(keepends=True)
        path.write_bytes(head + line.replace(old, new, 1))
        with pytest.raises(InputError, match=r"a.part:2: damaged results; remove the file"):
            list(part.photos())


@pytest.mark.parametrize("content", [b"x = 1\n", b"[1]\n", b'{"ert_predict": 1}\n', b"\xff\xfe\n"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "a.part"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a.part: "):
        PartFile(path, "digest", ALL, resume=True)
    assert path.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_two_runs_do_not_write_the_same_results(tmp_path):
    path = tmp_path / "a.part"
    writing = r"a.part: another run is writing its results to it"
    with PartFile(path, "digest", ALL, resume=False), pytest.raises(InputError, match=writing):
        PartFile(path, "digest", ALL, resume=True)
    with PartFile(path, "digest", ALL, resume=True):
        pass
    assert not path.exists()


def test_whether_results_are_to_be_added(tmp_path):
    path = tmp_path / "a.part"
    for add in (False, True):
        path.unlink(missing_ok=True)
        with PartFile(path, "digest", ALL, resume=False, add=add):
            assert adds_to_output(path, not add) == add
            first = path.read_text()
    # Killed before the first line was written.
    for content in ("", first[:-20], json.dumps([1]), "[" * 100_000):
        path.write_text(content)
        assert adds_to_output(path, True)
        assert not adds_to_output(path, False)


@pytest.mark.parametrize("line", ['{"image": []}', '{"image": {}}', '{"image": null}', "[" * 100_000])
def test_lines_that_name_no_image_are_cut_off(tmp_path, photos, line):
    path = tmp_path / "a.part"
    with PartFile(path, "digest", ALL) as part:
        part.add(photos[0])
    whole = path.read_text()
    path.write_text(f"{whole}{line}\n")
    with PartFile(path, "digest", ALL, resume=True) as part:
        assert len(part.done) == 1
    assert path.read_text() == whole


def test_a_full_disk_is_one_error(tmp_path, photos):
    class Full(io.BytesIO):
        def flush(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        close = flush

    def write():
        with PartFile(tmp_path / "a.part", "digest", ALL) as part:
            part._file.close()
            part._file = Full()
            part.add(photos[0])

    with pytest.raises(InputError, match=f"a.part: cannot be written: {os.strerror(errno.ENOSPC)}"):
        write()


def test_name_of_the_file(tmp_path):
    assert part_path(tmp_path / "a.csv") == tmp_path / "a.csv.part"
    assert part_path(f"{tmp_path}/folder/") == tmp_path / "folder.part"
