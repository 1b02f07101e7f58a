"""A layer as a sequence of smaller ones answers as the layer does, whatever its geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.measure.macs import count_module
from perfsuite.passes.lowrank.factor_modules import (
    Method,
    Ranks,
    array_of,
    fill,
    largest_ranks,
    macs,
    sequence,
    weights,
)

GEOMETRIES: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1, "bias": False},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 5), "stride": (2, 1), "padding": (1, 4), "dilation": (1, 2)},
    {"kernel_size": (1, 3), "stride": (1, 2), "padding": (0, 1)},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    {"kernel_size": 3, "padding": 2, "padding_mode": "circular", "stride": 2},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "padding": 1, "bias": False},
]


def factorized(layer: nn.Module, ranks: Ranks, method: Method) -> nn.Sequential:
    return fill(sequence(layer, ranks, method), layer, weights(layer, ranks, method))


def given(layer: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (2, 7, layer.in_features) if isinstance(layer, nn.Linear) else (2, 4, 13, 14)
    return torch.randn(shape, generator=generator)


def convolution(**geometry: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 6, **geometry)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_tucker_at_full_rank_is_the_convolution(geometry: dict[str, Any]) -> None:
    layer = convolution(**geometry)
    made = factorized(layer, largest_ranks(layer, "tucker"), "tucker")
    torch.testing.assert_close(made(given(layer)), layer(given(layer)))
    names = ["reduce", "restore"] if geometry["kernel_size"] == 1 else ["reduce", "core", "restore"]
    assert [name for name, _ in made.named_children()] == names


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_cp_of_a_convolution_of_few_components_is_the_convolution(geometry: dict[str, Any]) -> None:
    layer = convolution(**geometry)
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(side, 2)) for side in layer.weight.shape]
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.einsum("or,ir,hr,wr->oihw", *sides)))
    made = factorized(layer, (2,), "cp")
    torch.testing.assert_close(made(given(layer)), layer(given(layer)), rtol=2e-2, atol=2e-2)
    if geometry["kernel_size"] != 1:
        assert [name for name, _ in made.named_children()] == [
            "reduce", "vertical", "horizontal", "restore",
        ]  # fmt: skip
        assert made.vertical.groups == 2 and made.horizontal.kernel_size[0] == 1


def test_one_channel_of_input_and_one_of_output() -> None:
    for layer in (nn.Conv2d(1, 6, 3), nn.Conv2d(4, 1, 3)):
        pictures = given(layer)[:, : layer.in_channels]
        made = factorized(layer, largest_ranks(layer, "tucker"), "tucker")
        torch.testing.assert_close(made(pictures), layer(pictures))


@pytest.mark.parametrize("bias", [True, False])
def test_linear_at_full_rank_is_the_layer(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 8, bias=bias)
    made = factorized(layer, (5,), "cp")
    torch.testing.assert_close(made(given(layer)), layer(given(layer)))


def test_a_lower_rank_is_the_nearest_layer() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 6, bias=False)
    made = factorized(layer, (2,), "tucker")
    product = made.restore.weight @ made.reduce.weight
    values = torch.linalg.svdvals(layer.weight)
    error = ((product - layer.weight) ** 2).sum()
    torch.testing.assert_close(error, (values[2:] ** 2).sum())


@pytest.mark.parametrize("method", ["tucker", "cp"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_macs_are_those_that_torch_counts(geometry: dict[str, Any], method: Method) -> None:
    layer = convolution(**{**geometry, "padding_mode": "zeros"})  # others pad beforehand
    ranks = (3, 2) if method == "tucker" and geometry["kernel_size"] != 1 else (3,)
    inputs = given(layer)
    shapes = tuple(inputs.shape), tuple(layer(inputs).shape)
    made = sequence(layer, ranks, method)
    counted = count_module(made, {"input": inputs.numpy()}).macs
    assert macs(layer, ranks, method, *shapes) == counted


def test_macs_of_a_linear_layer() -> None:
    layer = nn.Linear(5, 8)
    assert macs(layer, (3,), "tucker", (2, 7, 5), (2, 7, 8)) == 14 * 3 * (5 + 8)
    assert largest_ranks(layer, "cp") == (5,)


def test_type_and_mode_are_those_of_the_layer() -> None:
    layer = convolution(kernel_size=3).double().eval()
    made = sequence(layer, (2, 2), "tucker")
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float64}
    assert not made.core.training
    assert array_of(convolution(kernel_size=3)).dtype == np.float64
