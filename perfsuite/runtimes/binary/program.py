"""Steps become a program for inputs of known sizes: buffers, and rows of integers about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from perfsuite.errors import Unsupported
from perfsuite.export.binary_operator import ConvGeometry
from perfsuite.runtimes.binary.layout import (
    COUNTER_BYTES,
    HEAD_WORDS,
    TILE_CHANNELS,
    TILE_COLUMNS,
    Head,
    Kind,
    Op,
    OpField,
    Step,
)
from perfsuite.runtimes.binary.operands import (
    Bases,
    BinaryWeights,
    RealWeights,
    per_channel,
    placed,
    planes,
)
from perfsuite.runtimes.binary.plan import WHOLE, PlanOp, PlanStep, Steps
from perfsuite.runtimes.binary.team import Team, aligned

Array = npt.NDArray[Any]
Sizes = tuple[int, int, int]  # samples, rows, columns
_SIDE_BY_SIDE = 16  # channels of a pixel are filled up to so many
_KINDS = {"binary": Kind.BINARY, "real": Kind.REAL, "copy": Kind.COPY, "max": Kind.MAX,
          "mean": Kind.MEAN}  # fmt: skip
_OPS = {"affine": Op.AFFINE, "relu": Op.RELU, "prelu": Op.PRELU, "clip": Op.CLIP, "add": Op.ADD,
        "store": Op.STORE, "bits": Op.BITS}  # fmt: skip


class Operands:
    """The numbers of an artifact, in the order of the kernels; they serve programs of all sizes."""

    def __init__(self, steps: Steps, tensors: Mapping[str, Array]) -> None:
        self.weights: dict[str, BinaryWeights | RealWeights] = {}
        self.numbers: dict[str, Array] = {}
        for step in steps.steps:
            if step.kind == "binary":
                self.weights[step.weights] = BinaryWeights(tensors[step.weights])
            elif step.kind == "real":
                self.weights[step.weights] = RealWeights(tensors[step.weights])
            for name in filter(None, (step.scale, step.shift)):
                self.numbers[name] = per_channel(tensors[name], 0.0)
            for op in step.ops:
                filling = np.nan if op.kind == "bits" else 0.0
                for name in op.tensors:
                    self.numbers[name] = per_channel(tensors[name], filling)


@dataclass
class _Buffer:
    """Memory for a value, with columns of zeros on both sides; `array` is [N, ., H, W] in it.

    The second axis counts channels of floats, or words of 64 channels of bits.
    """

    array: Array
    sizes: Sizes

    def fields(self) -> dict[str, int]:
        sample, channel, row, column = self.array.strides
        return {"SAMPLE": sample, "CHANNEL": channel, "ROW": row, "COLUMN": column}

    @property
    def address(self) -> int:
        """Return the address of row 0 and column 0."""
        return int(self.array.__array_interface__["data"][0])


class Program:
    """The steps of a segment for inputs of given shapes, with all memory that they need."""

    def __init__(
        self, steps: Steps, operands: Operands, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> None:
        self.steps, self.operands = steps, operands
        self._kept: list[Any] = []  # whatever the program has addresses of
        self._columns = _columns_of_zeros(steps)
        self._readers = {one.source: one for one in steps.steps if one.kind == "binary"}
        self._read = _read(steps)
        self._values: dict[str, _Buffer] = {}
        self._bits: dict[str, _Buffer] = {}
        self._by_rows: dict[str, bool] = {}  # how threads share what is read
        for port in steps.inputs:
            samples, _, *sides = (*shapes[port.name], 1, 1)[:4]
            sizes = (samples, sides[0], sides[1])
            self._values[port.name] = self._buffer(
                port.channels, sizes, self._columns[port.name], np.float32, together=False
            )
        rows, self._ops = [], []  # type: list[Array], list[Array]
        for step in steps.steps:
            rows.append(self._step(step))
        self.head = self._head(np.array(rows, np.int64), threads)

    def run(self, team: Team, values: Mapping[str, Array]) -> dict[str, Array]:
        """Return the segment's outputs by name, as arrays of their own."""
        for port in self.steps.inputs:
            target = self._values[port.name].array
            np.copyto(target, values[port.name].reshape(target.shape))
        team.run(self.head.ctypes.data)
        found = {}
        for port in self.steps.outputs:
            array = np.array(self._values[port.value].array, order="C")
            found[port.name] = array if port.rank == 4 else array.reshape(array.shape[:2])
        return found

    def timed(self, team: Team, values: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        """Return the outputs, and the nanoseconds at the begin and after each step."""
        times = np.zeros((len(self.steps.steps) + 1, 2), np.int64)
        self.head[Head.TIMES] = times.ctypes.data + times.strides[0]
        try:
            found = self.run(team, values)
        finally:
            self.head[Head.TIMES] = 0
        return found, times[:, 0] * 1_000_000_000 + times[:, 1]

    def _head(self, rows: Array, threads: int) -> Array:
        ops = np.array(self._ops, np.int64).reshape(-1, len(OpField))
        counters = aligned(max(1, len(rows)) * threads * COUNTER_BYTES)
        size = TILE_COLUMNS * TILE_CHANNELS * 4
        scratch = aligned(size * threads)
        self._kept += [rows, ops, counters, scratch]
        head = placed(np.zeros(HEAD_WORDS, np.int64))
        head[Head.STEPS] = len(rows)
        head[Head.FIRST_STEP], head[Head.FIRST_OP] = rows.ctypes.data, ops.ctypes.data
        head[Head.SCRATCH], head[Head.SCRATCH_SIZE] = scratch.ctypes.data, size
        head[Head.COUNTERS] = counters.ctypes.data
        return head

    def _buffer(
        self,
        channels: int,
        sizes: Sizes,
        beside: tuple[int, int],
        kind: Any,
        *,
        together: bool,
    ) -> _Buffer:
        """Return memory of zeros, in which the channels of a pixel may lie `together`."""
        samples, rows, columns = sizes
        before, after = beside
        width = before + columns + after
        if together:
            filled = -(-channels // _SIDE_BY_SIDE) * _SIDE_BY_SIDE
            shape: tuple[int, ...] = (samples, rows, width, filled)
        else:
            shape = (samples, channels, rows, width)
        memory = aligned(int(np.prod(shape)) * np.dtype(kind).itemsize)
        self._kept.append(memory)
        whole = memory.view(kind).reshape(shape)
        if together:
            whole = whole.transpose(0, 3, 1, 2)[:, :channels]
        return _Buffer(whole[..., before : before + columns], sizes)

    def _step(self, step: PlanStep) -> Array:
        source = self._bits[step.source] if step.kind == "binary" else self._values[step.source]
        samples, height, width = source.sizes
        geometry = step.geometry
        if geometry.kernel_shape == WHOLE:
            geometry = msgspec.structs.replace(geometry, kernel_shape=(height, width))
        rows, columns = geometry.output_size(height, width)
        if rows < 1 or columns < 1:
            raise Unsupported(
                f"node '{(*step.origins, step.source)[0]}': its kernel of "
                f"{geometry.kernel_shape} does not fit into a picture of {height} x {width}; give "
                f"larger inputs"
            )
        sizes = (samples, rows, columns)
        fields = {
            "KIND": int(_KINDS[step.kind]), "SAMPLES": samples, "PLANES": planes(step.channels),
            "ROWS": rows, "COLUMNS": columns, "CHANNELS": step.channels,
            "FIRST_OP": len(self._ops), "OPS": len(step.ops), "HEIGHT": height, "WIDTH": width,
            "X": source.address + step.source_first * source.fields()["CHANNEL"],
            "X_CHANNELS": source.array.shape[1], "WITH_PADDING": int(step.count_padding),
        }  # fmt: skip
        fields |= {f"X_{name}": value for name, value in source.fields().items()}
        fields |= _taps(geometry)
        fields |= self._factors(step, geometry, height, width)
        by_rows = self._shared_by_rows(step, sizes)
        fields["BY_ROWS"] = int(by_rows)
        self._by_rows |= {op.value: by_rows for op in step.ops if op.kind in ("store", "bits")}
        for op in step.ops:
            self._ops.append(self._op(op, step, sizes))
        return np.array([fields.get(name, 0) for name in Step.__members__], np.int64)

    def _shared_by_rows(self, step: PlanStep, sizes: Sizes) -> bool:
        """Tell whether threads share the rows of a step, or its channels.

        Then each reads all weights, or else values that others have written. What is less passes
        from core to core; a step without weights goes on as what it reads.
        """
        if not step.weights:
            return self._by_rows.get(step.source, True)
        results = int(np.prod(sizes)) * step.channels * 4
        return self.operands.weights[step.weights].words.nbytes <= results

    def _factors(
        self, step: PlanStep, geometry: ConvGeometry, height: int, width: int
    ) -> dict[str, int]:
        if not step.weights:
            return {}
        weights = self.operands.weights[step.weights]
        scale, shift = (self.operands.numbers[name] for name in (step.scale, step.shift))
        fields = {f"W_{name}": value for name, value in weights.strides.items()}
        fields |= {"W": _at(weights.words), "SCALE": _at(scale), "SHIFT": _at(shift)}
        if isinstance(weights, BinaryWeights):
            bases = Bases(weights, step.source_channels, geometry, height, width)
            self._kept.append(bases)
            fields |= {"BASE": _at(bases.sums), "BASE_ROWS": _at(bases.rows)}
            fields["BASE_COLUMNS"] = _at(bases.columns)
        return fields

    def _op(self, op: PlanOp, step: PlanStep, sizes: Sizes) -> Array:
        fields = {"OP": int(_OPS[op.kind])}
        fields |= dict(
            zip("ABC", (_at(self.operands.numbers[one]) for one in op.tensors), strict=False)
        )
        if op.kind in ("add", "store", "bits"):
            target = self._target(op, step, sizes)
            fields |= target.fields()
            one = 1 if op.kind == "bits" else TILE_CHANNELS
            fields["PLANE"] = fields["CHANNEL"] * one
            channels = target.array.shape[1] if op.kind == "add" else step.channels
            fields["PLANES"] = planes(channels)
            fields["TENSOR"] = target.address
            if op.kind == "store":
                fields["TENSOR"] += step.first * fields["CHANNEL"]
        return np.array([fields.get(name, 0) for name in OpField.__members__], np.int64)

    def _target(self, op: PlanOp, step: PlanStep, sizes: Sizes) -> _Buffer:
        """Return the buffer that an operation reads or writes."""
        if op.kind == "bits":
            reader = self._readers[op.value]
            beside = _beside(reader.geometry, sizes[2])
            words = planes(step.channels)
            self._bits[op.value] = self._buffer(words, sizes, beside, np.uint64, together=False)
            return self._bits[op.value]
        if op.value not in self._values:
            self._values[op.value] = self._buffer(
                self.steps.channels[op.value], sizes, self._columns[op.value], np.float32,
                together=op.value in self._read,
            )  # fmt: skip
        return self._values[op.value]


def _at(array: Array) -> int:
    return int(array.ctypes.data)


def _taps(geometry: ConvGeometry) -> dict[str, int]:
    top, left, bottom, right = geometry.pads
    fields = {"TOP": top, "LEFT": left, "BOTTOM": bottom, "RIGHT": right}
    for axis, name in enumerate("HW"):
        fields[f"KERNEL_{name}"] = geometry.kernel_shape[axis]
        fields[f"STRIDE_{name}"] = geometry.strides[axis]
        fields[f"DILATION_{name}"] = geometry.dilations[axis]
    return fields


def _beside(geometry: ConvGeometry, width: int) -> tuple[int, int]:
    """Return how many columns of zeros a convolution reads before and after those of a picture."""
    left = geometry.pads[1]
    columns = geometry.output_size(1, width)[1]
    reach = (geometry.kernel_shape[1] - 1) * geometry.dilations[1]
    last = (columns - 1) * geometry.strides[1] - left + reach
    return left, max(0, last + 1 - width)


def _read(steps: Steps) -> set[str]:
    """Return the values that steps read; of others, which are outputs, channels lie apart."""
    added = {op.value for step in steps.steps for op in step.ops if op.kind == "add"}
    return added | {step.source for step in steps.steps if step.kind != "binary"}


def _columns_of_zeros(steps: Steps) -> dict[str, tuple[int, int]]:
    """Return how many columns of zeros each value has: as many as its convolutions may read."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for step in steps.steps:
        if step.kind == "real":
            before, after = found[step.source]
            pads = step.geometry.pads
            found[step.source] = max(before, pads[1]), max(after, pads[3])
    return found
