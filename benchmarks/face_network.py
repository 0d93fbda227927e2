"""Train a heat-map network for 68 landmarks of faces on the CPU, and mark faces that have no 68 landmarks.

    pip install torch --index-url https://download.pytorch.org/whl/cpu
    python benchmarks/face_network.py train runs/network.pt [--fold 0/4] [--steps 11000]
    python benchmarks/face_network.py mark runs/network.pt runs/marked.npz [--fold 0/4]
    python benchmarks/face_network.py train runs/second.pt --marked runs/marked.npz --start runs/network.pt

A small U-Net without pretrained weights. It learns the 68 landmarks from the training faces of 300-W, and on the side,
with maps of their own, the 5 points of the faces of `mtfl`: so that it has seen those faces before it marks them.
With --marked, it learns the 68 landmarks of those faces too, as they were marked; --start gives weights to begin with.
With --fold K/N, a part of the training faces is left out. `mark` writes the landmarks of all faces of `mtfl`, and
prints the errors of the left-out faces in boxes of the detectors. Training that was interrupted goes on from its
checkpoint.
"""

import dataclasses
import json
import os
import time
from itertools import pairwise
from pathlib import Path

import common
import cv2
import numpy as np
import torch
from network_parts import Block, autocast, composed, moved
from torch import nn

# Channels of the maps, from half the side of a crop to its 32nd part.
WIDTHS = (32, 64, 128, 192, 256)
CROP_SIDE = 128
# The side of the square around the 68 landmarks of a mean face, in a crop of side 1.
FACE_SIDE = 0.68
N_LANDMARKS, N_POINTS = 68, 5
# Of a batch, the faces with 68 landmarks, and those with 5 points.
BATCH, BATCH_POINTS = 12, 4
LEARNING_RATE = 1.5e-3
# Standard deviation of a landmark's heat map, in pixels of heat maps.
SIGMA = 1.2
ROLL_DEGREES, LOG_SCALE, SHIFT = 30, 0.22, 0.09
SAVE_STEPS = 500
# Error inter-pupil of a failure, in percent.
FAILURE = 10


