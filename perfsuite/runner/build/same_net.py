"""Whether a workload builds the same net each time: what is compared is made of one each.

The key, the export and the reference are. Weights that are drawn anew would make each of them
answer for a net of its own, and comparisons would blame the export for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from perfsuite.errors import BuildError

if TYPE_CHECKING:
    from torch import nn

_SOME = 16  # values of a tensor, over all of it: enough to tell drawn ones apart
_DIGITS = 12

Values = Mapping[str, str]


def some_values(module: nn.Module) -> Values:
    """Return a short digest of some values of each parameter and buffer, by name."""
    import torch

    found: dict[str, str] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.layout is torch.strided and not (tensor.is_meta or tensor.is_quantized):
            flat = tensor.detach().reshape(-1)
            chosen = flat[:: max(1, len(flat) // _SOME)].contiguous()
            values = chosen.view(torch.uint8).numpy().tobytes()
            found[name] = hashlib.sha256(values).hexdigest()[:_DIGITS]
    return found


def check_same(first: Values, second: Values, whose: str) -> None:
    """Raise `BuildError`, with the tensor's name, if two nets of `whose` differ in some values."""
    names = (*first, *(name for name in second if name not in first))
    other = next((name for name in names if first.get(name) != second.get(name)), None)
    if other is not None:
        raise BuildError(
            f"{whose}: its net is another one each time it is built ('{other}' differs), so "
            f"nothing that is made of it can be compared; let build() make the net, and load its "
            f"weights or draw them after a seed"
        )
