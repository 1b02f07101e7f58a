"""What is told of layers that passes have changed, on nets changed by hand."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.domain.recipe import Edits
from perfsuite.domain.record import LayerWidth
from perfsuite.runner.build.layer_widths import (
    Applied,
    AppliedPass,
    layer_widths,
    reasons_left,
    widths_after,
)

pytest.importorskip("torch")
from torch import nn

from perfsuite.passes.prune.surgery import absent


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 1), nn.Flatten(), nn.Linear(6, 4)
    )


def test_nothing_is_told_of_a_net_as_wide_as_before() -> None:
    assert layer_widths(net(), net(), {"4": "its channels are an output"}) == ()


def test_layers_are_narrower_factorized_gone_or_left() -> None:
    after = net()
    after[0] = nn.Conv2d(3, 5, 3)
    after[2] = nn.Sequential(nn.Conv2d(5, 2, 1, bias=False), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 6, 1))
    reasons = {"0": "no longer so", "2": "nor this", "4": "an output"}
    assert layer_widths(net(), after, reasons) == (
        LayerWidth("0", before=8, after=5),
        LayerWidth("2", before=6, after=6, ranks=(2, 2)),
        LayerWidth("4", before=4, after=4, left="an output"),
    )
    without = copy.deepcopy(after)
    absent(without, ["2"])
    assert layer_widths(net(), without, {})[1] == LayerWidth("2", before=6, after=0)


def test_a_layer_of_a_kind_of_its_own_is_not_gone() -> None:
    after = net()
    after[0], after[2] = nn.Conv2d(3, 5, 3), nn.Bilinear(2, 2, 6)
    assert [one.after for one in layer_widths(net(), after, {})] == [5, 6, 4]


def test_layers_within_a_layer_are_no_factors() -> None:
    def adapted() -> nn.Module:
        made = net()
        made[4].down, made[4].up = nn.Linear(6, 2), nn.Linear(2, 4)
        return made

    assert layer_widths(adapted(), adapted(), {}) == ()


def test_another_net_is_not_compared() -> None:
    student = nn.ModuleDict({"features": nn.Conv2d(3, 4, 3), "head": nn.Linear(4, 4)})
    assert layer_widths(net(), student, {}) == ()


def applied(name: str, left: dict[str, str], **declared: Any) -> AppliedPass:
    pass_: Any = SimpleNamespace(**declared)
    return AppliedPass(pass_, Edits({"left": left}), name)


def test_a_layer_that_several_passes_left_alone_has_the_reason_of_each() -> None:
    assert reasons_left(
        (
            applied("prune", {"0": "an output", "2": "too few", "4": "grouped"}),
            applied("lowrank", {"2": "slower", "4": "grouped", "9": "a Bilinear"}),
        )
    ) == {
        "0": "an output",
        "2": "prune: too few; lowrank: slower",
        "4": "grouped",
        "9": "a Bilinear",
    }


def test_layers_are_those_of_the_net_that_took_the_models_place() -> None:
    student = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1))
    narrower = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 6, 1))
    swap = applied("swap", {"0": "of the first net"}, replaces=True)
    prune = applied("prune", {"2": "an output"})
    asked: list[int] = []

    def edited(some: Applied) -> nn.Module:
        asked.append(len(some))
        return (net(), student, narrower)[len(some)]

    assert widths_after((swap, prune), edited) == (
        LayerWidth("0", before=4, after=2),
        LayerWidth("2", before=6, after=6, left="an output"),
    )
    assert asked == [1, 2]
    assert widths_after((swap,), edited) == widths_after((), edited) == ()
    assert asked == [1, 2], "no net is built for nothing"
    (first, *_) = widths_after((prune,), lambda some: narrower if some else net())
    assert first == LayerWidth("0", before=8, after=2)
