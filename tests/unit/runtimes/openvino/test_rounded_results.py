"""What is reduced and then rounded is so for its own channels, whatever the reduction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.rounded_results import keep_results_apart

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

STEP = 0.05


def reduction(
    operator: str, sides: tuple[int, ...], axis: int, channels: int, *, rounded: bool = True
) -> onnx.ModelProto:
    """Return a reduction whose result is scaled by its channels, and rounded or not."""
    rng = np.random.default_rng(1)
    held = {
        "axes": np.array([axis], np.int64), "step": np.float32(STEP), "zero": np.uint8(100),
        "times": rng.uniform(0.2, 3.0, channels).astype(np.float32),
        "plus": rng.normal(size=channels).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node(operator, ["x", "axes"], ["r"], "reduced", keepdims=0),
        helper.make_node("Mul", ["r", "times"], ["m"], "times"),
        helper.make_node("Add", ["m", "plus"], ["y"], "plus"),
        helper.make_node("QuantizeLinear", ["y", "step", "zero"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"], "d"),
    ]
    graph = helper.make_graph(
        nodes if rounded else nodes[:3],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *sides])],
        [helper.make_tensor_value_info("d" if rounded else "y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def pictures(*sides: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.3, 0.5, (2, *sides)).astype(np.float32)


@pytest.mark.parametrize(
    ("operator", "sides", "axis", "channels"),
    [
        ("ReduceMean", (16, 48), 1, 48),
        ("ReduceMean", (16, 48), 2, 16),
        ("ReduceSum", (16, 48), 1, 48),
        ("ReduceProd", (5, 48), 1, 48),
        ("ReduceMax", (16, 48), 1, 48),
        ("ReduceMin", (16, 48), 1, 48),
        ("ReduceMean", (8, 4, 6), 3, 4),  # which the engine does rightly
    ],
)
def test_a_result_is_scaled_and_rounded_by_its_own_channels(
    operator: str, sides: tuple[int, ...], axis: int, channels: int, tmp_path: Path
) -> None:
    graph, x = reduction(operator, sides, axis, channels), pictures(*sides)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1.01 * STEP)


def test_reductions_in_branches_are_found(tmp_path: Path) -> None:
    graph, x = inside_branch(reduction("ReduceMean", (16, 48), 1, 48)), pictures(16, 48)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1.01 * STEP)


def apart(graph: onnx.ModelProto, path: Path) -> int:
    """Return how many results are kept apart, asked twice."""
    onnx.save(graph, path)
    model = openvino.Core().read_model(str(path))
    keep_results_apart(model)
    keep_results_apart(model)
    return sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops())


def test_only_what_would_be_wrong_is_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert apart(reduction("ReduceMean", (16, 48), 1, 48), path) == 1
    assert apart(reduction("ReduceMean", (16, 48), 1, 48, rounded=False), path) == 0
    assert apart(reduction("ReduceMean", (8, 4, 6), 3, 4), path) == 0
    assert apart(reduction("ReduceMax", (8, 4, 6), 3, 4), path) == 1
    normalized = reduction("ReduceMean", (16, 48), 2, 16)
    normalized.graph.node[1].input[1] = "r"  # of what is made with other values nothing is fused
    assert apart(normalized, path) == 0


def test_what_a_deep_net_makes_is_told_from_constants() -> None:
    from openvino import Model
    from openvino import opset13 as operators

    given = operators.parameter([2, 16, 48], np.float32)
    deep = given
    for _ in range(1200):  # more than Python may call itself
        deep = operators.relu(deep)
    scaled = operators.multiply(operators.reduce_max(given, np.array([1]), keep_dims=True), deep)
    limits = [np.float32(one) for one in (0, 1, 0, 1)]
    model = Model([operators.fake_quantize(scaled, *limits, 256)], [given])
    before = len(model.get_ops())
    keep_results_apart(model)
    assert len(model.get_ops()) == before


def sized(operator: str, *, rounded: bool = True) -> onnx.ModelProto:
    """Return values, rounded or not, times a number that depends on how many exceed 0.5."""
    held = {"step": np.float32(STEP), "zero": np.uint8(100), "half": np.float32(0.5),
            "times": np.float32(0.001)}  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"], "d"),
        helper.make_node("Greater", ["x", "half"], ["large"], "large"),
        helper.make_node("NonZero", ["large"], ["places"], "places"),
        helper.make_node("Size", ["places"], ["size"], "size"),
        helper.make_node("Cast", ["size"], ["number"], "number", to=TensorProto.FLOAT),
        helper.make_node(operator, ["number", "times"], ["factor"], "factor"),
        helper.make_node("Mul", ["d" if rounded else "x", "factor"], ["y"], "y"),
    ]
    graph = helper.make_graph(
        nodes if rounded else nodes[2:],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("operator", ["Mul", "Add"])
def test_the_size_of_what_has_a_shape_of_its_own_is_scaled(operator: str, tmp_path: Path) -> None:
    graph, x = sized(operator), pictures(4, 5)
    np.testing.assert_allclose(
        answer_of(graph, x, tmp_path), wanted_of(graph, x), rtol=1e-5, atol=1e-6
    )
    assert apart(graph, tmp_path / "read.onnx") == 1
    assert apart(sized(operator, rounded=False), tmp_path / "float.onnx") == 0
