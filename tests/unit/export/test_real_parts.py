"""Complex sums of products and stored parts are computed by real numbers, and so exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.domain.model import InputSpec
from perfsuite.export.onnx import export_graph
from perfsuite.export.real_parts import real_parts
from perfsuite.runner.build.reference import graph_outputs, module_outputs


def modes(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Multiply the lowest modes of pictures, at both ends, into zeros, as Fourier layers do."""
    given = torch.fft.rfft2(x)
    made = torch.zeros(x.shape[0], 3, 8, 5, dtype=torch.cfloat)
    made[:, :, :2, :3] = torch.einsum("bixy,ioxy->boxy", given[..., :2, :3], weight)
    made[:, :, -2:, :3] = torch.einsum("bixy,ioxy->boxy", [given[..., -2:, :3], weight])
    made[..., 0, 0] = 2 - 1j
    more = torch.zeros_like(made)
    more[:, 1] = torch.einsum("bxy,bxy->bxy", made[:, 0], made[:, 2])
    return torch.fft.irfft2(made + more, s=(8, 8))


def arguments() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 4, 8, 8), torch.randn(4, 3, 2, 3, dtype=torch.cfloat)


def test_they_are_the_same() -> None:
    wanted = modes(*arguments())
    with real_parts() as found:
        made = modes(*arguments())
        torch.einsum("bchw->bc", arguments()[0])  # is real
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)
    assert found.count("einsum") == 3 and found.count("__setitem__") == 4


@pytest.mark.verify
def test_a_fourier_layer_is_exported(tmp_path: Path) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(arguments()[1])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return modes(x, self.weight)

    given, path = {"x": arguments()[0].numpy()}, tmp_path / "g.onnx"
    export_graph(Layer(), [InputSpec("x", "float32", ("batch", 4, 8, 8))], given, path)
    for batch in (1, 2):
        one = {"x": given["x"][:batch]}
        (found,), (wanted,) = graph_outputs(path, one), module_outputs(Layer(), one)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
