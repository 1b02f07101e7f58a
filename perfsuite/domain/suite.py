"""A suite: what to run, and the budgets for it, after its file was read and checked."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from perfsuite.domain.across import Across
from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.sensitivity import Sensitivity

Statistic = Literal["median", "p95", "p99"]
Limit = Literal[  # the fields of a budget that are limits
    "min_speedup", "min_realised", "max_drop_points", "max_increase", "max_share", "max", "min"
]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Amount = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Split = Literal["test", "validation"]


class Evaluate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many samples are answered; None means all of them.

    They are those for testing or, for what is still to be chosen from, those for validation.
    """

    samples: Count | None = None
    split: Split = "test"


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long one process measures: at least `calls` calls and `seconds` seconds.

    The warm-up lasts until latencies are steady, at most `warmup_seconds`. A job that has not ended
    after `timeout_seconds` is killed, and its line says that it failed.
    """

    calls: Count = 30
    seconds: Amount = 1.0
    warmup_seconds: Amount = 5.0
    timeout_seconds: Positive = 600.0


class Inspect(msgspec.Struct, frozen=True):
    """How long one process is profiled: at least `calls` calls and, if they are fast, `seconds`.

    The defaults take little of a run's time. With `roofline`, the peak performance is measured too.
    """

    calls: Count = 4
    seconds: Amount = 0.5
    roofline: bool = False


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells whose status is known before the run, and why. A selector is a glob, by default `*`."""

    status: Literal["unsupported", "unavailable"]
    reason: Text
    workload: str = "*"
    recipe: str = "*"
    runtime: str = "*"
    device: str = "*"


