"""A web service under load: 16 clients send 5,000 requests to examples/service.py over the loopback interface.

    python benchmarks/service.py
    python benchmarks/service.py --requests 200    # a short test, writes nothing

Needs ``pip install ".[benchmarks]"``. The requests are drawn faces as PNG and JPEG with their boxes, a photo in which
the face is detected, damaged images, and boxes outside the image. Each answer is compared with that of the same
function called in one thread of this process. The resident memory of the server is read 50 times.
"""

import http.client
import io
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import common
import numpy as np

N_CLIENTS, N_FACES = 16, 60
EXAMPLES = common.ROOT / "examples"


def make_requests(locate):
    """Return pairs of a request (body, query) and its answer (status, decoded JSON): a round of all kinds."""
    from PIL import Image

    import ert
    from ert.datasets.synthetic import synthetic_faces

    images, boxes, _ = synthetic_faces(N_FACES, seed=5, size=160)
    requests = []
    for i, (image, box) in enumerate(zip(images, boxes, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG" if i % 2 else "PNG")
        requests.append((buffer.getvalue(), ",".join(map(str, box))))
    photo = ert.sample_image().read_bytes()
    requests += [(photo, None), (photo, None)]
    for body, box in requests[:2]:
        requests += [(body[: len(body) // 2], box), (body, "900,900,50,50")]
    return [(each, locate(*each)[::-1]) for each in requests]


@contextmanager
def server():
    """Run the service; yield its port and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "service:app", "--app-dir", str(EXAMPLES), "--port", str(port)]
    path = os.pathsep.join([str(common.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen([*command, "--log-level", "warning"], env=os.environ | {"PYTHONPATH": path})
    try:
        for _ in range(600):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def memory_mb(pid):
    """Return the resident memory of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run_clients(port, pid, requests, n_clients, n_requests):
    """Send requests in turn from several clients; return milliseconds, wrong answers, seconds and memory in MB."""
    numbers, lock = itertools.count(), threading.Lock()
    milliseconds, wrong, memory = np.zeros(n_requests), [], []

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            with lock:
                number = next(numbers)
            if number >= n_requests:
                break
            (body, box), expected = requests[number % len(requests)]
            begin = time.perf_counter()
            connection.request("POST", "/landmarks" if box is None else f"/landmarks?box={box}", body)
            response = connection.getresponse()
            answer = response.status, json.loads(response.read())
            milliseconds[number] = 1e3 * (time.perf_counter() - begin)
            if answer != expected:
                wrong.append(number)
            if number % max(n_requests // 50, 1) == 0:
                memory.append(memory_mb(pid))
        connection.close()

    begin = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return milliseconds, wrong, time.perf_counter() - begin, memory


def percentiles(milliseconds):
    """Return the median, the 90th and 99th percentile, and the maximum."""
    values = np.percentile(milliseconds, [50, 90, 99, 100]).tolist()
    return dict(zip(("median ms", "p90 ms", "p99 ms", "max ms"), values, strict=True))


def main():
    options = common.arguments(__doc__, requests=5000, clients=N_CLIENTS)
    sys.path.insert(0, str(EXAMPLES))
    import service

    requests, load = make_requests(service.locate), os.getloadavg()
    direct = np.array([_clock(service.locate, *request) for request, _ in requests for _ in range(5)])
    with server() as (port, pid):
        # The first requests find everything loaded and compiled.
        run_clients(port, pid, requests, options.clients, len(requests))
        alone = run_clients(port, pid, requests, 1, options.requests // 5)
        many = run_clients(port, pid, requests, options.clients, options.requests)
    milliseconds, wrong, seconds, memory = many
    fifth = len(memory) // 5
    result = {
        "requests": options.requests,
        "clients": options.clients,
        "threads of the server": os.cpu_count(),
        "load of the machine before": load,
        "a round of requests": {"with a box": N_FACES, "detection": 2, "refused": len(requests) - N_FACES - 2},
        "wrong answers": len(wrong) + len(alone[1]),
        "requests per second": options.requests / seconds,
        "memory MB": {
            "after a fifth": max(memory[: fifth + 1]),
            "at most afterwards": max(memory[fifth:]),
            "at the end": memory[-1],
        },
        f"{options.clients} clients": percentiles(milliseconds),
        "one client": percentiles(alone[0]) | {"requests per second": len(alone[0]) / alone[2]},
        "one thread without HTTP": percentiles(direct),
    }
    if options.requests < 5000:
        print(json.dumps(result, indent=1))
    else:
        common.save_result("service", result)


def _clock(function, *args):
    begin = time.perf_counter()
    function(*args)
    return 1e3 * (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
