"""Whether a module's weights are as precise as what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    from torch import nn

_FULL = ("fp32", "tf32")  # the precisions that need weights of 32 bits


def check_weights(module: nn.Module, whose: str, asked: str) -> None:
    """Raise `Unsupported` for weights in 16 or in 64 bits where others are asked for.

    An engine would compute with what they are.
    """
    weights = {one.dtype for one in module.parameters() if one.is_floating_point()}
    if asked in _FULL and weights and all(dtype.itemsize != 4 for dtype in weights):
        words = " and ".join(sorted(str(one).removeprefix("torch.") for one in weights))
        lower = any(dtype.itemsize < 4 for dtype in weights)
        raise Unsupported(
            f"{whose}: its weights are {words}, and {asked} was asked for; let "
            f"build() return net.float()"
            + (", or ask for a precision that they have" if lower else ", and inputs() float32")
        )
