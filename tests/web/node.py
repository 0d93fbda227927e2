"""Node for tests, and jobs that it runs: see `jobs.mjs`."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
WEB = HERE.parents[1] / "ert" / "web"
SECONDS = 120


def node(script, *args):
    """Run a script in Node and return what it prints; the test is skipped without Node."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs node (apt-get install nodejs)")
    # With threads of its own, Node can wait for itself at its end, seldom and for ever (nodejs/node issue 54918).
    command = [program, "--single-threaded", str(script), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Jobs:
    """Predictions to be made in Python now, and in Node by `results`."""

    def __init__(self, folder):
        self.folder, self.jobs, self.expected, self.images = folder, [], [], {}

    def add(self, model, path, image, box, *, mode="fast", roll=0.0, assess=False, node_mode=None):
        """Ask for a prediction of the model in a file."""
        if id(image) not in self.images:
            name = self.folder / f"image{len(self.images)}.raw"
            name.write_bytes(np.ascontiguousarray(image).tobytes())
            self.images[id(image)] = name, image
        name, _ = self.images[id(image)]
        job = {"model": str(path), "image": str(name), "width": image.shape[1], "height": image.shape[0]}
        self.jobs.append(job | {"box": list(box), "mode": node_mode or mode, "roll": roll, "assess": assess})
        landmarks = model.predict([(image, box)], mode, rolls=[roll] if roll else None)
        found = {"landmarks": landmarks[0].ravel()}
        if assess:
            assessment = model.assess([(image, box)], landmarks)
            found |= {"std": assessment.std[0], "within": assessment.within[0], "confidence": assessment.confidence[0]}
        self.expected.append(found)

    def differences(self):
        """Return for each job the largest difference of each of its results."""
        jobs = self.folder / "jobs.json"
        jobs.write_text(json.dumps(self.jobs))
        results = json.loads(node(HERE / "run.mjs", jobs))
        assert len(results) == len(self.jobs)
        errors = [(job, result["error"]) for job, result in zip(self.jobs, results, strict=True) if "error" in result]
        assert not errors
        return [
            {name: float(np.abs(np.subtract(result[name], value)).max()) for name, value in found.items()}
            for found, result in zip(self.expected, results, strict=True)
        ]
