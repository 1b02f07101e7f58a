"""The table of metrics, which budgets, tables, comparison and gate are based on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

_NAME = re.compile(r"[A-Za-z]\w*")


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    """The meaning of a measured number, and how it is treated.

    `unit` is the unit of the samples, in SI: `s`, `B`, `J`, `1/s`, and `1` for a count. `summary`
    says how the samples of several processes become one value: by their geometric mean, by their
    mean if they may be zero, or not at all for an exact value, such as a size. A `machine_bound`
    metric is not comparable between machines, and has no meaning where kernels are simulated.
    `title` is the heading of its column in tables, by default its name; without `column` it is only
    in CSV and JSON. `floor` is the share by which it must be worse than in a baseline to be a
    regression; without it, only budgets judge it.
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
        """Return the heading of its column."""
        return self.title or self.name


LATENCY = "latency_s"
MACS = "macs"
AGREEMENT = "agreement"  # with the model's own answers, where there are no labels
STAGE = "stage_s"  # the time of one stage, from the breakdown of a profiled call

_ALL = (
    Metric(LATENCY, "s", "latency", floor=0.03),
    Metric("device_latency_s", "s", "device latency"),
    Metric("bound_latency_s", "s", "device latency, by the host", column=False),
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
    Metric(MACS, "1", "MACs", summary="exact", machine_bound=False, column=False),
)

# Any other name that no meter of the run defines is that of an accuracy of the task: `top1`, `mAP`.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


def known_metrics(others: Iterable[Metric]) -> dict[str, Metric]:
    """Return the table and the metrics `others` of meters, by name; the table has precedence."""
    return {**{metric.name: metric for metric in others}, **METRICS}
