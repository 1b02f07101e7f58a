"""Weights that a file stores sparse, or twice, are read as any others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odd_graphs as odd
import onnx
import pytest
from onnx import numpy_helper

from perfsuite.errors import ConfigError
from perfsuite.export.onnx import load_graph
from perfsuite.export.stored import is_sparse


def read(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    onnx.save(model, folder / "net.onnx")
    return load_graph(folder / "net.onnx")


@pytest.mark.parametrize("make", [odd.sparse_weights, odd.sparse_constant])
def test_a_sparse_tensor_is_written_out(make: odd.Make, tmp_path: Path) -> None:
    assert is_sparse(make())
    found = read(make(), tmp_path)
    assert not is_sparse(found)
    tensors = {one.name: one for one in found.graph.initializer}
    for node in found.graph.node:
        if node.op_type == "Constant":
            tensors[node.output[0]] = node.attribute[0].t
    for name, wanted in odd.mostly_zeros().items():
        np.testing.assert_array_equal(numpy_helper.to_array(tensors[name]), wanted)


def test_sparse_tensors_inside_of_branches_are_written_out(tmp_path: Path) -> None:
    inner = odd.sparse_constant().graph.node[0]
    inner.output[0] = inner.name = "inside"
    body = odd.helper.make_graph(
        [inner, odd.node("ReduceSum", ["inside"], ["s"], "sum", keepdims=0)],
        "body",
        [],
        [odd.value("s", [])],
    )
    branch = odd.node("If", ["yes"], ["z"], "if", then_branch=body, else_branch=body)
    made = odd.model(
        [*odd.body(), branch], (odd.Y, odd.value("z", [])), more={"yes": np.array(True)}
    )
    assert is_sparse(made)
    assert not is_sparse(read(made, tmp_path))


def test_the_same_weights_twice_are_there_once(tmp_path: Path) -> None:
    found = read(odd.weights_twice(), tmp_path)
    assert sorted(one.name for one in found.graph.initializer) == ["w1", "w2"]


def test_other_weights_of_the_same_name_are_refused(tmp_path: Path) -> None:
    made = odd.weights_twice()
    made.graph.initializer[-1].CopyFrom(
        numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "w1")
    )
    with pytest.raises(ConfigError, match="two of its weights are named 'w1' and differ"):
        read(made, tmp_path)
