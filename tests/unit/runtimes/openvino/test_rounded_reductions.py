"""Means and sums of rounded values answer as they should, for each sample of a call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.rounded_reductions import keep_reductions_float

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

BATCH = 40  # from the 38th sample on one of the means was wrong
STEP = 0.01


def reduction(
    operator: str, sides: tuple[int, ...], axis: int, *, rounded: bool = True
) -> onnx.ModelProto:
    """Return the mean or sum over an axis of values in 8 bits, which is rounded, too, or not."""
    held = {
        "scale": np.float32(0.03), "zero": np.uint8(120), "step": np.float32(STEP),
        "axes": np.array([axis], np.int64),
    }  # fmt: skip
    sums = operator == "ReduceSum"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], "d"),
        helper.make_node(
            operator,
            ["d", "axes"] if sums else ["d"],
            ["y"],
            "reduced",
            keepdims=0,
            **({} if sums else {"axes": [axis]}),
        ),
        helper.make_node("QuantizeLinear", ["y", "step", "zero"], ["q2"], "q2"),
        helper.make_node("DequantizeLinear", ["q2", "step", "zero"], ["y2"], "d2"),
    ]
    graph = helper.make_graph(
        nodes if rounded else nodes[:3],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *sides])],
        [helper.make_tensor_value_info("y2" if rounded else "y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def pictures(*sides: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.3, 0.5, (BATCH, *sides)).astype(np.float32)


@pytest.mark.parametrize(
    ("operator", "sides", "axis", "rounded"),
    [
        ("ReduceMean", (16, 32), 1, True),
        ("ReduceMean", (16, 32), 2, True),
        ("ReduceMean", (16, 32), 1, False),
        ("ReduceSum", (5, 4, 8), 3, True),
    ],
)
def test_every_sample_of_a_call_is_reduced_alike(
    operator: str, sides: tuple[int, ...], axis: int, rounded: bool, tmp_path: Path
) -> None:
    graph, x = reduction(operator, sides, axis, rounded=rounded), pictures(*sides)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1.01 * STEP if rounded else 1e-4)


def test_reductions_in_branches_are_found(tmp_path: Path) -> None:
    graph, x = inside_branch(reduction("ReduceMean", (16, 32), 2)), pictures(16, 32)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1.01 * STEP)


def guarded(graph: onnx.ModelProto, path: Path) -> int:
    """Return how many reductions are kept in float, asked twice."""
    onnx.save(graph, path)
    model = openvino.Core().read_model(str(path))
    keep_reductions_float(model)
    keep_reductions_float(model)
    return sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops())


def test_only_what_would_be_wrong_is_kept_in_float(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert guarded(reduction("ReduceMean", (16, 32), 1), path) == 1
    assert guarded(reduction("ReduceMean", (5, 4, 8), 1), path) == 0  # of four sides: is right
    plain = reduction("ReduceMean", (16, 32), 1)
    del plain.graph.node[:2]
    plain.graph.node[0].input[0] = "x"
    assert guarded(plain, path) == 0  # of float values


def whole(kind: int) -> onnx.ModelProto:
    """Return the sum of the integers themselves, as those of a kind."""
    graph = reduction("ReduceSum", (5, 4, 8), 3, rounded=False)
    added = graph.graph.node[2]
    graph.graph.node[1].CopyFrom(helper.make_node("Cast", ["q"], ["whole"], "whole", to=kind))
    added.input[0], added.output[0] = "whole", "s"
    graph.graph.node.append(helper.make_node("Cast", ["s"], ["y"], "back", to=TensorProto.FLOAT))
    return graph


def test_integers_are_added_as_integers(tmp_path: Path) -> None:
    """No float is the lowest of them: cast to a type without a sign, it would be a large one."""
    x = pictures(5, 4, 8)
    wanted = wanted_of(whole(TensorProto.INT64), x)
    np.testing.assert_array_equal(answer_of(whole(TensorProto.UINT64), x, tmp_path), wanted)
