"""Prediction and training with the kernels of each kind of processor that this one can run, beside dlib.

    python benchmarks/cpus.py                 # a quarter of an hour, ten minutes of it dlib's training
    python benchmarks/cpus.py --training 0    # prediction alone, two minutes

Each kind (the environment variable ERT_KERNELS) runs in its own process. Predictions take turns with dlib's public
model, one face a call, on one thread. Training is that of train_vs_dlib.py: dlib's default options, 2012 faces, two
threads, before and after dlib's. All kinds give the same bytes.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time

import common
from predict_vs_dlib import helen, race, ratios
from train_vs_dlib import train_dlib, train_ours

TASKS = ("predict", "train")


def work(task, options):
    """Do what a process of one kind does; return figures and a digest of its landmarks or its model."""
    import numpy as np

    import ert
    from ert._kernels import choice

    choice.use_compiled()
    if task == "train":
        file = common.ROOT / "runs" / f"cpus_{choice.kernel_level()}.ert"
        file.parent.mkdir(exist_ok=True)
        # Compiles, or loads, the kernels.
        train_ours(options.data, options.threads, file, n_stages=1, n_trees=2)
        seconds = train_ours(options.data, options.threads, file)
        return {"seconds": seconds, "digest": hashlib.sha256(file.read_bytes()).hexdigest()}
    import dlib
    import face_recognition_models

    images, boxes, rectangles = helen(options.data)
    model = ert.load("face68")
    landmarks = model.predict(list(zip(images, boxes, strict=True)))
    public = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())
    found = {"digest": hashlib.sha256(np.ascontiguousarray(landmarks).tobytes()).hexdigest()}
    for mode, ours in (("fast", model), ("accurate", (model, "accurate"))):
        found[mode] = ratios(race(ours, public, (images, boxes, rectangles), options.rounds))
    return found


def run(kind, task, options):
    """Return what a process of a kind finds, None where the processor lacks its instructions."""
    command = [sys.executable, __file__, "--task", task, "--data", str(options.data)]
    command += ["--threads", str(options.threads), "--rounds", str(options.rounds)]
    environment = os.environ | {"ERT_KERNELS": kind}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "this processor lacks" in done.stderr:
        return None
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    from ert._kernels.llvm import WIDE_FEATURES

    options = common.arguments(__doc__, task="", rounds=10, threads=2, training=1)
    if options.task:
        print(json.dumps(work(options.task, options)))
        return
    load_before = os.getloadavg()
    kinds, seconds, digests = {}, {}, {task: set() for task in TASKS}

    def train_all():
        for kind in kinds:
            found = run(kind, "train", options)
            seconds.setdefault(kind, []).append(found["seconds"])
            digests["train"].add(found["digest"])

    for kind in WIDE_FEATURES:
        found = run(kind, "predict", options)
        if found is None:
            continue
        digests["predict"].add(found.pop("digest"))
        kinds[kind] = {"prediction, times faster than dlib's public model": found}
        print(
            f"{kind}: {found['fast']['ratio']:.2f} times faster, accurate {found['accurate']['ratio']:.2f}", flush=True
        )
    result = {"kinds": kinds, "threads of training": options.threads}
    if options.training:
        train_all()
        begin = time.perf_counter()
        common.measured(train_dlib, options.data, options.threads, common.ROOT / "runs" / "cpus_dlib.dat")
        theirs = time.perf_counter() - begin
        train_all()
        result["seconds of dlib's training"] = theirs
        for kind, each in seconds.items():
            ours = statistics.median(each)
            kinds[kind]["training"] = {"seconds, run by run": each, "times faster than dlib": theirs / ours}
            print(f"{kind}: training {theirs / ours:.1f} times faster ({ours:.1f} s, dlib {theirs:.0f} s)")
    result["the same bytes"] = {task: len(found) == 1 for task, found in digests.items() if found}
    result["load_average"] = {"before": load_before, "after": os.getloadavg()}
    common.save_result("cpus", result)


if __name__ == "__main__":
    main()
