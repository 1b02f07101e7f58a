"""Operators of torch that the dynamo exporter (2.14) writes wrongly, or not at all.

It writes `scatter_reduce` with "mean" as if nothing was reduced: the last value wins. For a median
along an axis it has nothing, nor for the products that a `cumprod` is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.export.binary_torch import translations as binary_translations


def translations() -> dict[Any, Any]:
    """Return what writes operators in the exporter's place, by the operator of torch."""
    import torch

    aten = torch.ops.aten
    return {
        aten.scatter_reduce.two: _scatter_reduce,
        aten.median.dim: _median,
        torch.ops.prims.prod.default: _product,
        **(binary_translations() or {}),
    }


def _scatter_reduce(
    self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True
) -> Any:
    from onnxscript import opset18 as op
    from onnxscript.function_libs.torch_lib.ops.core import aten_scatter_reduce

    if reduce != "mean":
        return aten_scatter_reduce(self, dim, index, src, reduce, include_self)
    one = op.CastLike(op.Constant(value_float=1.0), self)
    zero = op.CastLike(op.Constant(value_float=0.0), self)
    ones, zeros = op.Expand(one, op.Shape(index)), op.Expand(zero, op.Shape(index))
    counted = op.Expand(one if include_self else zero, op.Shape(self))
    if not include_self:
        self = op.ScatterElements(self, index, zeros, axis=dim)
    sums = op.ScatterElements(self, index, src, axis=dim, reduction="add")
    counts = op.ScatterElements(counted, index, ones, axis=dim, reduction="add")
    return op.Div(sums, op.Max(counts, one))  # what is not read at all stays


def _median(self: Any, dim: int, keepdim: bool = False) -> Any:
    """Write the lower of two values in the middle, and where it stands."""
    from onnxscript import opset18 as op

    axis = dim % len(self.shape)
    length = op.Shape(self, start=axis, end=axis + 1)
    last = op.Div(op.Sub(length, op.Constant(value_ints=[1])), op.Constant(value_ints=[2]))
    count = op.Add(last, op.Constant(value_ints=[1]))
    found = op.TopK(self, count, axis=axis, largest=0, sorted=1)
    middle = [op.Gather(one, last, axis=axis) for one in found]
    if keepdim:
        return tuple(middle)
    return tuple(op.Squeeze(one, op.Constant(value_ints=[axis])) for one in middle)


def _product(self: Any, dims: Sequence[int] | None, output_dtype: Any = None) -> Any:
    """Write the product over some axes, or all; its type is that of the values."""
    from onnxscript import opset18 as op

    if dims is None:
        return op.ReduceProd(self, keepdims=0)
    return op.ReduceProd(self, op.Constant(value_ints=list(dims)), keepdims=0)
