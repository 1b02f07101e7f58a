"""Where the time of a call goes: what an engine recorded, and the breakdown made of it."""

from __future__ import annotations

from typing import Literal

import msgspec

OVERHEAD, UNATTRIBUTED = "engine overhead", "unattributed"
PYTHON = "python"  # the kind of what passes between two operators that a module's code calls


class Node(msgspec.Struct, frozen=True):
    """One node of the graph that an engine was given, before the engine fused anything.

    `path` is that of the module that it belongs to, empty at the top. `macs`, `parameters` and
    `bytes` (read and written, weights included, each tensor once) are for one call of the whole
    batch; None where they cannot be counted. `inputs` and `outputs` are names of values, `sizes`
    the bytes that move for each of them, inputs first: what stays inside of a fused kernel is then
    not counted.
    """

    name: str
    kind: str  # the ONNX operator
    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int | None = None
    parameters: int = 0
    bytes: int | None = None
    sizes: tuple[int | None, ...] = ()


class Kernel(msgspec.Struct, frozen=True):
    """One kernel that ran in every profiled call.

    `times_s` are exclusive and aligned with `Profile.walls_s`, as are `starts_s`, since the call
    began; empty where the engine does not say. `origins` are the nodes merged into it, by their
    names in the graph (for an engine that takes modules `<module path>/<operator>`); empty for
    what the engine put in by itself, such as a layout reorder. `neighbours` are then the origins
    of the kernels that it stands between, the nearest first.
    """

    name: str  # as the engine calls it
    kind: str  # such as "FusedConv", "Reorder", "addmm"
    times_s: tuple[float, ...]
    starts_s: tuple[float, ...] = ()
    origins: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    precision: str = ""
    macs: int | None = None  # where the engine alone knows: else they follow from the origins
    bytes: int | None = None


class Profile(msgspec.Struct, frozen=True):
    """Some profiled calls: the wall time of each, and the kernels in the order in which they ran.

    An engine that only tells means over calls gives one entry: the mean wall time, and means.
    """

    walls_s: tuple[float, ...]
    kernels: tuple[Kernel, ...]


class BreakdownRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a call: a stage, a module in it, an operator in that; its time includes theirs.

    `macs` and `bytes` are None where a part of it could not be counted.
    """

    name: str
    level: Literal["stage", "module", "operator", "rest"]  # rest: overhead and unattributed
    time_s: float
    macs: int | None = None
    parameters: int | None = None
    bytes: int | None = None
    children: tuple[BreakdownRow, ...] = ()
    start_s: float | None = None  # of an operator: since the call began


class Breakdown(msgspec.Struct, frozen=True, omit_defaults=True):
    """The wall time of one profiled call, in rows that add up to it.

    The stages come in the order in which they run, then `engine overhead` (the call's time outside
    of all kernels) and `unattributed` (kernels that no stage is known to own). `crossing` lists
    kernels that were fused across stages: they are counted under their most expensive operator.
    `untraced_s` is the same mean of as many calls in the same process, of the same inputs, that
    were not profiled: half of them before the profiled ones, half after; None in older runs.
    """

    total_s: float
    calls: int  # over which times are averaged
    rows: tuple[BreakdownRow, ...]
    crossing: tuple[str, ...] = ()
    untraced_s: float | None = None


class Roofline(msgspec.Struct, frozen=True):
    """What this machine can reach (Williams, Waterman and Patterson 2009, "Roofline").

    Both were measured, with `threads` threads and in `precision`.
    """

    flops_per_s: float  # two a multiply-accumulate
    bytes_per_s: float
    threads: int
    precision: str
