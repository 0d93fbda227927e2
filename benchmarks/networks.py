"""Two networks of well-known tutorials for landmarks of faces, compared with `face68` in error, time and size.

    pip install -e ".[networks]"                      # torch, on the CPU
    python benchmarks/networks.py train resnet18      # to runs/resnet18.pt; --minutes 10 stops after so long
    python benchmarks/networks.py train cnn           # to runs/cnn.pt
    python benchmarks/networks.py measure --final 1   # all that is in runs/, on the 330 test faces of HELEN

`resnet18` is a ResNet18 without pretrained weights, whose first and last layers are changed for gray crops and 136
numbers, trained on the 2012 training faces of 300-W in boxes of both detectors, with rotation, offsets and changes of
brightness and contrast. `cnn` has five convolutions and two full layers, and is trained on frames of YouTube Faces.
Both minimize the mean squared error. Training that was stopped goes on from its checkpoint: call the same command
again. On two cores an epoch of resnet18 at 224 pixels takes some minutes, and its 40 epochs some hours.

With --fold K/N, a part of the training faces is left out of training, and measured in place of the test faces. The
heat-map network of face_network.py is measured if there is runs/network.pt, dlib's default options if there is
runs/dlib_default.dat. All get the same gray images and boxes, and take turns in one process, on one and two threads.
"""

import dataclasses
import os
import time
from pathlib import Path
from types import SimpleNamespace

import common
import cv2
import numpy as np
import torch
from face_network import Frame, Marker, Network, left_out
from model_card import estimate
from network_parts import Block, autocast, moved
from torch import nn
from train_vs_dlib import THEIRS

RUNS = common.ROOT / "runs"
N_LANDMARKS = 68
DETECTORS = ("dlib", "haar")
# The side of the rectangle around the landmarks in a crop of side 1, where crops are cut around a detector's box.
FACE_SIDE = 0.7
ROLL_DEGREES, SHIFT, LIGHT = 10.0, 0.05, 0.3
LEARNING_RATE = 1e-3
SAVE_SECONDS = 60


def residual(n_in, n_out, stride):
    """Return a block of a ResNet (He et al., CVPR 2016)."""
    skip = nn.Identity()
    if stride > 1 or n_in != n_out:
        skip = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
    return Block(n_in, n_out, stride, skip)


def resnet18():
    """Return a ResNet18 (He et al., CVPR 2016) of gray images to 136 numbers."""
    layers = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    n_in = 64
    for width in (64, 128, 256, 512):
        layers += [residual(n_in, width, 1 if width == 64 else 2), residual(width, width, 1)]
        n_in = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2 * N_LANDMARKS))


def five_layers(side):
    """Return a network of five convolutions and two full layers of gray images to 136 numbers."""
    layers, n_in = [], 1
    for width, kernel in ((32, 5), (64, 3), (128, 3), (256, 3), (512, 1)):
        layers += [nn.Conv2d(n_in, width, kernel), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        n_in = width
    body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3))
    with torch.inference_mode():
        n_features = body(torch.zeros(1, 1, side, side)).shape[1]
    return nn.Sequential(
        body, nn.Linear(n_features, 1024), nn.ReLU(), nn.Dropout(0.3), nn.Linear(1024, 2 * N_LANDMARKS)
    )


@dataclasses.dataclass
class Place:
    """Where the rectangle around the landmarks typically lies in square regions of side 1: center and side."""

    center: np.ndarray
    side: float

    @classmethod
    def measured(cls, shapes, boxes):
        """Return the means over objects, for boxes (n, 4)."""
        low, high = shapes.min(axis=1), shapes.max(axis=1)
        sides = boxes[:, 2:].mean(axis=1)
        offsets = ((low + high) / 2 - boxes[:, :2] - boxes[:, 2:] / 2) / sides[:, None]
        return cls(offsets.mean(axis=0), float(((high - low).mean(axis=1) / sides).mean()))

    def crop_matrix(self, box, in_crop, crop_side):
        """Return the matrix (2, 3) from the image to a crop in which the face of a box has the place `in_crop`."""
        box_side = np.mean(box[2:])
        side = box_side * self.side / in_crop.side
        center = np.add(box[:2], np.divide(box[2:], 2)) + box_side * self.center - side * in_crop.center
        scale = crop_side / side
        # Coordinates are those of the centers of pixels.
        return np.column_stack([np.eye(2) * scale, crop_side / 2 - 0.5 - scale * center])


