"""Largest and smallest values along an axis and their places, as ONNX can write them."""

from __future__ import annotations

from typing import Any, Literal


def extrema() -> dict[Any, Any]:
    """Return what writes operators in the dynamo exporter's place, by the operator of torch."""
    import torch

    aten = torch.ops.aten
    return {
        aten.max.dim: _max,
        aten.min.dim: _min,
        aten.cummax.default: _cummax,
        aten.cummin.default: _cummin,
    }


def _max(self: Any, dim: int, keepdim: bool = False) -> Any:
    from onnxscript.function_libs.torch_lib.ops.core import aten_max_dim

    return _of_numbers(aten_max_dim, self, dim, keepdim)


def _min(self: Any, dim: int, keepdim: bool = False) -> Any:
    from onnxscript.function_libs.torch_lib.ops.core import aten_min_dim

    return _of_numbers(aten_min_dim, self, dim, keepdim)


def _of_numbers(theirs: Any, self: Any, dim: int, keepdim: bool) -> Any:
    """Write an extreme; of truth values by numbers, since ArgMax takes no others."""
    import onnx_ir as ir
    from onnxscript import opset18 as op

    if self.dtype != ir.DataType.BOOL:
        return theirs(self, dim, keepdim)
    numbers = op.Cast(self, to=ir.DataType.INT32)
    numbers.shape = self.shape
    values, places = theirs(numbers, dim, keepdim)
    return op.Cast(values, to=ir.DataType.BOOL), places


def _cummax(self: Any, dim: int) -> Any:
    return _running(self, dim, "Max")


def _cummin(self: Any, dim: int) -> Any:
    return _running(self, dim, "Min")


def _running(self: Any, dim: int, kind: Literal["Max", "Min"]) -> Any:
    """Write the extreme so far along an axis of known length, and its last place so far."""
    from onnxscript import opset18 as op

    axis = dim % len(self.shape)
    length = self.shape[axis]
    if not isinstance(length, int):
        raise ValueError(f"the length of axis {axis} is open, along which a maximum runs")
    values = _doubled(self, axis, length, kind)
    along = [length if one == axis else 1 for one in range(len(self.shape))]
    places = op.Reshape(op.Constant(value_ints=list(range(length))), op.Constant(value_ints=along))
    minus = op.Constant(value_ints=[-1])
    found = op.Where(op.Equal(self, values), places, minus)
    return values, _doubled(found, axis, length, "Max")


def _doubled(value: Any, axis: int, length: int, kind: Literal["Max", "Min"]) -> Any:
    """Write an extreme so far: of two values each, then of four, and so on to the whole length.

    The first ones meet themselves.
    """
    from onnxscript import opset18 as op

    extreme = op.Max if kind == "Max" else op.Min
    reach = 1
    while reach < length:
        start, cut, end = (op.Constant(value_ints=[one]) for one in (0, reach, length))
        along = op.Constant(value_ints=[axis])
        first = op.Slice(value, start, cut, along)
        later = op.Slice(value, cut, end, along)
        before = op.Slice(value, start, op.Constant(value_ints=[length - reach]), along)
        value = op.Concat(first, extreme(later, before), axis=axis)
        reach *= 2
    return value
