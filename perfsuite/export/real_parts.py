"""Complex sums of products, and parts of complex tensors, by real numbers.

The dynamo exporter (torch 2.14) writes complex values with their parts along a last axis, but not
these: Fourier layers take modes, multiply them by `einsum` and store them into zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any


@contextmanager
def real_parts() -> Iterator[list[str]]:
    """Let torch compute these by real numbers within the context; gives what it was asked for."""
    import torch
    from torch.overrides import TorchFunctionMode

    found: list[str] = []
    by_parts: dict[Any, Callable[..., Any]] = {
        torch.functional.einsum: _einsum,
        torch.Tensor.__getitem__: _get,
        torch.Tensor.__setitem__: _set,
        torch.zeros: _zeros,
        torch.zeros_like: _zeros_like,
    }

    class Parts(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            named = kwargs or {}
            if func not in by_parts or not _is_complex(args, named):
                return func(*args, **named)
            found.append(func.__name__)
            return by_parts[func](*args, **named)

    with Parts():
        yield found


def _is_complex(args: Sequence[Any], named: dict[str, Any]) -> bool:
    """Tell whether a call has a complex tensor, or makes one."""
    import torch
    from torch.utils._pytree import tree_leaves

    dtype = named.get("dtype")
    if dtype is not None:
        return bool(dtype.is_complex)
    return any(isinstance(one, torch.Tensor) and one.is_complex() for one in tree_leaves(args))


def _einsum(equation: str, *operands: Any) -> Any:
    """Sum over all choices of a real or an imaginary part: i to the number of imaginary ones."""
    import torch

    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    parts = [(one.real, one.imag) if one.is_complex() else (one,) for one in operands]
    sums: list[Any] = [0.0, 0.0]
    for chosen in product(*(range(len(one)) for one in parts)):
        value = torch.einsum(
            equation, *(one[part] for one, part in zip(parts, chosen, strict=True))
        )
        power = sum(chosen) % 4
        sums[power % 2] = sums[power % 2] + (value if power < 2 else -value)
    return torch.complex(*sums)


def _get(tensor: Any, index: Any) -> Any:
    import torch

    return torch.view_as_complex(torch.view_as_real(tensor)[_places(index)])


def _set(tensor: Any, index: Any, value: Any) -> None:
    import torch

    if not isinstance(value, torch.Tensor):
        value = torch.tensor(complex(value), dtype=tensor.dtype)
    torch.view_as_real(tensor)[_places(index)] = torch.view_as_real(value.to(tensor.dtype))


def _places(index: Any) -> tuple[Any, ...]:
    """Return an index of a complex tensor for one with an axis of two parts after all others."""
    places = index if isinstance(index, tuple) else (index,)
    return (*places, slice(None)) if any(one is Ellipsis for one in places) else places


def _zeros(*size: Any, dtype: Any, **named: Any) -> Any:
    import torch

    sides = size[0] if len(size) == 1 and isinstance(size[0], list | tuple) else size
    return torch.view_as_complex(torch.zeros(*sides, 2, dtype=dtype.to_real(), **named))


def _zeros_like(tensor: Any, **named: Any) -> Any:
    import torch

    dtype = named.pop("dtype", tensor.dtype)
    like = torch.view_as_real(tensor) if tensor.is_complex() else torch.stack([tensor, tensor], -1)
    return torch.view_as_complex(torch.zeros_like(like, dtype=dtype.to_real(), **named))
