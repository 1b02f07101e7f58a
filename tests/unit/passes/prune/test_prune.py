"""The pruning pass as a whole: its fields, its targets, its steps, and how it is taken up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike
from prune_nets import (
    TUNE,
    Pyramid,
    answers,
    by_macs,
    context,
    fitted,
    in_stairs,
    pictures,
    resnet,
    seeded,
    share_of_macs,
    vgg,
    wide,
)
from torch import nn

from perfsuite.config.checking import make_pass
from perfsuite.domain.recipe import PassUse, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import BuildError, ConfigError
from perfsuite.passes.prune.prune import Prune
from perfsuite.runner.build.edits import read_edits, write_edits
from perfsuite.testing import check_pass

# -- fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give exactly one of ratio, macs and speedup; there is none of them"),
        ({"ratio": 0.5, "macs": 0.5}, "exactly one of ratio, macs and speedup; there is ratio and"),
        ({"ratio": 0.5, "macs": 0.5, "speedup": 2.0}, "there is ratio and macs and speedup"),
        ({"ratio": 0.0}, "ratio is 0.0; it must be above 0 and below 1"),
        ({"ratio": 1.0}, "ratio is 1.0; it must be above 0 and below 1"),
        ({"ratio": -0.5}, "ratio is -0.5; it must be above 0 and below 1"),
        ({"macs": 0}, "macs is 0.0; it must be above 0 and below 1"),
        ({"macs": 1}, "macs is 1.0; it must be above 0 and below 1"),
        ({"macs": 50}, "macs is 50.0; it must be above 0 and below 1"),
        ({"speedup": 1.0}, "speedup is 1.0; it must be above 1"),
        ({"speedup": 0.5}, "speedup is 0.5; it must be above 1"),
        ({"speedup": -2.0}, "speedup is -2.0; it must be above 1"),
        ({"macs": 0.5, "steps": 0}, "steps is 0; it must be at least 1"),
        ({"macs": 0.5, "scope": "global", "round_to": 0}, "round_to is 0; it must be at least 1"),
        ({"macs": 0.5, "round_to": 8}, "round_to is for scope 'uniform' and 'global'"),
        ({"macs": 0.5, "scope": "clok"}, "scope: 'clok' is none of clock, global, uniform"),
        ({"macs": 0.5, "importance": "l1"}, "importance: 'l1' is none of auto, bn, l2, taylor"),
        ({"macs": 0.5, "layer": ["a"]}, "layer: unknown key; did you mean 'layers'?"),
        ({"macs": 0.5, "finetune": {"epochs": 1}}, "finetune: missing key `optimizer`"),
        ({"macs": float("nan")}, "nan is not a finite number"),
        ({"macs": "half"}, "macs: Expected `float`, got `string`"),
    ],
)
def test_wrong_fields_are_told_with_their_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_pass(PassUse("prune", fields))
    assert message in str(caught.value)
    assert str(caught.value).startswith("pass 'prune': ")


def test_numbers_that_are_none_are_refused_in_code_as_well() -> None:
    for name in ("ratio", "macs", "speedup"):
        with pytest.raises(ValueError, match=f"{name} is nan; it must be above"):
            Prune(**{name: float("nan")})


def test_it_answers_to_the_target_only_where_it_listens_to_its_clock() -> None:
    one, other = Target("onnxruntime", "cpu", threads=1), Target("onnxruntime", "cpu", threads=2)
    for prune in (Prune(macs=0.5), Prune(speedup=2.0, scope="uniform")):
        assert prune.resolve(one) != prune.resolve(other)
    for prune in (Prune(macs=0.5, scope="global"), Prune(ratio=0.5, scope="uniform")):
        assert prune.resolve(one) == prune.resolve(other) == ""


@pytest.mark.parametrize(
    "prune",
    [
        Prune(macs=0.6, importance="l2"),
        Prune(ratio=0.3, scope="uniform", importance="l2"),
        Prune(speedup=1.3, scope="global", finetune=TUNE),
    ],
)
def test_it_meets_the_contract_of_passes(prune: Prune) -> None:
    check_pass(prune)


# -- targets -----------------------------------------------------------------------------------

NETS: dict[str, Callable[[], nn.Module]] = {
    "wide": wide,
    "vgg": vgg,
    "option A": lambda: resnet("A"),
    "option B": lambda: resnet("B"),
}


@pytest.mark.parametrize("scope", ["uniform", "global", "clock"])
@pytest.mark.parametrize("name", NETS)
def test_the_share_of_macs_is_reached(name: str, scope: str, tmp_path: Path) -> None:
    share = 0.75 if name == "option A" else 0.5
    net = seeded(NETS[name])
    edits = fitted(net, tmp_path, macs=share, scope=scope, importance="l2")
    assert 0 < share_of_macs(net, seeded(NETS[name])) <= share
    write_edits(tmp_path, edits)
    fresh = Prune(macs=share).rebuild(NETS[name]().eval(), read_edits(tmp_path))
    assert_alike(answers(fresh, pictures())[0], answers(net, pictures())[0])
    for path, kept in edits.data["kept"].items():
        if path not in edits.data["removed"]:
            assert len(fresh.get_submodule(path).weight) == len(kept)
            assert kept == sorted(set(kept))


@pytest.mark.parametrize("scope", ["uniform", "global", "clock"])
def test_the_ratio_of_channels_is_reached(scope: str, tmp_path: Path) -> None:
    net = seeded(wide)  # 64 + 48 channels
    edits = fitted(net, tmp_path, ratio=0.25, scope=scope, importance="l2")
    kept = {"a": 64, "b": 48} | {path: len(some) for path, some in edits.data["kept"].items()}
    assert sum(kept.values()) <= 0.75 * 112
    if scope == "uniform":
        assert kept == {"a": 48, "b": 36}
    if scope == "global":
        assert sum(kept.values()) == 84


@pytest.mark.parametrize("scope", ["uniform", "global", "clock"])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_speed_is_reached_on_the_clock(scope: str, steps: int, tmp_path: Path) -> None:
    net, before = seeded(wide), seeded(wide)
    fitted(net, tmp_path, speedup=1.8, scope=scope, steps=steps, importance="l2")
    assert by_macs(before, pictures()) / by_macs(net, pictures()) >= 1.8


def test_a_speed_that_only_a_part_of_the_clock_shows_is_asked_for_again(tmp_path: Path) -> None:
    """The net has much that its groups do not tell: the first try is not fast enough."""

    def clock(module: nn.Module, inputs: Inputs) -> float:
        rest = 30e-6 if hasattr(module, "head") else 0.0
        return by_macs(module, inputs) + rest

    net, before = seeded(wide), seeded(wide)
    fitted(net, tmp_path, clock, speedup=1.5, importance="l2", scope="uniform")
    assert clock(before, pictures()) / clock(net, pictures()) >= 1.5


def test_widths_follow_the_stairs_of_the_clock(tmp_path: Path) -> None:
    net = seeded(lambda: wide(72))
    edits = fitted(net, tmp_path, in_stairs, macs=0.5, importance="l2")
    assert {len(kept) % 16 for kept in edits.data["kept"].values()} == {0}
    assert edits.data["kept"]


def test_the_least_important_channels_go(tmp_path: Path) -> None:
    net = seeded(wide)
    with torch.no_grad():
        net.a.weight[::2] *= 0.01
    edits = fitted(net, tmp_path, ratio=0.4, scope="uniform", importance="l2")
    assert set(range(1, 64, 2)) <= set(edits.data["kept"]["a"])


@pytest.mark.parametrize("fields", [{"macs": 0.001}, {"ratio": 0.99}])
@pytest.mark.parametrize("scope", ["uniform", "global", "clock"])
def test_targets_that_cannot_be_reached_are_told(
    fields: dict[str, Any], scope: str, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=r"prune: .* brings the cost down to 0\.\d+ of the whole"):
        fitted(seeded(vgg), tmp_path, scope=scope, importance="l2", **fields)


def test_a_speed_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    def slow(module: nn.Module, inputs: Inputs) -> float:
        return 1.0 + by_macs(module, inputs)

    with pytest.raises(BuildError, match=r"1.50x is asked for, and with 4.0% .* 1.00x as fast"):
        fitted(seeded(wide), tmp_path, slow, speedup=1.5, scope="uniform", importance="l2")
    with pytest.raises(BuildError, match="no narrower layer would save"):
        fitted(seeded(wide), tmp_path / "b", slow, speedup=1.5, importance="l2")


def test_a_branch_that_is_worth_nothing_goes(tmp_path: Path) -> None:
    net = seeded(lambda: resnet("B"))
    with torch.no_grad():
        net[5].conv1.weight.mul_(1e-4)
        net[5].norm1.weight.mul_(1e-4)
        net[5].norm1.bias.zero_()
    edits = fitted(net, tmp_path, macs=0.75, importance="taylor")
    assert {"5.conv1", "5.norm1", "5.conv2", "5.norm2"} <= set(edits.data["removed"])
    assert edits.data["kept"]["5.conv1"] == []
    fresh = Prune(macs=0.5).rebuild(resnet("B").eval(), edits)
    assert_alike(answers(fresh, pictures())[0], answers(net, pictures())[0])
    assert not any(name.startswith("5.") for name in edits.tensors)


def test_a_pyramid_is_pruned_and_rebuilt(tmp_path: Path) -> None:
    def loss(module: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.stack([level.square().mean() for level in module(images)]).sum()

    def train() -> TrainingSet:
        images = pictures(32)["image"]
        return TrainingSet(images, np.zeros(32), lambda batch, _: batch, loss)

    net = seeded(Pyramid)
    edits = Prune(macs=0.6, scope="global").fit(net, context(tmp_path, train=train))
    fresh = Prune(macs=0.6).rebuild(Pyramid().eval(), edits)
    for one, two in zip(answers(fresh, pictures()), answers(net, pictures()), strict=True):
        assert_alike(one, two)
    assert share_of_macs(net, seeded(Pyramid)) <= 0.6
    kept = edits.data["kept"]
    assert kept["lateral_low"] == kept["lateral_high"]
    assert kept.get("smooth_low") == kept.get("smooth_high")
