import numpy as np
from drawn import standard_photos
from PIL import Image

from ert.annotation.assistance.queue import (
    N_CANDIDATES,
    N_DIFFERENT,
    Ranking,
    distances,
    most_different,
    most_helpful,
    photo_features,
    thumbnail,
)


def groups(sizes, rng, n=8):
    """Return points in groups that lie far from each other, and the group of each."""
    centers = 20 * np.eye(len(sizes), n)
    members = np.repeat(np.arange(len(sizes)), sizes)
    return centers[members] + rng.normal(0, 1, (len(members), n)), members


def test_the_first_photos_are_of_all_groups():
    points, members = groups((20, 10, 5, 3), np.random.default_rng(0))
    order = most_different(distances(points), [], range(38), 4)
    assert sorted(members[order]) == [0, 1, 2, 3]


def test_the_first_photo_of_all_is_in_the_middle():
    points = np.array([[0.0], [4], [5], [6], [10]])
    assert most_different(distances(points), [], range(5), 5)[0] == 2


def test_photos_like_those_done_come_later():
    points, members = groups((10, 10, 10), np.random.default_rng(1))
    order = most_different(distances(points), [0, 10], range(1, 10), 2)
    assert len(set(order)) == 2
    assert members[most_different(distances(points), [0, 10], [1, 11, 25], 1)[0]] == 2


def test_each_photo_left_is_in_the_order_once():
    points, _ = groups((4, 4), np.random.default_rng(2))
    left = [0, 1, 2, 4, 6]
    assert sorted(most_different(distances(points), [3, 5], left, 99)) == left
    assert most_different(distances(points), range(8), [], 3) == []
    assert most_different(np.zeros((3, 3)), [], [0, 1, 2], 3) == [0, 1, 2]


def test_features_tell_other_photos_from_copies():
    images, _ = standard_photos(2, np.random.default_rng(3))
    brighter = np.minimum(images[0].astype(int) + 30, 255).astype(np.uint8)
    features = [photo_features(thumbnail(image)) for image in (images[0], brighter, images[1])]
    between = distances(np.array(features, float))
    assert 10 * between[0, 1] < between[0, 2]


def files_of(folder, n=6):
    images, _ = standard_photos(n, np.random.default_rng(4))
    files = [folder / f"{i}.png" for i in range(n)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    return files


def test_a_ranking_has_all_photos_left_before_and_after_they_are_compared(tmp_path):
    files = files_of(tmp_path)
    files[2].write_bytes(b"no photo")
    ranking = Ranking(files)
    assert sorted(ranking.order([0, 1, 2, 4], [3])) == [0, 1, 2, 4]
    ranking.wait()
    first = ranking.order([0, 1, 2, 4], [3])
    assert sorted(first) == [0, 1, 2, 4]
    assert first == ranking.order([4, 2, 1, 0], [3])
    other = Ranking(files)
    other.wait()
    assert other.order([0, 1, 2, 4], [3]) == first


def test_photos_that_are_added_later_come_last(tmp_path):
    files = files_of(tmp_path, 4)
    ranking = Ranking(files[:3])
    ranking.wait()
    assert ranking.order([0, 1, 2, 3], [])[-1] == 3


def test_after_the_first_photos_the_order_is_a_random_one_that_stays(tmp_path):
    ranking = Ranking(files_of(tmp_path, N_DIFFERENT + 6))
    ranking.wait()
    everything = range(N_DIFFERENT + 6)
    first = ranking.order(everything, [])
    done = first[:N_DIFFERENT]
    later = ranking.order([i for i in everything if i not in done], done)
    assert later == first[N_DIFFERENT:]
    assert ranking.order(later[1:], [*done, later[0]]) == later[1:]


def test_doubtful_photos_that_are_unlike_those_done_come_first():
    between = distances(np.array([[0.0], [1], [10], [11], [20]]))
    assert most_helpful(between, [0], [1, 2, 4], [0.9, 0.5, 0.1]) == [2, 4, 1]
    assert most_helpful(between, [0], [2, 3], [0.5, 0.5]) == [3, 2]
    assert most_helpful(between, [0], [1, 2], [0.0, 0.0]) == [1, 2]
    assert most_helpful(between, [], [], []) == []
    # Nothing is done: the first is the most doubtful, and the distance from it counts in full.
    assert most_helpful(between, [], [0, 1, 4], [1.0, 0.9, 0.5]) == [0, 4, 1]


def test_the_order_of_many_photos_follows_the_doubts_of_a_model_among_the_next_ones_alone(tmp_path, monkeypatch):
    files = files_of(tmp_path, 5) + [tmp_path / f"missing{i}.png" for i in range(60)]
    ranking = Ranking(files, seed=1)
    ranking.wait()
    left, done = set(range(len(files))) - {0}, {0}
    candidates = ranking.candidates(left)
    assert len(set(candidates)) == len(candidates) == N_CANDIDATES
    doubts = dict.fromkeys(candidates, 0.001) | {candidates[7]: 0.9}
    elsewhere = next(i for i in left if i not in candidates)
    assert ranking.order(left, done, doubts | {elsewhere: 1.0}) == ranking.order(left, done)
    monkeypatch.setattr("ert.annotation.assistance.queue.MANY_PHOTOS", len(files))
    order = ranking.order(left, done, doubts | {elsewhere: 1.0})
    assert sorted(order) == sorted(left)
    assert order[0] == candidates[7]
    assert order.index(elsewhere) >= N_CANDIDATES
    ranking.close()
