"""Fuzz models (also in JavaScript), annotation files and images in worker processes, whose crashes are caught and kept.

    python tests/fuzz/run.py --models 200000 --annotations 200000 --images 50000 --jobs 1 --seed 1 --out fuzz.json

The same seed gives the same cases on every machine. Cases are run in chunks; what is done is kept in the file of
`--out`, and the next run goes on from there. Models take turns between the kernels of this processor and those of any
(ERT_KERNELS); one chunk in twenty is run with numba's bounds checks. `--case models 123` runs one case.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve()
KINDS = "models", "annotations", "images", "web"
CHUNK = dict.fromkeys(KINDS, 5000)
# What a worker may take of address space, and of time for a chunk.
ADDRESS_BYTES, CHUNK_SECONDS = 16 * 2**30, 3600
MAX_FAULTS_KEPT = 500


def chunks(kind, n, variants):
    """Yield the first case, the number of cases and the kernels of each chunk."""
    for number, first in enumerate(range(0, n, CHUNK[kind])):
        how = ""
        if kind == "models":
            how = "checked" if number % 20 == 19 else variants[number % len(variants)]
        yield first, min(CHUNK[kind], n - first), how


def environment(how):
    """Return the environment of a worker."""
    paths = [str(HERE.parents[1]), str(HERE.parents[2])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    # Threads of linear algebra would wait for each other.
    env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    env |= {"ERT_KERNELS": {"": "auto", "checked": "portable"}.get(how, how)}
    if how == "checked":
        env["NUMBA_BOUNDSCHECK"] = "1"
    return env


def run_chunk(kind, first, n, how, seed, kept):
    """Run a chunk in a worker, again behind a case that ends it; return counts and faults."""
    counts, faults, end = Counter(), [], first + n
    while first < end:
        with tempfile.TemporaryDirectory(prefix="ert-fuzz-") as folder:
            place = Path(folder) / "case"
            place.mkdir()
            results = Path(folder) / "results"
            command = [sys.executable, str(HERE), "--worker", kind, str(first), str(end - first)]
            command += ["--seed", str(seed), "--folder", str(place), "--out", str(results)]
            with open(Path(folder) / "errors", "wb") as errors:
                process = subprocess.Popen(command, env=environment(how), stderr=errors)
                try:
                    status = process.wait(CHUNK_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    status = process.wait()
            lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
            for line in lines:
                counts[line["outcome"]] += line["n"]
                faults += [{**fault, "kind": kind, "kernels": how} for fault in line["faults"]]
            done = int((place / "number").read_text() or first) if (place / "number").exists() else first
            if status == 0:
                break
            text = (Path(folder) / "errors").read_bytes()[-1500:].decode(errors="replace")
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            counts["crashed"] += 1
            faults.append({"case": done, "fault": f"CRASH {name}: {text}", "kind": kind, "kernels": how})
            kept.mkdir(parents=True, exist_ok=True)
            for file in place.rglob("x.*"):
                if file.is_file():
                    shutil.copy(file, kept / f"{kind}-{seed}-{done}-{file.name}")
            first = done + 1
    return dict(counts), faults


def cases(kind, first, n, seed, folder, note):
    """Return the iterator over number, outcome and fault of a kind."""
    if kind == "models":
        from fuzz.models import run
    elif kind == "images":
        from fuzz.images import run
    elif kind == "web":
        from fuzz.web import run
    else:
        from fuzz.annotations import run
    return run(first, n, seed, folder, note)


def work(kind, first, n, seed, folder, out):
    """Run cases in this process; write counts and faults as JSON, some lines at a time."""
    from fuzz.guards import limit_memory

    limit_memory(ADDRESS_BYTES)
    progress = os.open(folder / "number", os.O_CREAT | os.O_RDWR)
    pending, faults = Counter(), []

    def flush():
        with open(out, "a", encoding="utf-8") as file:
            for i, (outcome, count) in enumerate(pending.items()):
                line = {"outcome": outcome, "n": count, "faults": faults if i == 0 else []}
                file.write(json.dumps(line) + "\n")
        pending.clear()
        faults.clear()

    def note(number):
        os.pwrite(progress, f"{number:<20}".encode(), 0)

    for number, outcome, fault in cases(kind, first, n, seed, folder, note):
        pending[outcome] += 1
        if fault:
            faults.append({"case": number, "fault": fault})
        if number % 100 == 99:
            flush()
    flush()


def versions():
    """Return what was run, and on what."""
    import llvmlite
    import numba
    import numpy
    import PIL

    import ert

    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":")[1].strip()
                break
    packages = {module.__name__: module.__version__ for module in (ert, numba, llvmlite, numpy, PIL)}
    return {"python": platform.python_version(), **packages, "cpu": cpu, "system": platform.system()}


def summary(state):
    """Return one line: counts, faults, crashes."""
    parts = []
    for kind in KINDS:
        done = [chunk for chunk in state["chunks"].values() if chunk["kind"] == kind]
        counts = sum((Counter(chunk["counts"]) for chunk in done), Counter())
        n_faults = sum(len(chunk["faults"]) for chunk in done)
        outcomes = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        parts.append(f"{kind}: {sum(counts.values())} ({outcomes}), {n_faults} faults")
    about = state["versions"]
    return "; ".join(parts) + f"; ert {about['ert']}, numba {about['numba']}, Python {about['python']}, {about['cpu']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N", help=f"number of {kind}")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kernels", nargs="+", default=["auto", "portable"], help="values of ERT_KERNELS to take turns"
    )
    parser.add_argument("--out", type=Path, default=Path("fuzz.json"), help="results, as JSON (default: fuzz.json)")
    parser.add_argument("--case", nargs=2, metavar=("KIND", "NUMBER"), help="run one case in this process")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, first, n = options.worker
        work(kind, int(first), int(n), options.seed, options.folder, options.out)
        return 0
    if options.case:
        sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]
        folder = Path(tempfile.mkdtemp(prefix="ert-fuzz-"))
        kind, number = options.case
        print(*cases(kind, int(number), 1, options.seed, folder, lambda number: None), folder, sep="\n")
        return 0
    sys.path.insert(0, str(HERE.parents[2]))
    state = {"versions": versions(), "seed": options.seed, "chunks": {}}
    if options.out.exists():
        state["chunks"] = json.loads(options.out.read_text())["chunks"]
    kept = options.out.with_suffix(".crashes")

    def do(kind, first, n, how):
        key = f"{kind} {options.seed} {first} {n}"
        if key in state["chunks"]:
            return
        begin = time.monotonic()
        counts, faults = run_chunk(kind, first, n, how, options.seed, kept)
        part = {"kind": kind, "kernels": how, "counts": counts, "faults": faults[:MAX_FAULTS_KEPT]}
        state["chunks"][key] = part | {"seconds": round(time.monotonic() - begin, 1)}
        temporary = options.out.with_suffix(".part")
        temporary.write_text(json.dumps(state, indent=1))
        temporary.replace(options.out)
        print(f"{key} {how}: {counts}, {len(faults)} faults, {state['chunks'][key]['seconds']} s", flush=True)
        for fault in faults[:20]:
            print("  ", json.dumps(fault)[:600], flush=True)

    plans = [list(chunks(kind, getattr(options, kind), options.kernels)) for kind in KINDS]
    with ThreadPoolExecutor(options.jobs) as pool:
        # The kinds take turns, so that a run that is interrupted has some of each.
        for number in range(max(map(len, plans))):
            for kind, plan in zip(KINDS, plans, strict=True):
                if number < len(plan):
                    pool.submit(do, kind, *plan[number])
    print(summary(state))
    bad = any(chunk["faults"] for chunk in state["chunks"].values())
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
