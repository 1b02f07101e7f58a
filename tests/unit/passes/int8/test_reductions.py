"""What is reduced over an axis before a layer answers as in float, and the layer runs in 8 bits.

OpenVINO by itself rounds such values before they are scaled: of values between -3 and 3 only whole
numbers were left.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from fuzzed_checks import answers, check, context, plain, samples
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runtimes.openvino.runtime import OpenVino

EXTREMES = ("ReduceMax", "ReduceMin")


def model(operator: str, *behind: str) -> onnx.ModelProto:
    """Return a product, an extreme over its rows, operators on that, and a layer."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(0, 0.4, (8, 8)), "g": rng.normal(0, 0.4, (5, 8)), "b": np.ones(5)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], "p"),
        helper.make_node(operator, ["p"], ["r0"], "r0", axes=[1], keepdims=1),
    ]
    for place, one in enumerate(behind):
        nodes.append(helper.make_node(one, [f"r{place}"], [f"r{place + 1}"], f"r{place + 1}"))
    nodes += [
        helper.make_node("Flatten", [f"r{len(behind)}"], ["f"], "f"),
        helper.make_node("Gemm", ["f", "g", "b"], ["y"], "y", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("operator", EXTREMES)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_engines_answer_as_in_float(operator: str, runtime: str) -> None:
    pytest.importorskip(runtime)
    net = model(operator, "Relu") if operator == "ReduceMax" else model(operator)
    wanted = plain(net, samples(net, 4, 2))
    assert wanted is not None
    rounded = Int8(calibration_samples=16).apply(net, context(runtime, net))
    assert any(node.op_type == "DequantizeLinear" for node in rounded.graph.node)
    for ours, theirs in zip(answers(runtime, rounded, True), wanted, strict=True):
        assert np.linalg.norm(ours - theirs) < 0.03 * np.linalg.norm(theirs)


def test_the_sum_of_some_tokens() -> None:
    """Of all but the first, in a graph as it was drawn: the error was 2.8 times the answer."""
    pytest.importorskip("openvino")
    net = model("ReduceSum")
    product, total = net.graph.node[0], net.graph.node[1]
    numbers = {"one": [1], "all": [99], "axis": [1]}
    cut = helper.make_node("Slice", ["x", "one", "all", "axis"], ["s"], "s")
    product.input[0] = "s"
    del total.attribute[:]
    total.input.append("axis")
    total.attribute.append(helper.make_attribute("keepdims", 0))
    net.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in numbers.items()
    )
    net.graph.node.insert(0, cut)
    check(net, beside_static=True)


def pooled(*operators: str) -> onnx.ModelProto:
    """Return a convolution, what `operators` make of its result, joined, and another one."""
    rng = np.random.default_rng(0)
    shapes = {"w": (6, 3, 3, 3), "v": (4, len(operators), 3, 3), "g": (4, 5)}
    weights = {name: rng.normal(0, 0.4, shape) for name, shape in shapes.items()}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "c")]
    for place, operator in enumerate(operators):
        nodes.append(helper.make_node(operator, ["c"], [f"r{place}"], f"r{place}", axes=[1]))
    nodes += [
        helper.make_node("Concat", [f"r{n}" for n in range(len(operators))], ["k"], "k", axis=1),
        helper.make_node("Conv", ["k", "v"], ["d"], "d"),
        helper.make_node("GlobalAveragePool", ["d"], ["p"], "p"),
        helper.make_node("Flatten", ["p"], ["f"], "f"),
        helper.make_node("Gemm", ["f", "g"], ["y"], "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    "operators",
    [("ReduceMean", "ReduceMax"), ("ReduceMin", "ReduceMax"), ("ReduceSum", "ReduceMean")],
)
def test_means_and_extremes_that_are_joined(operators: tuple[str, ...], runtime: str) -> None:
    """As spatial attention has them (Woo et al. 2018)."""
    pytest.importorskip(runtime)
    net = pooled(*operators)
    wanted = plain(net, samples(net, 4, 2))
    assert wanted is not None
    rounded = Int8(calibration_samples=16).apply(net, context(runtime, net))
    for ours, theirs in zip(answers(runtime, rounded, True), wanted, strict=True):
        assert np.linalg.norm(ours - theirs) < 0.05 * np.linalg.norm(theirs)


def branches(*behind: str, axes: tuple[int, ...] = (1,)) -> onnx.ModelProto:
    """Return branches of a convolution, which are weighted, added up, and read by another.

    So do selective kernels (Li et al. 2019).
    """
    rng = np.random.default_rng(0)
    held = {
        "w": rng.normal(0, 0.3, (16, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32),
        "gate": rng.uniform(0.2, 1.5, (1, 2, 8, 1, 1)).astype(np.float32),
        "sides": np.array([-1, 2, 8, 6, 6]),
        "back": np.array([0, -1, 6, 6]),
        "axes": np.array(axes),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "first", pads=[1] * 4),
        helper.make_node("Reshape", ["c", "sides"], ["s"], "branches"),
        helper.make_node("Mul", ["s", "gate"], ["g"], "gated"),
        helper.make_node("ReduceSum", ["g", "axes"], ["r0"], "sum", keepdims=0),
        *(helper.make_node(one, [f"r{at}"], [f"r{at + 1}"], one) for at, one in enumerate(behind)),
        helper.make_node("Reshape", [f"r{len(behind)}", "back"], ["flat"], "flat"),
        helper.make_node("Conv", ["flat", "v"], ["y"], "second", pads=[1] * 4),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize("behind", [(), ("Relu",)])
def test_openvino_computes_the_layer_behind_a_sum_in_8_bits(
    behind: tuple[str, ...], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    net = branches(*behind)
    wanted = plain(net, samples(net, 4, 2))
    assert wanted is not None
    rounded = Int8(calibration_samples=16).apply(net, context("openvino", net))
    (ours,) = answers("openvino", rounded, True)
    assert np.linalg.norm(ours - wanted[0]) < 0.03 * np.linalg.norm(wanted[0])
    assert convolutions(rounded, tmp_path) == {"first": "int8", "second": "int8"}


@pytest.mark.parametrize("operator", EXTREMES)
def test_openvino_computes_the_layer_behind_an_extreme_in_8_bits(
    operator: str, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    net = pooled(operator, "ReduceMean")
    rounded = Int8(calibration_samples=16).apply(net, context("openvino", net))
    assert convolutions(rounded, tmp_path) == {"c": "int8", "d": "int8"}


def convolutions(graph: onnx.ModelProto, folder: Path) -> dict[str, str]:
    """Return the precision in which OpenVINO computes each convolution."""
    inputs = samples(graph, 1, 0)
    spec = InputSpec("x", "float32", ("batch", *inputs["x"].shape[1:]))
    onnx.save(graph, folder / "graph.onnx")
    (folder / "made").mkdir()
    engine, manifest = (
        OpenVino(),
        Manifest("openvino", "cpu", "fp32", 1, (spec,), ("y",), True, True),
    )
    engine.build(Variant(folder / "graph.onnx", None, True), manifest, folder / "made")
    options = SessionOptions(1, 1, inspect=True)
    with engine.open(folder / "made", manifest, options) as session:
        kernels = session.profile([inputs], 1).kernels
    named = {node.name for node in graph.graph.node if node.op_type == "Conv"}
    return {
        name: kernel.precision
        for kernel in kernels
        if kernel.kind == "Convolution"
        for name in named.intersection(kernel.origins)
    }
