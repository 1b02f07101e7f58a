"""VGG with batch normalization in the form used for small pictures.

Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), configuration D, with the three linear
layers replaced by one, as is usual for 32x32 pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# The channels of each 3x3 convolution; "M" halves the picture, "A" averages over all of it.
VGG16: tuple[int | str, ...] = (
    64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M",
)  # fmt: skip


def vgg(layers: Sequence[int | str], *, channels: int, classes: int) -> nn.Module:
    """Return a module with children `features`, `flatten` and `classifier`.

    It takes float32 NCHW pictures with `channels` channels, of a size that the "M" entries of
    `layers` reduce to 1x1, or of any if "A" comes last, and returns logits (N, classes).
    """
    from collections import OrderedDict

    from torch import nn

    features: list[nn.Module] = []
    width = channels
    for entry in layers:
        if entry == "M":
            # Rounding up makes no difference at 32x32, and allows smaller pictures in training.
            features.append(nn.MaxPool2d(2, ceil_mode=True))
            continue
        if entry == "A":
            features.append(nn.AdaptiveAvgPool2d(1))
            continue
        out = int(entry)
        # Batch normalization would cancel a bias of the convolution before it.
        features += [nn.Conv2d(width, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)]
        features.append(nn.ReLU(inplace=True))
        width = out
    module = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            flatten=nn.Flatten(),
            classifier=nn.Linear(width, classes),
        )
    )
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module


def vgg16(classes: int = 10) -> nn.Module:
    """Return VGG-16 with batch normalization for float32 (N, 3, 32, 32) pictures."""
    return vgg(VGG16, channels=3, classes=classes)
