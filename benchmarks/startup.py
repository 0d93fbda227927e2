"""Start-up times: `import ert`, the very first `ert align`, later ones, and `ert warmup`.

    python benchmarks/startup.py

Each runs in its own process; the cache of compiled kernels is empty before the first alignment and before
each warm-up. Targets: import below 0.5 s, the first alignment below 30 s, later ones below 1.5 s.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import common

TARGETS = {"import ert": 0.5, "ert align, first ever": 30, "ert align, next": 1.5}


def seconds(command, environment):
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return time.perf_counter() - begin, [line for line in done.stderr.splitlines() if line.startswith("ert:")]


def with_cache(folder):
    """Return the environment of a process that caches compiled kernels and modules in a folder."""
    path = os.pathsep.join([str(common.ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    kept = {"NUMBA_CACHE_DIR": folder, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | kept | {"PYTHONPATH": path.rstrip(os.pathsep)}


def main():
    import ert

    options = common.arguments(__doc__, repeats=7)
    load_before = os.getloadavg()
    program = [sys.executable, "-m", "ert"]
    align = [*program, "align", str(ert.sample_image())]
    waits = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = with_cache(folder)
        first, says = seconds(align, environment)
        bare, imports, later = [], [], []
        for _ in range(options.repeats):
            bare.append(seconds([sys.executable, "-c", "pass"], environment)[0])
            imports.append(seconds([sys.executable, "-c", "import ert"], environment)[0])
            later.append(seconds(align, environment)[0])
    waits["import ert"] = statistics.median(imports) - statistics.median(bare)
    waits["ert align, first ever"] = first
    waits["ert align, next"] = statistics.median(later)
    for name, extra in (("ert warmup", []), ("ert warmup --training", ["--training"])):
        with tempfile.TemporaryDirectory() as folder:
            waits[name], _ = seconds([*program, "warmup", *extra], with_cache(folder))
            if not extra:
                waits["ert align, first after ert warmup"], _ = seconds(align, with_cache(folder))
    met = {name: waits[name] < target for name, target in TARGETS.items()}
    common.save_result(
        "startup",
        {
            "seconds": waits,
            "below the bar": met,
            "first alignment says": says,
            "load_average": {"before": load_before, "after": os.getloadavg()},
        },
    )


if __name__ == "__main__":
    main()
