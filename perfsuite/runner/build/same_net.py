"""Whether a workload builds the same net each time: its key, export and reference are of one each.

Weights drawn without a seed would make engines answer for nets of their own, and every comparison
would blame the export for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import BuildError

if TYPE_CHECKING:
    from torch import nn

_SOME = 16  # values of a tensor, over all of it: enough to tell drawn ones apart

Values = dict[str, bytes]


def some_values(module: nn.Module) -> Values:
    """Return some values of each parameter and buffer, by name, as bytes."""
    import torch

    found = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.layout is torch.strided and not (tensor.is_meta or tensor.is_quantized):
            flat = tensor.detach().reshape(-1)
            chosen = flat[:: max(1, len(flat) // _SOME)].contiguous()
            found[name] = chosen.view(torch.uint8).numpy().tobytes()
    return found


def check_same(first: Values, second: Values, whose: str) -> None:
    """Raise `BuildError`, with the tensor's name, if two nets of `whose` differ in some values."""
    names = (*first, *(name for name in second if name not in first))
    other = next((name for name in names if first.get(name) != second.get(name)), None)
    if other is not None:
        raise BuildError(
            f"{whose}: build() gives another net each time it is called ('{other}' differs), so "
            f"nothing that is made of it can be compared; let it load its weights, or call "
            f"torch.manual_seed(0) before it draws them"
        )