class Network(nn.Module):
    """Gray crops (n, 1, side, side) to logits of heat maps (n, 73, side / 2, side / 2)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, WIDTHS[0], 5, 2, 2, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True)
        )
        self.first = Block(WIDTHS[0], WIDTHS[0])
        self.down = nn.ModuleList(Block(a, b, 2) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(Block(a + b, b) for a, b in pairwise(WIDTHS[::-1]))
        self.maps = nn.Conv2d(WIDTHS[0], N_LANDMARKS + N_POINTS, 1)

    def forward(self, x):  # noqa: D102
        x = self.first(self.stem(x))
        levels = [x]
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, level in zip(self.up, levels[-2::-1], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = block(torch.cat([x, level], dim=1))
        return self.maps(x)


def expected(logits):
    """Return the means (n, n_maps, 2) and standard deviations (n, n_maps) of heat maps, in pixels of crops."""
    _, _, height, width = logits.shape
    heat = torch.softmax(logits.float().flatten(2), dim=2).reshape(logits.shape)
    columns, rows = heat.sum(dim=2), heat.sum(dim=3)
    x_of, y_of = torch.arange(width) * 1.0, torch.arange(height) * 1.0
    x, y = (columns * x_of).sum(-1), (rows * y_of).sum(-1)
    variance = (columns * x_of**2).sum(-1) - x**2 + (rows * y_of**2).sum(-1) - y**2
    return 2 * torch.stack([x, y], dim=-1) + 0.5, 2 * variance.clamp(min=0).sqrt()


def loss(logits, landmarks):
    """Return the cross-entropy of heat maps with Gaussians around the landmarks, plus the distance of their means.

    `landmarks` (n, n_maps, 2) are in pixels of crops; those that are NaN or outside do not count.
    """
    _, _, height, width = logits.shape
    x, y = ((torch.as_tensor(landmarks, dtype=torch.float32) - 0.5) / 2).unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    columns = torch.exp(-((torch.arange(width) - x[inside][:, None]) ** 2) / (2 * SIGMA**2))
    rows = torch.exp(-((torch.arange(height) - y[inside][:, None]) ** 2) / (2 * SIGMA**2))
    target = (rows[:, :, None] * columns[:, None, :]).flatten(1)
    target = target / target.sum(dim=1, keepdim=True)
    chosen = logits.float().flatten(2)[inside]
    entropy = -(target * torch.log_softmax(chosen, dim=1)).sum(dim=1).mean()
    means, _ = expected(chosen.reshape(1, -1, height, width))
    distance = (means[0] - 0.5) / 2 - torch.stack([x[inside], y[inside]], dim=-1)
    return entropy + distance.abs().sum(dim=-1).mean()


def similarity(source, target):
    """Return the least-squares similarity (2, 3) from points to points."""
    center, goal = source.mean(axis=0), target.mean(axis=0)
    z, w = (source - center) @ (1, 1j), (target - goal) @ (1, 1j)
    factor = np.vdot(z, w) / np.vdot(z, z).real
    matrix = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([matrix, goal - matrix @ center])


def eyes_and_mouth(shapes):
    """Return the centers of the eyes and the corners of the mouth (..., 4, 2) of 68 landmarks."""
    eyes = [shapes[..., list(part), :].mean(axis=-2) for part in (range(36, 42), range(42, 48))]
    return np.stack([*eyes, shapes[..., 48, :], shapes[..., 54, :]], axis=-2)


class Frame:
    """Where faces lie in a crop: the similarities from the pixels of an image."""

    def __init__(self, shapes, boxes):
        from ert.model.procrustes import typical_shape

        mean = np.asarray(typical_shape(shapes))
        low, high = mean.min(axis=0), mean.max(axis=0)
        self.shape = ((mean - (low + high) / 2) * FACE_SIDE / (high - low).mean() + 0.5) * CROP_SIDE - 0.5
        self.points = eyes_and_mouth(self.shape)
        self.in_box = {name: self._in_box(shapes, of) for name, of in boxes.items()}

    @staticmethod
    def _in_box(shapes, boxes):
        centers, sides = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].mean(axis=1)
        return ((shapes - centers[:, None]) / sides[:, None, None]).mean(axis=0)

    def of_shape(self, shape):
        """Return the similarity that takes 68 landmarks to their places in a crop."""
        return similarity(shape, self.shape)

    def of_points(self, points):
        """Return the similarity for the centers of the eyes and the corners of the mouth (4, 2)."""
        return similarity(points, self.points)

    def of_box(self, box, detector):
        """Return the similarity for the box of a detector."""
        box = np.asarray(box, float)
        return self.of_shape(self.in_box[detector] * box[2:].mean() + box[:2] + box[2:] / 2)


def cut(image, matrix):
    """Return a crop of a gray image."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.8:  # Without this, only 4 pixels of the image would be read for each of the crop.
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    return cv2.warpAffine(
        image, matrix, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def jitter(rng):
    """Return the 2 x 3 matrix of a random rotation, scaling and shift of a crop."""
    roll, scale = rng.uniform(-ROLL_DEGREES, ROLL_DEGREES), np.exp(rng.uniform(-LOG_SCALE, LOG_SCALE))
    matrix = cv2.getRotationMatrix2D(((CROP_SIDE - 1) / 2,) * 2, roll, scale)
    matrix[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * CROP_SIDE
    return matrix


def changed(pixels, rng):
    """Randomly reduce, blur, light, occlude and compress a crop of uint8, as cameras and hands do."""
    side = len(pixels)
    if rng.random() < 0.25:
        small = int(side / rng.uniform(1.2, 3))
        pixels = cv2.resize(cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 60))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_GRAYSCALE)
    light = (pixels / 255.0) ** np.exp(rng.uniform(-0.5, 0.5))
    light = (light - 0.5) * np.exp(rng.uniform(-0.4, 0.4)) + 0.5 + rng.uniform(-0.2, 0.2)
    if rng.random() < 0.3:
        slope = rng.normal(0, 0.35, 2)
        along = np.linspace(-1, 1, side)
        light *= np.exp(slope[0] * along + slope[1] * along[:, None])
    light += rng.normal(0, rng.uniform(0, 0.04), light.shape)
    if rng.random() < 0.35:
        height, width = rng.integers(side // 8, side // 2, 2)
        top, left = rng.integers(-height // 2, side - height // 2), rng.integers(-width // 2, side - width // 2)
        area = np.s_[max(top, 0) : top + height, max(left, 0) : left + width]
        light[area] = rng.uniform(0, 1) + rng.normal(0, rng.uniform(0, 0.3), light[area].shape)
    return light.clip(0, 1)


def to_input(pixels):
    batch = torch.from_numpy(np.stack(pixels).astype(np.float32)[:, None]) * 4 - 2
    return batch.to(memory_format=torch.channels_last)


@dataclasses.dataclass
class Faces:
    """Gray images of 300-W and `mtfl`, with their landmarks, boxes and points."""

    images: list
    landmarks: np.ndarray  # (n, 68, 2)
    boxes: dict  # of each detector (n, 4)
    photos: list
    points: np.ndarray  # (n, 5, 2)
    held_out: np.ndarray  # of the photos, bool

    @classmethod
    def read(cls, data):
        """Read the training faces of 300-W, and all of `mtfl`."""
        import ert

        table = data / "300w" / "boxes.csv"
        sets = {
            name: ert.load_dataset(data / "300w", boxes=f"{table}:{name}", split="train") for name in ("dlib", "haar")
        }
        faces = sets["dlib"]
        files, points, _, held_out = common.mtfl(data)
        return cls(
            [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in faces.files],
            np.asarray(faces.y, float),
            {name: np.asarray(of.boxes, float) for name, of in sets.items()},
            [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files],
            points,
            held_out,
        )


def left_out(n, fold):
    """Return which of n faces belong to fold "K/N", drawn with seed 0; none of "" does."""
    mask = np.zeros(n, bool)
    if fold:
        number, n_folds = map(int, fold.split("/"))
        mask[np.array_split(np.random.default_rng(0).permutation(n), n_folds)[number]] = True
    return mask


class Training:
    """A network and what its training needs to go on after an interrupt."""

    def __init__(self, faces, fold, seed, file, marked=None, start=None):
        from ert.model.schemes import FACE68_MIRROR

        torch.manual_seed(seed)
        self.faces, self.file, self.fold = faces, file, fold
        train = ~left_out(len(faces.images), fold)
        self.labelled = np.flatnonzero(train)
        self.pointed = np.flatnonzero(~faces.held_out)
        self.frame = Frame(faces.landmarks[train], {name: boxes[train] for name, boxes in faces.boxes.items()})
        self.mirror = [*FACE68_MIRROR, 69, 68, 70, 72, 71]
        self.marked = None if marked is None else np.load(marked)["photos"]
        self.network = Network().to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=1e-2)
        self.rng = np.random.default_rng(seed)
        self.steps = 0
        if start is not None:
            self.network.load_state_dict(torch.load(start, weights_only=True)["network"])
        if file.exists():
            state = torch.load(file, weights_only=True)
            # Checkpoints had no fold once.
            if state.get("fold", fold) != fold:
                raise SystemExit(f"{file}: the network was trained with --fold {state['fold']!r}, not {fold!r}")
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.bit_generator.state = json.loads(state["rng"])
            self.steps = state["steps"]

    def save(self):
        """Write the checkpoint."""
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"rng": json.dumps(self.rng.bit_generator.state), "steps": self.steps}
        state["fold"] = self.fold
        unfinished = self.file.with_suffix(".part")
        torch.save(state, unfinished)
        os.replace(unfinished, self.file)

    def example(self, image, points, matrix):
        """Return a randomly changed crop, mirrored or not, and its points."""
        matrix = composed(jitter(self.rng), matrix)
        pixels, points = cut(image, matrix), moved(matrix, points)
        if self.rng.random() < 0.5:
            pixels, points = np.ascontiguousarray(pixels[:, ::-1]), points[self.mirror] * [-1, 1] + [CROP_SIDE - 1, 0]
        return changed(pixels, self.rng), points

    def batch(self):
        """Return randomly changed crops and their points (n, 73, 2), NaN where there is none."""
        faces, frame, examples = self.faces, self.frame, []
        for i in self.rng.choice(self.labelled, BATCH):
            points = np.full((N_LANDMARKS + N_POINTS, 2), np.nan)
            points[:N_LANDMARKS] = faces.landmarks[i]
            examples.append(self.example(faces.images[i], points, frame.of_shape(faces.landmarks[i])))
        for i in self.rng.choice(self.pointed, BATCH_POINTS):
            points = np.full((N_LANDMARKS + N_POINTS, 2), np.nan)
            points[N_LANDMARKS:] = faces.points[i]
            if self.marked is not None:
                points[:N_LANDMARKS] = self.marked[i]
            examples.append(self.example(faces.photos[i], points, frame.of_points(faces.points[i][[0, 1, 3, 4]])))
        return to_input([pixels for pixels, _ in examples]), np.stack([points for _, points in examples])

    def run(self, n_steps, learning_rate=LEARNING_RATE):
        """Train until `n_steps` are done; the learning rate rises and falls once."""
        self.network.train()
        begin, recent = time.perf_counter(), []
        while self.steps < n_steps:
            done = self.steps / n_steps
            rate = done / 0.05 if done < 0.05 else (1 + np.cos(np.pi * (done - 0.05) / 0.95)) / 2
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate * max(float(rate), 1e-3)
            pixels, points = self.batch()
            with autocast():
                logits = self.network(pixels)
            error = loss(logits, points)
            self.optimizer.zero_grad()
            error.backward()
            self.optimizer.step()
            recent.append(error.item())
            self.steps += 1
            if self.steps % 100 == 0:
                print(f"{time.perf_counter() - begin:.0f} s, step {self.steps}, loss {np.mean(recent):.3f}", flush=True)
                recent = []
            if self.steps % SAVE_STEPS == 0 or self.steps >= n_steps:
                self.save()


