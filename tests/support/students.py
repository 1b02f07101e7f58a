"""A user's file of students, for the small net with which passes are tried."""

from __future__ import annotations

from pathlib import Path

from perfsuite.testing.samples import CLASSES, SIDE

STUDENTS = f"""
import torch
from torch import nn

from perfsuite import Model, Stage, Workload


def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * {SIDE * SIDE}, {CLASSES}),
    )


class Staged(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 9, {CLASSES})

    def forward(self, image):
        return self.head(self.body(image))


STAGES = (Stage("body", ("body",)), Stage("head", ("head",)))
staged = Model(Staged, stages=STAGES)


def pretrained():
    return Workload("one", staged)
"""


def students(folder: Path, more: str = "") -> Path:
    """Return the file, written into `folder`."""
    path = folder / "my_models.py"
    path.write_text(STUDENTS + more)
    return path
