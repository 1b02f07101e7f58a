"""Where are vehicles, and of which types: find them, cut them out, classify them.

The finder is anchor-free (Zhou et al. 2019, arXiv:1904.07850): a vehicle is a peak of a heat map,
its size and its exact middle are read off other maps at that place. The number of places is fixed,
so that all shapes are static.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.models.cutting import cutter
from perfsuite.models.vgg import vgg

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 96  # of the pictures
CELL = 4  # pixels a side of a cell of the maps
LARGEST = 64  # pixels a side that a vehicle may have
PLACES = 6  # that are looked at in a picture
# Channels, stride and dilation of the finder's convolutions.
FINDER = ((24, 2, 1), (48, 2, 1), (64, 1, 1), (64, 1, 2), (64, 1, 4))
CROP = 32  # side of what is classified
LAYERS: tuple[int | str, ...] = (32, "M", 64, "M", 96, 96, "M", 128, "M", 128, "M")


def vehicle_type(types: int) -> nn.Module:
    """Return a module with children `detect` and `classify`.

    Takes float32 (N, 3, 96, 96); gives boxes (N, 6, 4) as left, top, right, bottom in pixels, the
    most promising first, and scores (N, 6, types): that there is a vehicle, and that it is of the
    type.
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
    """Return a module that gives boxes (N, 6, 4) and how sure they are (N, 6).

    `maps` gives its maps (N, 5, 24, 24): logits of a middle, of width and height, of where in the
    cell the middle is; `boxes_at` reads boxes off them.
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
            self.head.get_parameter("bias").data[0] = -4.0  # middles are rare

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
    """Return a module that gives scores (N, K, types) of what is in boxes (N, K, 4) of pictures.

    It also takes how sure a vehicle is there (N, K), by which it multiplies. `logits` gives
    (N, K, types + 1): the last class is that of what is no vehicle.
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
