"""Tracking of moving faces with known landmarks, compared with dlib.

    python benchmarks/video.py                      # 12 people; writes the result
    python benchmarks/video.py --quick 1            # a short test on 3 people, writes nothing

Faces of HELEN's test images are moved, rotated, dimmed, made to talk, occluded and exchanged along known
paths (moving_faces.py), with sensor noise, at 640 x 480 pixels and 30 frames per second. Every frame is
processed by `ert.Tracker`; by ert's and by dlib's detector and predictor on each frame; and by dlib's
correlation_tracker, initialized with the detector's box, with the predictor in its box. Needs the dlib model
of train_vs_dlib.py. All on one core.
"""

import os
import time

import common
import cv2
import moving_faces
import numpy as np
from moving_faces import LONGER, PATHS
from train_vs_dlib import THEIRS

SECONDS = 2
# Length of the clips for the speed, in seconds: one interval of ert.Tracker's detector.
DETECTED_EVERY = 3
# The first frames, before filters have settled, are excluded from jitter and lag.
SETTLING = 10
# Landmarks farther from the truth than this fraction of the face's extent are of another face.
NEAR = 0.35


class OneByOne:
    """Detector and predictor on each frame; the id of all faces is 0."""

    def __init__(self, detect, predict):
        self.detect, self.predict = detect, predict

    def reset(self):
        """Do nothing: there is no state."""

    def update(self, frame, now):
        """Return (id, landmarks) of each face."""
        return [(0, self.predict(frame, box)) for box in self.detect(frame)]


class Correlation:
    """dlib's correlation tracker, initialized with the first detected box, and its predictor in its box."""

    def __init__(self, detect, predict):
        self.detect, self.predict = detect, predict
        self.reset()

    def reset(self):
        """Forget the face."""
        self.tracker = None

    def update(self, frame, now):
        """Return (id, landmarks) of each face."""
        import dlib

        if self.tracker is None:
            found = self.detect(frame)
            if not len(found):
                return []
            self.tracker = dlib.correlation_tracker()
            self.tracker.start_track(frame, common.dlib_rectangle(found[0]))
        else:
            self.tracker.update(frame)
        box = self.tracker.get_position()
        return [(0, self.predict(frame, (box.left(), box.top(), box.width(), box.height())))]


class Tracked:
    """ert.Tracker with the interface of the other methods."""

    def __init__(self, model, **options):
        import ert

        self.tracker = ert.Tracker(model, **options)
        self.reset = self.tracker.reset

    def update(self, frame, now):
        """Return (id, landmarks) of each face."""
        return [(face.id, face.landmarks) for face in self.tracker.update(frame, now)]


def methods(model_name):
    import dlib

    import ert

    model, theirs, detector = (
        ert.load(model_name),
        dlib.shape_predictor(str(THEIRS)),
        dlib.get_frontal_face_detector(),
    )

    def dlib_boxes(frame):
        return [(box.left(), box.top(), box.width(), box.height()) for box in detector(frame)]

    def dlib_shape(frame, box):
        return common.dlib_predict(theirs, [frame], [box])[0]

    return {
        "ert.Tracker": Tracked(model),
        "ert.Tracker, smooth=False": Tracked(model, smooth=False),
        "ert frame by frame": OneByOne(ert.detect_faces, lambda frame, box: model.predict([(frame, box)])[0]),
        "dlib frame by frame": OneByOne(dlib_boxes, dlib_shape),
        "dlib correlation_tracker": Correlation(dlib_boxes, dlib_shape),
    }


def nearest(faces, truth):
    """Return the face (id, landmarks) nearest to true landmarks; None when none is near."""
    size = np.ptp(truth, axis=0).max()
    away = [np.linalg.norm(landmarks - truth, axis=1).mean() for _, landmarks in faces]
    return faces[int(np.argmin(away))] if away and min(away) < NEAR * size else None


