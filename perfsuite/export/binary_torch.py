"""The operator of binary convolutions for torch, and how exporters write it into graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from perfsuite.export.binary_operator import (
    ATTRIBUTES,
    DOMAIN,
    INPUTS,
    OPERATOR,
    OPSET,
    VERSION,
    add_function,
    is_binary_conv,
    unpack_weights,
)

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

NAME = "perfsuite::binary_conv"
PACKED = "PackedConv2d"  # the class of a module that holds bits and thresholds
# The last five are named after those of torch's own convolution.
_SCHEMA = (
    "(Tensor values, Tensor threshold, Tensor weight, Tensor scale, int channels, "
    "int[] stride, int[] padding, int[] dilation, int groups) -> Tensor"
)


def packed_parameters(module: nn.Module) -> int:
    """Return how many bits and thresholds a module itself holds; 0 unless it is of that class."""
    return int(module.packed) if type(module).__name__ == PACKED else 0  # type: ignore[arg-type]


@cache
def operator() -> Any:
    """Return torch's operator of binary convolutions, which is registered the first time.

    It takes values (N, C, H, W), thresholds (C,), packed weights (M, kh, kw, bytes) for `channels`
    of each group and scales (M,), and answers as `BinaryConv` does: computed in plain float32, and
    of the type that the values have.
    """
    import torch
    from torch.nn.functional import conv2d

    def answer(
        values: torch.Tensor,
        threshold: torch.Tensor,
        weight: torch.Tensor,
        scale: torch.Tensor,
        channels: int,
        *geometry: Any,
    ) -> torch.Tensor:
        signs = (values >= threshold[:, None, None]).float().mul_(2).sub_(1)
        # Contiguous, because torch 2.14 answers wrongly for some strides where a side is 1.
        filters = torch.from_numpy(unpack_weights(weight.cpu().numpy(), channels)).contiguous()
        # Rounded, because a fast algorithm of convolution may miss whole numbers by a little.
        sums = conv2d(signs, filters.to(values.device), None, *geometry).round_()
        return sums.mul_(scale[:, None, None]).to(values.dtype)

    def shape(
        values: torch.Tensor,
        threshold: torch.Tensor,
        weight: torch.Tensor,
        scale: torch.Tensor,
        channels: int,
        *geometry: Any,
    ) -> torch.Tensor:
        filters = values.new_empty((len(weight), channels, *weight.shape[1:3]))
        return conv2d(values, filters, None, *geometry)

    made = torch.library.custom_op(NAME, answer, mutates_args=(), schema=_SCHEMA)
    made.register_fake(shape)
    return torch.ops.perfsuite.binary_conv


@cache
def register_symbolic() -> None:
    """Let the TorchScript exporter write the operator."""
    from torch.onnx import register_custom_op_symbolic  # type: ignore[attr-defined]

    register_custom_op_symbolic(NAME, _symbolic, OPSET)


def translations() -> dict[Any, Any] | None:
    """Return how the dynamo exporter writes the operator; None where no module has it."""
    import onnxscript
    import torch

    if operator.cache_info().currsize == 0:
        return None
    opset = onnxscript.values.Opset(DOMAIN, VERSION)
    written = onnxscript.values.Op(opset, OPERATOR, _schema())

    def write(
        values: Any,
        threshold: Any,
        weight: Any,
        scale: Any,
        channels: int,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> Any:
        sides = [int(side) for side in weight.shape[1:3]]
        said = (channels, sides, list(stride), [*padding, *padding], list(dilation), groups)
        named = dict(zip(ATTRIBUTES, said, strict=True))
        return written(values, threshold, weight, scale, **named)

    return {torch.ops.perfsuite.binary_conv.default: write}


def with_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an exported model, with the function of binary convolutions if it has any."""
    if any(is_binary_conv(node) for node in model.graph.node):
        add_function(model)
    return model


def _symbolic(
    graph: Any, values: Any, threshold: Any, weight: Any, scale: Any, *geometry: Any
) -> Any:
    """Write the operator with the TorchScript exporter."""
    from torch.onnx import symbolic_helper

    channels, stride, padding, dilation, groups = (
        symbolic_helper._get_const(value, kind, NAME)  # type: ignore[no-untyped-call]
        for value, kind in zip(geometry, ("i", "is", "is", "is", "i"), strict=True)
    )
    outside, *sides = weight.type().sizes()[:3]
    made = graph.op(
        f"{DOMAIN}::{OPERATOR}",
        *(values, threshold, weight, scale),
        channels_i=channels,
        kernel_shape_i=sides,
        strides_i=stride,
        pads_i=[*padding, *padding],
        dilations_i=dilation,
        group_i=groups,
    )
    # How many samples and places there are is not known here.
    made.setType(values.type().with_sizes([None, outside, None, None]))
    return made


def _schema() -> Any:
    """Return the operator's schema, which tells the dynamo exporter what its attributes are."""
    from onnx.defs import OpSchema

    kind = OpSchema.AttrType
    tensor, bits = "tensor(float)", "tensor(uint8)"
    return OpSchema(
        OPERATOR,
        DOMAIN,
        VERSION,
        inputs=[OpSchema.FormalParameter(one, bits if one == "W" else tensor) for one in INPUTS],
        outputs=[OpSchema.FormalParameter("Y", tensor)],
        attributes=[
            OpSchema.Attribute(
                one, kind.INT if one in ("channels", "group") else kind.INTS, "", required=True
            )
            for one in ATTRIBUTES
        ],
    )
