import math

import pytest
from helpers import raise_faults, refused, write

from ert._core.exceptions import InputError
from ert.datasets.formats.csv import read_csv

DEEPLABCUT = "scorer,Me,Me,Me,Me\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n"


@pytest.fixture
def images(tmp_path):
    for name in ("img007.png", "img012.png"):
        write(tmp_path / "labeled-data" / "mouse" / name, "")
    return tmp_path / "labeled-data" / "mouse"


def test_deeplabcut_labels(images):
    rows = "labeled-data/mouse/img007.png,1,2,3,4.5\nlabeled-data\\mouse\\img012.png,5,6,,\n"
    first, second = raise_faults(read_csv(write(images / "CollectedData_Me.csv", DEEPLABCUT + rows)))
    assert first.landmarks == {"nose": (1, 2), "tail": (3, 4.5)}
    assert (first.file, first.box, first.notes) == (images / "img007.png", None, ())
    assert first.where.endswith("CollectedData_Me.csv:4")
    assert second.file == images / "img012.png"
    assert math.isnan(second.landmarks["tail"][0])


def test_deeplabcut_paths_in_three_columns(images):
    header = "scorer,,,Me,Me\nbodyparts,,,nose,nose\ncoords,,,x,y\n"
    path = write(images.parents[1] / "t.csv", header + "labeled-data,mouse,img012.png,1,2\n")
    (annotation,) = raise_faults(read_csv(path))
    assert (annotation.file, annotation.landmarks) == (images / "img012.png", {"nose": (1, 2)})


def test_deeplabcut_individuals_are_objects(images):
    header = "scorer,Me,Me,Me,Me\nindividuals,m1,m1,m2,m2\nbodyparts,nose,nose,nose,nose\ncoords,x,y,x,y\n"
    path = write(images / "t.csv", header + "img007.png,1,2,3,4\nimg012.png,,,5,6\n")
    assert [(a.file.name, a.landmarks, a.label) for a in raise_faults(read_csv(path))] == [
        ("img007.png", {"nose": (1, 2)}, None),
        ("img007.png", {"nose": (3, 4)}, None),
        ("img012.png", {"nose": (5, 6)}, None),
    ]
    path.write_text(
        path.read_text().replace("bodyparts,nose,nose,nose", "bodyparts,nose,nose,tail").replace("nose\nc", "tail\nc")
    )
    assert [annotation.label for annotation in read_csv(path)] == ["m1", "m2", "m2"]


def test_deeplabcut_predictions_of_a_video(images):
    header = "scorer,net,net,net\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"
    path = write(images.parents[1] / "videoDLC.csv", header + "7,1,2,0.9\n12.0,3,4,1\n")
    first, second = raise_faults(read_csv(path))
    assert (first.file, first.landmarks) == (images / "img007.png", {"nose": (1, 2)})
    assert second.file == images / "img012.png"
    assert first.notes == (
        "likelihoods and scores of landmarks are not kept",
        "the image of a frame is the one whose name ends with its number",
    )


SLEAP = "track,frame_idx,instance.score,a.x,a.y,a.score,b b.x,b b.y,b b.score\n"


def test_sleap_analysis(images, tmp_path):
    path = write(
        tmp_path / "analysis.csv", SLEAP + ",7,0.9,1,2,0.8,3,4,0.7\ntrack_1,7,0.9,5,6,0.8,,,\n,12,1,7,8,1,9,9.5,1\n"
    )
    first, second, third = raise_faults(read_csv(path))
    assert first.landmarks == {"a": (1, 2), "b b": (3, 4)}
    assert first.file == second.file == images / "img007.png"
    assert math.isnan(second.landmarks["b b"][0])
    assert third.file == images / "img012.png"
    assert len(list(read_csv(path, image_folder=images))) == 3
    refused(read_csv(write(path, SLEAP + ",3,1,1,2,1,3,4,1\n")), ":2", "no image for frame 3, expected one image in")
    write(images / "other7.jpg", "")
    refused(read_csv(write(path, SLEAP + ",7,1,1,2,1,3,4,1\n")), ":2", "img007.png or ", "for frame 7")


def test_images_numbered_from_1_may_be_of_other_frames(tmp_path):
    for i in range(1, 4):
        write(tmp_path / f"{i:04}.png", "")
    path = write(tmp_path / "analysis.csv", SLEAP + ",1,1,1,2,1,3,4,1\n")
    refused(read_csv(path), ":2", "are numbered from 1, and frames from 0")
    write(tmp_path / "0000.png", "")
    (annotation,) = raise_faults(read_csv(path))
    assert annotation.file == tmp_path / "0001.png"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("scorer,Me,Me\n", ":1", "'', expected rows scorer, bodyparts and coords"),
        ("scorer,Me,Me\nimg.png,1,2\n", ":2", "'img.png', expected rows scorer, bodyparts and coords"),
        ("scorer,Me,Me\nbodyparts,a\n", ":2", "expected rows"),
        ("scorer,Me,Me\ncoords,x,y\n", ":2", "no row bodyparts"),
        ("scorer,Me,Me\nbodyparts,a,a\ncoords,x,x\n", ":3", "column 'a x'"),
        ("scorer,Me\nbodyparts,a\ncoords,x\n", ":3", "landmark 'a', expected x and y"),
        ("scorer,Me\nbodyparts,\ncoords,\n", ":3", "no landmark columns"),
        (DEEPLABCUT + "img007.png,1,2,3\n", ":4", "4 cells, expected 5"),
        (DEEPLABCUT + "img007.png,1,2,3,four\n", ":4", "column 'tail y' is 'four'"),
        (DEEPLABCUT + "img007.png,0,0,3,4\n", ":4", "column 'nose x' and column 'nose y' are 0"),
        (DEEPLABCUT + "img008.png,1,2,3,4\n", ":4", "image 'img008.png' not found"),
        (SLEAP.replace("a.y", "a.z") + ",7,1,1,2,1,3,4,1\n", ":1", "column 'a.z'"),
        ("frame_idx,track\n7,1\n", ":1", "no landmark columns"),
    ],
)
def test_refuses(images, text, place, message):
    path = write(images / "t.csv", text)
    with pytest.raises(InputError) as info:
        list(raise_faults(read_csv(path)))
    assert str(info.value).startswith(f"{path}{place}: ")
    assert message in str(info.value)


def test_rows_that_cannot_be_read_are_faults_of_these_rows(images):
    rows = "img007.png,1,2,3\nimg012.png,1,2,3,four\nimg012.png,5,6,7,8\n"
    path = write(images / "t.csv", DEEPLABCUT + rows)
    first, second, third = read_csv(path)
    assert first.fault == f"{path}:4: 4 cells, expected 5 as in the header"
    assert second.fault.startswith(f"{path}:5: column 'tail y' is 'four'")
    assert (third.fault, third.landmarks) == (None, {"nose": (5, 6), "tail": (7, 8)})
