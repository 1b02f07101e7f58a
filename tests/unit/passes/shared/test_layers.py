"""The layers of a net as they are called, and what they multiply, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.errors import Unsupported
from perfsuite.passes.shared.layers import (
    LayerCall,
    layers_and_macs,
    layers_of,
    watched,
    why_no_layers,
)


class Head(nn.Module):
    """A depthwise convolution, one that runs over two sizes, a linear layer, and one unused."""

    def __init__(self) -> None:
        super().__init__()
        self.scores, self.unused = nn.Linear(4, 3), nn.Conv1d(1, 1, 1)
        self.depthwise = nn.Conv2d(2, 2, 3, padding=1, groups=2)
        self.head = nn.Conv2d(2, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2, bias=False)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.depthwise(x)
        small = self.up(self.head(x[..., ::2, ::2]))
        return [small, self.scores(input=self.head(x).mean((2, 3)))]


INPUTS = {"x": np.zeros((2, 2, 6, 4), np.float32)}


def test_layers_in_the_order_of_their_first_calls() -> None:
    layers = layers_of(Head(), INPUTS)
    assert list(layers) == ["depthwise", "head", "scores"]
    assert layers["head"].calls == (
        LayerCall((2, 2, 3, 2), (2, 4, 3, 2)),
        LayerCall((2, 2, 6, 4), (2, 4, 6, 4)),
    )
    assert layers["scores"].calls == (LayerCall((2, 4), (2, 3)),)
    assert (layers["head"].inside, layers["head"].outside) == (2, 4)
    assert (layers["depthwise"].inside, layers["depthwise"].is_grouped) == (2, True)


def test_multiply_accumulates_of_calls() -> None:
    layers, total = layers_and_macs(Head(), INPUTS)
    head, depthwise, scores = layers["head"], layers["depthwise"], layers["scores"]
    small, large = (9 * 2 * 4 * places for places in (2 * 3 * 2, 2 * 6 * 4))
    assert head.macs(2, 4) == small + large
    assert head.macs_of(head.largest_call, 2, 4) == large
    assert head.macs(1, 3) == (small + large) * 3 // 8
    assert depthwise.macs(2, 2) == 9 * 2 * (2 * 6 * 4)
    assert depthwise.macs(1, 1) == depthwise.macs(2, 2) / 2  # each result of one channel alone
    assert scores.macs(4, 3) == 2 * 4 * 3
    transposed = 4 * 4 * 4 * (2 * 3 * 2)
    assert total == small + large + depthwise.macs(2, 2) + scores.macs(4, 3) + transposed


class OneByOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scores, self.a = nn.Linear(4, 3), nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.scores(self.a(one).mean((1, 2))) for one in x])


class Mapped(OneByOne):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(torch.func.vmap(lambda one: self.a(one).mean((1, 2)))(x))


def test_pictures_that_a_net_takes_one_by_one() -> None:
    layers, total = layers_and_macs(OneByOne(), INPUTS)
    assert layers["a"].calls == 2 * (LayerCall((1, 2, 6, 4), (1, 4, 6, 4)),)
    assert layers["a"].macs(2, 4) == 2 * 9 * 2 * 4 * 6 * 4
    assert layers["scores"].calls == 2 * (LayerCall((4,), (3,)),)
    assert total == layers["a"].macs(2, 4) + layers["scores"].macs(4, 3)


def test_layers_under_vmap_are_unsupported() -> None:
    with pytest.raises(Unsupported, match=r"'a' is called under torch\.func\.vmap"):
        layers_of(Mapped(), INPUTS)


def test_watching_ends_with_its_context() -> None:
    net, seen = nn.Linear(2, 2), []
    with pytest.raises(KeyError), watched({"net": net}, lambda *each: seen.append(each[0])):
        net(torch.zeros(1, 2))
        raise KeyError
    net(torch.zeros(1, 2))
    assert seen == ["net"]


def test_a_layer_that_takes_or_gives_no_tensor_is_none() -> None:
    class Two(nn.Linear):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            return super().forward(x), x

    assert layers_of(Two(2, 2), {"x": np.zeros((1, 2), np.float32)}) == {}


def test_a_net_that_is_no_python_code_is_told_as_that() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    traced = torch.jit.trace(net, torch.ones(1, 2))
    assert why_no_layers(traced).startswith("it is TorchScript, in which no layer")
    graph = torch.export.export(net, (torch.ones(1, 2),)).module()
    assert why_no_layers(nn.Sequential(graph)).startswith("0 is a graph of operators, in which")
    assert why_no_layers(nn.ReLU()) == "it has no convolution and no linear layer"