class Marker:
    """Marks faces: the mean of a crop's heat maps and those of its mirror image, in views rolled to either side."""

    def __init__(self, training, rolls=(-10, 10)):
        self.network, self.frame, self.mirror = training.network.eval(), training.frame, training.mirror
        center = ((CROP_SIDE - 1) / 2,) * 2
        self.views = [cv2.getRotationMatrix2D(center, roll, 1.0) for roll in rolls]

    def locate(self, images, matrices):
        """Return the points (n, 73, 2), and the standard deviations (n, 73) of their maps, in pixels of images."""
        views = [[composed(view, matrix) for view in self.views] for matrix in matrices]
        crops = [cut(image, view) / 255.0 for image, of in zip(images, views, strict=True) for view in of]
        with torch.inference_mode(), autocast():
            means, spreads = expected(self.network(to_input(crops + [crop[:, ::-1] for crop in crops])))
        shape = 2, len(images), len(self.views), N_LANDMARKS + N_POINTS
        straight, mirrored = means.numpy().astype(float).reshape(*shape, 2)
        mirrored = (mirrored * [-1, 1] + [CROP_SIDE - 1, 0])[:, :, self.mirror]
        points = np.array(
            [
                [(found - view[:, 2]) @ np.linalg.inv(view[:, :2]).T for found, view in zip(both, of, strict=True)]
                for both, of in zip((straight + mirrored) / 2, views, strict=True)
            ]
        )
        scales = np.sqrt([np.linalg.det(matrix[:, :2]) for matrix in matrices])
        return points.mean(axis=1), spreads.numpy().reshape(shape).mean(axis=(0, 2)) / scales[:, None]

    def mark(self, images, matrices, n_passes=2):
        """Return the 68 landmarks (n, 68, 2) and their spreads (n, 68), cropped once more around those found."""
        shapes, spreads = [], []
        for first in range(0, len(images), BATCH):
            some, places = images[first : first + BATCH], matrices[first : first + BATCH]
            for _ in range(n_passes):
                points, around = self.locate(some, places)
                places = [self.frame.of_shape(shape) for shape in points[:, :N_LANDMARKS]]
            shapes.append(points[:, :N_LANDMARKS])
            spreads.append(around[:, :N_LANDMARKS])
        return np.concatenate(shapes), np.concatenate(spreads)


