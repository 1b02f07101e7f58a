"""A small net with its samples, the context of a pass, and requirements, for all checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.model import InputSpec, Model
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, Outputs, Predict, Task, TrainingSet, main_metric
from perfsuite.domain.workload import Workload
from perfsuite.measure.macs import count_module
from perfsuite.workloads.tasks.classification import top1_rows

if TYPE_CHECKING:
    from torch import nn

SIDE, CLASSES = 8, 5
SPEC = (InputSpec("image", "float32", ("batch", 3, SIDE, SIDE)),)
OUTPUTS = ("logits",)
PRODUCTS = 3  # convolutions and matrix products of `small_net`
TRAINING, VALIDATION = 64, 40  # samples
BATCH = 16  # of calibration
FORBIDDEN = "/\\*?[]"  # in names, because they separate the parts of keys or stand in globs


def require(condition: bool, message: str) -> None:
    """Raise `AssertionError` unless the condition holds, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def require_name(name: object, whose: str) -> None:
    """Raise unless `name` may stand in a cell's key."""
    good = isinstance(name, str) and name != "" and name.isprintable()
    good = good and not any(char in FORBIDDEN or char.isspace() for char in str(name))
    require(
        good,
        f"{whose}: its name is {name!r}; it stands in keys such as net/int8/openvino/cpu/b1, so it "
        f"must not be empty and have no spaces and none of {' '.join(FORBIDDEN)}",
    )


def pictures(batch: int, seed: int = 0) -> Inputs:
    """Return seeded standard normal pictures for `small_net`."""
    rng = np.random.default_rng([seed, batch])
    return {"image": rng.normal(size=(batch, 3, SIDE, SIDE)).astype(np.float32)}


def small_net() -> nn.Module:
    """Return conv, batch norm, ReLU, max-pool, conv, linear: the same weights at each call."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (SIDE // 2) ** 2, CLASSES),
        )
        # Statistics as after training, so that a pass which loses them changes the answers.
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.3)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return module.eval()


class _Pictures(Task):
    """Seeded noise; training targets are the labels 0 to 4, as are those of validation."""

    metric_name = "top1"

    def inputs(self, batch: int, seed: int) -> Inputs:
        return pictures(batch, seed)

    def calibration(self, samples: int) -> Iterator[Inputs]:
        for start in range(0, samples, BATCH):
            yield pictures(min(BATCH, samples - start), seed=start + 1)

    def train(self) -> TrainingSet:
        images = pictures(TRAINING)["image"]
        return TrainingSet(images, np.arange(TRAINING) % CLASSES, lambda batch, _: batch)

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        count = samples or VALIDATION
        return top1_rows(predict(pictures(count, seed=1_000_000)), np.arange(count) % CLASSES)

    def metric(self, rows: np.ndarray) -> float:
        return float(rows[:, 0].mean())


def small_workload() -> Workload:
    """Return the small net with samples of noise."""
    return Workload("the small net", Model(small_net), _Pictures())


def context(workload: Workload, target: Target, folder: Path) -> PassContext:
    """Return the context of a pass: the samples of the workload's task, and scripted times."""
    task = workload.task
    return PassContext(
        inputs=task.inputs(workload.model.batch or 1, 0),
        calibration=task.calibration,
        train=task.train,
        target=target,
        checkpoint=folder / "checkpoint",
        progress=lambda done, total: None,
        latency_s=_latency_s,
        validation=task.validation,
        metric=partial(main_metric, task),
    )


def _latency_s(
    candidates: Sequence[tuple[nn.Module, Inputs]], cold_bytes: int = 0
) -> tuple[float, ...]:
    """Return scripted times, 1 us for a call and 1 ns for each MAC, the same on every machine."""
    return tuple(1e-6 + 1e-9 * count_module(*candidate).macs for candidate in candidates)


def check_like(who: str, answers: Outputs, expected: Outputs) -> None:
    """Raise unless answers have the shapes and types of the expected ones, and are finite."""
    found, wanted = ([f"{a.dtype} {a.shape}" for a in each] for each in (answers, expected))
    require(found == wanted, f"{who} gives outputs of shape {found}; the model gives {wanted}")
    require(
        all(bool(np.isfinite(answer).all()) for answer in answers),
        f"{who} gives NaN or infinite values",
    )
