"""A suite: what to run and what to hold it to, after its file was read and checked."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.recipe import Recipe

Statistic = Literal["median", "p95", "p99"]


class Evaluate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the test set is answered; None is all of it."""

    samples: int | None = None


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long one process measures: at least `calls` calls and `seconds` seconds.

    Warm-up goes on until latencies are steady, at most `warmup_seconds`. A job that has not ended
    after `timeout_seconds` is killed and becomes a failed line.
    """

    calls: int = 30
    seconds: float = 1.0
    warmup_seconds: float = 5.0
    timeout_seconds: float = 600.0


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells whose status is known beforehand, and why. An omitted selector means all."""

    status: Literal["unsupported", "unavailable"]
    reason: str
    workload: str = "*"
    recipe: str = "*"
    runtime: str = "*"
    device: str = "*"


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A limit on one metric of the cells that `cell` (a glob on keys) matches.

    `against` names the one reference cell, by key or glob; with `baseline = true` the reference is
    the same cell of the baseline run; with neither, the limit is absolute. Exactly one limit:

    - `min_speedup`: reference / value, at least
    - `max_drop_points`: percentage points of an accuracy lost, at most
    - `max_increase`: (value - reference) / reference, at most
    - `max` and `min`: absolute, in the metric's unit
    """

    name: str
    metric: str
    cell: str = "*"
    against: str | None = None
    baseline: bool = False
    statistic: Statistic = "median"
    min_speedup: float | None = None
    max_drop_points: float | None = None
    max_increase: float | None = None
    max: float | None = None
    min: float | None = None


class Suite(msgspec.Struct, frozen=True):
    """The checked content of a suite file.

    `workloads` maps the name used in cell keys to the reference it was given as: a name of the
    table, `path.py:name` or `path.onnx`, paths absolute. `samples` maps names of ONNX workloads to
    their samples files.
    """

    name: str
    workloads: dict[str, str]
    runtimes: tuple[str, ...]
    recipes: tuple[Recipe, ...]  # `fp32` first, always
    devices: tuple[str, ...] = ("cpu",)
    precision: tuple[str, ...] = ("fp32",)
    batches: tuple[int, ...] = (1,)
    threads: int = 1
    processes: int = 8
    evaluate: Evaluate = Evaluate()
    measure: Measure = Measure()
    samples: dict[str, str] = {}
    expect: tuple[Expect, ...] = ()
    budgets: tuple[Budget, ...] = ()
    compare: Literal["absolute", "ratio"] = "absolute"
