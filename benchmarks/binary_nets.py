"""A residual net for CIFAR-10 whose channels are those where bits pay: 64, 128, 256 and 512.

    workloads = ["binary_nets.py:resnet10"]    in a suite beside this file

Source: He et al. 2015 (arXiv:1512.03385), ResNet-18 with one block of two 3x3 convolutions for
each width instead of two, and a first layer for 32x32 pictures. Shortcuts have no weights: where
channels double, pictures are averaged to half their sides and channels are repeated.

    python benchmarks/binary_nets.py    trains it, and writes weights and a card
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.model import Model, Stage
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.training.plan import SgdPlan
from perfsuite.workloads.zoo.cifar10 import cifar10_task

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)
# For vgg16-cifar10, too, this is a plan of as many epochs with whole pictures.
PLAN = SgdPlan(epochs=40, batch=256, peak_rate=0.2, cutouts=((0, 8),))
VARIABLE = "PERFSUITE_RESNET10"
STAGES = (
    Stage("stem", ("conv1", "bn1", "relu1")),
    *(Stage(f"block{i}", (f"block{i}",)) for i in range(1, 5)),
    Stage("head", ("pool", "flatten", "linear")),
)


def net(classes: int = 10) -> nn.Module:
    """Return the net, randomly initialized: float32 (N, 3, 32, 32) to logits (N, classes)."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        """Two convolutions and a shortcut; `stride` is that of the first."""

        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.relu1 = nn.ReLU()
            self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.relu2 = nn.ReLU()
            self.stride, self.repeats = stride, outside // inside

        def forward(self, pictures: Tensor) -> Tensor:
            shortcut = pictures
            if self.stride > 1:
                shortcut = functional.avg_pool2d(
                    shortcut, self.stride, ceil_mode=True, count_include_pad=False
                )
            if self.repeats > 1:
                shortcut = torch.cat([shortcut] * self.repeats, dim=1)
            inner = self.relu1(self.bn1(self.conv1(pictures)))
            outer: Tensor = self.relu2(self.bn2(self.conv2(inner)) + shortcut)
            return outer

    blocks = {
        f"block{i + 1}": Block(WIDTHS[max(0, i - 1)], width, 2 if i else 1)
        for i, width in enumerate(WIDTHS)
    }
    module = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(WIDTHS[0]),
            relu1=nn.ReLU(),
            **blocks,
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(WIDTHS[-1], classes),
        )
    )
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module


def weights() -> Path:
    """Return the path of the weights; raises `ConfigError` if they are not there."""
    beside = Path(__file__).resolve().parent / "resnet10.safetensors"
    path = Path(os.environ.get(VARIABLE) or beside)
    if not path.is_file():
        raise ConfigError(
            f"resnet10: there are no weights at {path}; train them (python "
            f"benchmarks/binary_nets.py), or set {VARIABLE} to the file"
        )
    return path


def trained() -> nn.Module:
    """Return the trained net in evaluation mode."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, module = weights(), net()
    try:
        module.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise ConfigError(f"{path}: no weights of resnet10: {error}") from error
    return module.eval()


resnet10 = Workload("resnet10", Model(build=trained, stages=STAGES), cifar10_task())


def main() -> None:
    """Train the net and write its weights beside this file."""
    import torch
    from safetensors.torch import save_file

    from perfsuite.training.loop import train

    torch.manual_seed(PLAN.seed)
    module, data = net(), cifar10_task().train()
    path = Path(__file__).resolve().parent / "resnet10.safetensors"
    train(module, data, PLAN, checkpoint=path.with_suffix(".pt"))
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, path)


if __name__ == "__main__":
    main()
