"""Start-up: `import ert`, the first `ert demo`, later `ert align`, and `ert warmup`, in seconds and processor time.

    python benchmarks/start.py

Each runs in its own process; the cache of compiled kernels is empty before the first demo and before each
warm-up. "until kernels are ready" is how long the process works that compiles beside the first demo. Times are
those of a quiet machine; the processor time of children hardly depends on the load.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import common

# Seconds, and for what ends in "processor time", those of a processor.
TARGETS = {"import ert": 0.35, "ert demo, first ever": 4, "ert align, next": 0.9, "ert warmup, processor time": 15}
READY = "from ert._kernels import choice; import sys; sys.exit(not choice.ahead.is_ready())"


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(command, environment, folder):
    """Return wall seconds, processor seconds, and the lines about compiling."""
    begin, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=folder)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ert:")]
    return time.perf_counter() - begin, processor_seconds() - used, lines


def with_cache(folder):
    """Return the environment of a process that caches compiled kernels and modules in a folder."""
    path = os.pathsep.join([str(common.ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    kept = {
        "ERT_CACHE_DIR": folder,
        "NUMBA_CACHE_DIR": "",
        "XDG_CACHE_HOME": folder,
        "PYTHONPYCACHEPREFIX": folder,
        "PYTHONDONTWRITEBYTECODE": "",
        "ERT_COMPILE": "",
    }
    return os.environ | kept | {"PYTHONPATH": path.rstrip(os.pathsep)}


def main():
    import ert

    options = common.arguments(__doc__, repeats=7)
    load_before = os.getloadavg()
    program = [sys.executable, "-m", "ert"]
    align = [*program, "align", str(ert.sample_image())]
    waits, used = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        environment = with_cache(folder)
        # As pip does when it installs.
        seconds([sys.executable, "-c", "import ert.cli.align, cv2"], environment, folder)
        begin = time.perf_counter()
        waits["ert demo, first ever"], used["ert demo, first ever"], says = seconds(
            [*program, "demo"], environment, folder
        )
        while subprocess.run([sys.executable, "-c", READY], env=environment).returncode:
            time.sleep(0.5)
        waits["until kernels are ready"] = time.perf_counter() - begin
        for name, command in {
            "python": [sys.executable, "-c", "pass"],
            "import ert": [sys.executable, "-c", "import ert"],
            "ert align, next": align,
            "ert align, compiled kernels": align,
        }.items():
            now = {"ERT_COMPILE": "now"} if name.endswith("kernels") else {}
            runs = [seconds(command, environment | now, folder) for _ in range(options.repeats)]
            waits[name], used[name] = (statistics.median(run[i] for run in runs) for i in (0, 1))
    waits["import ert"] -= waits.pop("python")
    for name, extra in (("ert warmup", []), ("ert warmup --training", ["--training"])):
        with tempfile.TemporaryDirectory() as folder:
            waits[name], used[name], _ = seconds([*program, "warmup", *extra], with_cache(folder), folder)
    measured = waits | {f"{name}, processor time": value for name, value in used.items()}
    common.save_result(
        "start",
        {
            "seconds": waits,
            "processor seconds": used,
            "below the bar": {name: measured[name] < target for name, target in TARGETS.items()},
            "first demo says": says,
            "load_average": {"before": load_before, "after": os.getloadavg()},
        },
    )


if __name__ == "__main__":
    main()