class Require(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must have run in cells, else they fail. A selector is a glob, by default `*`.

    A `library` must have computed layers, or have been the engine. An `instruction_set` must have
    been dispatched to, or a better one; with a library, by that. At least one of both is given. A
    resolved suite has the names that people say: `oneDNN`, `AVX-512 VNNI`.
    """

    library: Text = ""
    instruction_set: Text = ""
    workload: str = "*"
    recipe: str = "*"
    runtime: str = "*"
    device: str = "*"
    reason: Text = ""

    @property
    def what(self) -> str:
        """Return what is required: `oneDNN with AVX-512 VNNI`, or one of both."""
        return " with ".join(name for name in (self.library, self.instruction_set) if name)


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A limit on one metric of the cells that `cell` (a glob on keys) matches.

    `against` names the one reference cell, by key or glob, or without a workload that of the same
    workload, as `fp32/pytorch`, and of the same batch unless it names one; with `baseline = true`
    the reference is the same cell of the baseline run; with neither, the limit is absolute. Exactly
    one limit:

    - `min_speedup`: reference / value, at least
    - `min_realised`: (reference / value) / (reference's MACs / its own), at least: the share of the
      theoretical speed-up that the clock shows; of `latency_s`, with `against`
    - `max_drop_points`: percentage points of an accuracy lost, at most
    - `max_increase`: (value - reference) / reference, at most
    - `max` and `min`: absolute, in the metric's unit
    - `max_share`: the stage's part of the profiled call, at most

    With the metric `stage_s`, `stage` names the row of the breakdown that is meant; the cells that
    such a budget speaks of are inspected in as many processes as they are measured in.
    """

    name: Text
    metric: Text
    cell: str = "*"
    against: str | None = None
    baseline: bool = False
    statistic: Statistic = "median"
    min_speedup: Positive | None = None
    min_realised: Positive | None = None
    max_drop_points: Amount | None = None
    max_increase: Amount | None = None
    max: Amount | None = None
    min: Amount | None = None
    stage: Text | None = None
    max_share: Share | None = None


class DetectionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a detector that is an ONNX file is judged by, and how its answers are read.

    `annotations` is a COCO file (.json), whose pictures lie in the folder `pictures`, or a folder
    in the layout of Pascal VOC, of which `split` names a list. `layout` is one of
    `workloads.tasks.layouts.LAYOUTS`. `pixels` says which values the model takes: from 0 to 1, from
    0 to 255, or normalized as ImageNet's. `size` is the height and width of pictures where the
    model leaves them open. `classes` and `labels` (see `Layout`) are needed only where the model
    counts its classes otherwise than the data set does.
    """

    annotations: Text
    layout: Text
    pictures: str = ""
    split: str = "val"
    pixels: Literal["0-1", "0-255", "imagenet"] = "0-1"
    size: tuple[Count, Count] | None = None
    classes: tuple[str, ...] = ()
    labels: Literal["index", "label", "id"] | None = None


class ResolvedSuite(msgspec.Struct, frozen=True):
    """What a suite says, read and resolved, as a run keeps it.

    `workloads` maps the name used in cell keys to the reference it was given as: a name of the
    table, `path.py:name` or `path.onnx`, paths absolute. `runtimes` holds names; `runtime_files`
    maps those that were given as `path.py:name` to that reference. `samples` maps names of ONNX
    workloads to their samples files, and `shapes` to the sides of their inputs by name: a number,
    `batch` for the side that counts samples, `?` for one that samples decide. `picture` is the path
    of one that every input is made of, or empty. `meters` are names of their table or
    `path.py:name`. `threads` None means every core that this process may use. `processes` is how
    often each cell is measured; with `looks` it is at most so often, and how often follows from
    what is measured. No round that comes after the first look begins once `minutes` were spent on
    measuring. A speed-up whose interval reaches further to a side than by the factor 1 +
    `speedups_within` needs a further round. With `hold_out`, passes train without the samples that
    validation uses. With `sensitivity`, which no suite file can ask for, its recipes compress one
    part of the net each. For each of its `switches`, which none can ask for either, a cell that it
    concerns is there once more: in an `ablation` to measure what that costs; with `across` such
    cells only answer samples.
    """

    name: str
    workloads: dict[str, str]
    runtimes: tuple[str, ...]
    recipes: tuple[ResolvedRecipe, ...]  # `fp32` first, always
    devices: tuple[str, ...] = ("cpu",)
    precision: tuple[str, ...] = ("fp32",)
    batches: tuple[int, ...] = (1,)
    threads: int | None = None
    processes: int = 8
    evaluate: Evaluate = Evaluate()
    measure: Measure = Measure()
    samples: dict[str, str] = {}
    shapes: dict[str, dict[str, tuple[int | str, ...]]] = {}
    detection: dict[str, DetectionTable] = {}
    expect: tuple[Expect, ...] = ()
    budgets: tuple[Budget, ...] = ()
    compare: Literal["absolute", "ratio"] = "absolute"
    runtime_files: dict[str, str] = {}
    inspect: Inspect = Inspect()
    picture: str = ""
    meters: tuple[str, ...] = ("memory",)
    looks: Looks | None = None
    minutes: float | None = None
    speedups_within: float | None = None
    hold_out: bool = False
    sensitivity: Sensitivity | None = None
    switches: tuple[str, ...] = ()
    across: Across | None = None
    require: tuple[Require, ...] = ()
    ablation: bool = False

    @property
    def least_processes(self) -> int:
        """Return how often each cell is measured at least."""
        return self.processes if self.looks is None else self.looks.first

    def only_answers(self, cell: Cell) -> bool:
        """Return whether a cell is there to answer samples as another processor would, alone."""
        return self.across is not None and bool(cell.switch)

    def evaluated(self, cell: Cell) -> Evaluate:
        """Return how many samples a cell answers, and which."""
        fewer = None if self.across is None else self.across.samples.get(cell.runtime)
        return (
            self.evaluate
            if fewer is None
            else msgspec.structs.replace(self.evaluate, samples=fewer)
        )

    def runtime(self, name: str) -> str:
        """Return the reference by which the runtime `name` is loaded: itself, or its file's."""
        return self.runtime_files.get(name, name)
