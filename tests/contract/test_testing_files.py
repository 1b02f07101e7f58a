"""What `check_workload` tells of ONNX files before anything runs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.testing import check_workload
from perfsuite.workloads.onnx.file import onnx_workload

NODES = {
    "plain": [("MatMul", ["x", "w"], "y")],
    "rounded": [
        ("QuantizeLinear", ["x", "scale", "zero"], "q"),
        ("DequantizeLinear", ["q", "scale", "zero"], "d"),
        ("MatMul", ["d", "w"], "y"),
    ],
    "masked": [("MatMul", ["x", "w"], "s"), ("Where", ["mask", "s", "least"], "y")],
    "undefined": [
        ("MatMul", ["x", "w"], "s"),
        ("Log", ["negative"], "n"),
        ("Add", ["s", "n"], "y"),
    ],
    "single": [("MatMul", ["x", "w"], "s"), ("Reshape", ["s", "one"], "y")],
}
CONSTANTS = {
    "w": np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32),
    "scale": np.float32(0.05),
    "zero": np.int8(0),
    "mask": np.array([True, False, True, True]),
    "least": np.float32(-np.inf),
    "negative": np.float32(-1),
    "one": np.array([1, 4]),
}


def told(path: Path, kind: str) -> list[str]:
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in NODES[kind]]
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(one, name) for name, one in CONSTANTS.items() if name in read],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check_workload(onnx_workload(path))
    return [str(one.message) for one in found]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rounded", "int8 already: it is timed as it is; recipe int8 is refused"),
        ("masked", "its output 0 has infinite values"),
        ("undefined", "its output 0 has NaN on what task.inputs gives: give samples"),
        ("single", "it takes calls of 1 alone, as a trial has found"),
    ],
)
def test_what_a_run_would_label_is_told(tmp_path: Path, kind: str, words: str) -> None:
    assert any(words in one for one in told(tmp_path / "net.onnx", kind))


def test_of_a_plain_file_nothing_is_told(tmp_path: Path) -> None:
    assert told(tmp_path / "net.onnx", "plain") == []
