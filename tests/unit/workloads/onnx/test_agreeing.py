"""Samples without labels: how far a variant agrees with the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_net import SIDE, save, weights

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
