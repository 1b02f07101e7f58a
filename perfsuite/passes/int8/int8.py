"""INT8: post-training quantization with explicit Q/DQ pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.errors import BuildError, Unsupported
from perfsuite.passes.int8.calibration import ranges_of
from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.qdq import Scheme, insert

if TYPE_CHECKING:
    import onnx

_PER_CHANNEL_OPSET = 13  # the first whose DequantizeLinear has an axis
_INTEGER_SUMS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
_ACCUMULATES = ("openvino", "tensorrt", "tensorrt-rtx")


class Int8(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Post-training INT8 for convolutions and matrix products with constant weights.

    Weights are symmetric and per output channel, activations per tensor with the range that they
    have on `calibration_samples` samples, biases stay float, batch normalization is folded first.
    The target decides three things:

    - Activations are uint8 on processors, because ONNX Runtime fuses a ReLU into the rounding only
      where zero is the least value of the type; int8 with zero point 0 for TensorRT.
    - Processors without VNNI (or its relatives) add two 8-bit products in 16 bits, which saturate:
      there weights keep to 7 bits (-63 to 63), where two products always fit.
    - For ONNX Runtime every value between two operators is quantized; OpenVINO and TensorRT add a
      shortcut to a convolution's result before rounding.
    """

    calibration_samples: int = 256

    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = (
        "onnxruntime",
        "openvino",
        "tensorrt",
        "tensorrt-rtx",
        "fake",
    )

    def __post_init__(self) -> None:
        if self.calibration_samples < 1:
            raise ValueError(
                f"calibration_samples is {self.calibration_samples}, but must be at least 1"
            )

    def resolve(self, target: Target) -> str:
        """Return, as text, all that the result owes to the target."""
        return msgspec.json.encode(scheme_of(target)).decode()

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return `graph` with Q/DQ pairs; names, inputs, outputs and the `batch` axis stay.

        Raises `Unsupported` for a graph without anything to quantize, `BuildError` for NaN or
        infinite values in calibration, `ConfigError` when there are no calibration samples.
        """
        scheme = scheme_of(ctx.target)
        model = _prepared(graph)
        placement = place(model.graph, sum_in_accumulator=scheme.sum_in_accumulator)
        if not placement.weighted:
            raise Unsupported(
                "int8: the graph has no convolution or matrix product with constant float32 "
                "weights, so there is nothing to quantize"
            )
        samples = self.calibration_samples
        ranges = ranges_of(
            model,
            [tensor for group in placement.groups for tensor in group],
            ctx.calibration(samples),
            lambda done: ctx.progress(min(done, samples), samples),
        )
        insert(model.graph, placement, ranges, scheme)
        return model


def scheme_of(target: Target) -> Scheme:
    """Return how values are quantized for `target`."""
    signed = target.runtime.startswith("tensorrt")
    exact = target.device != "cpu" or bool(_INTEGER_SUMS.intersection(target.features))
    return Scheme(
        signed=signed,
        weight_limit=127 if exact else 63,
        sum_in_accumulator=target.runtime in _ACCUMULATES,
    )


def _prepared(graph: onnx.ModelProto) -> onnx.ModelProto:
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
