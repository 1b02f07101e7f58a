"""Operators of torch that the TorchScript exporter (2.14) writes otherwise than torch has them.

Its `floor_divide` cuts fractions off, where torch rounds down, the logarithm of a sigmoid is minus
infinity from about -18 on, and places of extremes of truth values are asked of an operator that
takes none.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_SINCE = 9  # the operator set; the exporter takes what is registered for the next lower one
_EXTREMES_SINCE = 18  # for which the exporter has its own
_FLOATS = ("Double", "Float", "Half", "BFloat16")


@cache
def register_symbolics() -> None:
    """Let the TorchScript exporter write them as torch computes them."""
    from torch.onnx import register_custom_op_symbolic  # type: ignore[attr-defined]

    register_custom_op_symbolic("aten::floor_divide", _floor_divide, _SINCE)
    register_custom_op_symbolic("aten::log_sigmoid", _log_sigmoid, _SINCE)
    register_custom_op_symbolic("aten::max", _max, _EXTREMES_SINCE)
    register_custom_op_symbolic("aten::min", _min, _EXTREMES_SINCE)


def _floor_divide(g: Any, self: Any, other: Any) -> Any:
    quotient = g.op("Div", self, other)
    fractions = any(one.type().scalarType() in _FLOATS for one in (self, other))
    return g.op("Floor", quotient) if fractions else quotient


def _log_sigmoid(g: Any, self: Any) -> Any:
    return g.op("Neg", g.op("Softplus", g.op("Neg", self)))


def _max(g: Any, self: Any, dim_or_other: Any = None, keepdim: Any = None) -> Any:
    from torch.onnx import symbolic_helper

    return _of_numbers(symbolic_helper._max_helper, g, self, dim_or_other, keepdim)


def _min(g: Any, self: Any, dim_or_other: Any = None, keepdim: Any = None) -> Any:
    from torch.onnx import symbolic_helper

    return _of_numbers(symbolic_helper._min_helper, g, self, dim_or_other, keepdim)


def _of_numbers(theirs: Any, g: Any, self: Any, dim_or_other: Any, keepdim: Any) -> Any:
    """Write an extreme, along an axis if `keepdim` is given; of truth values by numbers."""
    from torch.onnx import TensorProtoDataType as Kind

    if keepdim is None or self.type().scalarType() != "Bool":
        return theirs(g, self, dim_or_other, keepdim)
    numbers = g.op("Cast", self, to_i=Kind.INT32)
    values, places = theirs(g, numbers, dim_or_other, keepdim)
    return g.op("Cast", values, to_i=Kind.BOOL), places
