"""Whether a `forward` reads values of its input in Python, or its sizes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def reads_values(module: Callable[..., Any], arguments: Sequence[torch.Tensor]) -> bool | None:
    """Tell whether a call of `module` takes numbers out of tensors that depend on `arguments`.

    So do `if x.max() > 0`, `int(n)`, and sizes that depend on values, as those of `x[x > 0]`. Of an
    operator that is not torch's own it is not known, and counts as such. NumPy and lists take
    numbers out without an operator, and are not seen. None for a call that cannot be followed.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    found: list[Any] = []
    dependent = {_place(one) for one in arguments}  # by memory, which views share

    def tensors(values: Any) -> list[torch.Tensor]:
        return [one for one in tree_leaves(values) if isinstance(one, torch.Tensor)]

    class Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            given = tensors((args, kwargs))
            depends = any(_place(one) in dependent for one in given)
            if depends and _takes_out(func, given):
                found.append(func)
            result = func(*args, **(kwargs or {}))
            made = {_place(one) for one in tensors(result)}
            if depends:
                changed = given if func._schema.is_mutable else []
                dependent.update(made, map(_place, changed))
            else:  # its memory may be that of a tensor that is no more
                dependent.difference_update(made)
            return result

    try:
        with torch.no_grad(), Seen():  # type: ignore[no-untyped-call]
            module(*arguments)
    except Exception:  # noqa: BLE001 - what it cannot follow is not known
        return None
    return bool(found)


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _takes_out(func: Any, given: Iterable[torch.Tensor]) -> bool:
    """Tell whether an operator gives numbers, or sizes that depend on numbers."""
    import torch

    if func.namespace not in ("aten", "prim"):
        return True
    if func is torch.ops.aten.index.Tensor:  # only a mask has as many places as it has
        return any(one.dtype in (torch.bool, torch.uint8) for one in given)
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags))
