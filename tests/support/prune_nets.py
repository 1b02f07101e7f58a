"""Toy nets, and the surroundings of a fit: seeded samples, and a clock that follows arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from perfsuite.config.checking import make_pass
from perfsuite.domain.recipe import Edits, PassContext, PassUse, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.measure.macs import count_module
from perfsuite.passes.prune.channels import Member
from perfsuite.passes.prune.prune import Prune
from perfsuite.training.plan import SgdPlan

Clock = Callable[[nn.Module, Inputs], float]
SIDE, CLASSES = 8, 4


def pictures(samples: int = 2, seed: int = 0, channels: int = 3) -> Inputs:
    rng = np.random.default_rng(seed)
    return {"image": rng.normal(size=(samples, channels, SIDE, SIDE)).astype(np.float32)}


class Toy(nn.Module):
    """A net of the given layers; `forward` is the function `how(net, *inputs)`."""

    def __init__(self, how: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.how = how

    def forward(self, *given: Any) -> Any:
        return self.how(self, *given)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a net in evaluation mode, with statistics as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = make()
        for name, buffer in net.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.3)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
    return net.eval()


def conv(inside: int, outside: int, kernel: int = 3, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, **{"padding": kernel // 2, **more})


def pooled(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3))


def pair(between: Callable[[torch.Tensor], torch.Tensor] = functional.relu, **more: Any) -> Toy:
    """Return two convolutions of 16 channels, `a` and `b`, with a function between them."""
    layers = {"a": conv(3, 16), "b": conv(16, 16), "head": nn.Linear(16, CLASSES), **more}
    return Toy(lambda net, x: net.head(pooled(net.b(between(net.a(x))).relu())), **layers)


def vgg() -> nn.Module:
    """conv, norm, ReLU, pool; conv, ReLU, pool; then flattened (8 channels of 2x2), two linear."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, CLASSES)),
    )


class Block(nn.Module):
    """A basic block; its shortcut is a convolution (option B) or padding with zeros (option A)."""

    def __init__(self, inside: int, outside: int, option: str = "") -> None:
        super().__init__()
        stride = 2 if option else 1
        self.conv1, self.norm1 = conv(inside, outside, stride=stride), nn.BatchNorm2d(outside)
        self.conv2, self.norm2 = conv(outside, outside), nn.BatchNorm2d(outside)
        self.shortcut = conv(inside, outside, 1, stride=2) if option == "B" else None
        self.option, self.missing = option, outside - inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        if self.option == "A":
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.missing))
        if self.shortcut is not None:
            x = self.shortcut(x)
        return (y + x).relu()


def resnet(option: str) -> nn.Module:
    return nn.Sequential(
        *(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), Block(8, 8), Block(8, 16, option)),
        *(Block(16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES)),
    )


class Pyramid(nn.Module):
    """A feature pyramid of two levels on a small trunk, with one head that runs over both."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = conv(3, 8, stride=2), conv(8, 16, stride=2)
        self.lateral_low, self.lateral_high = conv(8, 12, 1), conv(16, 12, 1)
        self.smooth_low, self.smooth_high = conv(12, 10), conv(12, 10)
        self.head, self.scores = conv(10, 6), conv(6, CLASSES, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        low = self.low(x).relu()
        high = self.high(low).relu()
        top = self.lateral_high(high)
        larger = functional.interpolate(top, size=low.shape[-2:], mode="nearest")
        levels = self.smooth_low(self.lateral_low(low) + larger), self.smooth_high(top)
        return [self.scores(self.head(level).relu()) for level in levels]


def by_macs(module: nn.Module, inputs: Inputs) -> float:
    """1 us a call and 1 ns a multiply-accumulate."""
    return 1e-6 + 1e-9 * count_module(module, inputs).macs


def in_stairs(module: nn.Module, inputs: Inputs) -> float:
    """1 us a call, and for each layer its MACs with channels made up to multiples of 16."""
    total = 0.0
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            outside, inside = (-(-size // 16) * 16 for size in layer.weight.shape[:2])
            total += outside * inside * layer.weight[0, 0].numel()
    return 1e-6 + 1e-9 * total


def context(
    folder: Path,
    inputs: Inputs | None = None,
    clock: Clock = by_macs,
    train: Callable[[], TrainingSet] | None = None,
    calibration: Callable[[int], Iterator[Inputs]] | None = None,
) -> PassContext:
    def own_calibration(samples: int) -> Iterator[Inputs]:
        yield pictures(samples, seed=1)

    def own_train() -> TrainingSet:
        images = np.random.default_rng(2).normal(size=(32, 3, SIDE, SIDE)).astype(np.float32)
        return TrainingSet(images, np.arange(32) % CLASSES, lambda batch, _: batch)

    def latency_s(
        candidates: Sequence[tuple[nn.Module, Inputs]], cold_bytes: int = 0
    ) -> tuple[float, ...]:
        for module, given in candidates:  # a candidate that does not run is no candidate
            with torch.no_grad():
                module(*(torch.from_numpy(array) for array in given.values()))
        return tuple(clock(*candidate) for candidate in candidates)

    return PassContext(
        inputs=pictures() if inputs is None else inputs,
        calibration=calibration or own_calibration,
        train=train or own_train,
        target=Target("onnxruntime", "cpu"),
        checkpoint=folder / "key",
        progress=lambda done, total: None,
        latency_s=latency_s,
    )


def answers(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Return what a net gives that gives a tensor or a flat list, tuple or dict of them."""
    with torch.no_grad():
        given = model.eval()(*(torch.from_numpy(array) for array in inputs.values()))
    if isinstance(given, dict):
        given = list(given.values())
    return [given] if isinstance(given, torch.Tensor) else list(given)


TUNE = SgdPlan(epochs=1, batch=8, peak_rate=0.01, bf16=False, teacher=0.5)


def wide(first: int = 64) -> nn.Module:
    return pair(a=conv(3, first), b=conv(first, 48), head=nn.Linear(48, CLASSES))


def fitted(net: nn.Module, folder: Path, clock: Any = by_macs, **fields: Any) -> Edits:
    made: Prune = make_pass(PassUse("prune", fields))  # type: ignore[assignment]
    return made.fit(net, context(folder, clock=clock))


def share_of_macs(net: nn.Module, of: nn.Module) -> float:
    return count_module(net, pictures()).macs / count_module(of, pictures()).macs


def member(name: str, side: str, width: int, axis: int = 0) -> Member:
    """Return a member with one place for each unit."""
    return Member(name, side, tuple((place,) for place in range(width)), axis)  # type: ignore[arg-type]
