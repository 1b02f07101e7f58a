"""ONNX Runtime's kernels are traced back to the nodes that it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from profile_net import check_traced, export, profiled

from perfsuite.domain.profile import Node
from perfsuite.errors import Unsupported
from perfsuite.runtimes.onnxruntime.profile import _kernels, graph_nodes, origins, profile
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.shared.origins import Graph

CALLS = 3


@pytest.mark.parametrize("quantized", [False, True])
def test_every_kernel_has_an_owner(tmp_path: Path, quantized: bool) -> None:
    graph = export(tmp_path, "onnxruntime" if quantized else None)
    (tmp_path / "artifact").mkdir()
    found = profiled(OnnxRuntime(), graph, tmp_path / "artifact", CALLS, quantized)
    check_traced(found, graph)
    assert len(found.walls_s) == CALLS
    for call, wall in enumerate(found.walls_s):
        ends = [kernel.starts_s[call] + kernel.times_s[call] for kernel in found.kernels]
        assert ends == sorted(ends), "in the order in which they ran, one at a time"
        assert 0 < sum(kernel.times_s[call] for kernel in found.kernels) < wall
        assert max(ends) < wall
    precisions = {kernel.precision for kernel in found.kernels if "Conv" in kernel.kind}
    assert precisions == {"int8" if quantized else "fp32"}
    assert [file.name for file in (tmp_path / "artifact").iterdir()] == ["model.onnx"]


def node(name: str, kind: str, inputs: str, outputs: str) -> Node:
    return Node(name, kind, "", tuple(inputs.split()), tuple(outputs.split()))


# x -> conv -> add -> relu -> pool, and x is added too.
GIVEN = Graph(
    [
        node("m/Conv", "Conv", "x w", "m/Conv_output_0"),
        node("m/Add", "Add", "m/Conv_output_0 x", "m/Add_output_0"),
        node("r/Relu", "Relu", "m/Add_output_0", "r/Relu_output_0"),
        node("p/MaxPool", "MaxPool", "r/Relu_output_0", "y"),
    ]
)


def test_a_fused_kernel_is_known_by_the_value_that_it_keeps() -> None:
    kernels = [
        node("m/Conv", "FusedConv", "x w", "r/Relu_output_0"),
        node("p/MaxPool", "MaxPool", "r/Relu_output_0", "y"),
    ]
    assert origins(GIVEN, kernels) == [("m/Conv", "m/Add", "r/Relu"), ("p/MaxPool",)]


def test_behind_a_renamed_value_what_follows_belongs_to_the_kernel_that_has_all_it_takes() -> None:
    kernels = [
        node("ReorderInput", "ReorderInput", "x", "t0"),
        node("m/Conv_output_0_nchwc_token_3", "Conv", "t0 t1 w t0", "t2"),
        node("p/MaxPool_nchwc", "MaxPool", "t2", "t3"),
        node("ReorderOutput_token_7", "ReorderOutput", "t3", "y"),
    ]
    expected = [(), ("m/Conv", "m/Add", "r/Relu"), ("p/MaxPool",), ()]
    assert origins(GIVEN, kernels) == expected


def test_a_sum_that_a_kernel_cannot_compute_is_not_its_own() -> None:
    kernels = [
        node("m/Conv_nchwc", "Conv", "t0 w", "t2"),
        node("ReorderOutput", "ReorderOutput", "t2", "m/Conv_output_0"),
        node("m/Add", "Add", "m/Conv_output_0 x", "m/Add_output_0"),
        node("other", "Mystery", "m/Add_output_0", "t4"),
        node("p/MaxPool", "MaxPool", "t4", "y"),
    ]
    assert origins(GIVEN, kernels) == [
        ("m/Conv",),
        (),
        ("m/Add",),
        (),
        ("r/Relu", "p/MaxPool"),
    ]


def test_what_was_computed_when_the_graph_was_optimized_is_not_part_of_the_kernel_after() -> None:
    kernels = [
        node("m/Add", "Add", "m/Conv_output_0 x", "m/Add_output_0"),  # a constant, of its name
        node("r/Relu", "Relu", "m/Add_output_0", "r/Relu_output_0"),
        node("p/MaxPool", "MaxPool", "r/Relu_output_0", "y"),
    ]
    assert origins(GIVEN, kernels) == [("m/Add",), ("r/Relu",), ("p/MaxPool",)]


def test_a_transpose_of_the_graph_is_told_from_an_inserted_one() -> None:
    given = Graph(
        [
            node("a/Transpose", "Transpose", "x", "a/Transpose_output_0"),
            node("b/Conv", "Conv", "a/Transpose_output_0 w", "y"),
        ]
    )
    kernels = [
        node("Transpose_token_2", "Transpose", "x", "a/Transpose_output_0"),
        node("Transpose_token_3", "Transpose", "a/Transpose_output_0", "t0"),
        node("b/Conv_token_4", "NhwcConv", "t0 w", "t1"),
        node("Transpose_token_5", "Transpose", "t1", "y"),
    ]
    assert origins(given, kernels) == [("a/Transpose",), (), ("b/Conv",), ()]


def test_nodes_without_names_are_called_after_what_they_make(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in "xy"]
    nodes = [helper.make_node("Relu", ["x"], ["z"]), helper.make_node("Sigmoid", ["z"], ["y"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "odd.onnx")
    assert [one.name for one in graph_nodes(tmp_path / "odd.onnx")] == ["z", "y"]


def test_what_the_optimized_graph_does_not_name_is_nobodys_and_bodies_are_left_out() -> None:
    loop = Node("loop", "Loop", "", ("x",), ("y",))
    call = {
        "loop": {"ts": 0, "dur": 10, "args": {}},
        "inner": {"ts": 0, "dur": 4, "args": {"op_name": "Add"}},
        "MatMul_7": {"ts": 12, "dur": 5, "args": {"op_name": "MatMul"}},
    }
    found = list(_kernels([call, call], Graph([loop]), [loop]))
    assert [(one.name, one.kind, one.origins) for one in found] == [
        ("loop", "Loop", ("loop",)),
        ("MatMul_7", "MatMul", ()),
    ]
    assert found[1].times_s == (5e-6, 5e-6)


def test_what_an_expanded_operator_became_is_found_by_its_order() -> None:
    """The engine makes two nodes without names of each HardSwish, and counts them."""
    given = [
        Node("conv", "Conv", "", ("x",), ("c",)),
        Node("act", "HardSwish", "", ("c",), ("h",)),
        Node("round", "QuantizeLinear", "", ("h",), ("q",)),
    ]
    kernels = [
        Node("conv", "Conv", "", ("x",), ("c",)),
        Node("_1", "HardSigmoid", "", ("c",), ("_1",)),
        Node("_2", "Mul", "", ("c", "_1"), ("_2",)),
        Node("round", "QuantizeLinear", "", ("_2",), ("q",)),
    ]

    def event(start: int, kind: str, index: int) -> dict[str, Any]:
        return {"ts": start, "dur": 1, "args": {"op_name": kind, "node_index": str(index)}}

    call = {
        "conv": event(0, "Conv", 0),
        "HardSigmoid_7": event(2, "HardSigmoid", 7),
        "Mul_8": event(4, "Mul", 8),
        "round": event(6, "QuantizeLinear", 3),
    }
    found = {one.name: one for one in _kernels([call], Graph(given), kernels)}
    assert found["round"].origins == ("act", "round")
    assert found["HardSigmoid_7"].neighbours[:1] == ("conv",)
    assert "act" in found["Mul_8"].neighbours
    # Where there are more of them than the graph has, nobody knows which is which.
    more = {**call, "Mul_9": event(8, "Mul", 9)}
    lost = {one.name: one for one in _kernels([more], Graph(given), kernels)}
    assert lost["Mul_8"].neighbours == lost["Mul_9"].neighbours == ()


class Short:
    """A session whose trace holds one call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, names: Any, inputs: Any) -> None: ...

    def end_profiling(self) -> str:
        self.path.write_text('[{"cat": "Session", "name": "model_run", "ts": 0, "dur": 1}]')
        return str(self.path)


def test_a_trace_that_was_cut_short_is_no_profile(tmp_path: Path) -> None:
    session = Short(tmp_path / "trace.json")
    with pytest.raises(Unsupported, match="1 of 5 calls"):
        profile(session, tmp_path, tmp_path, [{}], 5)
