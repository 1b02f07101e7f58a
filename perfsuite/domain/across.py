"""What a run asks of INT8 on other processors."""

from __future__ import annotations

import msgspec

from perfsuite.domain.cell import Cell


class NotTried(msgspec.Struct, frozen=True):
    """A cell that would answer as another processor, but cannot here, and why."""

    cell: Cell
    reason: str


class Across(msgspec.Struct, frozen=True):
    """What a run asks: how a recipe that computes in 8 bits answers on other processors.

    `portable` is the same recipe in the form that is right on every x86 processor, '' where there
    is no other form of it. `samples` is how many each runtime answers, here and there; of a runtime
    that is not in it, it is all. What was `not_tried` is no cell of the run.
    """

    recipe: str
    portable: str = ""
    samples: dict[str, int] = {}
    not_tried: tuple[NotTried, ...] = ()
