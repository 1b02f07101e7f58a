"""A trained binary net without its latent weights: a bit for each."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from perfsuite.export.binary_operator import pack_weights
from perfsuite.export.binary_torch import operator
from perfsuite.passes.binarize.binarizable import Sites
from perfsuite.passes.binarize.building import latent_convolutions, with_blocks
from perfsuite.passes.binarize.modules import Geometry

if TYPE_CHECKING:
    import torch
    from torch import nn


def pack(model: nn.Module) -> nn.Module:
    """Return `model`, a net that both steps have trained, with bits in the place of its weights."""
    import torch

    for path, latent in latent_convolutions(model).items():
        made = _packed()(latent.weight.shape, latent.geometry, latent.bias is not None)
        made.threshold.copy_(latent.threshold.detach())
        made.scale.copy_(latent.scale().detach())
        made.weight.copy_(torch.from_numpy(pack_weights(latent.weight.detach().cpu().numpy())))
        if latent.bias is not None:
            made.bias.copy_(latent.bias.detach())
        model.set_submodule(path, made.train(latent.training))
    return model


def with_packed(model: nn.Module, sites: Sites) -> nn.Module:
    """Return `model`, freshly built, as what `pack` returns, with weights to be loaded."""

    def make(layer: nn.Conv2d, geometry: Geometry) -> nn.Module:
        made: nn.Module = _packed()(layer.weight.shape, geometry, layer.bias is not None)
        return made

    return with_blocks(model, sites, make)


@cache
def _packed() -> type[Any]:
    import torch
    from torch import nn

    convolution = operator()

    class PackedConv2d(nn.Module):
        """A binary convolution whose weights are bits: (N, C, H, W) to (N, M, H', W')."""

        weight: torch.Tensor
        threshold: torch.Tensor
        scale: torch.Tensor
        bias: torch.Tensor | None

        def __init__(self, shape: torch.Size, geometry: Geometry, bias: bool) -> None:
            super().__init__()
            outside, inside, high, wide = shape
            self.inside, self.geometry = inside, geometry
            self.packed = shape.numel() + inside * geometry.groups  # parameters: bits, thresholds
            bits = torch.zeros(outside, high, wide, -(-inside // 8), dtype=torch.uint8)
            self.register_buffer("weight", bits)
            self.register_buffer("threshold", torch.zeros(inside * geometry.groups))
            self.register_buffer("scale", torch.zeros(outside))
            self.register_buffer("bias", torch.zeros(outside) if bias else None)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            given = self.threshold, self.weight, self.scale, self.inside
            scaled: torch.Tensor = convolution(values, *given, *self.geometry)
            return scaled if self.bias is None else scaled + self.bias[:, None, None]

    return PackedConv2d
