"""Weights and other numbers in the order in which kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from perfsuite.export.binary_operator import ConvGeometry
from perfsuite.runtimes.binary.layout import TILE_CHANNELS
from perfsuite.runtimes.binary.team import aligned

Array = npt.NDArray[Any]
_LANES = 8  # channels of a vector of words


def planes(channels: int) -> int:
    """Return how many tiles' worth of channels there are."""
    return -(-channels // TILE_CHANNELS)


def placed(array: Array) -> Array:
    """Return a copy that begins on a cache line."""
    memory = aligned(array.nbytes).view(array.dtype)[: array.size].reshape(array.shape)
    memory[...] = array
    return memory


def per_channel(numbers: Array, filling: float) -> Array:
    """Return float32 numbers, filled up to whole tiles."""
    padded = np.full(planes(len(numbers)) * TILE_CHANNELS, filling, np.float32)
    padded[: len(numbers)] = numbers
    return placed(padded)


class BinaryWeights:
    """Packed weights as words [M/8, C/64, kh, kw, 8], 64 channels each, filled up with zeros."""

    def __init__(self, packed: npt.NDArray[np.uint8]) -> None:
        filters, rows, columns, size = packed.shape
        words = -(-size // 8)
        padded = np.zeros((planes(filters) * TILE_CHANNELS, rows, columns, words * 8), np.uint8)
        padded[:filters, :, :, :size] = packed
        grouped = padded.view("<u8").reshape(-1, _LANES, rows, columns, words)
        self.words = placed(np.ascontiguousarray(grouped.transpose(0, 4, 2, 3, 1)))

    def ones(self) -> npt.NDArray[np.int32]:
        """Return how many weights of each tap are +1 [M, kh, kw]; it is not kept."""
        bytes_ = self.words.view(np.uint8).reshape(*self.words.shape, 8)
        counts = np.unpackbits(bytes_, axis=-1).sum(axis=(1, -1), dtype=np.int32)
        ordered: npt.NDArray[np.int32] = counts.transpose(0, 3, 1, 2)
        return ordered.reshape(-1, *counts.shape[1:3])

    @property
    def strides(self) -> dict[str, int]:
        """Return the distances of the weights' fields of a step."""
        block, word, row, tap, _ = self.words.strides
        plane = block * TILE_CHANNELS // _LANES
        return {"PLANE": plane, "BLOCK": block, "CHANNEL": word, "ROW": row, "TAP": tap}


class RealWeights:
    """Weights as float32 [M/16, kh, kw, C, 16], filled up with zeros."""

    def __init__(self, weights: npt.NDArray[np.float32]) -> None:
        filters, channels, rows, columns = weights.shape
        padded = np.zeros((planes(filters) * TILE_CHANNELS, *weights.shape[1:]), np.float32)
        padded[:filters] = weights
        grouped = padded.reshape(-1, 2 * _LANES, channels, rows, columns)
        self.words = placed(np.ascontiguousarray(grouped.transpose(0, 3, 4, 2, 1)))

    @property
    def strides(self) -> dict[str, int]:
        """Return the distances of the weights' fields of a step."""
        block, row, tap, word, _ = self.words.strides
        plane = block * TILE_CHANNELS // (2 * _LANES)
        return {"PLANE": plane, "BLOCK": block, "CHANNEL": word, "ROW": row, "TAP": tap}


class Bases:
    """What a binary kernel's counts are taken from, as taps outside a picture add nothing.

    A sum is the number of terms less twice that of terms that differ. Rows outside are not read.
    Columns outside are read as zeros, which differ from weights of +1: these are added again. All
    depends on which taps lie inside, so `sums` [kinds of rows, kinds of columns, M] has few
    numbers, and `rows` and `columns` say in bytes where those of each row and column lie.
    """

    def __init__(
        self, weights: BinaryWeights, channels: int, geometry: ConvGeometry, height: int, width: int
    ) -> None:
        rows, columns = geometry.output_size(height, width)
        down = _inside(0, rows, height, geometry)
        across = _inside(1, columns, width, geometry)
        row_kinds, columns_kinds = list(dict.fromkeys(down)), list(dict.fromkeys(across))
        ones = weights.ones()
        sums = np.zeros((len(row_kinds), len(columns_kinds), len(ones)), np.int32)
        for i, inside_rows in enumerate(row_kinds):
            for j, inside in enumerate(columns_kinds):
                taps = sum(inside_rows) * sum(inside)
                outside = np.outer(inside_rows, ~np.array(inside)).astype(np.int32)
                zeros = np.einsum("mij,ij->m", ones, outside)
                sums[i, j] = channels * taps + 2 * zeros
        self.sums = placed(sums)
        self.rows = placed(np.array([row_kinds.index(one) for one in down]) * sums.strides[0])
        places = [columns_kinds.index(one) for one in across]
        self.columns = placed(np.array(places) * sums.strides[1])


def _inside(axis: int, places: int, side: int, geometry: ConvGeometry) -> list[tuple[bool, ...]]:
    """Return for each place of a result which taps lie inside a picture."""
    before = geometry.pads[axis]
    return [
        tuple(
            0 <= place * geometry.strides[axis] - before + tap * geometry.dilations[axis] < side
            for tap in range(geometry.kernel_shape[axis])
        )
        for place in range(places)
    ]
