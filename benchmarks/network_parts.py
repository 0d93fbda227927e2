"""Shared by the networks of the benchmarks: a block of convolutions, half precision, transforms of crops."""

import numpy as np
import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions, added to their input after `skip`: by default the mean of a stride and a convolution."""

    def __init__(self, n_in, n_out, stride=1, skip=None):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.skip = skip or nn.Sequential(
            nn.AvgPool2d(stride) if stride > 1 else nn.Identity(), nn.Conv2d(n_in, n_out, 1, bias=False)
        )

    def forward(self, x):  # noqa: D102
        return torch.relu(self.body(x) + self.skip(x))


def autocast():
    """Half-precision convolutions where the processor has them: twice as fast."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.backends.cpu.get_cpu_capability() == "AVX512")


def moved(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def composed(second, first):
    return np.vstack([second, [0, 0, 1]])[:2] @ np.vstack([first, [0, 0, 1]])
