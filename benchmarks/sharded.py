"""Training on a Dask cluster: time of a tree on two workers against one, what they exchange, and a plan for 64.

    python benchmarks/sharded.py              # some ten minutes, 6 GB; writes figures of docs/cluster.md
    python benchmarks/sharded.py --turns 0    # keeps what was measured, and plans again
    python benchmarks/sharded.py --quick 1    # a short test, writes nothing

Drawn faces, over and over again with other errors of their landmarks, in small crops. Workers are processes of one
thread. The time of a tree is the difference of two fits with few and with more trees, in the second of two stages; one
worker and two take turns. The plan uses processor time, which other work on the machine does not change much. Beside
it, what two processes need to exchange the sums of a level over sockets, over `multiprocessing.connection` and over the
connections of `distributed`.
"""

import asyncio
import multiprocessing
import os
import socket
import time
from multiprocessing.connection import Client as Connection
from multiprocessing.connection import Listener
from statistics import median

import common
import numpy as np

N_DRAWN, IMAGE_SIZE, N_PARTITIONS = 200, 64, 32
SETTING = {"n_stages": 2, "n_inits": 10, "working_size": 32, "n_jobs": 1, "random_state": 0}
# Of the plan: defaults of ShapePredictor, but for the number of faces.
PLAN_STAGES, PLAN_TREES, PLAN_INITS, PLAN_DEPTH, PLAN_WORKERS = 10, 500, 20, 4, 64
PLAN_THREADS = 16
PLAN_FACES = 20_000, 200_000, 1_000_000, 10_000_000
# A network of 10 GbE: the time of a small message between two machines beyond what it takes within one, assumed.
BYTES_PER_SECOND, NETWORK_SECONDS = 1.25e9, 30e-6
BASIS_BYTES = 20_000 * 2 * 68 * 4
# Sums of a level of 8 nodes: 20 candidates and the whole node, 8 components and the count.
LEVEL_NUMBERS = 8 * 21 * 9
BEGIN, END = "<!-- figures of training -->", "<!-- end of figures of training -->"
KEY = b"benchmark"


def faces_of(drawn, first, n):
    """Return some faces as a partition has them."""
    images, boxes = drawn
    return [(images[i % N_DRAWN], tuple(boxes[i % N_DRAWN])) for i in range(first, first + n)]


def dataset(n):
    """Return a bag of faces and their landmarks."""
    import dask
    import dask.bag

    from ert.datasets.synthetic import synthetic_faces

    images, boxes, landmarks = synthetic_faces(N_DRAWN, seed=0, size=IMAGE_SIZE)
    drawn = dask.delayed((images, np.asarray(boxes).tolist()))
    step = -(-n // N_PARTITIONS)
    part = dask.delayed(faces_of)
    X = dask.bag.from_delayed([part(drawn, first, min(step, n - first)) for first in range(0, n, step)])
    y = landmarks[np.arange(n) % N_DRAWN] + np.random.default_rng(0).normal(0, 0.5, (n, *landmarks.shape[1:]))
    return X, y


def state(dask_worker):
    """Return the processor time of a worker, and the messages and bytes that it has sent."""
    from ert.training.sharded.rank import Rank, sent_by_rank

    (rank,) = (value for value in dask_worker.data.values() if isinstance(value, Rank))
    return time.process_time(), *sent_by_rank(rank)


def fit(n_faces, n_workers, n_trees):
    """Return seconds, those of the processor, messages and bytes of the second stage, and its leaves."""
    from distributed import Client, LocalCluster

    import ert

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=n_workers, memory_limit=None, **options) as cluster, Client(cluster) as client:
        X, y = dataset(n_faces)
        moments = []

        def note(model):
            moments.append([(time.perf_counter(), *each) for _, each in sorted(client.run(state).items())])

        model = ert.ShapePredictor(**SETTING, n_trees=n_trees).fit(X, y, on_stage=note)
    # Of the worker that takes or sends most.
    return np.diff(np.array(moments, float), axis=0)[0].max(axis=0), model.cascade_.leaves.tobytes()


