"""Train a heat-map network for landmarks on the CPU, and predict the photos that it was not trained on.

    pip install torch --index-url https://download.pytorch.org/whl/cpu
    python benchmarks/heatmap_network.py cephalograms --size 384 --minutes 60 --out ceph.csv --json ceph.json
    python benchmarks/heatmap_network.py wings --fold 1/5 --minutes 25
    python benchmarks/heatmap_network.py my_landmarks.csv --fold 1/5

A small U-Net, without pretrained weights, sees the whole photo in gray and gives a heat map for each landmark. The
first argument is a set of benchmarks/objects.py or a file of annotations. Without --fold, the official split of a set
is used; with --fold K/N, folds of its training photos. Minutes are those of the processor, of all threads; a run that
was interrupted goes on from its checkpoint (--checkpoint), and one that is complete only predicts.
"""

import dataclasses
import json
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import common
import cv2
import numpy as np
import torch
from network_parts import Block, autocast, composed, moved
from objects import describe, located, split
from torch import nn

# Channels from the input to the smallest maps, each half the size of those before; heat maps have half the size of the
# photo.
WIDTHS = (24, 48, 96, 128, 128)
BATCH = 8
LEARNING_RATE = 2e-3
# Standard deviation of a landmark's heat map, and half the side of the window around its maximum whose center of mass
# is the landmark, in pixels of heat maps.
SIGMA, WINDOW = 1.5, 4
ROLL_DEGREES, LOG_SCALE, SHIFT = 20, 0.2, 0.08
SAVE_SECONDS = 60


class UNet(nn.Module):
    """Gray photos (n, 1, h, w), sides multiples of 32, to logits of heat maps (n, n_landmarks, h / 2, w / 2)."""

    def __init__(self, n_landmarks):
        super().__init__()
        self.down = nn.ModuleList(Block(a, b, 2) for a, b in pairwise((1, *WIDTHS)))
        deepest_first = WIDTHS[::-1]
        self.up = nn.ModuleList(Block(a + b, b) for a, b in pairwise(deepest_first))
        self.maps = nn.Conv2d(WIDTHS[0], n_landmarks, 1)

    def forward(self, x):  # noqa: D102
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, level in zip(self.up, levels[-2::-1], strict=True):
            x = nn.functional.interpolate(x, size=level.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, level], dim=1))
        return self.maps(x)


class Canvas:
    """The size (height, width) that all photos are fitted into, of multiples of 32 pixels."""

    def __init__(self, images, size):
        sides = np.array([image.shape for image in images])
        sides = sides * size / sides.max(axis=1, keepdims=True)
        self.shape = tuple(int(32 * np.ceil(side / 32)) for side in sides.max(axis=0))

    def transform(self, image):
        """Return the 2 x 3 matrix from pixels of a photo to those of the canvas, scaled to fit and centered."""
        height, width = image.shape
        scale = min(self.shape[0] / height, self.shape[1] / width)
        x = (self.shape[1] - scale * width + scale - 1) / 2
        y = (self.shape[0] - scale * height + scale - 1) / 2
        return np.array([[scale, 0, x], [0, scale, y]])

    def draw(self, image, matrix):
        """Return a photo on the canvas."""
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        if scale < 1:  # Without this, only 4 pixels of the photo would be read for each of the canvas.
            image = cv2.GaussianBlur(image, (0, 0), max(0.3 / scale, 0.1))
        return cv2.warpAffine(image, matrix, self.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def random_change(canvas, rng):
    """Return the 2 x 3 matrix of a random rotation, scaling and shift of a canvas."""
    height, width = canvas.shape
    roll, scale = rng.uniform(-ROLL_DEGREES, ROLL_DEGREES), np.exp(rng.uniform(-LOG_SCALE, LOG_SCALE))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), roll, scale)
    matrix[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * (width, height)
    return matrix


def changed_gray(pixels, rng):
    """Randomly change brightness, contrast and gamma of gray pixels, blur them, and add noise."""
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.2))
    pixels = (pixels / 255.0) ** np.exp(rng.uniform(-0.4, 0.4))
    pixels = (pixels - 0.5) * np.exp(rng.uniform(-0.3, 0.3)) + 0.5 + rng.uniform(-0.15, 0.15)
    return pixels + rng.normal(0, rng.uniform(0, 0.05), pixels.shape)


def to_input(pixels):
    return torch.from_numpy(np.stack(pixels).astype(np.float32)[:, None]) * 4 - 2


def loss(logits, landmarks):
    """Return the cross-entropy of heat maps with Gaussians around the landmarks (n, n_landmarks, 2) that are inside."""
    _, _, height, width = logits.shape
    x, y = ((torch.as_tensor(landmarks, dtype=torch.float32) - 0.5) / 2).unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    columns = torch.exp(-((torch.arange(width) - x[..., None]) ** 2) / (2 * SIGMA**2))
    rows = torch.exp(-((torch.arange(height) - y[..., None]) ** 2) / (2 * SIGMA**2))
    target = (rows[..., :, None] * columns[..., None, :]).flatten(2)[inside]
    target = target / target.sum(dim=1, keepdim=True)
    logs = torch.log_softmax(logits.float().flatten(2)[inside], dim=1)
    return -(target * logs).sum(dim=1).mean()


