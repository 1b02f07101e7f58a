"""Your own models. A suite names the one below as "my_models.py:my_digits".

This one is small and real: it tells handwritten digits apart (scikit-learn's, 8x8 pixels). Replace
`MyNet` by your network, `split` by your data, and keep the shape of the rest.
Test what you write with `perfsuite.testing.check_workload(my_digits())`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
from torch import nn

from perfsuite import Model, Preprocessing, Stage, Task, Workload
from perfsuite.data import digits

# --- the network: plain PyTorch ---------------------------------------------------------------


class MyNet(nn.Module):
    """Three convolutions and a linear readout; takes float32 (N, 1, 8, 8), gives (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.readout = nn.Linear(128 * 2 * 2, 10)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.readout(self.features(pictures))


def build() -> nn.Module:
    """Return the network with its weights, in evaluation mode, alike each time."""
    net = MyNet()
    net.load_state_dict(weights())
    return net.eval()


@cache
def weights() -> dict[str, torch.Tensor]:
    """Return the weights by name. You will load yours: torch.load("net.pt", weights_only=True).

    To need no file, this draws the convolutions and fits the readout by ridge regression; once a
    process, as `build` is called several times.
    """
    torch.manual_seed(0)
    net = MyNet()
    pictures, labels = split("train")
    with torch.no_grad():
        features = net.features(torch.from_numpy(pictures)).numpy().astype(np.float64)
        mean = features.mean(axis=0)
        centred, wanted = features - mean, np.eye(10)[labels] - 0.1
        square = centred.T @ centred
        ridge = 0.01 * np.trace(square) / len(square) * np.eye(len(square))
        # Rounded, so that the last bits do not depend on the number of threads.
        fitted = np.linalg.solve(square + ridge, centred.T @ wanted).round(4)
        net.readout.weight.copy_(torch.from_numpy(fitted.T))
        net.readout.bias.copy_(torch.from_numpy((0.1 - mean @ fitted).round(3)))
    return net.state_dict()


# --- the task: what the network is for; everything here is NumPy ------------------------------


@cache
def split(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures and labels of "train", "calibration" or "test"; no sample is in two."""
    samples = digits.load(name)
    pictures = samples.images.reshape(-1, 1, 8, 8) / 16  # from 0 to 1
    return pictures.astype(np.float32), samples.labels


class Digits(Task):
    """Only `inputs` is required: without the rest a model is timed, but not judged."""

    metric_name = "top1"

    def inputs(self, batch: int, seed: int) -> dict[str, np.ndarray]:
        """Return a batch of realistic inputs, by name, in the order of forward's arguments."""
        pictures, _ = split("test")
        return {"pictures": pictures[np.random.default_rng(seed).integers(0, 500, batch)]}

    def calibration(self, samples: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield samples from which INT8 learns the ranges of values."""
        pictures, _ = split("calibration")
        for start in range(0, min(samples, len(pictures)), 50):
            yield {"pictures": pictures[start : min(start + 50, samples)]}

    def rows(
        self,
        predict: Callable[[dict[str, np.ndarray]], list[np.ndarray]],
        samples: int | None = None,
    ) -> np.ndarray:
        """Return one row a test sample, in a fixed order: here, 1 if the answer is right."""
        pictures, labels = (array[:samples] for array in split("test"))
        logits = predict({"pictures": pictures})[0]
        return (logits.argmax(axis=1) == labels).astype(np.float64)[:, None]

    def metric(self, rows: np.ndarray) -> float:
        """Return the share of right answers."""
        return float(rows.mean())

    def preprocessing(self) -> Preprocessing:
        """Return as data how a stored picture becomes an input: what is shipped takes it along."""
        return Preprocessing(8, 8, scale=(1 / 16,), colours="grey", input="pictures")

    def fingerprint(self) -> str:
        """Return a text that changes with the data, so that stored answers are not reused then."""
        return digits.fingerprint()


def my_digits() -> Workload:
    """Return the model and its task under one name."""
    stages = (Stage("features", ("features",)), Stage("readout", ("readout",)))
    return Workload("my_digits", Model(build, stages=stages), Digits())
