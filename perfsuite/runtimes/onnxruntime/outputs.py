"""Which outputs ONNX Runtime gives as arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.errors import Unsupported
from perfsuite.runtimes.shared.base import no_such_type

_PLAIN = "tensor("
# Types of outputs that NumPy lacks, in ONNX Runtime's words.
_LACKING = ("bfloat16", "float8", "float4", "int4", "uint4", "int2", "uint2", "complex")


def check_types(outputs: Sequence[Any]) -> None:
    """Raise `Unsupported` for an output, as a session describes it, that cannot become an array."""
    for output in outputs:
        kind = str(output.type)
        if kind.startswith("sparse_tensor"):
            raise Unsupported(
                f"output '{output.name}' is a sparse tensor; end the graph with a dense one"
            )
        inner = kind.rpartition("tensor(")[2].rstrip(")")
        if inner.startswith(_LACKING):
            raise no_such_type(output.name, inner)


def are_plain(outputs: Sequence[Any]) -> bool:
    """Tell whether a session gives arrays of numbers alone."""
    return all(
        str(output.type).startswith(_PLAIN) and "string" not in output.type for output in outputs
    )
