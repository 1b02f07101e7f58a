"""Rotated squares are cut out of pictures inside a net.

As in spatial transformers (Jaderberg et al. 2015, arXiv:1506.02025). The grid is computed by plain
operators; only the sampling is an operator of its own (in ONNX since opset 16).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def cutter(side: int, picture: int) -> nn.Module:
    """Return a module that cuts K squares out of each square picture.

    It takes pictures (N, C, picture, picture), the squares' centres (N, K, 2) and the vectors from
    there to the centres of their right edges (N, K, 2), both as x, y in pixels, where 0 is the left
    or upper edge of the picture. It returns (N * K, C, side, side), 0 outside of the picture.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    class Cutter(nn.Module):
        across: Tensor
        down: Tensor

        def __init__(self) -> None:
            super().__init__()
            at = (2 * torch.arange(side) + 1 - side) / side  # in units of half the square's side
            self.register_buffer("across", at.expand(side, -1).clone(), persistent=False)
            self.register_buffer("down", at[:, None].expand(-1, side).clone(), persistent=False)

        def forward(self, images: Tensor, middle: Tensor, right: Tensor) -> Tensor:
            (x, y), (dx, dy) = (part[..., None, None].unbind(2) for part in (middle, right))
            places = [
                x + self.across * dx - self.down * dy,
                y + self.across * dy + self.down * dx,
            ]
            # The sampler has the picture's edges at -1 and 1, and takes one grid for a picture,
            # in which the squares stand one below the other.
            grid = (torch.stack(places, 4) * (2 / picture) - 1).flatten(1, 2)
            cut = functional.grid_sample(images, grid, align_corners=False)
            squares = cut.reshape(-1, images.shape[1], middle.shape[1], side, side)
            return squares.transpose(1, 2).flatten(0, 1)

    return Cutter()