def run(method, clip):
    method.reset()
    return [method.update(frame, now) for frame, now in zip(clip.frames, clip.times(), strict=True)]


def followed(faces_of_frames, truth):
    """Return the landmarks found for one person (frames, 68, 2), NaN where missed, and the ids."""
    found = np.full(truth.shape, np.nan)
    ids = []
    for k, faces in enumerate(faces_of_frames):
        face = nearest(faces, truth[k])
        if face is not None:
            found[k] = face[1]
            ids.append(face[0])
    return found, ids


def lag(found, truth):
    """Return the lag in frames: the least-squares coefficient of the error on the velocity."""
    velocity = np.gradient(truth, axis=0)
    seen = ~np.isnan(found[:, 0, 0])
    error, velocity = (found - truth)[seen], velocity[seen]
    error, velocity = error - error.mean(axis=0), velocity - velocity.mean(axis=0)
    return float(-(error * velocity).sum() / max((velocity**2).sum(), 1e-9))


def figures(found, truth):
    """Return the figures of one clip of one person."""
    from ert.metrics import nme

    seen = ~np.isnan(found[:, 0, 0])
    settled, aim = found[SETTLING:], truth[SETTLING:]
    error = settled - aim
    return {
        "nme": float(nme(truth[seen], found[seen], "inter-pupil").mean()) if seen.any() else np.nan,
        "missed": float(1 - seen.mean()),
        "step px": float(np.sqrt(np.nanmean((np.diff(error, axis=0) ** 2).sum(axis=2)))),
        "wander px": float(np.sqrt(np.nanmean(((error - np.nanmean(error, axis=0)) ** 2).sum(axis=2)))),
        "lag frames": lag(settled, aim) if (~np.isnan(settled[:, 0, 0])).sum() > 2 else np.nan,
    }


def mean_of(rows):
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


