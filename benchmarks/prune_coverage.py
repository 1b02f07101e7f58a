"""How much of common nets `prune` can narrow, as a Markdown table; random weights, small pictures.

    python benchmarks/prune_coverage.py [patterns of names] > table.md

For each net: the share of its parameters and of its multiply-accumulates in layers with channels of
a group, the number of groups, and the commonest reasons why other layers are left alone.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import PerfsuiteError, Unsupported
from perfsuite.passes.prune.prunable import prunable
from perfsuite.passes.shared.layers import layers_of

# One of each family, the smallest; sides of pictures that are as small as the family takes.
CLASSIFIERS = {
    **{"alexnet": 64, "convnext_tiny": 32, "densenet121": 32, "efficientnet_b0": 32},
    **{"efficientnet_v2_s": 32, "googlenet": 32, "inception_v3": 75, "maxvit_t": 224},
    **{"mnasnet0_5": 32, "mobilenet_v2": 32, "mobilenet_v3_small": 32, "regnet_x_400mf": 32},
    **{"regnet_y_400mf": 32, "resnet18": 32, "resnet50": 32, "resnext50_32x4d": 32},
    **{"shufflenet_v2_x0_5": 32, "squeezenet1_1": 32, "swin_t": 32, "swin_v2_t": 64},
    **{"vgg11_bn": 32, "vit_b_16": 224, "wide_resnet50_2": 32},
}
SEGMENTERS = {
    "deeplabv3_mobilenet_v3_large": 64,
    "fcn_resnet50": 64,
    "lraspp_mobilenet_v3_large": 64,
}
DETECTORS = {
    **{"fasterrcnn_mobilenet_v3_large_320_fpn": 128, "fasterrcnn_resnet50_fpn": 128},
    **{"fcos_resnet50_fpn": 128, "keypointrcnn_resnet50_fpn": 128, "maskrcnn_resnet50_fpn": 128},
    **{"retinanet_resnet50_fpn": 128, "ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320},
}
VIDEO = {"r3d_18": 32}
NOT_SET: dict[str, Any] = {"weights": None}


class Pictures(nn.Module):
    """A detector of torchvision's, which takes a list of pictures."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.net = detector

    def forward(self, pictures: torch.Tensor) -> Any:
        return self.net(list(pictures))


def build(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a net with random weights, and the shape of its input."""
    torch.manual_seed(0)
    if name in DETECTORS:
        side = DETECTORS[name]
        more = {} if name.startswith("ssd") else {"min_size": side, "max_size": side}
        net = getattr(torchvision.models.detection, name)(
            **NOT_SET, weights_backbone=None, num_classes=5, **more
        )
        return Pictures(net).eval(), (1, 3, side, side)
    if name in SEGMENTERS:
        net = getattr(torchvision.models.segmentation, name)(
            **NOT_SET, weights_backbone=None, num_classes=5
        )
        return net.eval(), (1, 3, SEGMENTERS[name], SEGMENTERS[name])
    if name in VIDEO:
        return getattr(torchvision.models.video, name)(**NOT_SET).eval(), (1, 3, 4, 32, 32)
    more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    net = getattr(torchvision.models, name)(**NOT_SET, **more)
    return net.eval(), (1, 3, CLASSIFIERS[name], CLASSIFIERS[name])


def context(shape: tuple[int, ...]) -> PassContext:
    """Return the surroundings of a fit, with two samples of noise and nothing to train on."""

    def noise(seed: int) -> Inputs:
        return {"x": np.random.default_rng(seed).random(shape, dtype=np.float32)}

    def calibration(samples: int) -> Iterator[Inputs]:
        yield noise(1)

    def train() -> TrainingSet:
        raise Unsupported("noise has no labels")

    folder = Path(tempfile.mkdtemp()) / "key"
    target = Target("onnxruntime", "cpu")
    return PassContext(noise(0), calibration, train, target, folder, lambda *_: None, _no_clock)


def _no_clock(*_: Any) -> tuple[float, ...]:
    raise Unsupported("nothing is timed here")


def row(name: str) -> tuple[str, ...]:
    """Return a line of the table."""
    net, shape = build(name)
    ctx = context(shape)
    layers = layers_of(net, ctx.inputs)
    try:
        groups, left = prunable(net, ctx, ())
    except PerfsuiteError as error:
        return (name, "0 %", "0 %", "0", f"{type(error).__name__}: {error}")
    inside = {member.path for group in groups for member in group.members}
    weights = {path: layer.module.weight.numel() for path, layer in layers.items()}
    everything = sum(parameter.numel() for parameter in net.parameters())
    macs = {p: layer.macs(layer.inside, layer.outside) for p, layer in layers.items()}
    return (
        name,
        f"{sum(weights.get(path, 0) for path in inside) / everything:.0%}",
        f"{sum(macs.get(path, 0) for path in inside) / max(1, sum(macs.values())):.0%}",
        f"{len(groups)}",
        "; ".join(reasons(left)),
    )


def reasons(left: dict[str, str]) -> Iterator[str]:
    """Yield the commonest reasons, with their numbers of layers."""
    alike = Counter(re.sub(r"\.\d+(?=[.,])", ".*", why) for why in left.values())
    for why, count in alike.most_common(4):
        yield f"{count}x {why.replace('|', '/')}"


def main() -> None:
    patterns = sys.argv[1:] or ["*"]
    names = [*CLASSIFIERS, *SEGMENTERS, *DETECTORS, *VIDEO]
    print("| net | parameters | MACs | groups | left alone |")
    print("| --- | ---: | ---: | ---: | --- |")
    for name in names:
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            print("| " + " | ".join(row(name)) + " |", flush=True)


if __name__ == "__main__":
    main()
