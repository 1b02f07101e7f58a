"""The modules of a binary net: exact answers, gradients by hand, and the packed form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.export.binary_operator import ConvGeometry, binary_conv, pack_weights
from perfsuite.export.onnx import export_fixed, load_graph
from perfsuite.passes.binarize.binarizable import Site, Sites
from perfsuite.passes.binarize.building import (
    latent_convolutions,
    with_binary_activations,
    with_binary_weights,
)
from perfsuite.passes.binarize.modules import Shortcut, shifted_prelu
from perfsuite.passes.binarize.packed import pack
from perfsuite.passes.binarize.signs import activation_sign, weight_sign

GEOMETRIES = [
    (16, 16, nn.Conv2d(16, 16, 3, padding=1, bias=False), ConvGeometry((3, 3), pads=(1, 1, 1, 1))),
    (12, 20, nn.Conv2d(12, 20, (3, 1), groups=2), ConvGeometry((3, 1), group=2)),
    (7, 5, nn.Conv2d(7, 5, 1, stride=2), ConvGeometry((1, 1), (2, 2))),
]


def _latent(layer: nn.Conv2d) -> nn.Module:
    """Return a net of one binary convolution, with thresholds, whose weights are binary."""
    net = nn.Sequential(layer, nn.Identity())
    made = with_binary_weights(
        with_binary_activations(net, Sites({"0": Site(None, None)}, {}, {}))
    ).eval()
    (convolution,) = latent_convolutions(made).values()
    torch.nn.init.normal_(convolution.threshold)
    return made


@pytest.mark.parametrize(("inside", "outside", "layer", "geometry"), GEOMETRIES)
def test_before_and_after_it_is_packed_it_answers_exactly_as_the_reference(
    inside: int, outside: int, layer: nn.Conv2d, geometry: ConvGeometry, tmp_path: Path
) -> None:
    made = _latent(layer)
    (convolution,) = latent_convolutions(made).values()
    x = torch.randn(2, inside, 6, 5).contiguous(memory_format=torch.channels_last)
    x[:, :, 0] = convolution.threshold.detach()[:, None]
    parts = [convolution.threshold, convolution.weight, convolution.scale()]
    threshold, weight, scale = (one.detach().numpy() for one in parts)
    expected = binary_conv(x.numpy(), threshold, pack_weights(weight), scale, geometry)
    if layer.bias is not None:
        expected = expected + layer.bias.detach().numpy()[:, None, None]
    with torch.no_grad():
        assert np.array_equal(made(x).numpy(), expected)
        assert np.array_equal(pack(made)(x).numpy(), expected)
    export_fixed(made, {"x": x.numpy()}, tmp_path / "net.onnx")
    assert "BinaryConv" in [node.op_type for node in load_graph(tmp_path / "net.onnx").graph.node]


def test_the_gradient_of_an_activations_sign_is_the_triangle_and_of_a_weights_one() -> None:
    values = torch.tensor([-1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    (slopes,) = torch.autograd.grad(activation_sign(values).sum(), values)
    assert activation_sign(values).tolist() == [-1, -1, -1, 1, 1, 1, 1]
    assert slopes.tolist() == [0, 0, 1.5, 2, 1, 0, 0]
    (slopes,) = torch.autograd.grad(weight_sign(values).sum(), values)
    assert slopes.tolist() == [0, 1, 1, 1, 1, 1, 0]


def test_in_training_real_and_binary_weights_are_multiplied_with_signs() -> None:
    layer = nn.Conv2d(2, 1, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([0.5, -0.25]).reshape(1, 2, 1, 1))
    net = nn.Sequential(layer, nn.Identity())
    made = with_binary_activations(net, Sites({"0": Site(None, None)}, {}, {})).train()
    x = torch.tensor([3.0, -0.1]).reshape(1, 2, 1, 1)
    assert made(x).item() == 0.75  # 1 * 0.5 + -1 * -0.25
    assert with_binary_weights(made)(x).item() == 0.75  # (1 * 1 + -1 * -1) * mean(0.5, 0.25)
    assert {p.ndim for p in made.parameters() if p is not layer.weight} == {1, 4}


def test_a_net_in_bf16_stays_in_it() -> None:
    made = nn.Sequential(pack(_latent(nn.Conv2d(16, 16, 1))), nn.Conv2d(16, 2, 1)).bfloat16()
    with torch.no_grad():
        assert made(torch.randn(1, 16, 4, 4).bfloat16()).dtype == torch.bfloat16


def test_the_shortcut_averages_and_repeats() -> None:
    layer = nn.Conv2d(1, 2, 1, stride=2, bias=False)
    torch.nn.init.zeros_(layer.weight)  # whose signs are all +1, scaled by 0
    net = nn.Sequential(layer, nn.Identity())
    sites = Sites({"0": Site(None, Shortcut((2, 2), 2))}, {}, {})
    made = with_binary_weights(with_binary_activations(net, sites)).eval()
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    with torch.no_grad():
        # The windows are 2x2, but for those at the edge: 0 1 3 4, 2 5, 6 7, 8.
        assert made(x).tolist() == [[[[2.0, 3.5], [6.5, 8.0]]] * 2]


def test_the_activation_shifts_before_and_after_its_slope() -> None:
    made = shifted_prelu(2)
    with torch.no_grad():
        made.before.copy_(torch.tensor([1.0, 0.0]))
        made.after.copy_(torch.tensor([0.0, 10.0]))
        given = torch.tensor([0.0, -4.0]).reshape(1, 2, 1, 1)
        assert made(given).flatten().tolist() == [-0.25, 9.0]


def test_bf16_is_trained_in_and_gradients_reach_all_weights() -> None:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    sites = Sites({"0": Site("1", Shortcut())}, {"2": 8}, {})
    made = with_binary_weights(with_binary_activations(net, sites)).train()
    with torch.autocast("cpu", torch.bfloat16):
        answer = made(torch.randn(4, 8, 6, 6, dtype=torch.bfloat16))
    assert answer.dtype == torch.bfloat16
    answer.float().square().sum().backward()
    assert all(weight.grad is not None for weight in made.parameters())


def test_an_exported_program_is_read_in_a_process_that_has_not_made_the_operator(
    tmp_path: Path,
) -> None:
    program, example = tmp_path / "program.pt2", torch.randn(1, 16, 4, 4)
    made = pack(_latent(nn.Conv2d(16, 16, 1)))
    torch.export.save(torch.export.export(made, (example,)), program)
    code = (
        "import sys, pathlib\n"
        "from perfsuite.runtimes.torch_compile.program import loaded\n"
        "import torch\n"
        "print(tuple(loaded(pathlib.Path(sys.argv[1]))(torch.zeros(1, 16, 4, 4)).shape))\n"
    )
    answered = subprocess.run(
        [sys.executable, "-c", code, str(program)], capture_output=True, text=True, check=True
    )
    assert answered.stdout.strip() == "(1, 16, 4, 4)"
