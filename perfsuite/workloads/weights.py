"""Weights that ship: fp16 safetensors, each with a model card beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).parent / "weights"


def save(module: nn.Module, path: Path) -> None:
    """Write the module's state to `path`, floating-point tensors in half precision."""
    import torch
    from safetensors.torch import save_file

    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in module.state_dict().items()
    }
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ConfigError(f"{path.name}: {name} does not fit into half precision")
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)


def load(module: nn.Module, path: Path) -> nn.Module:
    """Return `module` in evaluation mode with the weights of `path`, as float32.

    Raises `ConfigError` when the file is missing, damaged, or of another net.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ConfigError(
            f"{path.name}: there are no such weights; train them with "
            f"python -m perfsuite.workloads.train {path.stem}"
        )
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ConfigError(f"{path}: damaged weights ({error}); restore the file") from error
    state = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ConfigError(f"{path}: weights of another net ({error})") from error
    return module.eval()
