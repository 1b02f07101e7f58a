"""Vehicles are located, cut out and classified by type.

The finder is anchor-free (Zhou et al. 2019, arXiv:1904.07850): a vehicle is a peak of a heat map,
and its size and exact centre are read from other maps at that cell. The number of peaks is fixed,
so that all shapes are static.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.models.cutting import cutter
from perfsuite.models.vgg import vgg

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 96  # of pictures, in pixels
CELL = 4  # side of a cell of the maps, in pixels
LARGEST = 64  # side of a vehicle, in pixels
PLACES = 6  # peaks that are used in a picture
# Channels, stride and dilation of the finder's convolutions.
FINDER = ((24, 2, 1), (48, 2, 1), (64, 1, 1), (64, 1, 2), (64, 1, 4))
CROP = 32  # side of the crops that are classified
LAYERS: tuple[int | str, ...] = (32, "M", 64, "M", 96, 96, "M", 128, "M", 128, "M")


def vehicle_type(types: int) -> nn.Module:
    """Return a module with children `detect` and `classify`.

    It takes float32 (N, 3, 96, 96) and returns boxes (N, 6, 4) as left, top, right, bottom in
    pixels, by falling score of the finder, and scores (N, 6, types): the score of a vehicle being
    there times that of its type.
    """
    from torch import nn

    class VehicleType(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.detect = finder()
            self.classify = classifier(types)

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            boxes, found = self.detect(images)
            return boxes, self.classify(images, boxes, found)

    return VehicleType()


def finder() -> nn.Module:
    """Return a module from pictures to boxes (N, 6, 4) and their scores (N, 6).

    Its `maps` (N, 5, 24, 24) are the logits of a centre, of width and height, and of the centre's
    place within the cell; `boxes_at` returns the boxes at given cells.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    class Finder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            parts: list[nn.Module] = []
            width = 3
            for out, stride, dilation in FINDER:
                convolution = nn.Conv2d(width, out, 3, stride, dilation, dilation, bias=False)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                parts += [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
                width = out
            self.features = nn.Sequential(*parts)
            self.head = nn.Conv2d(width, 5, 1)
            self.head.get_parameter("bias").data[0] = -4.0  # as centres are rare

        def maps(self, images: Tensor) -> Tensor:
            maps: Tensor = self.head(self.features(images))
            return maps

        def boxes_at(self, maps: Tensor, cells: Tensor) -> Tensor:
            columns = SIDE // CELL
            index = cells[:, None].expand(-1, 4, -1)
            values = maps[:, 1:].flatten(2).gather(2, index).sigmoid().transpose(1, 2)
            size, within = values[..., :2] * LARGEST, values[..., 2:]
            row = torch.div(cells, columns, rounding_mode="floor")
            corner = torch.stack([cells - row * columns, row], 2).to(values.dtype)
            middle = (corner + within) * CELL
            return torch.cat([middle - size / 2, middle + size / 2], 2)

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            maps = self.maps(images)
            heat = maps[:, :1].sigmoid()
            around = functional.max_pool2d(heat, 3, 1, 1)
            peaks = torch.where(heat < around, torch.zeros_like(heat), heat)
            found, cells = peaks.flatten(1).topk(PLACES)
            return self.boxes_at(maps, cells), found

    return Finder()


def classifier(types: int) -> nn.Module:
    """Return a module from pictures and boxes (N, K, 4) to scores (N, K, types) of their types.

    It also takes the finder's scores (N, K), by which it multiplies. `logits` returns
    (N, K, types + 1), where the last class is no vehicle.
    """
    import torch
    from torch import nn

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut = cutter(CROP, SIDE)
            self.net = vgg(LAYERS, channels=3, classes=types + 1)

        def logits(self, images: Tensor, boxes: Tensor) -> Tensor:
            size = boxes[..., 2:] - boxes[..., :2]
            half = torch.maximum(size[..., :1], size[..., 1:]) / 2
            right = torch.cat([half, torch.zeros_like(half)], 2)
            crops = self.cut(images, (boxes[..., :2] + boxes[..., 2:]) / 2, right)
            logits: Tensor = self.net(crops)
            return logits.reshape(-1, boxes.shape[1], types + 1)

        def forward(self, images: Tensor, boxes: Tensor, found: Tensor) -> Tensor:
            shares = self.logits(images, boxes).softmax(2)
            return found[..., None] * shares[..., :types]

    return Classifier()