def peaks(logits):
    """Return the landmarks (n, n_landmarks, 2) in pixels of the canvas."""
    heat = torch.softmax(logits.float().flatten(2), dim=2).reshape(logits.shape).numpy()
    n, n_landmarks, height, width = heat.shape
    top, left = np.unravel_index(heat.reshape(n, n_landmarks, -1).argmax(axis=2), (height, width))
    offsets = np.arange(-WINDOW, WINDOW + 1)
    rows, columns = top[..., None] + offsets, left[..., None] + offsets
    padded = np.pad(heat, ((0, 0), (0, 0), (WINDOW, WINDOW), (WINDOW, WINDOW)))
    first, second = np.ogrid[:n, :n_landmarks]
    around = padded[
        first[..., None, None], second[..., None, None], rows[..., :, None] + WINDOW, columns[..., None, :] + WINDOW
    ]
    around /= around.sum(axis=(2, 3), keepdims=True)
    x = (around.sum(axis=2) * columns).sum(axis=2)
    y = (around.sum(axis=3) * rows).sum(axis=2)
    return 2 * np.stack([x, y], axis=-1) + 0.5


class Training:
    """A network and what its training needs to go on after an interrupt."""

    def __init__(self, images, landmarks, size, seed, checkpoint):
        torch.manual_seed(seed)
        self.images, self.landmarks = images, landmarks
        self.canvas = Canvas(images, size)
        self.network = UNet(landmarks.shape[1])
        self.optimizer = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=1e-2)
        self.rng = np.random.default_rng(seed)
        self.seconds, self.steps, self.checkpoint = 0.0, 0, checkpoint
        if checkpoint and checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.bit_generator.state = json.loads(state["rng"])
            self.seconds, self.steps = state["seconds"], state["steps"]

    def save(self):
        """Write the checkpoint."""
        if not self.checkpoint:
            return
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"rng": json.dumps(self.rng.bit_generator.state), "seconds": self.seconds, "steps": self.steps}
        unfinished = self.checkpoint.with_suffix(".part")
        torch.save(state, unfinished)
        os.replace(unfinished, self.checkpoint)

    def batch(self):
        """Return randomly changed photos (BATCH, 1, h, w) and their landmarks on the canvas."""
        chosen = self.rng.integers(len(self.images), size=BATCH)
        pixels, shapes = [], []
        for i in chosen:
            matrix = composed(random_change(self.canvas, self.rng), self.canvas.transform(self.images[i]))
            pixels.append(changed_gray(self.canvas.draw(self.images[i], matrix), self.rng))
            shapes.append(moved(matrix, self.landmarks[i]))
        return to_input(pixels), np.stack(shapes)

    def run(self, seconds):
        """Train until so many seconds of processor time are spent; the learning rate rises and falls once."""
        self.network.train()
        begin, before, saved = time.process_time(), self.seconds, self.seconds
        recent = []
        while self.seconds < seconds:
            done = self.seconds / seconds
            rate = done / 0.1 if done < 0.1 else (1 + np.cos(np.pi * (done - 0.1) / 0.9)) / 2
            for group in self.optimizer.param_groups:
                group["lr"] = LEARNING_RATE * max(float(rate), 1e-3)
            pixels, shapes = self.batch()
            with autocast():
                logits = self.network(pixels)
            error = loss(logits, shapes)
            self.optimizer.zero_grad()
            error.backward()
            self.optimizer.step()
            recent.append(error.item())
            self.steps += 1
            self.seconds = before + time.process_time() - begin
            if self.seconds - saved > SAVE_SECONDS or self.seconds >= seconds:
                saved = self.seconds
                self.save()
                print(f"{self.seconds:.0f} s, {self.steps} steps, loss {np.mean(recent):.3f}", flush=True)
                recent = []

    def predict(self, image):
        """Return the landmarks (n_landmarks, 2) of a gray photo."""
        self.network.eval()
        matrix = self.canvas.transform(image)
        with torch.inference_mode(), autocast():
            (found,) = peaks(self.network(to_input([self.canvas.draw(image, matrix) / 255.0])))
        return (found - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


def main():
    import ert
    from ert.datasets.formats import write_dataset

    parser = common.parser(__doc__, fold="", minutes=60.0, size=256, threads=1, seed=0, checkpoint="", out="", json="")
    parser.add_argument("dataset", help="a set of benchmarks/objects.py, or a file of annotations")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test = split(options.data, options.dataset, options.fold)
    photos, of_test = ([common.dlib_gray(ert.load_image(file)) for file in part.files] for part in (train, test))
    checkpoint = Path(options.checkpoint) if options.checkpoint else None
    training = Training(photos, train.y, options.size, options.seed, checkpoint)
    training.run(60 * options.minutes)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(training.network.state_dict(), file := Path(folder) / "network.pt")
        result = located(training.predict, of_test, training.seconds, file)
    shapes = np.array(result["landmarks"])
    if options.out:
        write_dataset(dataclasses.replace(test, landmarks=shapes), options.out)
    if options.json:
        how = {"size": options.size, "steps": training.steps, "torch": torch.__version__}
        Path(options.json).write_text(json.dumps(result | how))
    print(json.dumps(describe(test, shapes), indent=1))


if __name__ == "__main__":
    main()
