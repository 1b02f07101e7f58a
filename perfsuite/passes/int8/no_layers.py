"""Why a graph has no layer that can be rounded, and which file would have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies
from perfsuite.export.contrib_operators import is_free
from perfsuite.export.operators import RECURRENT, operator_name
from perfsuite.passes.int8.placement import CONVOLUTIONS, PRODUCTS

if TYPE_CHECKING:
    import onnx

# The domains of operators that ONNX Runtime writes into files that it has optimized.
_OPTIMIZED = ("com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")


def why_none(graph: onnx.ModelProto) -> str:
    """Return why no layer of a graph can be rounded, as the end of a sentence that says so."""
    top = list(graph.graph.node)
    nodes = [*top, *(inner for node in top for inner in _inside(node))]
    fused = {operator_name(one) for one in nodes if one.domain in _OPTIMIZED and not is_free(one)}
    if fused:
        return (
            f": its layers are operators of ONNX Runtime's own ({', '.join(sorted(fused))}), which "
            f"it writes when it optimizes a file; give the file that this one was made from"
        )
    if _has_halves(graph):
        return (
            ": its weights have 16 bits, as of a file that was converted; give the float32 file "
            "that it was made from"
        )
    if is_double(graph):
        return ": its weights have 64 bits; export the model in float32"
    layers = [one for one in nodes if one.op_type in (*CONVOLUTIONS, *PRODUCTS)]
    if layers and not any(one in top for one in layers):
        return ", but for those inside of If, Loop and Scan, which stay float"
    recurrent = sorted({one.op_type for one in nodes if one.op_type in RECURRENT})
    if recurrent and not layers:
        return f"; {' and '.join(recurrent)} stay float"
    return ", so there is nothing to quantize"


def _inside(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for body in bodies(node):
        for inner in body.node:
            yield inner
            yield from _inside(inner)


def is_double(graph: onnx.ModelProto) -> bool:
    """Tell whether the graph's weights are in double, and none in float32."""
    from onnx import TensorProto

    kinds = _weight_types(graph)
    return TensorProto.DOUBLE in kinds and TensorProto.FLOAT not in kinds


def _has_halves(graph: onnx.ModelProto) -> bool:
    """Tell whether any of the graph's weights have 16 bits."""
    from onnx import TensorProto

    return not _weight_types(graph).isdisjoint((TensorProto.FLOAT16, TensorProto.BFLOAT16))


def _weight_types(graph: onnx.ModelProto) -> set[int]:
    """Return ONNX's numbers of the types of all constants with two sides or more."""
    from onnx import TensorProto

    from perfsuite.export.normalize import messages

    tensors = (one for one in messages(graph) if isinstance(one, TensorProto))
    return {one.data_type for one in tensors if len(one.dims) > 1}
