"""ShuffleNetV2 in its form for 32x32 pictures.

Source: Ma et al. 2018 (arXiv:1807.11164), torchvision's implementation; the stem keeps the
picture's size (stride 1, no pooling), so that 32x32 reaches the last stage as 4x4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def shufflenet_v2_x1_0(classes: int = 10) -> nn.Module:
    """Return ShuffleNetV2 x1.0: from float32 (N, 3, 32, 32) pictures to logits (N, classes)."""
    from torch import nn
    from torchvision.models import shufflenet_v2_x1_0 as torchvision_shufflenet

    module: nn.Module = torchvision_shufflenet(weights=None, num_classes=classes)
    stem = nn.Conv2d(3, 24, 3, stride=1, padding=1, bias=False)
    module.conv1 = nn.Sequential(stem, *next(iter(module.children()))[1:])  # type: ignore[index]
    module.maxpool = nn.Identity()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module
