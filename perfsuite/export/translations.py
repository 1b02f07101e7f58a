"""Operators of torch that the dynamo exporter (2.14) writes wrongly, or not at all.

It writes `scatter_reduce` with "mean" as if nothing was reduced: the last value wins. Logarithms of
sigmoids and of sums of powers are infinite in its graphs where they are not. It looks for the
largest of truth values with an operator that takes none, and leaves out the divisor of an average.
For a median along an axis it has nothing, nor for a k-th value, a stable sort, a hypotenuse, the
products that a `cumprod` is made of, running maxima, distances, and small matrices' inverses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from perfsuite.export.binary_torch import translations as binary_translations
from perfsuite.export.extrema import extrema
from perfsuite.export.linear_algebra import linear_algebra


def translations() -> dict[Any, Any]:
    """Return what writes operators in the exporter's place, by the operator of torch."""
    import torch

    aten = torch.ops.aten
    return {
        aten.scatter_reduce.two: _scatter_reduce,
        aten.log_sigmoid.default: _log_sigmoid,
        aten.logaddexp.default: _logaddexp,
        aten.logaddexp2.default: _logaddexp2,
        aten.median.dim: _median,
        aten.kthvalue.default: _kthvalue,
        aten.sort.stable: _sort,
        torch.ops.prims.hypot.default: _hypot,
        torch.ops.prims.prod.default: _product,
        aten.rrelu_with_noise_functional.default: _rrelu,
        aten.avg_pool2d.default: _avg_pool2d,
        aten.avg_pool3d.default: _avg_pool3d,
        aten._cdist_forward.default: _distances,
        **extrema(),
        **linear_algebra(),
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


def _log_sigmoid(self: Any) -> Any:
    """Write log(1 / (1 + exp(-x))) so that no power of e is too large or too small."""
    from onnxscript import opset18 as op

    return op.Neg(op.Softplus(op.Neg(self)))


def _logaddexp(self: Any, other: Any) -> Any:
    """Write log(exp(a) + exp(b)) as the larger one and what the other adds to it."""
    from onnxscript import opset18 as op

    zero = op.CastLike(op.Constant(value_float=0.0), self)
    apart = op.Where(op.Equal(self, other), zero, op.Abs(op.Sub(self, other)))  # infinities, too
    return op.Add(op.Max(self, other), op.Softplus(op.Neg(apart)))


def _logaddexp2(self: Any, other: Any) -> Any:
    from onnxscript import opset18 as op

    log2 = op.CastLike(op.Constant(value_float=math.log(2.0)), self)
    return op.Div(_logaddexp(op.Mul(self, log2), op.Mul(other, log2)), log2)


def _median(self: Any, dim: int, keepdim: bool = False) -> Any:
    """Write the lower of two values in the middle, and where it stands."""
    from onnxscript import opset18 as op

    last = op.Sub(_length(self, dim), op.Constant(value_ints=[1]))
    return _ranked(self, op.Div(last, op.Constant(value_ints=[2])), dim, keepdim)


def _kthvalue(self: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    from onnxscript import opset18 as op

    return _ranked(self, op.Constant(value_ints=[k - 1]), dim, keepdim)


def _ranked(self: Any, place: Any, dim: int, keepdim: bool) -> Any:
    """Write the value at a place in ascending order, counted from 0, and where it stands."""
    from onnxscript import opset18 as op

    axis = dim % len(self.shape)
    count = op.Add(place, op.Constant(value_ints=[1]))
    found = op.TopK(self, count, axis=axis, largest=0, sorted=1)
    taken = [op.Gather(one, place, axis=axis) for one in found]
    if keepdim:
        return tuple(taken)
    return tuple(op.Squeeze(one, op.Constant(value_ints=[axis])) for one in taken)


def _sort(self: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """Write all values in order; TopK gives equal ones in the order in which they stand."""
    from onnxscript import opset18 as op

    axis = dim % len(self.shape)
    return op.TopK(self, _length(self, dim), axis=axis, largest=int(descending), sorted=1)


def _length(self: Any, dim: int) -> Any:
    from onnxscript import opset18 as op

    axis = dim % len(self.shape)
    return op.Shape(self, start=axis, end=axis + 1)


def _hypot(self: Any, other: Any) -> Any:
    from onnxscript import opset18 as op

    return op.Sqrt(op.Add(op.Mul(self, self), op.Mul(other, other)))


def _product(self: Any, dims: Sequence[int] | None, output_dtype: Any = None) -> Any:
    """Write the product over some axes, or all; its type is that of the values."""
    from onnxscript import opset18 as op

    if dims is None:
        return op.ReduceProd(self, keepdims=0)
    return op.ReduceProd(self, op.Constant(value_ints=list(dims)), keepdims=0)


def _rrelu(
    self: Any, noise: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Any:
    """Write what it is where nothing is trained: the slope is the middle one."""
    from onnxscript import opset18 as op

    return op.LeakyRelu(self, alpha=(lower + upper) / 2), noise


def _avg_pool2d(self: Any, kernel_size: Sequence[int], *options: Any, **named: Any) -> Any:
    from onnxscript.function_libs.torch_lib.ops.nn import aten_avg_pool2d

    return _averaged(aten_avg_pool2d, self, kernel_size, 2, *options, **named)


def _avg_pool3d(self: Any, kernel_size: Sequence[int], *options: Any, **named: Any) -> Any:
    from onnxscript.function_libs.torch_lib.ops.nn import aten_avg_pool3d

    return _averaged(aten_avg_pool3d, self, kernel_size, 3, *options, **named)


def _averaged(
    theirs: Any,
    self: Any,
    kernel_size: Sequence[int],
    sides: int,
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Write a pooling; with a divisor of its own what is padded counts as values."""
    from onnxscript import opset18 as op

    padding = padding if len(padding) == sides else [*padding] * sides
    if divisor_override is None:
        return theirs(self, kernel_size, stride, padding, ceil_mode, count_include_pad)
    sizes = kernel_size if len(kernel_size) == sides else [*kernel_size] * sides
    average = theirs(self, kernel_size, stride, padding, ceil_mode, True)
    factor = op.Constant(value_float=math.prod(sizes) / divisor_override)
    return op.Mul(average, op.CastLike(factor, average))


def _distances(x1: Any, x2: Any, p: float, compute_mode: int | None = None) -> Any:
    """Write the p-norms of all differences between rows of both."""
    from onnxscript import opset18 as op

    axis = op.Constant(value_ints=[-1])
    one = op.Unsqueeze(x1, op.Constant(value_ints=[-2]))
    apart = op.Sub(one, op.Unsqueeze(x2, op.Constant(value_ints=[-3])))
    if p == 1:
        return op.ReduceL1(apart, axis, keepdims=0)
    if p == 2:
        return op.ReduceL2(apart, axis, keepdims=0)
    sizes = op.Abs(apart)
    if math.isinf(p):
        return op.ReduceMax(sizes, axis, keepdims=0)
    if p == 0:
        return op.ReduceSum(op.Sign(sizes), axis, keepdims=0)
    powers = op.Pow(sizes, op.CastLike(op.Constant(value_float=p), sizes))
    root = op.CastLike(op.Constant(value_float=1 / p), sizes)
    return op.Pow(op.ReduceSum(powers, axis, keepdims=0), root)
