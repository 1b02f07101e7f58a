"""A net, a clock and a context that the tests of the low-rank pass share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import Unsupported
from perfsuite.measure.macs import count_module
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.runner.build.edits import read_edits, write_edits

Clock = Callable[[nn.Module, Inputs], float]


def by_macs(module: nn.Module, inputs: Inputs) -> float:
    """1 us a call and 1 ns a multiply-accumulate."""
    return 1e-6 + 1e-9 * count_module(module, inputs).macs


def constant(module: nn.Module, inputs: Inputs) -> float:
    return 1e-3


def context(
    folder: Path, inputs: Inputs, clock: Clock = by_macs, asked: list[Any] | None = None
) -> PassContext:
    def calibration(samples: int) -> Iterator[Inputs]:
        raise Unsupported("these nets are tried on the inputs that are timed alone")

    def train() -> TrainingSet:
        rng = np.random.default_rng(0)
        images = rng.normal(size=(32, 3, 12, 12)).astype(np.float32)
        return TrainingSet(images, np.arange(32) % 5, lambda batch, _: batch)

    def latency_s(
        candidates: Sequence[tuple[nn.Module, Inputs]], cold_bytes: int = 0
    ) -> tuple[float, ...]:
        if asked is not None:
            asked.append(([module for module, _ in candidates], cold_bytes))
        return tuple(clock(*candidate) for candidate in candidates)

    return PassContext(
        inputs=inputs,
        calibration=calibration,
        train=train,
        target=Target("onnxruntime", "cpu"),
        checkpoint=folder / "key",
        progress=lambda done, total: None,
        latency_s=latency_s,
    )


PICTURES = {"image": np.random.default_rng(0).normal(size=(2, 3, 12, 12)).astype(np.float32)}


class Net(nn.Module):
    """A stem, two convolutions, a depthwise and a 1x1 one, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.wide = nn.Conv2d(16, 32, 3, padding=1, stride=2)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.point = nn.Conv2d(32, 32, 1)
        self.hidden = nn.Linear(32 * 36, 64)
        self.scores = nn.Linear(64, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(image)).relu()
        x = self.point(self.depthwise(self.wide(x).relu())).relu()
        return self.scores(self.hidden(x.flatten(1)).relu())


def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def answer(module: nn.Module, inputs: Inputs = PICTURES) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = module.eval()(*map(torch.from_numpy, inputs.values()))
    return result


def fresh(pass_: Lowrank, edits: Edits, folder: Path, build: Callable[[], nn.Module]) -> nn.Module:
    """Return the net as another process rebuilds it, from files."""
    write_edits(folder, edits)
    return pass_.rebuild(build(), read_edits(folder))
