"""Signs whose gradients are passed straight through, for training."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def sign(values: torch.Tensor) -> torch.Tensor:
    """Return +1 where `values` are at least 0, and -1 elsewhere, in their type."""
    return (values >= 0).to(values.dtype).mul_(2).sub_(1)


def activation_sign(values: torch.Tensor) -> torch.Tensor:
    """Return `sign(values)`, with the gradient of a piecewise polynomial.

    Its slope is 2 + 2x in [-1, 0), 2 - 2x in [0, 1), and 0 elsewhere, which is nearer to the sign
    than a slope of 1 in [-1, 1] (Liu et al. 2018, "Bi-Real Net", arXiv:1808.00278).
    """
    signed: torch.Tensor = _kinds()[0].apply(values)
    return signed


def weight_sign(weights: torch.Tensor) -> torch.Tensor:
    """Return `sign(weights)`, with a gradient of 1 in [-1, 1], and 0 elsewhere.

    Courbariaux et al. 2016, arXiv:1602.02830.
    """
    signed: torch.Tensor = _kinds()[1].apply(weights)
    return signed


@cache
def _kinds() -> tuple[Any, Any]:
    import torch

    class ActivationSign(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(values)
            return sign(values)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            (values,) = ctx.saved_tensors
            slope: torch.Tensor = values.abs().mul_(-2).add_(2).clamp_(min=0)
            return gradient * slope

    class WeightSign(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, weights: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(weights)
            return sign(weights)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            weights: torch.Tensor = ctx.saved_tensors[0]
            return gradient * (weights.abs() <= 1)

    return ActivationSign, WeightSign
