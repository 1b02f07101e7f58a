"""The pruning pass on layers of less usual kinds, and what is told of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prune_nets import (
    CLASSES,
    SIDE,
    TUNE,
    Toy,
    answers,
    context,
    conv,
    fitted,
    pair,
    pictures,
    pooled,
    seeded,
    share_of_macs,
)
from torch import nn

from perfsuite.domain.task import TrainingSet
from perfsuite.passes.prune import prune as module
from perfsuite.passes.prune.prune import Prune


class Same(nn.Conv2d):
    """A convolution as other libraries have it: it pads by itself, and asks for less."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, (1, 1, 1, 1)))


def own() -> nn.Module:
    return pair(a=Same(3, 64), b=Same(64, 48), head=nn.Linear(48, CLASSES))


@pytest.mark.parametrize("reconstruct", [0, 8])
def test_a_users_subclass_of_a_convolution(reconstruct: int, tmp_path: Path) -> None:
    net = seeded(own)
    edits = fitted(net, tmp_path, macs=0.5, importance="l2", reconstruct=reconstruct)
    assert share_of_macs(net, seeded(own)) <= 0.5
    fresh = Prune(macs=0.5).rebuild(seeded(own), edits)
    torch.testing.assert_close(answers(fresh, pictures())[0], answers(net, pictures())[0])


@pytest.mark.parametrize("scope", ["uniform", "global", "clock"])
def test_what_stays_as_it_is_counts_in_the_share_of_macs(scope: str, tmp_path: Path) -> None:
    def make() -> nn.Module:
        def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = net.head(pooled(net.up(net.b(net.a(x).relu()).relu())))
            return found

        up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        layers = {"a": conv(3, 64), "b": conv(64, 16), "up": up, "head": nn.Linear(8, CLASSES)}
        return Toy(forward, **layers)

    net = seeded(make)
    fitted(net, tmp_path, macs=0.5, importance="l2", scope=scope)
    assert share_of_macs(net, seeded(make)) <= 0.5


def test_all_that_gives_the_channels_of_a_sum_is_told_why_they_stay(tmp_path: Path) -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        both = net.a(x) + net.c(x)
        found: torch.Tensor = net.head(pooled(net.b(both * both.shape[1])))
        return found

    def make() -> nn.Module:
        head = nn.Linear(16, CLASSES)
        return Toy(forward, a=conv(3, 16), c=conv(3, 16), b=conv(16, 16), head=head)

    left = fitted(seeded(make), tmp_path, macs=0.9, importance="l2", scope="uniform").data["left"]
    assert left["a"] == left["c"]
    assert "answers otherwise" in left["a"]


def test_volumes_are_pruned_and_trained(tmp_path: Path) -> None:
    def make() -> nn.Module:
        layers = nn.Conv3d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv3d(16, 8, 1)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, CLASSES))

    def train() -> TrainingSet:
        return TrainingSet(volumes(16), np.arange(16) % CLASSES, lambda batch, _: batch)

    def volumes(count: int) -> np.ndarray:
        shape = (count, 3, 4, SIDE, SIDE)
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    given = {"volume": volumes(2)}
    ctx = context(tmp_path, given, train=train, calibration=lambda samples: iter([given]))
    net = make().eval()
    edits = Prune(macs=0.5, scope="uniform", importance="l2", finetune=TUNE).fit(net, ctx)
    assert len(edits.data["kept"]["0"]) < 16
    assert answers(net, given)[0].shape == (2, CLASSES)


def test_each_step_is_fitted_to_the_net_that_the_step_before_has_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int]] = []

    def fit(model: Any, whole: Any, kept: Any, *rest: Any) -> None:
        assert all(len(kept[path]) == len(model.get_submodule(path).weight) for path in kept)
        seen.append((len(whole.a.weight), len(model.a.weight), max(kept["a"])))
        torch.testing.assert_close(whole.a.weight[kept["a"]], model.a.weight)
        reconstruct(model, whole, kept, *rest)

    reconstruct = module.reconstruct
    monkeypatch.setattr(module, "reconstruct", fit)
    net = seeded(lambda: pair(a=conv(3, 32), b=conv(32, 32), head=nn.Linear(32, CLASSES)))
    before = copy.deepcopy(net)
    fields = {"importance": "l2", "scope": "uniform", "finetune": TUNE, "reconstruct": 8}
    Prune(macs=0.3, steps=2, **fields).fit(net, context(tmp_path))  # type: ignore[arg-type]
    (first, middle, _), (second, last, highest) = seen
    assert first == 32 and second == middle and last < middle < first
    assert highest < middle  # channels of the net as the step found it
    assert share_of_macs(net, before) <= 0.31