@dataclasses.dataclass
class Faces:
    """Gray images of faces, their landmarks (n, 68, 2), and boxes (n, 4) by detector."""

    images: list
    landmarks: np.ndarray
    boxes: dict

    @classmethod
    def read(cls, data, split):
        """Read the faces of 300-W."""
        import ert

        table = data / "300w" / "boxes.csv"
        sets = {name: ert.load_dataset(data / "300w", boxes=f"{table}:{name}", split=split) for name in DETECTORS}
        faces = sets["dlib"]
        images = [common.dlib_gray(ert.load_image(file)) for file in faces.files]
        boxes = {name: np.asarray(each.boxes, float) for name, each in sets.items()}
        return cls(images, np.asarray(faces.y, float), boxes)

    @classmethod
    def read_frames(cls, data):
        """Read the frames of YouTube Faces, tightly cropped: the box is a square of the frame's mean side."""
        import ert

        frames = ert.load_dataset(
            data / "ytf" / "training_frames_keypoints.csv", image_folder=data / "ytf" / "training"
        )
        images = [common.dlib_gray(ert.load_image(file)) for file in frames.files]
        extents = np.array([image.shape[::-1] for image in images], float)
        sides = extents.mean(axis=1, keepdims=True)
        return cls(images, np.asarray(frames.y, float), {"frame": np.hstack([(extents - sides) / 2, sides, sides])})

    def chosen(self, mask):
        """Return some of the faces."""
        images = [image for image, kept in zip(self.images, mask, strict=True) if kept]
        return Faces(images, self.landmarks[mask], {name: boxes[mask] for name, boxes in self.boxes.items()})


def build(name, side):
    return resnet18() if name == "resnet18" else five_layers(side)


