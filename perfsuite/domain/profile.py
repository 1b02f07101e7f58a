"""The profile of calls, as an engine recorded it, and the breakdown computed from it."""

from __future__ import annotations

from typing import Literal

import msgspec

OVERHEAD, UNATTRIBUTED = "engine overhead", "unattributed"
MOST_SAVED = 4.0  # products of a 3x3 convolution over those of Winograd's F(4x4, 3x3)
PYTHON = "python"  # the kind of a kernel for the time of Python code between two operators


class Node(msgspec.Struct, frozen=True):
    """One node of the graph that an engine was given, before the engine fused anything.

    `path` is that of the module that it belongs to, '' at the top. `macs`, `parameters` and `bytes`
    (read and written, weights included, each tensor once) are for one call of the whole batch; None
    if they cannot be counted. `inputs` and `outputs` are names of values; `sizes` are the bytes
    moved for each of them, inputs first, so that values inside a fused kernel can be left out.
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

    `times_s` are exclusive of other kernels and have an entry for each of `Profile.walls_s`.
    `starts_s`, since the start of the call, do too, or are empty if the engine does not report
    them. `origins` are the nodes merged into it, by their names in the graph (for an engine that
    takes modules `<module path>/<operator>`); empty for kernels that the engine inserted, such as a
    layout reorder. Then `neighbours` are the origins of the kernels near it, the nearest first.
    """

    name: str  # as the engine calls it
    kind: str  # such as "FusedConv", "Reorder", "addmm"
    times_s: tuple[float, ...]
    starts_s: tuple[float, ...] = ()
    origins: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    precision: str = ""
    macs: int | None = None  # if the engine reports them; else they follow from the origins
    bytes: int | None = None


class Profile(msgspec.Struct, frozen=True):
    """Some profiled calls: the wall time of each, and the kernels in the order in which they ran.

    An engine that reports only means over calls has one entry: the mean wall time and mean times.
    """

    walls_s: tuple[float, ...]
    kernels: tuple[Kernel, ...]


class BreakdownRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a call: a stage, a module or an operator; its time includes its children's.

    `macs` and `bytes` are None if they could not be counted for some part of it.
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

    The stages are in the order in which they run, followed by `engine overhead` (the call's time
    outside of all kernels) and `unattributed` (kernels whose stage is not known). `crossing` lists
    kernels that were fused across stages; they are counted for the stage of their most expensive
    operator. `untraced_s` is the mean of as many calls in the same process with the same inputs,
    half of them before the profiled calls and half after, that were not profiled; None in older
    runs.
    """

    total_s: float
    calls: int  # over which times are averaged
    rows: tuple[BreakdownRow, ...]
    crossing: tuple[str, ...] = ()
    untraced_s: float | None = None


class Roofline(msgspec.Struct, frozen=True):
    """The peak performance of a device (Williams, Waterman and Patterson 2009, "Roofline").

    Both numbers were measured in `precision`: of the processor with `threads` threads; of another
    device, which `device` then names, with all that it has.
    """

    flops_per_s: float  # two for each multiply-accumulate
    bytes_per_s: float
    threads: int
    precision: str
    device: str = ""
