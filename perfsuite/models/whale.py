"""Individual whales are identified in four stages: head, its two ends, alignment, classification.

This is the method that won the right-whale recognition challenge of 2015: all heads are brought to
one heading and size before they are classified. Both finders return the centre of mass of a heat
map (Nibali et al. 2018, arXiv:1801.07372), which is differentiable, finer than the map's cells, and
made of plain operators.

Positions are in pixels of the picture, where 0 is its left or upper edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.models.cutting import cutter
from perfsuite.models.vgg import vgg

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 128  # of pictures, in pixels
CROP = 48  # side of the crops in which ends are located
ALIGNED = 40  # side of aligned heads
LAYERS: tuple[int | str, ...] = (32, "M", 64, "M", 96, 96, "M", 128, "M", 128, "M", 192, "M")
PLAIN: tuple[int | str, ...] = (
    16, "M", 32, "M", 64, 64, "M", 96, 96, "M", 128, "M", 128, "M", 192, "M",
)  # fmt: skip


def whale_id(individuals: int) -> nn.Module:
    """Return a module with children `detect`, `keypoints`, `align` and `classify`.

    It takes float32 (N, 3, 128, 128) and returns logits (N, individuals), the head's box (N, 4) as
    x0, y0, x1, y1 and its ends (N, 4) as x, y of the bonnet and x, y of the blowhead.
    """
    from torch import nn

    class WhaleId(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detect = head_finder()
            self.keypoints = end_finder()
            self.align = aligner()
            self.classify = vgg(LAYERS, channels=3, classes=individuals)

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            boxes = self.detect(images)
            points = self.keypoints(images, boxes)
            return self.classify(self.align(images, points)), boxes, points

    return WhaleId()


def whale_id_plain(individuals: int) -> nn.Module:
    """Return one small VGG from float32 (N, 3, 128, 128) pictures to logits (N, individuals)."""
    return vgg(PLAIN, channels=3, classes=individuals)


def head_finder() -> nn.Module:
    """Return a module from pictures, which it halves in size, to the boxes of heads (N, 4).

    Its `scores` (N, 3, 16, 16) are maps of the centre, the width and the height, from which `read`
    computes boxes.
    """
    from torch import nn
    from torch.nn import functional

    class HeadFinder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = _features((16, 2, 1), (32, 2, 1), (48, 1, 1), (48, 1, 2), (48, 1, 4))
            self.head = nn.Conv2d(48, 3, 1)
            self.place = _centre_of_mass(SIDE // 8)

        def scores(self, images: Tensor) -> Tensor:
            maps: Tensor = self.head(self.features(functional.avg_pool2d(images, 2)))
            return maps

        def read(self, maps: Tensor) -> Tensor:
            import torch

            heat = maps[:, :1]
            share = heat.flatten(2).softmax(2)
            middle = (self.place(heat)[:, 0] + 1) * (SIDE / 2)
            size = (share * maps[:, 1:].flatten(2).sigmoid()).sum(2) * SIDE
            return torch.cat([middle - size / 2, middle + size / 2], 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.read(self.scores(images))

    return HeadFinder()


def end_finder() -> nn.Module:
    """Return a module from pictures and the boxes of heads to both ends (N, 4).

    Its `scores` (N, 2, 24, 24) are heat maps over the surroundings of a box, from which `read`
    computes the ends.
    """
    from torch import nn

    class EndFinder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut = cutter(CROP, SIDE)
            self.features = _features((16, 1, 1), (32, 2, 1), (48, 1, 1), (48, 1, 2), (48, 1, 4))
            self.head = nn.Conv2d(48, 2, 1)
            self.place = _centre_of_mass(CROP // 2)

        def scores(self, images: Tensor, boxes: Tensor) -> Tensor:
            import torch

            middle, half = surroundings(boxes)
            right = torch.cat([half, torch.zeros_like(half)], 1)
            maps: Tensor = self.head(
                self.features(self.cut(images, middle[:, None], right[:, None]))
            )
            return maps

        def read(self, maps: Tensor, boxes: Tensor) -> Tensor:
            middle, half = surroundings(boxes)
            ends: Tensor = middle[:, None] + self.place(maps) * half[:, None]
            return ends.flatten(1)

        def forward(self, images: Tensor, boxes: Tensor) -> Tensor:
            return self.read(self.scores(images, boxes), boxes)

    return EndFinder()


def surroundings(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the middle (N, 2) and half the side (N, 1) of a square somewhat larger than a box."""
    import torch

    low, high = boxes[:, :2], boxes[:, 2:]
    size = high - low
    return (low + high) / 2, 0.6 * torch.maximum(size[:, :1], size[:, 1:])


def aligner() -> nn.Module:
    """Return a module that cuts heads out of pictures, rotated to point to the right."""
    from torch import nn

    class Aligner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut = cutter(ALIGNED, SIDE)

        def forward(self, images: Tensor, points: Tensor) -> Tensor:
            bonnet, blowhead = points[:, :2], points[:, 2:]
            heading = bonnet - blowhead
            middle = blowhead + 0.45 * heading
            turned: Tensor = self.cut(images, middle[:, None], 0.95 * heading[:, None])
            return turned

    return Aligner()


def _features(*layers: tuple[int, int, int]) -> nn.Module:
    """Return 3x3 convolutions of (channels, stride, dilation), each with a norm and a ReLU."""
    from torch import nn

    parts: list[nn.Module] = []
    width = 3
    for out, stride, dilation in layers:
        convolution = nn.Conv2d(width, out, 3, stride, dilation, dilation, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        parts += [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        width = out
    return nn.Sequential(*parts)


def _centre_of_mass(side: int) -> nn.Module:
    """Return a module from maps (N, K, side, side) to their centres of mass, in [-1, 1]."""
    import torch
    from torch import nn

    class CentreOfMass(nn.Module):
        at: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("at", (2 * torch.arange(side) + 1 - side) / side, persistent=False)

        def forward(self, maps: Tensor) -> Tensor:
            share = maps.flatten(2).softmax(2).reshape(-1, maps.shape[1], side, side)
            x, y = (share.sum(2) * self.at).sum(2), (share.sum(3) * self.at).sum(2)
            return torch.stack([x, y], 2)

    return CentreOfMass()
