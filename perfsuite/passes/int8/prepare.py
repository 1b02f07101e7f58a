"""A graph is made ready to be quantized; nothing is rounded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.errors import BuildError

if TYPE_CHECKING:
    import onnx

_PER_CHANNEL_OPSET = 13  # the first whose DequantizeLinear has an axis


def prepared(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with batch normalization folded and an operator set that can be quantized."""
    from onnx import ModelProto, version_converter

    from perfsuite.export.fold import fold_batch_norms

    model = ModelProto()
    model.CopyFrom(graph)
    # Old files list weights among the inputs too, where a caller could replace them.
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)  # the first that lets weights be no inputs
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _PER_CHANNEL_OPSET:
        try:
            model = version_converter.convert_version(model, _PER_CHANNEL_OPSET)
        except Exception as error:
            raise BuildError(
                f"int8: the graph has opset {opset} and cannot be converted to "
                f"{_PER_CHANNEL_OPSET}, which per-channel weights need: {error}; "
                f"export it again with a newer one"
            ) from error
    return fold_batch_norms(model)