def measure(n_faces, trees, turns):
    """Return seconds of a tree and of the rest of a stage, messages and bytes, for one and for two workers."""
    found, leaves = {1: [], 2: []}, {}
    for turn in range(turns):
        for n_workers in (1, 2) if turn % 2 else (2, 1):
            runs = []
            for n_trees in trees:
                result, its_leaves = fit(n_faces, n_workers, n_trees)
                assert leaves.setdefault(n_trees, its_leaves) == its_leaves, "the model depends on the workers"
                runs.append(result)
            found[n_workers].append(runs)
            print(n_faces, "faces", n_workers, "workers", runs, flush=True)
    figures = {"faces": n_faces, "samples": n_faces * SETTING["n_inits"], "trees": trees}
    names = "seconds", "processor seconds", "messages", "bytes"
    for n_workers, runs in found.items():
        runs = np.array(runs)  # turns, trees, names
        tree = (runs[:, 1] - runs[:, 0]) / (trees[1] - trees[0])
        rest = runs[:, 0] - tree * trees[0]
        figures[f"{n_workers} workers"] = {
            "a tree": dict(zip(names, np.median(tree, axis=0).tolist(), strict=True)),
            "the rest of a stage": dict(zip(names, np.median(rest, axis=0).tolist(), strict=True)),
            "seconds a tree, run by run": tree[:, 0].tolist(),
        }
    one, two = (np.array(figures[f"{n} workers"]["seconds a tree, run by run"]) for n in (1, 2))
    figures["two workers over one, trees a second"] = float(np.median(one / two))
    return figures


def over_sockets(rank, pipe, content, repeats):
    """Exchange sums with the other process as a training does; return the seconds of each."""
    from ert.training.sharded.links import connect, listen

    listener = listen("127.0.0.1")
    pipe.send(listener.getsockname())
    addresses = pipe.recv()
    links = connect(rank, listener, addresses, KEY)
    begin = time.perf_counter()
    for _ in range(repeats):
        links.sum(content)
    seconds = (time.perf_counter() - begin) / repeats
    links.close()
    return seconds


def over_connection(rank, pipe, content, repeats):
    """Exchange them over `multiprocessing.connection`."""
    listener = Listener(("127.0.0.1", 0), authkey=KEY)
    pipe.send(listener.address)
    addresses = pipe.recv()
    connection = listener.accept() if rank == 0 else Connection(addresses[0], authkey=KEY)
    with socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begin = time.perf_counter()
    for _ in range(repeats):
        connection.send_bytes(content)
        content + np.frombuffer(connection.recv_bytes(), content.dtype)
    return (time.perf_counter() - begin) / repeats


def over_distributed(rank, pipe, content, repeats):
    """Exchange them over the connections of Dask's workers."""
    from distributed.comm import connect, listen
    from distributed.protocol import to_serialize

    async def exchange(comm):
        begin = time.perf_counter()
        for _ in range(repeats):
            await comm.write({"sums": to_serialize(content)})
            content + (await comm.read())["sums"]
        seconds = (time.perf_counter() - begin) / repeats
        await comm.close()
        return seconds

    async def run():
        done = asyncio.get_running_loop().create_future()

        async def answer(comm):
            done.set_result(await exchange(comm))

        listener = await listen("tcp://127.0.0.1:0", answer, deserialize=True)
        pipe.send(listener.contact_address)
        addresses = pipe.recv()
        if rank == 0:
            return await done
        return await exchange(await connect(addresses[0], deserialize=True))

    return asyncio.run(run())


def talk(function, rank, pipe, *args):
    pipe.send(function(rank, pipe, *args))


