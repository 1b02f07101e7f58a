"""Weights that torch's parametrizations compute are exported as what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.export.computed_weights import computed_weights
from perfsuite.export.onnx import export_graph
from perfsuite.runner.build.reference import graph_outputs

torch = pytest.importorskip("torch")
nn = torch.nn

X = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)


def orthogonal() -> Any:
    """Return a net of three kinds, of each of which ONNX lacks an operator."""
    made = torch.nn.utils.parametrizations.orthogonal
    torch.manual_seed(0)
    return nn.Sequential(
        made(nn.Conv2d(3, 8, 3), orthogonal_map="householder"),
        nn.Flatten(),
        made(nn.Linear(32, 8), orthogonal_map="matrix_exp"),
        made(nn.Linear(8, 8), orthogonal_map="cayley"),
    ).eval()


@pytest.mark.verify
def test_they_are_constants_of_the_graph(tmp_path: Path) -> None:
    net, path = orthogonal(), tmp_path / "net.onnx"
    export_graph(net, [InputSpec("x", "float32", ("batch", 3, 4, 4))], {"x": X}, path)
    graph = onnx.load(path).graph
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    held = {tensor.name for tensor in graph.initializer}
    assert len(layers) == 3 and all(node.input[1] in held for node in layers)
    wanted = net(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(graph_outputs(path, {"x": X})[0], wanted, atol=1e-5)


def test_they_are_computed_once_within_and_anew_afterwards() -> None:
    net = orthogonal()
    with computed_weights(net):
        before = net[3].weight
        assert net[3].weight is before
    assert net[3].weight is not before
