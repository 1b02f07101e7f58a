"""What is wrapped round a net, and is no part of it: it is taken off before the net is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

from perfsuite.errors import BuildError

if TYPE_CHECKING:
    from torch import nn

# Prefixes of names in a state dict that was saved from a wrapped net, and what wrapped it.
_PREFIXES = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}


def unwrapped(found: Any) -> Any:
    """Return the net inside of DataParallel, torch.compile and exported programs.

    perfsuite compares engines, so a net is compiled by none before. What is no such wrapper is
    returned as it is. Raises `BuildError` for a wrapper with hooks, as they may change the answers.
    """
    import torch

    while True:
        if isinstance(
            found, torch.nn.parallel.DataParallel | torch.nn.parallel.DistributedDataParallel
        ):
            found = _inside(found, found.module)
        elif _is_compiled(found):
            found = _inside(found, found._orig_mod)
        elif is_program(found):
            return _without_modes(found.module())
        elif isinstance(found, torch.fx.GraphModule) and "eval" in vars(found):
            return _without_modes(found)  # a program's, whose eval() refuses to be called
        else:
            return found


def _inside(wrapper: Any, net: Any) -> Any:
    if wrapper._forward_hooks or wrapper._forward_pre_hooks:
        raise BuildError(
            f"hooks are registered on the {type(wrapper).__name__} round a {type(net).__name__}, "
            f"which is taken off; register them on the net inside of it"
        )
    return net


def unwrap_parts(net: nn.Module) -> None:
    """Take what is wrapped round parts of `net` off, in place, as `unwrapped` does of the whole."""
    for part in list(net.modules()):
        if part._compiled_call_impl is not None:  # by its method compile()
            part._compiled_call_impl = None
        for name, inner in list(part._modules.items()):
            bare = unwrapped(inner)
            if bare is not inner:
                part._modules[name] = bare


def wrapped_parts(net: nn.Module) -> dict[str, str]:
    """Return what is wrapped round parts of `net`, by their paths."""
    found = {}
    for path, part in net.named_modules():
        if part._compiled_call_impl is not None or _is_compiled(part):
            found[path] = "torch.compile"
        elif unwrapped(part) is not part:
            found[path] = type(part).__name__
    return found


def scripted_part(net: nn.Module) -> str:
    """Return the path of the first part that is TorchScript; '' if there is none.

    A net that is TorchScript as a whole has no such part, and is exported from its own code.
    """
    import torch

    if isinstance(net, torch.jit.ScriptModule):
        return ""
    parts = net.named_modules()
    return next((path for path, part in parts if isinstance(part, torch.jit.ScriptModule)), "")


@contextmanager
def eagerly() -> Iterator[None]:
    """Have what torch.compile was given run as it is, within the context."""
    if "torch._dynamo" not in sys.modules:  # which whoever asked to compile has loaded
        yield
        return
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def stay_eager(on: bool) -> None:
    """Have what torch.compile was given run as it is from now on; or no more."""
    if "torch._dynamo" in sys.modules:
        import torch

        torch.compiler.set_stance("force_eager" if on else "default")


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


def _is_compiled(found: Any) -> bool:
    # Not by its attribute, which others show of a net inside of them.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")  # whoever has compiled has loaded it
    return dynamo is not None and isinstance(found, dynamo.OptimizedModule)


def is_program(found: Any) -> bool:
    """Tell whether it is what torch.export gives."""
    exported = sys.modules.get("torch.export")  # whoever has one has loaded it
    return exported is not None and isinstance(found, exported.ExportedProgram)


def _without_modes(module: Any) -> Any:
    """Return the module of an exported program, which keeps the mode that it was exported in."""
    module.train = MethodType(_stay, module)
    module.eval = MethodType(_stay, module)
    for part in module.modules():
        part.training = False
    return module


def _stay(module: Any, mode: bool = True) -> Any:
    return module
