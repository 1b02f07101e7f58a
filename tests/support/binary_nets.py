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