def mark_all(training, out, fold):
    """Write the landmarks of all photos of `mtfl`, and print the errors of left-out faces in boxes of the detectors."""
    from ert.metrics import nme

    faces, marker, frame = training.faces, Marker(training), training.frame
    out_of_fold = np.flatnonzero(left_out(len(faces.images), fold))
    left_images, truth = [faces.images[i] for i in out_of_fold], faces.landmarks[out_of_fold]
    for detector, boxes in faces.boxes.items() if fold else ():
        found, _ = marker.mark(left_images, [frame.of_box(boxes[i], detector) for i in out_of_fold])
        errors = nme(truth, found, "inter-pupil")
        failed = 100 * (errors > FAILURE).mean()
        print(f"left-out faces, boxes {detector}: NME inter-pupil {errors.mean():.3f} %, failures {failed:.1f} %")
    on_photos = [frame.of_points(points[[0, 1, 3, 4]]) for points in faces.points]
    photos, photo_spreads = marker.mark(faces.photos, on_photos)
    np.savez_compressed(out, photos=photos.astype(np.float32), photo_spreads=photo_spreads.astype(np.float32))


def main():
    parser = common.parser(__doc__, fold="", steps=11000, rate=LEARNING_RATE, threads=2, seed=0, marked="", start="")
    parser.add_argument("command", choices=["train", "mark"])
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    options = parser.parse_args()
    if (options.command == "mark") != bool(options.out):
        parser.error("expected a file to write for mark, and none for train")
    if options.command == "mark" and not options.network.exists():
        parser.error(f"{options.network}: there is no such network, expected one of train")
    options.network.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    marked, start = (Path(file) if file else None for file in (options.marked, options.start))
    faces = Faces.read(options.data)
    training = Training(faces, options.fold, options.seed, options.network, marked, start)
    if options.command == "train":
        training.run(options.steps, options.rate)
    else:
        mark_all(training, options.out, options.fold)


if __name__ == "__main__":
    main()
