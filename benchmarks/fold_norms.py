"""Folding of batch normalizations, perfsuite's own beside onnxscript's rules.

    python benchmarks/fold_norms.py [WORKLOAD ...]

Prints, for graphs of the zoo whose exporter was told to keep the normalizations, and for small
graphs that are hard to fold: how many normalizations are left, the largest difference of an answer,
the time, and how many of the layers with weights have kept their names.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from perfsuite.export.fold import fold_batch_norms
from perfsuite.runner.build.reference import graph_outputs
from perfsuite.workloads.table import load_workload

ZOO = "vgg-digits vgg16-cifar10 shufflenet-cifar10 vehicle-type whale-id devise show-attend-tell"
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
Inputs = dict[str, np.ndarray]


def by_onnxscript(model: Any) -> Any:
    """Return the model after constants are folded and onnxscript's rules are applied."""
    import onnx_ir as ir
    from onnx_ir.passes.common import IdentityEliminationPass, RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants
    from onnxscript.rewriter import rewrite
    from onnxscript.rewriter.rules.common import (
        fuse_batchnorm_into_conv_rule,
        fuse_batchnorm_into_conv_transpose_rule,
        fuse_batchnorm_into_gemm_rule,
    )

    graph = ir.from_proto(model)
    limit = 2**28
    fold_constants(
        graph, onnx_shape_inference=False, input_size_limit=limit, output_size_limit=limit
    )
    IdentityEliminationPass()(graph)
    rules = [
        fuse_batchnorm_into_conv_rule,
        fuse_batchnorm_into_conv_transpose_rule,
        fuse_batchnorm_into_gemm_rule,
    ]
    graph = rewrite(graph, pattern_rewrite_rules=rules)
    RemoveUnusedNodesPass()(graph)
    return ir.to_proto(graph)


def exported(name: str) -> Iterator[tuple[str, Any, Inputs]]:
    """Yield the graphs of a workload, by both of PyTorch's exporters, its normalizations kept."""
    workload = load_workload(name)
    module = workload.model.build().eval()
    inputs = workload.task.inputs(workload.model.batch or 2, 0)
    tensors = tuple(torch.from_numpy(array) for array in inputs.values())
    for dynamo in (True, False):
        keep = {"optimize": False} if dynamo else {"do_constant_folding": False}
        if not dynamo:
            keep["training"] = torch.onnx.TrainingMode.PRESERVE
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.onnx"
            torch.onnx.export(
                module, tensors, path, dynamo=dynamo, input_names=list(inputs), **keep
            )
            yield f"{name} by {'dynamo' if dynamo else 'TorchScript'}", onnx.load(path), inputs


def hard() -> Iterator[tuple[str, Any, Inputs]]:
    """Yield small graphs of a convolution and a normalization that are hard to fold."""
    rng = np.random.default_rng(0)
    values = {"w": rng.normal(size=(4, 3, 3, 3)), "b": rng.normal(size=4)}
    values |= {name: rng.uniform(0.5, 2, 4) for name in ("scale", "bias", "mean", "variance")}
    statistics = ["scale", "bias", "mean", "variance"]
    conv, norm = helper.make_node, helper.make_node
    trained = norm("BatchNormalization", ["c", *statistics], ["y", "m", "v"], training_mode=1)
    plain = norm("BatchNormalization", ["c", *statistics], ["y"])
    other = norm("BatchNormalization", ["d", *statistics], ["z"])
    first, second = (conv("Conv", ["x", "w", "b"], [to], name=to) for to in ("c", "d"))
    without = conv("Conv", ["x", "w", ""], ["c"], name="c")
    cases = {
        "training mode": [first, trained],
        "a bias left out by an empty name": [without, plain],
        "two layers of one weight": [first, plain, second, other],
    }
    for title, nodes in cases.items():
        used = {name for node in nodes for name in node.input}
        tensors = [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in values.items()
            if name in used
        ]
        results = [name for name in ("y", "z") if any(name in node.output for node in nodes)]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, [2, 3, 5, 5])],
            [helper.make_tensor_value_info(name, 1, [2, 4, 3, 3]) for name in results],
            tensors,
        )
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        yield title, model, {"x": rng.normal(size=(2, 3, 5, 5)).astype(np.float32)}


def answers(model: Any, inputs: Inputs) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        onnx.save(model, path)
        named = {value.name for value in model.graph.input}
        given = {name: array for name, array in inputs.items() if name in named}
        return graph_outputs(path, given)


def told(model: Any, inputs: Inputs, fold: Callable[[Any], Any]) -> str:
    """Return what became of `model`, in words."""
    layers = {node.name for node in model.graph.node if node.op_type in WEIGHTED}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    started = time.perf_counter()
    try:
        folded = fold(copy)
    except Exception as error:  # noqa: BLE001 - whatever another package raises
        return f"fails with {type(error).__name__}"
    took_s = time.perf_counter() - started
    pairs = zip(answers(model, inputs), answers(folded, inputs), strict=True)
    off = max(float(np.abs(a - b).max() / (np.abs(a).max() or 1)) for a, b in pairs)
    left = sum(node.op_type == "BatchNormalization" for node in folded.graph.node)
    kept = len(layers & {node.name for node in folded.graph.node})
    return f"{left} left, off by {off:.1e}, {took_s:.2f} s, {kept} of {len(layers)} names"


def main(workloads: list[str]) -> None:
    torch.set_num_threads(1)
    graphs = [*(graph for name in workloads for graph in exported(name)), *hard()]
    for title, model, inputs in graphs:
        norms = sum(node.op_type == "BatchNormalization" for node in model.graph.node)
        print(f"{title}, {norms} normalizations")
        print(f"  perfsuite:  {told(model, inputs, fold_batch_norms)}")
        print(f"  onnxscript: {told(model, inputs, by_onnxscript)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ZOO.split())
