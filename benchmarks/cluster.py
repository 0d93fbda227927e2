"""`ert predict --cluster`: two processes against one, and the memory of scheduler and client as images become more.

    python benchmarks/cluster.py              # some minutes; writes the figures of docs/cluster.md
    python benchmarks/cluster.py --images 0   # keeps the figures of memory
    python benchmarks/cluster.py --quick 1    # a short test, writes nothing

The photographs of the first part are JPEGs of 2 megapixels (see `predict_many.py`). Runs on one process and on a
cluster of two take turns, and beside them a loop that only counts, in one process and in two. Processor times say what
the cluster costs where other work on the machine makes the times on the clock useless.

For memory, scheduler, workers and client are processes of their own, the images tiny and the parts small: the scheduler
sees as many tasks as a run of a hundred times as many images has.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np
import predict_many
from predict_many import HEIGHT, WIDTH, whole_image_model, write_photos
from throughput import spin

PHOTOS_PER_PART = 100
SMALL_PART, N_SMALL_FILES = 10, 100
# Different photographs; the others are further names of them.
N_FILES = 20
# Of the plan.
PLAN_IMAGES, PLAN_WORKERS, PLAN_PART = 10**8, 100, 1000
LAUNCH = [sys.executable, "-c", "import sys; from distributed.cli import dask_{0} as it; sys.exit(it.main())"]


def timed(function):
    begin, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - begin, time.process_time() - cpu


def predict_alone(model, files, out):
    """Predict and write a table in this process, on one thread, as the command does."""
    from ert.pipeline.inputs import Inputs
    from ert.pipeline.outputs import write_photos as write_results
    from ert.pipeline.part import Columns, PartFile
    from ert.pipeline.predict import choose_request, predict_photos

    inputs = Inputs().add(files)
    options = {"box_from": None, "boxes_given": False, "mode": "fast", "max_objects": 1, "min_confidence": None}
    request = choose_request(model, inputs, **options)
    columns = Columns(model.landmark_names_)
    with PartFile(out.with_suffix(".part"), "", columns) as results:
        for photo in predict_photos(request, inputs.items.values(), 1):
            results.add(photo)
        write_results(out, "parquet", results.photos, columns)


def rows(files):
    import pyarrow.parquet

    table = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    return [{**row, "image": Path(row["image"]).name} for row in table]


def worker_seconds(client):
    return sum(client.run(time.process_time).values())


def compare(model, files, folder, repeats):
    """Return the seconds (turns, 3) of one process and of two: on the clock, processor of the workers, of the rest."""
    from distributed import Client

    import ert
    from ert.pipeline.cluster.client import connected

    times = {"one process": [], "two processes": []}
    counts = {"one process": [], "two processes": []}
    turns = 20_000_000
    with connected("local:2") as client:
        assert isinstance(client, Client)

        def on_cluster(out):
            # Parts are few here: the list of images is the same for both.
            options = {"cluster": client, "images_per_part": PHOTOS_PER_PART}
            return ert.predict_on_cluster(model, files, out, **options)

        workers = list(client.scheduler_info()["workers"])
        on_cluster(folder / "warm")
        predict_alone(model, files[:5], folder / "warm.parquet")
        for turn in range(repeats):
            alone, parts = folder / f"alone{turn}.parquet", folder / f"parts{turn}"
            wall, cpu = timed(lambda alone=alone: predict_alone(model, files, alone))
            times["one process"].append((wall, cpu, 0.0))
            before = worker_seconds(client)
            wall, cpu = timed(lambda parts=parts: on_cluster(parts))
            times["two processes"].append((wall, worker_seconds(client) - before, cpu))
            counts["one process"].append(timed(lambda: client.submit(spin, turns, pure=False).result())[0])
            # Without a place for each, both may go to one worker.
            half = lambda: client.gather(  # noqa: E731
                [client.submit(spin, turns // 2, pure=False, workers=[each]) for each in workers]
            )
            counts["two processes"].append(timed(half)[0])
            assert rows([alone]) == rows(sorted(parts.glob("part-*")))
    size = sum(file.stat().st_size for file in parts.glob("part-*")) / len(files)
    return {kind: np.array(each) for kind, each in times.items()}, {k: np.array(c) for k, c in counts.items()}, size


def resident(pid):
    """Return the resident memory of a process in MB, and its processor time in seconds."""
    import psutil

    process = psutil.Process(pid)
    times = process.cpu_times()
    return process.memory_info().rss / 1e6, times.user + times.system


def run_client(address, model, listed, out, images_per_part):
    """Predict the images of a list; return processor seconds and resident memory of this process."""
    import ert

    before = time.process_time()
    found = ert.predict_on_cluster(model, f"@{listed}", out, cluster=address, images_per_part=images_per_part)
    seconds = time.process_time() - before
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    # Not of getrusage, which counts the process that has started this one.
    peak = int(status["VmHWM"].split()[0]) * 1024 / 1e6
    return found.n_images, seconds, resident(os.getpid())[0], peak


def measure_memory(folder, sizes):
    """Return memory of scheduler and client after runs of so many images."""
    from PIL import Image

    rng = np.random.default_rng(0)
    files = [folder / f"tiny{i:03}.png" for i in range(N_SMALL_FILES)]
    for file in files:
        Image.fromarray(rng.integers(0, 255, (24, 24), np.uint8)).save(file)
    import ert

    shape = rng.uniform(6, 18, (3, 2))
    model = ert.ShapePredictor(n_stages=1, n_trees=2, n_inits=2, working_size=24, n_pixels=20)
    model.fit([(ert.load_image(file), (0, 0, 24, 24)) for file in files[:10]], shape + rng.normal(0, 1, (10, 3, 2)))
    from dataclasses import replace

    model.fitted_ = replace(model.fitted_, box_source="whole")
    model.save(folder / "tiny.ert")
    address_file = folder / "scheduler.json"
    command = lambda name: [part.replace("{0}", name) for part in LAUNCH]  # noqa: E731
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--scheduler-file", address_file]
    scheduler = subprocess.Popen([*command("scheduler"), "--port", "0", "--no-dashboard", *options], **quiet)
    worker_options = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", folder]
    workers = subprocess.Popen([*command("worker"), *worker_options, *options], **quiet)
    results = []
    try:
        while not address_file.exists():
            time.sleep(0.1)
        import json

        address = json.loads(address_file.read_text())["address"]
        for n, of_part in [*((n, SMALL_PART) for n in (sizes[0], *sizes)), (sizes[2], PLAN_PART)]:
            listed = folder / "list.txt"
            with listed.open("w") as file:
                file.writelines(f"{files[i % N_SMALL_FILES]}\n" for i in range(n))
            before = resident(scheduler.pid)[1]
            out = folder / f"out{len(results)}"
            (n_images, seconds, after, peak), *_ = common.measured(
                run_client, address, folder / "tiny.ert", listed, out, of_part
            )
            assert n_images == n
            memory, cpu = resident(scheduler.pid)
            results.append(
                {
                    "images": n,
                    "parts": -(-n // of_part),
                    "scheduler MB": memory,
                    "client MB at the end": after,
                    "client MB at most": peak,
                    "scheduler milliseconds of CPU a part": 1e3 * (cpu - before) / -(-n // of_part),
                    "client milliseconds of CPU a part": 1e3 * seconds / -(-n // of_part),
                }
            )
            print(results[-1], flush=True)
    finally:
        for process in (workers, scheduler):
            process.terminate()
            process.wait()
    # The first run also imports what scheduler and workers need.
    return results[1:]


def plan(figures, memory):
    """Return what the measured figures make of many images and workers."""
    cpu = figures["milliseconds of CPU a photo"]["two processes, workers"]
    n_parts = PLAN_IMAGES / PLAN_PART
    seconds = PLAN_IMAGES * cpu / 1e3 / PLAN_WORKERS
    large = memory[-1]
    return {
        "images": PLAN_IMAGES,
        "workers": PLAN_WORKERS,
        "images a part": PLAN_PART,
        "hours": seconds / 3600,
        "images a second": PLAN_IMAGES / seconds,
        "terabytes read": PLAN_IMAGES * figures["megabytes a photo"] / 1e6,
        "gigabytes a second read": PLAN_IMAGES * figures["megabytes a photo"] / 1e3 / seconds,
        "gigabytes written": PLAN_IMAGES * figures["bytes written a photo"] / 1e9,
        "parts": n_parts,
        "seconds a part": PLAN_PART * cpu / 1e3,
        "parts a second": n_parts / seconds,
        "scheduler": n_parts / seconds * large["scheduler milliseconds of CPU a part"] / 1e3,
        "client": n_parts / seconds * large["client milliseconds of CPU a part"] / 1e3,
    }


def figure_lines(result):
    """Return the figures as lines of docs/cluster.md."""
    cpu, memory, plan = result["milliseconds of CPU a photo"], result["memory"], result["plan"]
    ratio = result["two processes over one"]
    load = result["load_average"]
    lines = [
        f"Of {result['photos']} photos of {result['megapixels']:.1f} megapixels ({result['megabytes a photo']:.2f} MB; "
        "a model of 12 landmarks whose boxes are the whole images), `--cluster local:2` predicts "
        f"{ratio['predict']:.2f} times as many a second as one process (load average {load['before'][0]:.1f} before "
        f"the run). Processor time of a photo: {cpu['one process']:.1f} ms in "
        f"one process; {cpu['two processes, workers']:.1f} ms in the workers and "
        f"{cpu['two processes, client and scheduler']:.1f} ms in client and scheduler, start of the run "
        "included. The rows of the tables are equal.",
        "",
        "| images | tasks | scheduler | client, at the end | client, at most |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    *rows, large = memory
    small = rows[-1]
    for row in rows:
        lines.append(
            f"| {row['images']:,} | {row['parts']:,} | {row['scheduler MB']:.0f} MB | "
            f"{row['client MB at the end']:.0f} MB | {row['client MB at most']:.0f} MB |"
        )
    lines += [
        "",
        f"A task of {PLAN_PART} images takes {large['scheduler milliseconds of CPU a part']:.1f} ms of the scheduler's "
        f"processor and {large['client milliseconds of CPU a part']:.1f} ms of the client's, one of {SMALL_PART} "
        f"{small['scheduler milliseconds of CPU a part']:.1f} ms and "
        f"{small['client milliseconds of CPU a part']:.1f} ms.",
        "",
        "| plan | |",
        "| --- | ---: |",
        f"| images, workers (processes of one thread), images a part | {plan['images']:,}, {plan['workers']}, "
        f"{plan['images a part']:,} |",
        f"| time | {plan['hours']:.1f} h |",
        f"| images a second | {plan['images a second']:,.0f} |",
        f"| read | {plan['terabytes read']:.0f} TB, {plan['gigabytes a second read']:.1f} GB a second |",
        f"| written | {plan['gigabytes written']:.0f} GB |",
        f"| parts (files), time of one | {plan['parts']:,.0f}, {plan['seconds a part']:.0f} s |",
        f"| processors busy: scheduler, client | {plan['scheduler']:.1%}, {plan['client']:.1%} of one |",
    ]
    return lines


def main():
    options = common.arguments(__doc__, photos=1600, repeats=5, images=50_000, quick=0)
    if options.quick:
        options.photos, options.repeats, options.images = 20, 1, 200
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        predict_many.N_FILES = N_FILES
        files = write_photos(folder, options.photos)
        megabytes = float(np.mean([file.stat().st_size for file in files]) / 1e6)
        times, counts, size = compare(whole_image_model(files), files, folder, options.repeats)
        sizes = [options.images // 25, options.images // 5, options.images]
        memory = measure_memory(folder, sizes) if options.images else common.result("cluster")["memory"]
    n = len(files) * options.repeats
    one, two = (times[kind].sum(axis=0) for kind in ("one process", "two processes"))
    result = {
        "photos": len(files),
        "turns": options.repeats,
        "megapixels": WIDTH * HEIGHT / 1e6,
        "megabytes a photo": megabytes,
        "bytes written a photo": size,
        "photos a second": {"one process": n / one[0], "two processes": n / two[0]},
        "two processes over one": {
            "predict": float(np.median(times["one process"][:, 0] / times["two processes"][:, 0])),
            "count": float(np.median(counts["one process"] / counts["two processes"])),
        },
        "milliseconds of CPU a photo": {
            "one process": 1e3 * one[1] / n,
            "two processes, workers": 1e3 * two[1] / n,
            "two processes, client and scheduler": 1e3 * two[2] / n,
        },
        "memory": memory,
        "load_average": {"before": before, "after": os.getloadavg()},
    }
    result["plan"] = plan(result, memory)
    if options.quick:
        print(result, *figure_lines(result), sep="\n")
        return
    common.save_result("cluster", result)
    common.write_figures(common.ROOT / "docs" / "cluster.md", figure_lines(result))


if __name__ == "__main__":
    main()
