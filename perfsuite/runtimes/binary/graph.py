"""A graph as it is cut and lowered: its nodes, constants, and what is known of its values."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from perfsuite.export.binary_operator import geometry_of, is_binary_conv
from perfsuite.export.constants import constant_of

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]


class Graph:
    """The nodes of a model without constants, and what each value is."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self.model, given = model, model.graph
        known = _inferred(_in_plain_operators(model)).graph
        self.types = {
            value.name: value.type for value in (*known.input, *known.value_info, *known.output)
        }
        self.constants: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in given.initializer
        }
        self.nodes: list[onnx.NodeProto] = []
        for node in given.node:
            if (value := constant_of(node)) is not None:
                self.constants[node.output[0]] = value
            else:
                self.nodes.append(node)
        self.inputs = [one.name for one in given.input if one.name not in self.constants]
        self.outputs = [one.name for one in given.output]

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """Return the nodes that read each value."""
        found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.input)):
                found[name].append(node)
        return found

    def shape(self, name: str) -> tuple[int | None, ...] | None:
        """Return a value's sides, None for those that are open, or None if nobody knows them."""
        if name in self.constants:
            return tuple(self.constants[name].shape)
        kind = self.types.get(name)
        if kind is None or not kind.tensor_type.HasField("shape"):
            return None
        return tuple(
            side.dim_value if side.HasField("dim_value") else None
            for side in kind.tensor_type.shape.dim
        )

    def channels(self, name: str) -> int | None:
        """Return the channels of a float value of 2 or 4 dimensions; None for any other."""
        shape, kind = self.shape(name), self.types.get(name)
        if shape is None or len(shape) not in (2, 4) or kind is None or name in self.constants:
            return None
        return shape[1] if kind.tensor_type.elem_type == 1 else None

    def rank(self, name: str) -> int:
        """Return the number of dimensions of a value that has some."""
        return len(self.shape(name) or ())

    def per_channel(self, constant: str, value: str) -> npt.NDArray[np.float32] | None:
        """Return one number for each channel of `value`, as `constant` is broadcast to it."""
        channels, array = self.channels(value), self.constants.get(constant)
        if channels is None or array is None or array.dtype != np.float32:
            return None
        sides = (1,) * max(0, self.rank(value) - array.ndim) + array.shape
        if len(sides) != self.rank(value) or any(
            side != 1 for axis, side in enumerate(sides) if axis != 1
        ):
            return None
        if sides[1] not in (1, channels):
            return None
        numbers: npt.NDArray[np.float32] = np.broadcast_to(array.reshape(-1), (channels,)).copy()
        return numbers


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name, texts as str."""
    from onnx import helper

    values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return {key: one.decode() if isinstance(one, bytes) else one for key, one in values.items()}


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # noqa: BLE001  (it raises whatever an operator raises)
        return model  # with the shapes that it tells itself


def _in_plain_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with plain convolutions for binary ones, whose shapes are the same.

    What can be inferred through the body of a function depends on more.
    """
    import onnx
    from onnx import helper

    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    packed = {tensor.name: tuple(tensor.dims) for tensor in plain.graph.initializer}
    for node in plain.graph.node:
        if not is_binary_conv(node) or node.input[2] not in packed:
            continue
        channels, geometry = geometry_of(node)
        filters, *kernel, _ = packed[node.input[2]]
        weights = helper.make_tensor_value_info(
            f"{node.name} weights", onnx.TensorProto.FLOAT, (filters, channels, *kernel)
        )
        plain.graph.input.append(weights)
        given = msgspec.structs.asdict(geometry)
        node.CopyFrom(
            helper.make_node(
                "Conv", [node.input[0], weights.name], node.output, name=node.name, **given
            )
        )
    return plain
