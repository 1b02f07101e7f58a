"""Operators of torch that the TorchScript exporter (2.14) writes otherwise than torch has them.

Its `floor_divide` cuts fractions off, where torch rounds down, and the logarithm of a sigmoid is
minus infinity from about -18 on.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_SINCE = 9  # the operator set; the exporter takes what is registered for the next lower one
_FLOATS = ("Double", "Float", "Half", "BFloat16")


@cache
def register_symbolics() -> None:
    """Let the TorchScript exporter write them as torch computes them."""
    from torch.onnx import register_custom_op_symbolic  # type: ignore[attr-defined]

    register_custom_op_symbolic("aten::floor_divide", _floor_divide, _SINCE)
    register_custom_op_symbolic("aten::log_sigmoid", _log_sigmoid, _SINCE)


def _floor_divide(g: Any, self: Any, other: Any) -> Any:
    quotient = g.op("Div", self, other)
    fractions = any(one.type().scalarType() in _FLOATS for one in (self, other))
    return g.op("Floor", quotient) if fractions else quotient


def _log_sigmoid(g: Any, self: Any) -> Any:
    return g.op("Neg", g.op("Softplus", g.op("Neg", self)))
