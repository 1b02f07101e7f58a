"""A classifier one of whose layers loses its answers when its input is rounded to 8 bits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES, LAYERS = 4, 5, ("first", "body.a", "body.bad", "body.b", "head")


def outlier_net(batch: str | int = "batch") -> onnx.ModelProto:
    """Return the net: `first`, `body.a`, `body.bad`, `body.b`, `head`, named as exporters do.

    A channel of what `body.bad` reads is always about 1000, and its weights for that are zero: the
    other channels, of about 1, are less than a step of 8 bits, and the float net does not mind.
    """
    rng = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {}
    nodes = []
    value, seen = "x", pictures(64)
    for layer in LAYERS[:-1]:
        inside = 3 if layer == "first" else 8
        weights = rng.normal(0, 1 / inside**0.5, (8, inside, 1, 1)).astype(np.float32)
        bias = np.zeros(8, np.float32)
        if layer == "body.a":
            bias[0] = 1000.0
        if layer == "body.bad":
            weights[:, 0] = 0.0
        constants[f"{layer}.weight"], constants[f"{layer}.bias"] = weights, bias
        inputs = [value, f"{layer}.weight", f"{layer}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [f"{layer}/out"], f"{layer}/Conv"))
        nodes.append(helper.make_node("Relu", [f"{layer}/out"], [f"{layer}/r"], f"{layer}/Relu"))
        value = f"{layer}/r"
        seen = np.einsum("oi,nihw->nohw", weights[:, :, 0, 0], seen) + bias[:, None, None]
        seen = np.maximum(seen, 0.0)
    constants["head.weight"] = rng.normal(0, 1, (CLASSES, 8)).astype(np.float32)
    # No class is the answer to all pictures: on average, their scores are alike.
    mean = seen.mean(axis=(0, 2, 3))
    constants["head.bias"] = -(constants["head.weight"] @ mean).astype(np.float32)
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"], "pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flat/Flatten"),
        helper.make_node(
            "Gemm", ["flat", "head.weight", "head.bias"], ["y"], "head/Gemm", transB=1
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "outlier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Return seeded inputs of the net, of different colours: it does not answer all alike."""
    rng = np.random.default_rng(seed)
    colours = 2.0 * rng.normal(size=(count, 3, 1, 1))
    return (colours + rng.normal(size=(count, 3, SIDE, SIDE))).astype(np.float32)


def float_layers(model: onnx.ModelProto) -> set[str]:
    """Return the layers of a rounded net whose weights are not rounded."""
    made = {out: node for node in model.graph.node for out in node.output}
    weighted = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    return {node.name.rpartition("/")[0] for node in weighted if node.input[1] not in made}
