"""The keys of a suite, with their types and defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from perfsuite.domain.recipe import Shipped
from perfsuite.domain.suite import (
    Budget,
    Count,
    DetectionTable,
    Evaluate,
    Expect,
    Measure,
    Positive,
    Require,
)

Within = Annotated[float, Meta(gt=0, lt=1)]
Names = Annotated[tuple[str, ...], Meta(min_length=1)]


class RecipeTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[recipes]]`; a pass is a table of `use` and of that pass's own fields.

    With `from`, the passes of the recipe of that name come first. `workloads` and `runtimes` are
    names or patterns, because a training fits one net only; by default they are those of the recipe
    that this one is made from, or all. What is `shipped` is run as it is; its passes say how it was
    made.
    """

    name: str
    passes: Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)] = ()
    workloads: tuple[str, ...] | None = None
    runtimes: tuple[str, ...] | None = None
    base: str | None = msgspec.field(name="from", default=None)
    shipped: Shipped | None = None


class SuiteTable(msgspec.Struct, forbid_unknown_fields=True):
    """A whole suite as it is written; its defaults are the suite's."""

    workloads: Names
    runtimes: Names
    recipes: tuple[RecipeTable, ...] = ()
    devices: Names = ("cpu",)
    precision: Names = ("fp32",)
    batches: Annotated[tuple[Count, ...], Meta(min_length=1)] = (1,)
    threads: Count | None = None
    processes: Count | Literal["auto"] = "auto"
    max_processes: Count | None = None
    minutes: Positive | None = None
    speedups_within: Within | None = None
    evaluate: Evaluate = Evaluate()
    measure: Measure = Measure()
    samples: dict[str, Any] = {}
    shapes: dict[str, Any] = {}
    detection: dict[str, DetectionTable] = {}
    expect: tuple[Expect, ...] = ()
    require: tuple[Require, ...] = ()
    budgets: tuple[Budget, ...] = ()
    compare: Literal["absolute", "ratio"] = "absolute"
    meters: tuple[str, ...] = ("memory",)
    hold_out: bool = False
    roofline: bool = False
