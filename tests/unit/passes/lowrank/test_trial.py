"""Layers whose net asks what they are stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lowrank_nets import context
from torch import nn
from torch.nn import functional

from perfsuite.errors import Unsupported
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.passes.lowrank.trial import unfaithful
from perfsuite.passes.shared.layers import layers_of

PICTURES = {"image": np.random.default_rng(0).normal(size=(2, 8, 6, 6)).astype(np.float32)}


class Net(nn.Module):
    def __init__(self, how: str = "plain") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Conv2d(8, 32, 3, padding=1), nn.Conv2d(32, 32, 1)])
        self.head = nn.Linear(32, 5)
        self.how = how

    def forward(self, image: torch.Tensor) -> Any:
        x = image
        for index, layer in enumerate(self.layers):
            x = layer(x)
            asked = self.how == "asks for both" or (self.how == "asks" and index == 1)
            if self.how == "plain" or (asked and isinstance(layer, nn.Conv2d)):
                x = x.relu()
        if self.how == "reads":
            x = x + self.layers[1].weight.mean()  # type: ignore[operator]
        if self.how == "goes through all":
            x = functional.leaky_relu(x, 1.0 / len(list(self.modules())))
        return self.head(x.mean((2, 3)))


def refused(how: str, method: Any = "tucker") -> dict[str, str]:
    model = Net(how).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = list(layers_of(model, PICTURES).values())
    found = unfaithful(model, layers, method, [PICTURES])
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert isinstance(model.layers[0], nn.Conv2d)
    return found


@pytest.mark.parametrize("method", ["tucker", "cp"])
def test_a_net_that_asks_nothing_answers_as_with_the_product(method: str) -> None:
    assert refused("plain", method) == {}


@pytest.mark.parametrize(
    ("how", "paths", "words"),
    [
        ("asks", ["layers.1"], "answers otherwise than with their product"),
        ("asks for both", ["layers.0", "layers.1"], "answers otherwise than with their product"),
        ("reads", ["layers.1"], "code outside of the layer reads its attributes"),
        ("goes through all", ["layers.0", "layers.1", "head"], "answers otherwise"),
    ],
)
def test_layers_that_the_net_asks_about_are_refused(how: str, paths: list[str], words: str) -> None:
    found = refused(how)
    assert list(found) == paths
    assert all(words in why for why in found.values())


def fit(build: Callable[[], nn.Module], folder: Path) -> Any:
    return Lowrank(energy=0.9).fit(build(), context(folder, PICTURES))


def test_the_pass_tells_why_it_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"can be factorized: .* depends on what the lay"):
        fit(lambda: Net("goes through all").eval(), tmp_path)


def test_the_answers_of_factorized_weights_stay(tmp_path: Path) -> None:
    """Weights of rank 4, and a net that asks: the layers that change are those that may."""

    def build() -> nn.Module:
        net = Net("asks").eval()
        with torch.no_grad():
            for layer in (net.layers[0], net.head):
                weight = layer.weight
                rows = torch.randn(weight.shape[0], 2) @ torch.randn(2, weight[0].numel())
                weight.copy_(rows.reshape(weight.shape) / 8)
        return net

    pass_ = Lowrank(energy=0.999999)
    edits = pass_.fit(build(), context(tmp_path, PICTURES))
    assert "layers.0" in edits.data["layers"]
    assert "layers.1" in edits.data["left"]
    pictures = torch.from_numpy(PICTURES["image"])
    with torch.no_grad():
        expected, found = build()(pictures), pass_.rebuild(build(), edits).eval()(pictures)
    assert float((expected - found).abs().max() / expected.abs().max()) < 1e-4


def test_layers_whose_weights_are_read_where_no_hook_is_stay_as_they_are() -> None:
    """Torch's encoder reads the weights of its linear layers, unless something has hooks."""
    model = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True).eval()
    given = {"src": np.ones((1, 4, 32), np.float32)}
    layers = [layer for layer in layers_of(model, given).values() if "linear" in layer.path]
    found = unfaithful(model, layers, "tucker", [given])
    assert found == dict.fromkeys(
        ("linear1", "linear2"), "code outside of the layer reads its attributes"
    )


class Autocast(Net):
    def forward(self, image: torch.Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(image).float()


@pytest.mark.parametrize("how", ["plain", "asks"])
def test_under_autocast_rounding_is_no_other_answer(how: str) -> None:
    model = Autocast(how).eval()
    layers = list(layers_of(model, PICTURES).values())
    assert [*unfaithful(model, layers, "tucker", [PICTURES])] == ["layers.1"] * (how == "asks")
