"""What model passes have made of a net, as their edits and both nets tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from perfsuite.domain.model import Stage
from perfsuite.domain.record import LayerWidth, Replacement
from perfsuite.runner.build.layer_widths import Applied, AppliedPass, widths_after
from perfsuite.runner.build.stages import paths
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn


class Changes(NamedTuple):
    """What reports tell of a net that passes have changed."""

    widths: tuple[LayerWidth, ...] = ()
    replaced: Replacement | None = None  # the model, by a pass
    labels: tuple[str, ...] = ()  # of its results


class _Replaced(msgspec.Struct, frozen=True):
    """What edits say of a net that takes the place of the model."""

    by: str
    stages: dict[str, tuple[str, ...]] = {}
    labels: tuple[str, ...] = ()


def changes_of(applied: Applied, edited: Callable[[Applied], nn.Module]) -> Changes:
    """Return what passes have made of a net; `edited` gives it after some of them."""
    widths, (told, count) = widths_after(applied, edited), _replaced(applied)
    labels = tuple(label for one in applied for label in _labels(one))
    if told is None:
        return Changes(widths, labels=labels)
    before, after = (_parameters(edited(some)) for some in ((), applied[:count]))
    return Changes(widths, Replacement(told.by, before, after), (*told.labels, *labels))


def stages_of(
    declared: Sequence[Stage], applied: Applied, edited: Callable[[Applied], nn.Module]
) -> tuple[Stage, ...]:
    """Return the stages of a net after passes, if its model has those that are `declared`.

    They are the same, though a pass may have removed all of one. Of a net that was replaced they
    are its own, or else those declared that it has, too; one that has none of them was replaced,
    whether its pass says so or not.
    """
    told, _ = _replaced(applied)
    if told is not None and told.stages:
        return tuple(Stage(name, prefixes) for name, prefixes in told.stages.items())
    if not applied or not declared:
        return tuple(declared)
    known = set(paths(declared, edited(applied)))
    kept = [Stage(one.name, tuple(p for p in one.modules if p in known)) for one in declared]
    there = tuple(one for one in kept if one.modules)
    return tuple(declared) if there and told is None else there


def _replaced(applied: Applied) -> tuple[_Replaced | None, int]:
    """Return what the last pass that replaced the model tells, and how many end with it."""
    for count in range(len(applied), 0, -1):
        told = _told(applied[count - 1])
        if told is not None:
            return told, count
    return None, 0


def _told(one: AppliedPass) -> _Replaced | None:
    with user_code(f"{type(one.pass_).__name__}: by what it replaced the model"):
        return msgspec.convert(one.edits.data.get("replaced"), _Replaced | None)


def _labels(one: AppliedPass) -> tuple[str, ...]:
    """Return the labels of results that a pass's edits tell."""
    with user_code(f"{type(one.pass_).__name__}: the labels of its edits"):
        return msgspec.convert(one.edits.data.get("labels", ()), tuple[str, ...])


def _parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