def paths(people, tools):
    result = {}
    for path in PATHS:
        rows = {name: [] for name in tools}
        for number, person in enumerate(people):
            clip = moving_faces.moving(person, path, SECONDS, number)
            truth = clip.truth[:, 0]
            for name, tool in tools.items():
                found, ids = followed(run(tool, clip), truth)
                # Only the tracker has ids.
                known = {"ids": len(set(ids))} if isinstance(tool, Tracked) else {}
                rows[name].append(figures(found, truth) | known)
        both = [
            {name: rows[name][i] for name in rows}
            for i in range(len(people))
            if all(each[i]["missed"] < 0.5 for name, each in rows.items() if "correlation" not in name)
        ]
        result[path] = {
            "people": len(both),
            "methods": {name: mean_of([row[name] for row in both]) for name in tools} if both else {},
            "missed, all people": {name: float(np.mean([row["missed"] for row in rows[name]])) for name in tools},
        }
        print(path, len(both))
        for name, row in result[path]["methods"].items():
            print(f"  {name:28s}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    return result


def events(people, tracker):
    """Return how long a vanished face is still reported and whether ids stay with their people."""
    result = {}
    n = len(people)
    others = [people[(i + n // 3 + 1) % n] for i in range(n)]
    clips = {"vanished": lambda i: moving_faces.vanishing(people[i], 1.2, i)}
    for far in (0, 0.3, 1):
        clips[f"cut, next face {far} faces beside"] = lambda i, far=far: moving_faces.cut(
            people[i], others[i], 1.2, i, far
        )
    for name, make in clips.items():
        late, found = [], []
        for i in range(n):
            clip = make(i)
            shown = run(tracker, clip)
            half = len(clip.frames) // 2
            face = nearest(shown[half - 1], clip.truth[half - 1, 0])
            if face is None:
                continue
            after = [k for k in range(half, len(shown)) if any(number == face[0] for number, _ in shown[k])]
            late.append(max(after) + 1 - half if after else 0)
            if name != "vanished":
                new = [k for k in range(half, len(shown)) if nearest(shown[k], clip.truth[k, 1])]
                found.append(new[0] - half if new else None)
        result[name] = {
            "people": len(late),
            "frames that the old face was shown": {str(k): late.count(k) for k in sorted(set(late))},
        }
        if found:
            known = [k for k in found if k is not None]
            result[name] |= {"new face found": len(known), "after frames, mean": float(np.mean(known))}
        print(name, result[name], flush=True)
    for dodge in (0, 50, 100, 160):
        counts = {"pairs": 0, "swaps": 0, "ids kept": 0, "ids lost": 0}
        for i in range(n):
            clip = moving_faces.passing(people[i], others[i], 3, i, dodge)
            shown = run(tracker, clip)
            ids = [
                [nearest(faces, truth[j]) if np.isfinite(truth[j, 0, 0]) else None for j in (0, 1)]
                for faces, truth in zip(shown, clip.truth, strict=True)
            ]
            first = [next((each[j][0] for each in ids if each[j]), None) for j in (0, 1)]
            last = [next((each[j][0] for each in reversed(ids) if each[j]), None) for j in (0, 1)]
            if None in first:
                continue
            counts["pairs"] += 1
            counts["swaps"] += last[0] == first[1] or last[1] == first[0]
            for j in (0, 1):
                counts["ids kept" if last[j] == first[j] else "ids lost"] += 1
        result[f"passing {dodge} px beside"] = counts
        print("passing", dodge, counts, flush=True)
    return result


def speed(people, tools):
    """Return milliseconds per frame and frames per second of each method, interleaved frame by frame."""
    result = {}
    # Compiles and imports what is needed.
    warm = moving_faces.moving(people[0], "all", SECONDS, 0)
    for tool in tools.values():
        run(tool, warm)
    for path in ("still", "shift", "all"):
        seconds = {name: [] for name in tools}
        for number, person in enumerate(people[:5]):
            clip = moving_faces.moving(person, path, DETECTED_EVERY, number)
            for tool in tools.values():
                tool.reset()
                tool.update(clip.frames[0], -1.0)
            for frame, now in zip(clip.frames, clip.times(), strict=True):
                for name, tool in tools.items():
                    begin = time.perf_counter()
                    tool.update(frame, now)
                    seconds[name].append(time.perf_counter() - begin)
        result[path] = {
            name: {
                "mean_ms": float(1e3 * np.mean(times)),
                "median_ms": float(1e3 * np.median(times)),
                "frames_per_second": float(1 / np.mean(times)),
            }
            for name, times in seconds.items()
        }
        print(path, {name: round(each["frames_per_second"]) for name, each in result[path].items()}, flush=True)
    return result


def test_people(data, n, split):
    """Return people in random order whose image has a margin around the face."""
    from ert._core.images import load_image
    from ert.datasets.formats import load_dataset

    dataset = load_dataset(data / "300w", boxes=f"{data / '300w' / 'boxes.csv'}:dlib", split=split)
    people = []
    for i in np.random.default_rng(0).permutation(len(dataset)):
        image, landmarks = common.dlib_gray(load_image(dataset.files[i])), dataset.landmarks[i]
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        margin = 0.1 * (high - low)[0]
        if (low > margin).all() and (high < np.array(image.shape[::-1]) - margin).all():
            people += moving_faces.people([image], [landmarks])
        if len(people) == n:
            break
    return people


def main():
    options = common.arguments(__doc__, people=12, quick=0, model="face68", split="test")
    # One core for all, including OpenCV's own threads.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    people = test_people(options.data, 3 if options.quick else options.people, options.split)
    tools = methods(options.model)
    result = {
        "model": options.model,
        "faces": f"{len(people)} people, {LONGER} pixels high or wide, {SECONDS} s a clip",
        "paths": paths(people, tools),
        "events": events(people, tools["ert.Tracker"]),
        "speed": speed(people, tools),
    }
    if not options.quick:
        common.save_result("video", result)


if __name__ == "__main__":
    main()