def exchange_seconds(function, content, repeats):
    """Return the seconds of an exchange between two processes."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    processes = [
        context.Process(target=talk, args=(function, rank, pipe, content, repeats))
        for rank, (_, pipe) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    ours = [pipe for pipe, _ in pipes]
    addresses = [pipe.recv() for pipe in ours]
    for pipe in ours:
        pipe.send(addresses)
    seconds = max(pipe.recv() for pipe in ours)
    for process in processes:
        process.join()
    return seconds


def plan(sizes, exchange_seconds, message_bytes):
    """Return hours of a training by number of faces and workers, from the measured constants."""
    small, large = sizes
    # Above 0, also in the noise of a quick run.
    tree_seconds = max(large["1 workers"]["a tree"]["processor seconds"] / large["samples"], 1e-9)
    rests = [size["1 workers"]["the rest of a stage"]["processor seconds"] for size in sizes]
    rest_seconds = max((rests[1] - rests[0]) / (large["samples"] - small["samples"]), 0.0)
    serial_seconds = max(rests[0] - rest_seconds * small["samples"], 0.0)
    message_seconds = exchange_seconds + NETWORK_SECONDS + message_bytes / BYTES_PER_SECOND

    def hours(n_faces, n_workers, exchanging=True):
        """Return hours, and those of them in which workers exchange something; threads of a machine do not."""
        n, exchanged = n_faces * PLAN_INITS, 0.0
        if n_workers > 1 and exchanging:
            steps = np.ceil(np.log2(n_workers))
            exchanged = PLAN_TREES * (PLAN_DEPTH + 1) * steps * message_seconds
            exchanged += (BASIS_BYTES + 16 * n) / BYTES_PER_SECOND
        alone = serial_seconds + (PLAN_TREES * tree_seconds + rest_seconds) * n / n_workers
        return PLAN_STAGES / 3600 * (alone + exchanged), PLAN_STAGES / 3600 * exchanged

    def faces_from(condition):
        return next(int(n) for n in np.logspace(0, 9, 901) if condition(n))

    rows = []
    for n_faces in PLAN_FACES:
        total, exchanged = hours(n_faces, PLAN_WORKERS)
        # A sample: its shape, pool, residuals, scored components, order and decisions, transforms, indices; an object:
        # its landmarks twice, of all objects on each worker.
        sample, face = 544 + 400 + 64 + 16 + 8 + 48 + 16, 2 * 1088
        rows.append(
            {
                "faces": n_faces,
                "hours of a thread": hours(n_faces, 1)[0],
                "hours of a machine": hours(n_faces, PLAN_THREADS, exchanging=False)[0],
                "gigabytes of a machine": n_faces * (PLAN_INITS * sample + face) / 1e9,
                "hours": total,
                "exchange": exchanged / total,
                "gigabytes a worker": n_faces * (PLAN_INITS * sample / PLAN_WORKERS + face) / 1e9,
            }
        )
    return {
        "stages": PLAN_STAGES,
        "trees": PLAN_TREES,
        "initializations": PLAN_INITS,
        "workers": PLAN_WORKERS,
        "nanoseconds of a tree and sample": 1e9 * tree_seconds,
        "nanoseconds of the rest of a stage and sample": 1e9 * rest_seconds,
        "seconds of a stage that no number of workers divides": serial_seconds,
        "microseconds of a network, assumed": 1e6 * NETWORK_SECONDS,
        "microseconds of a message": 1e6 * message_seconds,
        "bytes a message": message_bytes,
        "rows": rows,
        "threads of a machine": PLAN_THREADS,
        "faces from which more than half of the time is computing": faces_from(
            lambda n: hours(n, 1)[0] / hours(n, PLAN_WORKERS)[0] > PLAN_WORKERS / 2
        ),
        "faces from which workers are twice as fast as a machine": faces_from(
            lambda n: 2 * hours(n, PLAN_WORKERS)[0] < hours(n, PLAN_THREADS, exchanging=False)[0]
        ),
    }


def figure_lines(result):
    """Return the figures as lines of docs/cluster.md."""
    exchange, plan = result["microseconds of an exchange"], result["plan"]
    load = max(result["load_average"][when][0] for when in ("before", "after"))
    lines = [
        f"A level of a tree of 8 nodes is an exchange of {result['bytes of an exchange'] / 1e3:.0f} kB with each of "
        f"log2(workers) others. Between two processes of one machine it takes {exchange['sockets']:.0f} µs over the "
        f"sockets of the training, {exchange['multiprocessing.connection']:.0f} µs over "
        f"`multiprocessing.connection` and {exchange['distributed']:.0f} µs over the connections of `distributed`.",
        "",
        "A tree, by the clock and in processor time of each worker:",
        "",
        "| faces | samples | one worker | two workers | times as fast | by processor time | messages | bytes |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in result["sizes"]:
        one, two = (size[f"{n} workers"]["a tree"] for n in (1, 2))
        times = [f"{1e3 * each['seconds']:.0f} ms, {1e3 * each['processor seconds']:.1f} ms" for each in (one, two)]
        lines.append(
            f"| {size['faces']:,} | {size['samples']:,} | {times[0]} | {times[1]} | "
            f"{size['two workers over one, trees a second']:.2f} | "
            f"{one['processor seconds'] / two['processor seconds']:.2f} | {two['messages']:.0f} | {two['bytes']:,.0f} |"
        )
    rest = result["sizes"][1]["2 workers"]["the rest of a stage"]
    lines += [
        "",
        f"Workers are processes of one thread, on a machine of {result['cores']} cores whose load average was "
        f"{load:.1f} before or after the run: where that is not near 2, the clock counts other work too. "
        f"Besides, a worker sends {rest['bytes'] / 1e6:.1f} MB in {rest['messages']:.0f} messages a stage.",
        "",
        f"The plan: {plan['stages']} stages of {plan['trees']} trees, {plan['initializations']} initializations, "
        f"{plan['workers']} workers of one thread on 10 GbE. A tree takes "
        f"{plan['nanoseconds of a tree and sample']:.0f} ns a sample, "
        f"and a message {plan['microseconds of a message']:.0f} µs, of which "
        f"{plan['microseconds of a network, assumed']:.0f} µs are assumed for the network; "
        f"{plan['seconds of a stage that no number of workers divides']:.1f} s of a stage are spent by all.",
        "",
        f"| faces | one thread | a machine of {plan['threads of a machine']} threads | its memory | "
        f"{plan['workers']} workers | exchanging | memory of each |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in plan["rows"]:
        lines.append(
            f"| {row['faces']:,} | {duration(row['hours of a thread'])} | {duration(row['hours of a machine'])} | "
            f"{row['gigabytes of a machine']:.1f} GB | {duration(row['hours'])} | {row['exchange']:.0%} | "
            f"{row['gigabytes a worker']:.1f} GB |"
        )
    half, twice = (round_up(plan[name]) for name in plan if name.startswith("faces "))
    million = next(row for row in plan["rows"] if row["faces"] == 10**6)
    lines += [
        "",
        f"From {half:,} faces on, the workers compute for more than half of their time, and from {twice:,} on they are "
        f"twice as fast as the machine. **Below a million faces a cluster does not pay**: by this plan, one machine "
        f"trains on a million in {60 * million['hours of a machine']:.0f} minutes, and {plan['workers']} workers save "
        f"{60 * (million['hours of a machine'] - million['hours']):.0f} of them.",
    ]
    return lines


def duration(hours):
    """Return hours, or minutes where they are few."""
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def round_up(n):
    """Return a number with two digits."""
    step = 10 ** max(len(str(n)) - 2, 0)
    return -(-n // step) * step


def measured(options, trees, repeats):
    """Return everything that is measured."""
    before = os.getloadavg()
    content = np.zeros(LEVEL_NUMBERS, np.int64)
    exchange = {
        name: 1e6 * median(exchange_seconds(function, content, repeats) for _ in range(3))
        for name, function in (
            ("sockets", over_sockets),
            ("multiprocessing.connection", over_connection),
            ("distributed", over_distributed),
        )
    }
    print(exchange, flush=True)
    few, many = trees
    return {
        "setting": SETTING,
        "bytes of an exchange": content.nbytes,
        "microseconds of an exchange": exchange,
        "sizes": [measure(options.small, few, options.turns), measure(options.large, many, 1 + options.turns // 3)],
        "load_average": {"before": before, "after": os.getloadavg()},
    }


def main():
    options = common.arguments(__doc__, small=20_000, large=200_000, turns=3, quick=0)
    few, many, repeats = (20, 80), (10, 40), 3000
    if options.quick:
        options.small, options.large, options.turns, few, many, repeats = 200, 1000, 1, (2, 6), (2, 6), 200
    result = measured(options, (few, many), repeats) if options.turns else common.result("sharded")
    sizes, exchange = result["sizes"], result["microseconds of an exchange"]["sockets"] / 1e6
    result["plan"] = plan(sizes, exchange, sizes[1]["2 workers"]["a tree"]["bytes"] / (PLAN_DEPTH + 1))
    if options.quick:
        print(result, *figure_lines({"cores": os.cpu_count()} | result), sep="\n")
        return
    common.save_result("sharded", result)
    lines = figure_lines(common.result("sharded"))
    common.write_figures(common.ROOT / "docs" / "cluster.md", lines, BEGIN, END)


if __name__ == "__main__":
    main()
