"""What follows from weights alone is a number of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.export.onnx import export_graph
from perfsuite.export.weights_alone import weights_alone
from perfsuite.runner.build.reference import graph_outputs

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

X = np.random.default_rng(0).normal(size=(2, 4, 3, 3)).astype(np.float32)


class Flow(nn.Module):
    """One step of a flow backwards, and the logarithm of its determinant."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Parameter(torch.randn(4, 4))
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.register_buffer("calls", torch.ones(()))

    def forward(self, x: Any) -> Any:
        self.calls += 1
        mix = torch.inverse(self.mix + torch.eye(4))
        mixed = functional.conv2d(self.conv(x), mix[:, :, None, None])
        return mixed, torch.linalg.slogdet(self.mix)[1] + 0 * x.sum(), mixed * self.calls.sqrt()


@pytest.mark.verify
def test_an_inverse_and_a_determinant_are_constants(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    export_graph(Flow(), [InputSpec("x", "float32", ("batch", 4, 3, 3))], {"x": X}, path)
    with torch.no_grad():
        wanted = Flow().eval()(torch.from_numpy(X))
    for found, expected in zip(graph_outputs(path, {"x": X})[:2], wanted, strict=False):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    node = next(node for node in onnx.load(path).graph.node if "conv.weight" in node.input)
    assert "'conv'" in node.metadata_props[0].value  # it still tells its module


def test_what_calls_change_and_what_is_drawn_stays_open() -> None:
    program = torch.export.export(Flow().eval(), (torch.from_numpy(X),))
    held = weights_alone(program)
    assert held is not None
    names = [node.name for node in held.graph.nodes]
    assert any(name.startswith("sqrt") for name in names)
    assert not any(name.startswith(("inv", "linalg_inv")) for name in names)

    class Noise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return x + torch.rand_like(self.weight)

    assert weights_alone(torch.export.export(Noise(), (torch.from_numpy(X),))) is None
