"""Which convolutions become binary, what belongs to each, and what is left with which reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.binarize.binarizable import Site, binarizable
from perfsuite.passes.binarize.modules import Shortcut


def _inputs(side: int = 8) -> Inputs:
    return {"x": np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32)}


def _net(*middle: nn.Module, inside: int = 8, outside: int = 8) -> nn.Sequential:
    """Return a net with a first and a last layer around `middle`."""
    first, last = nn.Conv2d(3, inside, 3, padding=1), nn.Linear(outside, 2)
    return nn.Sequential(first, *middle, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last).eval()


def test_the_first_and_the_last_layer_stay_and_the_norm_and_the_relu_are_found() -> None:
    net = _net(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    sites = binarizable(net, _inputs())
    assert sites.layers == {"1": Site("2", Shortcut())}
    assert sites.activations == {"3": 8}
    assert sites.left == {
        "0": "the first layer, which stays real",
        "6": "the last layer, which stays real",
    }


@pytest.mark.parametrize(
    ("layer", "shortcut"),
    [
        (nn.Conv2d(8, 16, 3, 2, 1), Shortcut((2, 2), 2)),
        (nn.Conv2d(8, 24, 1), Shortcut((1, 1), 3)),
        (nn.Conv2d(8, 12, 3, 1, 1), None),  # channels are no multiple
        (nn.Conv2d(8, 8, 3), None),  # the picture becomes smaller at its edges
        (nn.Conv2d(8, 8, 3, padding="same", dilation=2), Shortcut()),
    ],
)
def test_the_shortcut_follows_from_the_geometry(
    layer: nn.Conv2d, shortcut: Shortcut | None
) -> None:
    sites = binarizable(_net(layer, outside=layer.out_channels), _inputs())
    assert sites.layers["1"].shortcut == shortcut


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), "depthwise"),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), "pads by 'reflect'"),
        (nn.Conv2d(8, 8, 2, padding="same"), "one side more"),
        (nn.ConvTranspose2d(8, 8, 3, padding=1), "ConvTranspose2d"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1)), "only Conv2d"),
    ],
)
def test_what_cannot_be_binary_is_left_with_the_reason(layer: nn.Module, why: str) -> None:
    sites = binarizable(_net(layer, nn.Conv2d(8, 8, 1)), _inputs())
    assert why in sites.left["1"]
    assert list(sites.layers) == ["2"]


def test_a_relu_that_also_follows_a_real_layer_stays() -> None:
    relu = nn.ReLU()
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), relu, nn.Conv2d(8, 8, 1), relu, nn.Flatten(), nn.Linear(512, 2)
    )
    assert binarizable(net.eval(), _inputs()).activations == {}


def test_layers_limits_it_and_what_is_not_there_is_told() -> None:
    net = _net(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1))
    assert list(binarizable(net, _inputs(), ["2"]).layers) == ["2"]
    with pytest.raises(ConfigError, match="no module 'conv1'"):
        binarizable(net, _inputs(), ["conv1"])
    with pytest.raises(Unsupported, match="0 cannot be binary: the first layer"):
        binarizable(net, _inputs(), ["0"])


def test_a_net_without_such_a_layer_and_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(Unsupported, match="0: the first layer, which stays real"):
        binarizable(_net(), _inputs())
    net = _net(nn.Conv2d(8, 8, 1))
    torch.nn.init.constant_(net[1].weight, float("nan"))
    with pytest.raises(BuildError, match=r"1\.weight has NaN"):
        binarizable(net, _inputs())
