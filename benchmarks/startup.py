"""Seconds that a user waits: `import ert`, the first `ert align` ever, and the next ones.

    python benchmarks/startup.py

Each is a process of its own; before the first alignment the cache of compiled kernels is empty.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import common


def seconds(command, environment):
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return time.perf_counter() - begin, [line for line in done.stderr.splitlines() if line.startswith("ert:")]


def main():
    import ert

    common.arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        align = [sys.executable, "-m", "ert", "align", str(ert.sample_image())]
        bare = statistics.median(seconds([sys.executable, "-c", "pass"], environment)[0] for _ in range(5))
        imports = [seconds([sys.executable, "-c", "import ert"], environment)[0] for _ in range(5)]
        first, says = seconds(align, environment)
        later = [seconds(align, environment)[0] for _ in range(5)]
    common.save_result(
        "startup",
        {
            "seconds": {
                "import ert": statistics.median(imports) - bare,
                "ert align, first ever": first,
                "ert align, next": statistics.median(later),
            },
            "first alignment says": says,
        },
    )


if __name__ == "__main__":
    main()
