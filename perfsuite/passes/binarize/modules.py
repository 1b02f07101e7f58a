"""The modules of a binary net, as they are trained.

A binary convolution compares each channel of its input with a threshold, and convolves the signs
with weights that are real in the first step of training and signs in the second. Around it goes a
shortcut of real values (Liu et al. 2018, "Bi-Real Net", arXiv:1808.00278); the activations after it
are shifted PReLUs (Liu et al. 2020, "ReActNet", arXiv:2003.03488).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.passes.binarize.signs import activation_sign, sign, weight_sign

if TYPE_CHECKING:
    import torch
    from torch import nn

SLOPE = 0.25  # of an activation's negative side before training, as torch's own PReLU has it


class Shortcut(NamedTuple):
    """How a block's input comes past its convolution: averaged by `stride`, `repeats` times."""

    stride: tuple[int, int] = (1, 1)
    repeats: int = 1


class Geometry(NamedTuple):
    """How a convolution goes over its input; the same for both axes where a pair is one number."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def latent_convolution(layer: nn.Conv2d, geometry: Geometry) -> Any:
    """Return a binary convolution in training with copies of the weights of `layer`.

    They are used as they are until `binary_weights` is set, and from then on by their signs, scaled
    by the mean of their magnitudes in each output channel (Rastegari et al. 2016, "XNOR-Net",
    arXiv:1603.05279). Thresholds are 0.
    """
    return _latent()(layer, geometry)


def is_latent(module: nn.Module) -> bool:
    """Tell whether a module is one that `latent_convolution` made."""
    return isinstance(module, _latent())


def block(convolution: nn.Module, norm: nn.Module | None, shortcut: Shortcut | None) -> nn.Module:
    """Return a binary convolution with the norm after it, and a shortcut around both."""
    made: nn.Module = _block()(convolution, norm, shortcut)
    return made


def shifted_prelu(channels: int) -> nn.Module:
    """Return a PReLU with a shift before and after it, each of them learned for each channel."""
    made: nn.Module = _shifted_prelu()(channels)
    return made


@cache
def _latent() -> type[Any]:
    from torch import nn
    from torch.nn.functional import conv2d

    class BinaryConv2d(nn.Module):
        """A binary convolution in training: (N, C, H, W) to (N, M, H', W')."""

        def __init__(self, layer: nn.Conv2d, geometry: Geometry) -> None:
            super().__init__()
            self.geometry = geometry
            self.binary_weights = False
            # Vectors, not (1, C, 1, 1): plans let weights of several axes decay, and none of these.
            self.threshold = nn.Parameter(layer.weight.new_zeros(layer.in_channels))
            self.weight = nn.Parameter(layer.weight.detach().clone())
            bias = layer.bias
            self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

        def scale(self) -> torch.Tensor:
            """Return the mean of the magnitudes of each output channel's weights, (M,)."""
            return self.weight.abs().mean(dim=(1, 2, 3))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            threshold = self.threshold.to(values.dtype)[:, None, None]
            if self.training:
                signs = activation_sign(values - threshold)
                weight: torch.Tensor = self.weight
                if self.binary_weights:
                    weight = weight_sign(self.weight) * self.scale()[:, None, None, None]
                return conv2d(signs, weight, self.bias, *self.geometry)
            # Sums of signs are whole numbers, which are exact if they are scaled afterwards.
            signs = (values >= threshold).to(values.dtype).mul_(2).sub_(1)
            if not self.binary_weights:
                return conv2d(signs, self.weight, self.bias, *self.geometry)
            sums = conv2d(signs, sign(self.weight), None, *self.geometry)
            scaled = sums * self.scale().to(sums.dtype)[:, None, None]
            if self.bias is None:
                return scaled
            return scaled + self.bias.to(sums.dtype)[:, None, None]

    return BinaryConv2d


@cache
def _block() -> type[Any]:
    import torch
    from torch import nn
    from torch.nn.functional import avg_pool2d

    class BinaryBlock(nn.Module):
        """A binary convolution with its norm and its shortcut."""

        def __init__(
            self, convolution: nn.Module, norm: nn.Module | None, shortcut: Shortcut | None
        ) -> None:
            super().__init__()
            self.conv, self.norm = convolution, norm
            self.shortcut = shortcut

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.conv(values)
            if self.norm is not None:
                result = self.norm(result)
            if self.shortcut is None:
                return result
            stride, repeats = self.shortcut
            if stride != (1, 1):
                values = avg_pool2d(values, stride, stride, ceil_mode=True, count_include_pad=False)
            if repeats > 1:
                values = torch.cat([values] * repeats, dim=1)
            return result + values

    return BinaryBlock


@cache
def _shifted_prelu() -> type[Any]:
    import torch
    from torch import nn
    from torch.nn.functional import prelu

    class RPReLU(nn.Module):
        """A PReLU with shifts before and after it."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.before = nn.Parameter(torch.zeros(channels))
            self.slope = nn.Parameter(torch.full((channels,), SLOPE))
            self.after = nn.Parameter(torch.zeros(channels))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            kind = values.dtype
            shifted = values - self.before.to(kind)[:, None, None]
            rectified: torch.Tensor = prelu(shifted, self.slope.to(kind))
            return rectified + self.after.to(kind)[:, None, None]

    return RPReLU
