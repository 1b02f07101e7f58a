"""Turned squares cut out of pictures, inside a net.

As in spatial transformers (Jaderberg et al. 2015, arXiv:1506.02025). The grid is computed by plain
operators, so that only the sampling needs one of its own (ONNX has it since opset 16).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def cutter(side: int, picture: int) -> nn.Module:
    """Return a module that cuts squares out of square pictures, as (N, C, side, side).

    It takes pictures (N, C, picture, picture), the squares' middles (N, 2) and the way from there
    to the middle of their right edge (N, 2), both as x, y in pixels, 0 being the picture's left or
    upper edge. What lies outside of the picture is 0.
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
            (x, y), (dx, dy) = (part[:, :, None, None].unbind(1) for part in (middle, right))
            places = [
                x + self.across * dx - self.down * dy,
                y + self.across * dy + self.down * dx,
            ]
            # The sampler wants the picture's edges at -1 and 1.
            grid = torch.stack(places, 3) * (2 / picture) - 1
            return functional.grid_sample(images, grid, align_corners=False)

    return Cutter()
