"""What benchmarks/gpu.toml and gpu_check.py measure: torchvision's nets, and cuDNN turned off.

The weights are random and seeded: the time of a net does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite import Model, Stage, Task, Workload
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.domain.task import Inputs
from perfsuite.runtimes.pytorch.runtime import PyTorch

if TYPE_CHECKING:
    from torch import nn

SIDE = 224
DRAWN = 1_000_003  # a prime, so that no two filters are alike
RESIDUAL = 0.2  # the scale of residual branches: with 1, rounding errors grow 50-fold


class Pictures(Task):
    """Seeded noise in the size and the range of normalized pictures of ImageNet."""

    def inputs(self, batch: int, seed: int) -> Inputs:
        rng = np.random.default_rng([batch, seed])
        return {"pictures": rng.normal(size=(batch, 3, SIDE, SIDE)).astype(np.float32)}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        for index in range(samples):
            yield self.inputs(1, 1_000_000 + index)

    def fingerprint(self) -> str:
        return f"noise {SIDE}"


def _filled(build: Callable[[], Any]) -> nn.Module:
    """Return the net with seeded random weights, of the sizes with which torchvision begins.

    Drawing all 138 million of VGG-16 takes seconds, and each process does it: some are drawn, and
    repeated.
    """
    import torch
    from torch import nn

    with torch.device("meta"):
        module: nn.Module = build()
    module.to_empty(device="cpu")
    drawn = np.random.default_rng(0).standard_normal(DRAWN, np.float32)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()
            elif isinstance(part, nn.Conv2d | nn.Linear):
                kernel = part.weight[0, 0].numel() if isinstance(part, nn.Conv2d) else 1
                scale = (2.0 / (len(part.weight) * kernel)) ** 0.5
                values = np.resize(drawn, part.weight.numel()).reshape(part.weight.shape)
                part.weight.copy_(torch.from_numpy(values)).mul_(scale)
                if part.bias is not None:
                    part.bias.zero_()
    return module.eval()


def _vgg16() -> nn.Module:
    from torchvision.models import vgg16 as net

    return _filled(lambda: net(weights=None, init_weights=False))


def _resnet101() -> nn.Module:
    from torch import nn
    from torchvision.models import resnet101 as net

    module = _filled(lambda: net(weights=None))
    for name, part in module.named_modules():
        if name.endswith("bn3"):
            nn.init.constant_(part.weight, RESIDUAL)  # type: ignore[arg-type]
    return module


def vgg16() -> Workload:
    stages = (Stage("features", ("features",)), Stage("classifier", ("avgpool", "classifier")))
    return Workload("vgg16", Model(_vgg16, stages=stages), Pictures())


def resnet101() -> Workload:
    parts = ("layer1", "layer2", "layer3", "layer4")
    stages = (
        Stage("stem", ("conv1", "bn1", "relu", "maxpool")),
        *(Stage(part, (part,)) for part in parts),
        Stage("classifier", ("avgpool", "fc")),
    )
    return Workload("resnet101", Model(_resnet101, stages=stages), Pictures())


class WithoutCudnn(PyTorch):
    """Eager PyTorch with cuDNN turned off, to show what cuDNN is worth."""

    name = "pytorch-without-cudnn"

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> Any:
        import torch

        torch.backends.cudnn.enabled = False
        return super().open(folder, manifest, options)
