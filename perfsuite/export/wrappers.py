"""What is wrapped round a net, and is no part of it: it is taken off before the net is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from perfsuite.errors import BuildError

# Prefixes of names in a state dict that was saved from a wrapped net, and what wrapped it.
_PREFIXES = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}


def unwrapped(found: Any) -> Any:
    """Return the net inside of DataParallel, torch.compile and exported programs.

    perfsuite compares engines, so a net is compiled by none before. What is no such wrapper is
    returned as it is.
    """
    import torch

    while True:
        compiled = getattr(found, "_orig_mod", None)
        if isinstance(
            found, torch.nn.parallel.DataParallel | torch.nn.parallel.DistributedDataParallel
        ):
            found = found.module
        elif isinstance(compiled, torch.nn.Module):
            found = compiled
        elif _is_program(found):
            return _without_modes(found.module())
        else:
            return found


@contextmanager
def wrapped_weights() -> Iterator[None]:
    """Say how to mend it where a state dict does not fit for the names of a wrapper."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        for prefix, wrapper in _PREFIXES.items():
            if (
                "Unexpected key(s)" in said
                and f'"{prefix}' in said.partition("Unexpected key(s)")[2]
            ):
                raise BuildError(
                    f"the weights do not fit, because their names begin with '{prefix}': they were "
                    f"saved from a net in {wrapper}. Load them as net.load_state_dict("
                    f"{{name.removeprefix('{prefix}'): value for name, value in state.items()}})"
                ) from error
        raise


def _is_program(found: Any) -> bool:
    exported = sys.modules.get("torch.export")  # whoever has one has loaded it
    return exported is not None and isinstance(found, exported.ExportedProgram)


def _without_modes(module: Any) -> Any:
    """Return the module of an exported program, which has the mode that it was exported in."""
    module.train = MethodType(_stay, module)
    module.eval = MethodType(_stay, module)
    for part in module.modules():
        part.training = False
    return module


def _stay(module: Any, mode: bool = True) -> Any:
    return module
