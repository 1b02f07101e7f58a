"""Where nets are trained: on a card where torch finds one, else on the processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perfsuite.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

VARIABLE = "PERFSUITE_TRAIN_DEVICE"


def training_device() -> str:
    """Return `cuda` where torch finds a card, else `cpu`, or what `PERFSUITE_TRAIN_DEVICE` names.

    Raises `ConfigError` for a device that torch does not know or does not find.
    """
    import torch

    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:  # the second of a torch built without CUDA
        first = str(error).split("\n")[0]
        raise ConfigError(
            f"{VARIABLE}: torch cannot train on '{wanted}' ({first}); name cpu, cuda or cuda:1, or "
            f"leave it unset"
        ) from error
    return wanted


@contextmanager
def placed(device: str, *modules: nn.Module | None) -> Iterator[None]:
    """Move the modules to `device` for as long as the context lasts, then to the processor."""
    found = [module for module in modules if module is not None]
    try:
        for module in found:
            module.to(device)
        yield
    finally:
        for module in found:
            module.to("cpu")