class Training:
    """A network and what its training needs to go on after an interrupt."""

    def __init__(self, name, faces, file, options):
        torch.manual_seed(options.seed)
        self.name, self.faces, self.file, self.options = name, faces, file, options
        self.places = {of: Place.measured(faces.landmarks, boxes) for of, boxes in faces.boxes.items()}
        self.in_crop = self.places.get("frame", Place(np.zeros(2), FACE_SIDE))
        self.network = build(name, options.side).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), options.rate)
        self.steps, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.n_steps = options.epochs * (len(faces.images) // options.batch)
        self.settings = {"side": options.side, "epochs": options.epochs, "batch": options.batch, "rate": options.rate}
        self.settings |= {"seed": options.seed, "fold": options.fold, "faces": len(faces.images)}
        if file.exists():
            state = torch.load(file, weights_only=True)
            if state["settings"] != self.settings:
                raise SystemExit(f"{file}: expected a checkpoint of {self.settings}, got one of {state['settings']}")
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.steps, self.seconds, self.cpu_seconds = (state[key] for key in ("steps", "seconds", "cpu_seconds"))

    def save(self):
        """Write the checkpoint."""
        state = {key: getattr(self, key) for key in ("name", "settings", "steps", "n_steps", "seconds", "cpu_seconds")}
        state |= {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        state["in_crop"] = [*map(float, self.in_crop.center), self.in_crop.side]
        unfinished = self.file.with_suffix(".part")
        torch.save(state, unfinished)
        os.replace(unfinished, self.file)

    def batch(self):
        """Return randomly changed crops, and where their landmarks are (n, 136), from -0.5 to 0.5.

        They depend on the number of the step only, so that an interrupt changes nothing.
        """
        size, side = self.options.batch, self.options.side
        epoch, number = divmod(self.steps, len(self.faces.images) // size)
        order = np.random.default_rng([self.options.seed, epoch]).permutation(len(self.faces.images))
        rng = np.random.default_rng([self.options.seed, epoch, number])
        crops, targets = [], []
        for i in order[number * size : (number + 1) * size]:
            of = list(self.places)[rng.integers(len(self.places))]
            matrix = self.places[of].crop_matrix(self.faces.boxes[of][i], self.in_crop, side)
            change = cv2.getRotationMatrix2D(((side - 1) / 2,) * 2, rng.uniform(-ROLL_DEGREES, ROLL_DEGREES), 1.0)
            change[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * side
            matrix = np.column_stack([change[:, :2] @ matrix[:, :2], change[:, :2] @ matrix[:, 2] + change[:, 2]])
            pixels = crop(self.faces.images[i], matrix, side)
            contrast, brightness = rng.uniform(1 - LIGHT, 1 + LIGHT, 2)
            crops.append(((pixels - pixels.mean()) * contrast + pixels.mean() * brightness).clip(0, 1))
            targets.append((moved(matrix, self.faces.landmarks[i]) + 0.5) / side - 0.5)
        return to_input(crops), torch.from_numpy(np.float32(targets)).flatten(1)

    def run(self):
        """Train until all steps are done, or the minutes of this call are over."""
        self.network.train()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        before, before_cpu, saved, recent = self.seconds, self.cpu_seconds, begin, []
        while self.steps < self.n_steps:
            done = self.steps / self.n_steps
            rate = done / 0.05 if done < 0.05 else (1 + np.cos(np.pi * (done - 0.05) / 0.95)) / 2
            for group in self.optimizer.param_groups:
                group["lr"] = self.options.rate * max(float(rate), 1e-3)
            torch.manual_seed(self.options.seed + self.steps)  # of the dropout
            pixels, targets = self.batch()
            with autocast():
                found = self.network(pixels)
            error = nn.functional.mse_loss(found.float(), targets)
            self.optimizer.zero_grad()
            error.backward()
            self.optimizer.step()
            recent.append(error.item())
            self.steps += 1
            now = time.perf_counter()
            self.seconds, self.cpu_seconds = before + now - begin, before_cpu + time.process_time() - begin_cpu
            over = now - begin > 60 * self.options.minutes
            if now - saved > SAVE_SECONDS or over or self.steps == self.n_steps:
                saved = now
                self.save()
                root = 100 * np.sqrt(np.mean(recent))
                print(f"{self.seconds:.0f} s, step {self.steps} of {self.n_steps}, {root:.2f} % of a crop", flush=True)
                recent = []
            if over:
                break


def crop(image, matrix, side):
    """Return a crop of a gray image, from 0 to 1."""
    scale = matrix[0, 0] if matrix[0, 1] == 0 else np.sqrt(np.linalg.det(matrix[:, :2]))
    if scale < 0.8:  # Without this, only 4 pixels of the image would be read for each of the crop.
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    return cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE).astype(np.float32) / 255


def to_input(crops):
    return torch.from_numpy(np.float32(crops)[:, None]).to(memory_format=torch.channels_last) * 4 - 2


class Regression:
    """A trained network that predicts the landmarks of a face in the box of a detector."""

    def __init__(self, file, places, fold):
        state = torch.load(file, weights_only=True)
        check_fold(file, state["settings"]["fold"], fold)
        self.side, self.places = state["settings"]["side"], places
        self.in_crop = Place(np.array(state["in_crop"][:2]), state["in_crop"][2])
        self.network = build(state["name"], self.side).to(memory_format=torch.channels_last).eval()
        self.network.load_state_dict(state["network"])
        self.facts = {"training seconds": state["seconds"], "training seconds of cores": state["cpu_seconds"]}
        self.facts |= state["settings"] | {"steps": state["steps"], "of steps": state["n_steps"]}
        self.facts["MB"] = megabytes(state["network"])

    def predict(self, image, box, detector):
        """Return the landmarks (68, 2)."""
        matrix = self.places[detector].crop_matrix(box, self.in_crop, self.side)
        with torch.inference_mode(), autocast():
            found = self.network(to_input([crop(image, matrix, self.side)]))[0]
        found = (found.float().numpy().reshape(-1, 2) + 0.5) * self.side - 0.5
        return (found - matrix[:, 2]) / matrix[0, 0]


def check_fold(file, trained, measured):
    """Stop where a network has seen the faces that it is measured on."""
    if trained != measured:
        raise SystemExit(f"{file}: the network was trained with --fold {trained!r}, not {measured!r}")


def heat_map_network(file, train, fold, rolls, n_passes):
    """Return what predicts with the network of face_network.py, and facts about it."""
    from ert.model.schemes import FACE68_MIRROR

    state = torch.load(file, weights_only=True)
    check_fold(file, state.get("fold", fold), fold)
    network = Network().to(memory_format=torch.channels_last)
    network.load_state_dict(state["network"])
    frame = Frame(train.landmarks, train.boxes)
    mirror = [*FACE68_MIRROR, 69, 68, 70, 72, 71]
    marker = Marker(SimpleNamespace(network=network, frame=frame, mirror=mirror), rolls)

    def predict(image, box, detector):
        return marker.mark([image], [frame.of_box(box, detector)], n_passes)[0][0]

    return predict, {"steps": state["steps"], "MB": megabytes(state["network"])}


def megabytes(weights):
    return sum(each.numel() * each.element_size() for each in weights.values()) / 1e6


def methods(options, train):
    """Return for each method what predicts (image, box, detector) to landmarks, and facts about it."""
    import ert
    from ert._core.files import bundled_models

    model = ert.load(options.model)
    size = bundled_models().get(options.model, Path(options.model)).stat().st_size / 1e6

    def ours(mode):
        return lambda image, box, detector: model.predict([(image, box)], mode)[0]

    found = {"face68": (ours("fast"), {"MB": size}), "face68, accurate": (ours("accurate"), {"MB": size})}
    if THEIRS.exists():
        import dlib

        predictor = dlib.shape_predictor(str(THEIRS))
        theirs = lambda image, box, detector: common.dlib_predict(predictor, [image], [box])[0]  # noqa: E731
        found["dlib, default options"] = theirs, {"MB": THEIRS.stat().st_size / 1e6}
    places = {name: Place.measured(train.landmarks, boxes) for name, boxes in train.boxes.items()}
    for name, words in (("resnet18", "ResNet18"), ("cnn", "CNN of five layers, YouTube Faces")):
        file = options.runs / f"{name}.pt"
        if file.exists():
            network = Regression(file, places, options.fold)
            found[words] = network.predict, network.facts
    file = options.runs / "network.pt"
    if file.exists():
        found["heat-map network, one pass and its mirror image"] = heat_map_network(file, train, options.fold, (0,), 1)
        found["heat-map network, eight passes"] = heat_map_network(file, train, options.fold, (-10, 10), 2)
    return found


def milliseconds(found, faces, n_faces, rounds):
    """Return the median times of a face and their quartiles; the methods take turns on every face."""
    calls = [(name, predict) for name, (predict, _) in found.items()]
    times = {name: [] for name, _ in calls}
    for number in range(rounds + 1):
        for i in range(n_faces):
            first = (i + number) % len(calls)
            for name, predict in calls[first:] + calls[:first]:
                begin = time.perf_counter_ns()
                predict(faces.images[i], faces.boxes["dlib"][i], "dlib")
                if number:  # The first round warms up.
                    times[name].append((time.perf_counter_ns() - begin) / 1e6)
    return {
        name: dict(zip(("low", "median", "high"), np.quantile(each, [0.25, 0.5, 0.75]), strict=True))
        for name, each in times.items()
    }


def measure(options):
    """Write the errors, times and sizes of all methods."""
    from ert.metrics import nme

    train = Faces.read(options.data, "train")
    out = left_out(len(train.images), options.fold)
    faces = Faces.read(options.data, "test") if options.final else train.chosen(out)
    found = methods(options, train.chosen(~out))
    rows = {}
    for name, (predict, facts) in found.items():
        rows[name] = {"facts": facts, "NME inter-pupil": {}, "milliseconds": {}}
        for detector in DETECTORS:
            shapes = [predict(*face, detector) for face in zip(faces.images, faces.boxes[detector], strict=True)]
            rows[name]["NME inter-pupil"][detector] = estimate(nme(faces.landmarks, np.array(shapes), "inter-pupil"))
        print(name, rows[name]["NME inter-pupil"], flush=True)
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        for name, times in milliseconds(found, faces, min(options.timed, len(faces.images)), options.rounds).items():
            rows[name]["milliseconds"][f"{n_threads} threads"] = {key: float(value) for key, value in times.items()}
    faces_of = "test faces of HELEN" if options.final else f"faces of fold {options.fold} of the training faces"
    how = {"faces": len(faces.images), "faces of": faces_of, "torch": torch.__version__, "load": os.getloadavg()}
    result = how | {"methods": rows}
    common.save_result("networks", result) if options.final else print(rows)


def main():
    options = {"side": 224, "epochs": 40, "batch": 32, "rate": LEARNING_RATE, "minutes": 1e6, "threads": 2, "seed": 0}
    options |= {"fold": "", "model": "face68", "final": 0, "timed": 60, "rounds": 5}
    parser = common.parser(__doc__, **options)
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of checkpoints")
    parser.add_argument("command", choices=["train", "measure"])
    parser.add_argument("network", choices=["resnet18", "cnn"], nargs="?")
    options = parser.parse_args()
    if (options.command == "train") != bool(options.network):
        parser.error("expected a network for train, and none for measure")
    if options.command == "measure" and bool(options.fold) == bool(options.final):
        parser.error("measure: expected --fold K/N or --final 1")
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    options.runs.mkdir(parents=True, exist_ok=True)
    if options.command == "measure":
        measure(options)
        return
    if options.network == "cnn":
        faces = Faces.read_frames(options.data)
    else:
        faces = Faces.read(options.data, "train")
        faces = faces.chosen(~left_out(len(faces.images), options.fold))
    Training(options.network, faces, options.runs / f"{options.network}.pt", options).run()


if __name__ == "__main__":
    main()
