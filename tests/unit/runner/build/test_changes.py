"""What is told of a net that passes have changed: its stages, and what it was replaced by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.domain.model import Stage
from perfsuite.domain.recipe import Edits
from perfsuite.domain.record import LayerWidth, Replacement
from perfsuite.errors import BuildError
from perfsuite.runner.build.changes import Changes, changes_of, stages_of
from perfsuite.runner.build.layer_widths import Applied, AppliedPass

pytest.importorskip("torch")
from torch import nn

DECLARED = (Stage("body", ("0", "1")), Stage("head", ("head",)))


def net(width: int = 8, head: bool = True) -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, 4, 1))
    if head:
        made.add_module("head", nn.Conv2d(4, 2, 1, bias=False))
    return made


def applied(data: dict[str, Any], **declared: Any) -> AppliedPass:
    pass_: Any = SimpleNamespace(**declared)
    return AppliedPass(pass_, Edits(data), "a pass")


NARROWER = applied({})
TOLD = {"by": "small", "stages": {"all": ["0", "1"]}, "labels": ["untrained"]}


def swap(**told: Any) -> AppliedPass:
    return applied({"replaced": {**TOLD, **told}}, replaces=True)


def test_the_parameters_of_both_nets_and_the_labels_are_told() -> None:
    def edited(some: Applied) -> nn.Module:
        return (net(8), net(2), net(1))[len(some)]

    # 3 w + w in the first layer, 4 w + 4 in the second, 8 in the head.
    replacement = Replacement("small", before=8 * 8 + 12, after=2 * 8 + 12)
    assert changes_of((swap(),), edited) == Changes((), replacement, ("untrained",))
    both = changes_of((swap(), NARROWER), edited)
    assert both.widths[0] == LayerWidth("0", before=2, after=1)
    assert both[1:] == (replacement, ("untrained",))
    assert changes_of((), edited) == Changes()
    own = changes_of((swap(), applied({"labels": ["untrained twice"]})), edited)
    assert own.labels == ("untrained", "untrained twice")
    narrower = changes_of((NARROWER,), edited)
    assert narrower.widths and narrower[1:] == (None, ())


def test_stages_stay_those_of_the_model_though_one_is_gone() -> None:
    assert stages_of(DECLARED, (), lambda some: net()) == DECLARED
    assert stages_of(DECLARED, (NARROWER,), lambda some: net(head=False)) == DECLARED


def test_stages_are_those_of_the_net_that_took_its_place() -> None:
    own = (Stage("all", ("0", "1")),)
    assert stages_of(DECLARED, (swap(), NARROWER), lambda some: net()) == own
    nameless = swap(stages={})
    assert stages_of(DECLARED, (nameless,), lambda some: net()) == DECLARED
    one = nn.Sequential(nn.Conv2d(3, 2, 1))
    assert stages_of(DECLARED, (nameless,), lambda some: one) == (Stage("body", ("0",)),)


@pytest.mark.parametrize("pass_", [swap(stages={}), NARROWER])
def test_of_a_net_with_nothing_of_the_models_there_are_none(pass_: AppliedPass) -> None:
    other = nn.Sequential()
    other.add_module("all", nn.Conv2d(3, 2, 1))
    assert stages_of(DECLARED, (pass_,), lambda some: other) == ()


def test_edits_that_tell_something_else_are_refused() -> None:
    with pytest.raises(
        BuildError, match=r"by what it replaced the model failed with Validat.*`by`"
    ):
        changes_of((applied({"replaced": {"student": "small"}}),), lambda some: net())
