"""Samples without labels: how far a variant agrees with the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odd_graphs as odd
import pytest
from onnx import TensorProto
from onnx_net import SIDE, save, weights

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import Unsupported
from perfsuite.export import evaluated
from perfsuite.export.values import arrays
from perfsuite.workloads.onnx.agreement import COMPARED
from perfsuite.workloads.onnx.file import onnx_workload


def test_the_file_agrees_with_itself_and_a_wrong_variant_does_not(tmp_path: Path) -> None:
    import onnxruntime as ort

    file = tmp_path / "net.onnx"
    save(file, weights())
    x = np.random.default_rng(0).standard_normal((6, 3, SIDE, SIDE)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x=x)
    task = onnx_workload(file, tmp_path / "s.npz").task
    assert COMPARED in task.labels
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    same = task.rows(lambda inputs: session.run(None, inputs))
    assert same.shape == (3, 1)
    assert task.metrics()["agreement"](same) == pytest.approx(1.0)
    turned = task.rows(lambda inputs: [-one for one in session.run(None, inputs)])
    assert task.metrics()["agreement"](turned) == 0.0
    assert len(task.rows(lambda inputs: session.run(None, inputs), 2)) == 2


def test_a_sequence_counts_as_one_output(tmp_path: Path) -> None:
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("SplitToSequence", ["x", "two"], ["parts"], "split", axis=1),
            helper.make_node("Relu", ["x"], ["y"], "relu"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [
            helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4]),
        ],
        [numpy_helper.from_array(np.array(2), "two")],
    )
    file = tmp_path / "parts.onnx"
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x=x)
    task = onnx_workload(file, tmp_path / "s.npz").task
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def answered(inputs: Inputs) -> Outputs:
        return arrays(session.run(None, inputs))  # as sessions of perfsuite do

    assert task.metrics()["agreement"](task.rows(answered)) == pytest.approx(1.0)
    assert task.metrics()["agreement"](task.rows(lambda x: [-answered(x)[0], answered(x)[1]])) == 0


def test_a_file_with_nodes_of_one_name_answers_too(tmp_path: Path) -> None:
    import onnx

    file = tmp_path / "net.onnx"
    save(file, weights())
    model = onnx.load(file)
    for node in model.graph.node:
        node.name = "node"
    onnx.save(model, file)
    np.savez(tmp_path / "s.npz", x=np.ones((4, 3, SIDE, SIDE), np.float32))
    task = onnx_workload(file, tmp_path / "s.npz").task
    assert task.rows(lambda inputs: []).tolist() == [[0.0], [0.0]]


def check_by_onnx(file: Path, samples: Path, patch: pytest.MonkeyPatch, why: str) -> None:
    """Expect ONNX's own answers where a net is small, and to be told `why` not otherwise."""
    task = onnx_workload(file, samples).task
    assert (task.rows(lambda given: evaluated.evaluated(file, given) or []) == 1.0).all()
    assert (task.rows(lambda given: []) == 0.0).all()
    patch.setattr(evaluated, "_MOST_MACS", 0)
    with pytest.raises(Unsupported, match=why):
        task.rows(lambda given: [])


def test_a_file_that_onnx_runtime_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = {name: one.astype(np.float64) for name, one in odd.constants().items()}
    model = odd.model(
        odd.body(),
        (odd.value("y", ["n", odd.CLASSES], TensorProto.DOUBLE),),
        (odd.value("x", ["n", 3, odd.SIDE, odd.SIDE], TensorProto.DOUBLE),),
        weights=double,
    )
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "net.npz", x=np.ones((8, 3, odd.SIDE, odd.SIDE)))
    files = tmp_path / "net.onnx", tmp_path / "net.npz"
    check_by_onnx(*files, monkeypatch, r"does not run it .*give the samples labels")


def test_a_call_that_onnxruntime_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no dilation where it finds out the padding by itself, as it says when it is run."""
    conv = odd.node("Conv", ["x", "w1"], ["c"], "c", auto_pad="SAME_UPPER", dilations=[2, 2])
    file = tmp_path / "net.onnx"
    file.write_bytes(odd.model([conv, *odd.body()[1:]]).SerializeToString())
    np.savez(tmp_path / "s.npz", x=np.ones((6, 3, odd.SIDE, odd.SIDE), np.float32))
    why = r"does not run it \(.*Dilation not supported .*\); give"
    check_by_onnx(file, tmp_path / "s.npz", monkeypatch, why)
