"""ResNet-20 and ResNet-56 for CIFAR-10 with other people's weights, as a user would bring a model.

    workloads = ["resnet_cifar10.py:resnet56"]    in a suite beside this file

Source: He et al. 2015 (arXiv:1512.03385), section 4.2: 6n + 2 layers, shortcuts without weights
(option A). The weights are looked for in `../shared/data/resnet-cifar10` beside the repository, or
where the environment variable PERFSUITE_RESNET_CIFAR10 says.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.model import Model, Stage
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.workloads.zoo.cifar10 import cifar10_task

if TYPE_CHECKING:
    from torch import Tensor, nn

VARIABLE = "PERFSUITE_RESNET_CIFAR10"
STAGES = (
    Stage("stem", ("conv1", "bn1", "relu")),
    Stage("layer1", ("layer1",)),
    Stage("layer2", ("layer2",)),
    Stage("layer3", ("layer3",)),
    Stage("head", ("pool", "flatten", "linear")),
)


def resnet(depth: int, classes: int = 10) -> nn.Module:
    """Return a ResNet of `depth` = 6n + 2 layers, randomly initialized.

    Takes float32 (N, 3, 32, 32), gives logits (N, classes). Raises `ConfigError` for a depth that
    is not 6n + 2.
    """
    from torch import nn
    from torch.nn import functional

    if depth < 8 or (depth - 2) % 6:
        raise ConfigError(f"resnet: depth is {depth}, but must be 6n + 2, such as 20 or 56")

    class Block(nn.Module):
        """Two convolutions and a shortcut; `step` is the stride of the first."""

        def __init__(self, inside: int, outside: int, step: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride=step, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU(inplace=True)
            self.step, self.new_channels = step, outside - inside

        def forward(self, pictures: Tensor) -> Tensor:
            shortcut = pictures
            if self.new_channels:
                # Option A: every other pixel, and zeros for the channels that are new.
                shortcut = pictures[:, :, :: self.step, :: self.step]
                before = self.new_channels // 2
                padding = (0, 0, 0, 0, before, self.new_channels - before)
                shortcut = functional.pad(shortcut, padding)
            inner = self.relu(self.bn1(self.conv1(pictures)))
            outer: Tensor = self.relu(self.bn2(self.conv2(inner)) + shortcut)
            return outer

    def layer(inside: int, outside: int, step: int) -> nn.Module:
        blocks = [Block(inside, outside, step)]
        blocks += [Block(outside, outside, 1) for _ in range((depth - 2) // 6 - 1)]
        return nn.Sequential(*blocks)

    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 16, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(16),
            relu=nn.ReLU(inplace=True),
            layer1=layer(16, 16, 1),
            layer2=layer(16, 32, 2),
            layer3=layer(32, 64, 2),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(64, classes),
        )
    )


def weights(name: str) -> Path:
    """Return the path of the weights of `name`; raises `ConfigError` if they are not there."""
    beside = Path(__file__).resolve().parents[2] / "shared/data/resnet-cifar10"
    path = Path(os.environ.get(VARIABLE) or beside) / f"{name}.safetensors"
    if not path.is_file():
        raise ConfigError(
            f"{name}: there are no weights at {path}; set {VARIABLE} to the folder that holds "
            f"{name}.safetensors"
        )
    return path


def trained(depth: int) -> nn.Module:
    """Return the trained ResNet of `depth` layers in evaluation mode."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = weights(f"resnet{depth}")
    module = resnet(depth)
    try:
        # strict=False: the files leave out the batch counters, which inference never reads.
        missing, unknown = module.load_state_dict(load_file(path), strict=False)
    except (SafetensorError, RuntimeError) as err:
        raise ConfigError(f"{path}: no weights of a ResNet-{depth}: {err}") from err
    wrong = unknown + [name for name in missing if not name.endswith("num_batches_tracked")]
    if wrong:
        raise ConfigError(f"{path}: no weights of a ResNet-{depth}: {', '.join(wrong)}")
    return module.eval()


resnet20, resnet56 = (
    Workload(f"resnet{depth}", Model(build=partial(trained, depth), stages=STAGES), cifar10_task())
    for depth in (20, 56)
)
