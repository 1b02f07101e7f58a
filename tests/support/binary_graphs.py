"""Graphs with binary convolutions, of random bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perfsuite.export.binary_operator import (
    OPSET,
    ConvGeometry,
    add_function,
    binary_conv_node,
    pack_weights,
)


def convolution_tensors(
    name: str, channels: int, filters: int, geometry: ConvGeometry, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return threshold, packed weights and scale of a layer, by the names of its inputs."""
    rng = np.random.default_rng([seed, channels, filters])
    each = channels // geometry.group
    return {
        f"{name}.threshold": rng.normal(0, 0.3, channels).astype(np.float32),
        f"{name}.weight": pack_weights(rng.normal(size=(filters, each, *geometry.kernel_shape))),
        f"{name}.scale": rng.uniform(0.05, 0.2, filters).astype(np.float32),
    }


def model_of(
    nodes: list[Any],
    tensors: Mapping[str, np.ndarray],
    given: tuple[str, tuple[int, ...]],
    output: str,
    rank: int = 4,
) -> Any:
    """Return the model of these nodes, whose input is named and has these sides after `batch`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    name, sides = given
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sides])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", *[None] * (rank - 1)])],
        [numpy_helper.from_array(value, key) for key, value in tensors.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    add_function(model)
    onnx.checker.check_model(model)
    return model


def single_layer(
    channels: int, filters: int, side: tuple[int, int], geometry: ConvGeometry, seed: int = 0
) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a model of one binary convolution, from x to y, and its tensors."""
    tensors = convolution_tensors("conv", channels, filters, geometry, seed)
    node = binary_conv_node(["x", *tensors], "y", "conv", channels // geometry.group, geometry)
    return model_of([node], tensors, ("x", (channels, *side)), "y"), tensors


def make_binary(model: Any, name: str) -> None:
    """Replace a convolution of a model, without bias, by a binary one with its weights' signs."""
    import onnx
    from onnx import numpy_helper

    (place,) = (index for index, node in enumerate(model.graph.node) if node.name == name)
    node = model.graph.node[place]
    stored = {one.name: one for one in model.graph.initializer}
    weights = numpy_helper.to_array(stored[node.input[1]])
    tensors = {
        f"{name}.threshold": np.zeros(weights.shape[1], np.float32),
        f"{name}.packed": pack_weights(weights),
        f"{name}.scale": np.abs(weights).mean(axis=(1, 2, 3)),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(value, key) for key, value in tensors.items()
    )
    found = {one.name: list(one.ints) for one in node.attribute}
    geometry = ConvGeometry(weights.shape[2:], pads=tuple(found["pads"]))
    inputs = (node.input[0], *tensors)
    made = binary_conv_node(inputs, node.output[0], name, weights.shape[1], geometry)
    model.graph.node[place].CopyFrom(made)
    add_function(model)
    onnx.checker.check_model(model)


class Chain:
    """A net that is written layer by layer; `here` is the value that the next layer reads."""

    def __init__(self, given: tuple[int, ...], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.given, self.channels = given, given[0]
        self.here = "x"
        self.nodes: list[Any] = []
        self.tensors: dict[str, np.ndarray] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node, named after its kind and number; return and go on with its result."""
        from onnx import helper

        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        self.here = name
        return name

    def numbers(self, low: float, high: float, shape: tuple[int, ...]) -> str:
        """Store drawn numbers; return their name."""
        name = f"t{len(self.tensors)}"
        self.tensors[name] = self.rng.uniform(low, high, shape).astype(np.float32)
        return name

    def convolution(self, filters: int, geometry: ConvGeometry, *, bias: bool = False) -> None:
        """Append a real convolution."""
        reach = (self.channels * geometry.kernel_shape[0] * geometry.kernel_shape[1]) ** -0.5
        shape = (filters, self.channels // geometry.group, *geometry.kernel_shape)
        inputs = [self.here, self.numbers(-2 * reach, 2 * reach, shape)]
        inputs += [self.numbers(-0.3, 0.3, (filters,))] if bias else []
        self.node(
            "Conv",
            *inputs,
            kernel_shape=geometry.kernel_shape,
            strides=geometry.strides,
            pads=geometry.pads,
            dilations=geometry.dilations,
            group=geometry.group,
        )
        self.channels = filters

    def binary(self, filters: int, geometry: ConvGeometry) -> None:
        """Append a binary convolution."""
        name = f"BinaryConv{len(self.nodes)}"
        each = self.channels // geometry.group
        weights = pack_weights(self.rng.normal(size=(filters, each, *geometry.kernel_shape)))
        self.tensors[f"{name}.weight"] = weights
        scale = 1.5 * weights[0].size ** -0.5 / 8**0.5
        inputs = (
            self.here,
            self.numbers(-0.3, 0.3, (self.channels,)),
            f"{name}.weight",
            self.numbers(0.8 * scale, 1.2 * scale, (filters,)),
        )
        self.nodes.append(binary_conv_node(inputs, name, name, each, geometry))
        self.here, self.channels = name, filters

    def norm(self) -> None:
        """Append a batch normalization."""
        sizes = (self.channels,)
        limits = ((0.8, 1.2), (-0.2, 0.2), (-0.3, 0.3), (0.7, 1.4))
        self.node("BatchNormalization", self.here, *(self.numbers(*one, sizes) for one in limits))

    def rprelu(self) -> None:
        """Append a PReLU between two shifts, as ReActNet has them."""
        places = (self.channels, 1, 1)
        self.node("Sub", self.here, self.numbers(-0.3, 0.3, places))
        self.node("PRelu", self.here, self.numbers(0.1, 0.4, places))
        self.node("Add", self.here, self.numbers(-0.3, 0.3, places))

    def pool(self, kind: str, side: int = 2, **attributes: Any) -> None:
        """Append a pool of windows that do not overlap."""
        sides = {"kernel_shape": (side, side), "strides": (side, side)}
        self.node(kind, self.here, **{**sides, **attributes})

    def head(self, classes: int) -> Any:
        """Append the mean over pictures and a linear layer; return the model, with output y."""
        self.node("GlobalAveragePool", self.here)
        self.node("Flatten", self.here)
        weights = self.numbers(-0.2, 0.2, (classes, self.channels))
        self.node("Gemm", self.here, weights, self.numbers(-0.1, 0.1, (classes,)), transB=1)
        return self.model(2)

    def model(self, rank: int = 4) -> Any:
        """Return the model, whose output is named y."""
        self.node("Identity", self.here)
        self.nodes[-1].output[0] = "y"
        return model_of(self.nodes, self.tensors, ("x", self.given), "y", rank)


SAME = ConvGeometry((3, 3), pads=(1, 1, 1, 1))


def vgg(plan: tuple[int | str, ...], side: int = 32) -> Any:
    """Return a VGG: numbers of channels, the first real, and "M" for pools."""
    net = Chain((3, side, side))
    for index, entry in enumerate(plan):
        if entry == "M":
            net.pool("MaxPool")
        else:
            net.convolution(int(entry), SAME) if index == 0 else net.binary(int(entry), SAME)
            net.norm()
            net.node("Relu", net.here)
    return net.head(10)


VGG16 = (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M")


def residual(widths: tuple[int, ...], blocks: int, side: int = 32) -> Any:
    """Return a residual net with a shortcut for each convolution, as Bi-Real Net and ReActNet."""
    net = Chain((3, side, side))
    net.convolution(widths[0], SAME)
    net.norm()
    for width in widths:
        for block in range(2 * blocks):
            shortcut, wider = net.here, width != net.channels and block == 0
            stride = (2, 2) if wider else (1, 1)
            net.binary(width, ConvGeometry((3, 3), stride, (1, 1, 1, 1)))
            net.norm()
            made = net.here
            if wider:
                net.here = shortcut
                net.pool("AveragePool")
                shortcut = net.node("Concat", net.here, net.here, axis=1)
            net.node("Add", made, shortcut)
            net.rprelu()
    return net.head(10)
