"""Files whose open sides were settled: written so, but for lengths that a branch contradicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.export.onnx import graph_spec, load_graph, write_settled


def of_two_rates(path: Path) -> None:
    """Write a net with a branch for signals of 6 numbers, and one for signals of 8."""
    result = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["x", weights], ["b"])], name, [], result
        )
        for name, weights in (("then", "w8"), ("else", "w6"))
    }
    nodes = [
        helper.make_node("Equal", ["rate", "eight"], ["c"]),
        helper.make_node("If", ["c"], ["y"], "choice", **branches),
    ]
    constants = {"eight": np.array(8), "w8": np.ones((8, 2)), "w6": np.ones((6, 2))}
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None]),
            helper.make_tensor_value_info("rate", TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        [
            numpy_helper.from_array(one if one.dtype == int else one.astype(np.float32), name)
            for name, one in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def test_lengths_that_a_branch_contradicts_stay_open(tmp_path: Path) -> None:
    of_two_rates(tmp_path / "net.onnx")
    specs = (InputSpec("x", "float32", (1, 6)), InputSpec("rate", "int64", (), per_call=True))
    settled = tmp_path / "settled.onnx"
    write_settled(tmp_path / "net.onnx", specs, settled)
    assert [spec.shape for spec in graph_spec(load_graph(settled))[0]] == [("x[0]", "x[1]"), ()]
    session = ort.InferenceSession(str(settled), providers=["CPUExecutionProvider"])
    x, rate = np.ones((1, 6), np.float32), np.array(6)
    assert session.run(None, {"x": x, "rate": rate})[0].tolist() == [[6.0, 6.0]]


def test_lengths_of_outputs_that_are_those_of_other_inputs_are_dropped(tmp_path: Path) -> None:
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, side])
        for name, side in (("x", "n"), ("y", 54))
    ]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, tmp_path / "net.onnx")
    settled = tmp_path / "settled.onnx"
    write_settled(tmp_path / "net.onnx", (InputSpec("x", "float32", ("batch", 20)),), settled)
    assert [spec.shape for spec in graph_spec(load_graph(settled))[0]] == [("batch", 20)]
    session = ort.InferenceSession(str(settled), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 20), np.float32)})[0].shape == (1, 20)
    write_settled(tmp_path / "net.onnx", (InputSpec("x", "float32", ("batch", 54)),), settled)
    sides = onnx.load(settled).graph.output[0].type.tensor_type.shape.dim
    assert sides[1].dim_value == 54, "they stay where they are right"
