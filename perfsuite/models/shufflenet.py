"""ShuffleNetV2 in its form for small pictures and in that for large ones.

Source: Ma et al. 2018 (arXiv:1807.11164), torchvision's implementation. For small pictures the stem
keeps the picture's size (stride 1, no pooling), so that 32x32 reaches the last stage as 4x4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

STAGES = ("conv1", "stage2", "stage3", "stage4", "conv5", "fc")  # each is a module

Width = Literal["x0_5", "x1_0"]

_STEM = 24  # channels


def shufflenet_v2_x1_0(classes: int = 10) -> nn.Module:
    """Return ShuffleNetV2 x1.0: from float32 (N, 3, 32, 32) pictures to logits (N, classes)."""
    return shufflenet_v2("x1_0", channels=3, classes=classes, small=True)


def shufflenet_v2(width: Width, *, channels: int, classes: int, small: bool) -> nn.Module:
    """Return ShuffleNetV2 of a width: from float32 (N, channels, H, W) to logits (N, classes).

    `small` is the form for small pictures, which the stem leaves at their size; else it shrinks
    them to a quarter, as for ImageNet.
    """
    from torch import nn
    from torchvision import models

    module: nn.Module = getattr(models, f"shufflenet_v2_{width}")(weights=None, num_classes=classes)
    stem = nn.Conv2d(channels, _STEM, 3, stride=1 if small else 2, padding=1, bias=False)
    module.conv1 = nn.Sequential(stem, *next(iter(module.children()))[1:])  # type: ignore[index]
    if small:
        module.maxpool = nn.Identity()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module
