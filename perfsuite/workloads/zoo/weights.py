"""Weights that come with perfsuite: fp16 safetensors, with their hash in a model card beside."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import ConfigError, Unavailable
from perfsuite.store.disk import replacing

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
    with replacing(path) as beside:
        save_file(state, beside)


def load(module: nn.Module, path: Path) -> nn.Module:
    """Return `module` in evaluation mode with the weights of `path`, as float32.

    Raises `Unavailable` if the file is missing, `ConfigError` if it belongs to another net or does
    not have the hash that its model card states.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise Unavailable(
            f"{path.name}: there are no such weights; train them with "
            f"python -m perfsuite.workloads.zoo.train {path.stem}"
        )
    check_whole(path)
    state = {n: t.float() if t.is_floating_point() else t for n, t in load_file(path).items()}
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ConfigError(f"{path}: weights of another net ({error})") from error
    return module.eval()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def card_line(path: Path) -> str:
    """Return the line of a model card with the hash of the weights in `path`."""
    return f"| SHA-256 | `{sha256_of(path)}` |"


def check_whole(path: Path) -> None:
    """Raise `ConfigError` unless `path` has the SHA-256 that its model card states."""
    card = path.with_suffix(".md")
    text = card.read_text(errors="replace") if card.is_file() else ""
    if not re.search(r"^\| SHA-256 \| `[0-9a-f]{64}` \|$", text, re.MULTILINE):
        raise ConfigError(
            f"{path}: cannot be verified: {card.name} beside it, which states their SHA-256, is "
            "missing or lacks it: restore the card"
        )
    if card_line(path) not in text.splitlines():
        raise ConfigError(
            f"{path}: damaged weights: restore the file (its SHA-256 is not the one in {card.name})"
        )
