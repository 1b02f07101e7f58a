"""What an artifact holds: a graph as segments, of which some are steps of kernels of our own.

Values are named as in the graph. Inside a segment they are [samples, channels, rows, columns];
what has two dimensions in the graph has one row and one column.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.export.binary_operator import ConvGeometry

PLAN, TENSORS = "plan.json", "tensors.npz"
WHOLE = (0, 0)  # the kernel of a pool over whole pictures

StepKind = Literal["binary", "real", "copy", "max", "mean"]
OpKind = Literal["affine", "relu", "prelu", "clip", "add", "store", "bits"]


class PlanOp(msgspec.Struct, frozen=True):
    """What is done with a result before it leaves the processor's nearest cache.

    `tensors` are names of stored numbers, one for each channel. `value` is the one that is added
    or stored; of bits it is the name of the convolution that reads them.
    """

    kind: OpKind
    tensors: tuple[str, ...] = ()
    value: str = ""


class PlanStep(msgspec.Struct, frozen=True):
    """One result and all that is fused with it.

    `origins` are the nodes that it computes, the first of which is an `operator`. It writes
    channels from `first` on of what it stores, and reads those from `source_first` on. A
    convolution has `weights`, packed if they are binary, `scale` and `shift`.
    """

    kind: StepKind
    origins: tuple[str, ...]
    operator: str
    source: str  # a value, or for "binary" its own name as the bits' reader
    channels: int
    geometry: ConvGeometry = ConvGeometry((1, 1))
    ops: tuple[PlanOp, ...] = ()
    weights: str = ""
    scale: str = ""
    shift: str = ""
    source_channels: int = 0
    source_first: int = 0
    first: int = 0
    count_padding: bool = False


class Port(msgspec.Struct, frozen=True):
    """A value that enters or leaves a segment of steps: its channels, and its dimensions.

    Inside, `value` is the name of what is read or was stored.
    """

    name: str
    value: str
    channels: int
    rank: int


class Steps(msgspec.Struct, frozen=True, tag="steps"):
    """A segment that our kernels compute. `channels` are those of each value that is stored."""

    steps: tuple[PlanStep, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    channels: dict[str, int]


class Rest(msgspec.Struct, frozen=True, tag="rest"):
    """A segment that ONNX Runtime computes, from a graph in a file of its own."""

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]  # with their operators: "conv1 Conv"


class Plan(msgspec.Struct, frozen=True):
    """The segments in their order, and the names of the graph's inputs and outputs."""

    segments: tuple[Steps | Rest, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
