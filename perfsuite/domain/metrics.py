"""The table of metrics: budgets, tables, comparison and gate follow from what it says of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

_NAME = re.compile(r"[A-Za-z]\w*")


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a number means, and how it is treated.

    `unit` is that of the samples, in SI, and how they are written: `s`, `B`, `J`, `1/s`, and `1`
    for a count. `summary` says how the samples of several processes become one value: their
    geometric mean, their mean where they may be zero, or none is needed because the value is
    exact, such as a size. What is `machine_bound` says nothing on another machine, and nothing
    where kernels are simulated. `title` heads its column in tables, by default its name; without
    `column` it is in CSV and JSON alone. `floor` is by which share it must become worse than in a
    baseline to be a regression; without it, only a budget judges it.
    """

    name: str
    unit: str
    title: str = ""
    better: Literal["lower", "higher"] = "lower"
    summary: Literal["geometric mean", "mean", "exact"] = "geometric mean"
    machine_bound: bool = True
    column: bool = True
    floor: float | None = None

    def __post_init__(self) -> None:
        """Refuse a name that tables, budgets and files cannot hold."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"a metric cannot be called '{self.name}': its name has letters, digits and "
                f"underscores, and ends with the unit, such as energy_j"
            )

    @property
    def heading(self) -> str:
        """Return what heads its column."""
        return self.title or self.name


LATENCY = "latency_s"
STAGE = "stage_s"  # the time of one stage, from the breakdown of a profiled call

_ALL = (
    Metric(LATENCY, "s", "latency", floor=0.03),
    Metric("throughput_per_s", "1/s", "throughput", better="higher", column=False),
    Metric("load_s", "s", "load time", column=False),
    Metric("first_call_s", "s", "first call", column=False),
    Metric("warmup_calls", "1", "warm-up calls", machine_bound=False, column=False),
    Metric(STAGE, "s", "stage", column=False),
    Metric("build_s", "s", "build time", summary="exact", column=False),
    Metric("load_peak_bytes", "B", "memory to load", machine_bound=False, column=False),
    Metric("run_peak_bytes", "B", "memory", machine_bound=False),
    Metric("artifact_bytes", "B", "size", summary="exact", machine_bound=False),
    Metric("parameters", "1", summary="exact", machine_bound=False, column=False),
    Metric("macs", "1", "MACs", summary="exact", machine_bound=False, column=False),
)

# A name that is not among them, nor among those of a run's meters, is an accuracy, and the task's
# own: `top1`, `mAP`.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def known_metrics(others: Iterable[Metric]) -> dict[str, Metric]:
    """Return the table together with `others`, those that meters define; the table wins."""
    return {**{metric.name: metric for metric in others}, **METRICS}
