"""A graph's nodes as the branch of an If, to try what is looked for in bodies, too."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def inside_branch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that answers as `model` does, of one input `x`, where `x` exceeds -100."""
    graph = model.graph
    made = {name for node in graph.node for name in node.output}
    (answer,) = [value.name for value in graph.output]
    others = []
    for node in graph.node:
        other = onnx.NodeProto()
        other.CopyFrom(node)
        other.name = f"{node.name}_other"
        other.input[:] = [f"{name}_other" if name in made else name for name in node.input]
        other.output[:] = [f"{name}_other" for name in node.output]
        others.append(other)
    others.append(helper.make_node("Neg", [f"{answer}_other"], ["negative"], "negative"))
    branches = {
        f"{which}_branch": helper.make_graph(
            nodes, which, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
        )
        for which, nodes, name in (
            ("then", list(graph.node), answer),
            ("else", others, "negative"),
        )
    }
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], "largest", keepdims=0),
        helper.make_node("Greater", ["largest", "least"], ["goes"], "goes"),
        helper.make_node("If", ["goes"], ["chosen"], "chosen", **branches),
    ]
    whole = helper.make_graph(
        nodes,
        "graph",
        list(graph.input),
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)],
        [*graph.initializer, numpy_helper.from_array(np.float32(-100), "least")],
    )
    return helper.make_model(
        whole, ir_version=model.ir_version, opset_imports=list(model.opset_import)
    )
