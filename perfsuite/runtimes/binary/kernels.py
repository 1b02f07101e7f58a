"""The kernels, compiled by Numba: what fills a tile, and what is done with it before it is stored.

A step of a program makes one result, in units of up to 32 pixels of a row by 64 channels. Each
unit's values stay in a tile of floats until all that follows the convolution is done.
"""
# Numba infers types, and takes no annotations of its own.
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import carray, njit

from perfsuite.runtimes.binary.layout import (
    TILE_CHANNELS,
    TILE_COLUMNS,
    Kind,
    Op,
    OpField,
    Step,
)
from perfsuite.runtimes.binary.microkernel import binary_tile, pool_tile, real_tile
from perfsuite.runtimes.binary.native import pointer, reached
from perfsuite.runtimes.binary.target import binary_blocks, real_blocks

_PIXEL = TILE_CHANNELS * 4  # bytes of a pixel of a tile
_STEP, _OP = len(Step), len(OpField)
_kernel = njit(nogil=True, error_model="numpy")  # no exceptions for divisions by zero
# Numba takes module-level integers for constants, and no members of an enumeration.
(_AFFINE, _RELU, _PRELU, _CLIP, _ADD, _STORE, _BITS) = map(int, Op)
(_BINARY, _REAL, _COPY, _MAX, _MEAN) = map(int, Kind)
(
    KIND, SAMPLES, PLANES, ROWS, COLUMNS, CHANNELS, FIRST_OP, OPS, X, X_SAMPLE, X_ROW, X_COLUMN,
    X_CHANNEL, X_CHANNELS, HEIGHT, WIDTH, KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W, DILATION_H,
    DILATION_W, TOP, LEFT, WITH_PADDING, BOTTOM, RIGHT, W, W_PLANE, W_BLOCK, W_CHANNEL, W_ROW,
    W_TAP, SCALE, SHIFT, BASE, BASE_ROWS, BASE_COLUMNS,
    BY_ROWS,
) = map(int, Step)  # fmt: skip
(OP, A, B, C, TENSOR, SAMPLE, ROW, COLUMN, PLANE, CHANNEL, TENSOR_PLANES) = map(int, OpField)

(_P0, _Q0), (_P1, _Q1), (_P2, _Q2), (_P3, _Q3) = binary_blocks()
_binary0, _binary1, _binary2, _binary3 = (binary_tile(p, q) for p, q in binary_blocks())
(_R0, _S0), (_R1, _S1), (_R2, _S2) = real_blocks()
_max4, _max1 = (pool_tile(blocks, largest=True) for blocks in (4, 1))
_sum4, _sum1 = (pool_tile(blocks, largest=False) for blocks in (4, 1))
_real0, _real1, _real2 = (real_tile(p, q) for p, q in real_blocks())


@_kernel
def units(step):
    """Return how many units a step has."""
    chunks = (step[COLUMNS] + TILE_COLUMNS - 1) // TILE_COLUMNS
    return step[PLANES] * step[SAMPLES] * step[ROWS] * chunks


@_kernel
def run_unit(step, first_op, unit, scratch):
    """Compute one unit.

    The units of a thread follow each other. Planes of channels come last, so that each thread reads
    few weights, or first, so that it reads few values that another has written.
    """
    chunks, plane = (step[COLUMNS] + TILE_COLUMNS - 1) // TILE_COLUMNS, 0
    if step[BY_ROWS]:
        plane = unit % step[PLANES]
        unit //= step[PLANES]
    column = unit % chunks * TILE_COLUMNS
    unit //= chunks
    row = unit % step[ROWS]
    unit //= step[ROWS]
    sample = unit % step[SAMPLES]
    if not step[BY_ROWS]:
        plane = unit // step[SAMPLES]
    columns = min(TILE_COLUMNS, step[COLUMNS] - column)
    kind = step[KIND]
    if kind == _BINARY:
        _binary(step, sample, plane, row, column, columns, scratch)
    elif kind == _REAL:
        _real(step, sample, plane, row, column, columns, scratch)
    elif kind == _COPY:
        _copy(step, sample, plane, row, column, columns, scratch)
    else:
        _pool(step, sample, plane, row, column, columns, scratch)
    for index in range(step[OPS]):
        address = first_op + (step[FIRST_OP] + index) * _OP * 8
        _apply(carray(pointer(address), _OP, np.int64), step, sample, plane, row, column, columns,
               scratch)  # fmt: skip


@_kernel
def _taps(place, kernel, dilation, side):
    """Return the first tap from `place` on inside of a side, and the first beyond it."""
    begin = 0 if place >= 0 else (-place + dilation - 1) // dilation
    end = (side - place + dilation - 1) // dilation if side > place else 0
    return begin, max(begin, min(kernel, end))


@_kernel
def _binary(step, sample, plane, row, column, columns, scratch):
    top = row * step[STRIDE_H] - step[TOP]
    first, end = _taps(top, step[KERNEL_H], step[DILATION_H], step[HEIGHT])
    n0, n1, n2 = step[X_CHANNELS], end - first, step[KERNEL_W]
    x0, x1, x2 = step[X_CHANNEL], step[X_ROW] * step[DILATION_H], step[X_COLUMN] * step[DILATION_W]
    w0, w1, w2 = step[W_CHANNEL], step[W_ROW], step[W_TAP]
    # Columns of padding lie before column 0.
    x = step[X] + sample * step[X_SAMPLE] + (top + first * step[DILATION_H]) * step[X_ROW]
    x += (column * step[STRIDE_W] - step[LEFT]) * step[X_COLUMN]
    x_pixel, block = step[X_COLUMN] * step[STRIDE_W], step[W_BLOCK]
    w = step[W] + plane * step[W_PLANE] + first * w1
    rows = carray(pointer(step[BASE_ROWS]), step[ROWS], np.int64)
    places = step[BASE_COLUMNS] + column * 8
    channel = plane * TILE_CHANNELS * 4
    base = step[BASE] + rows[row] + channel
    scale, shift = step[SCALE] + channel, step[SHIFT] + channel
    p = 0
    while p + _P0 <= columns:
        for q in range(0, 8, _Q0):
            _binary0(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 32, base + q * 32,
                     places + p * 8, scale + q * 32, shift + q * 32, n0, n1, n2, x0, x1, x2, w0, w1,
                     w2, x_pixel, block, _PIXEL)  # fmt: skip
        p += _P0
    while p + _P1 <= columns:
        for q in range(0, 8, _Q1):
            _binary1(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 32, base + q * 32,
                     places + p * 8, scale + q * 32, shift + q * 32, n0, n1, n2, x0, x1, x2, w0, w1,
                     w2, x_pixel, block, _PIXEL)  # fmt: skip
        p += _P1
    while p + _P2 <= columns:
        for q in range(0, 8, _Q2):
            _binary2(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 32, base + q * 32,
                     places + p * 8, scale + q * 32, shift + q * 32, n0, n1, n2, x0, x1, x2, w0, w1,
                     w2, x_pixel, block, _PIXEL)  # fmt: skip
        p += _P2
    while p + _P3 <= columns:
        for q in range(0, 8, _Q3):
            _binary3(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 32, base + q * 32,
                     places + p * 8, scale + q * 32, shift + q * 32, n0, n1, n2, x0, x1, x2, w0, w1,
                     w2, x_pixel, block, _PIXEL)  # fmt: skip
        p += _P3


@_kernel
def _real(step, sample, plane, row, column, columns, scratch):
    top = row * step[STRIDE_H] - step[TOP]
    first, end = _taps(top, step[KERNEL_H], step[DILATION_H], step[HEIGHT])
    n0, n1, n2 = end - first, step[KERNEL_W], step[X_CHANNELS]
    x0, x1, x2 = step[X_ROW] * step[DILATION_H], step[X_COLUMN] * step[DILATION_W], step[X_CHANNEL]
    w0, w1, w2 = step[W_ROW], step[W_TAP], step[W_CHANNEL]
    x = step[X] + sample * step[X_SAMPLE] + (top + first * step[DILATION_H]) * step[X_ROW]
    x += (column * step[STRIDE_W] - step[LEFT]) * step[X_COLUMN]
    x_pixel, block = step[X_COLUMN] * step[STRIDE_W], step[W_BLOCK]
    w = step[W] + plane * step[W_PLANE] + first * w0
    channel = plane * TILE_CHANNELS * 4
    scale, shift = step[SCALE] + channel, step[SHIFT] + channel
    p = 0
    while p + _R0 <= columns:
        for q in range(0, 4, _S0):
            _real0(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 64, 0, 0,
                   scale + q * 64, shift + q * 64, n0, n1, n2, x0, x1, x2, w0, w1, w2, x_pixel,
                   block, _PIXEL)  # fmt: skip
        p += _R0
    while p + _R1 <= columns:
        for q in range(0, 4, _S1):
            _real1(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 64, 0, 0,
                   scale + q * 64, shift + q * 64, n0, n1, n2, x0, x1, x2, w0, w1, w2, x_pixel,
                   block, _PIXEL)  # fmt: skip
        p += _R1
    while p + _R2 <= columns:
        for q in range(0, 4, _S2):
            _real2(x + p * x_pixel, w + q * block, scratch + p * _PIXEL + q * 64, 0, 0,
                   scale + q * 64, shift + q * 64, n0, n1, n2, x0, x1, x2, w0, w1, w2, x_pixel,
                   block, _PIXEL)  # fmt: skip
        p += _R2


@_kernel
def _copy(step, sample, plane, row, column, columns, scratch):
    tile = carray(pointer(scratch), (TILE_COLUMNS, TILE_CHANNELS), np.float32)
    channels = min(TILE_CHANNELS, step[CHANNELS] - plane * TILE_CHANNELS)
    stride = step[X_CHANNEL]
    x = step[X] + sample * step[X_SAMPLE] + row * step[X_ROW] + plane * TILE_CHANNELS * stride
    x += column * step[X_COLUMN]
    if stride == 4:
        for p in range(columns):
            values = carray(pointer(x + p * step[X_COLUMN]), TILE_CHANNELS, np.float32)
            for c in range(channels):
                tile[p, c] = values[c]
    else:  # a row of each channel lies together
        for c in range(channels):
            values = carray(pointer(x + c * stride), TILE_COLUMNS, np.float32)
            for p in range(columns):
                tile[p, c] = values[p]
    for p in range(columns):
        for c in range(channels, TILE_CHANNELS):
            tile[p, c] = 0.0


@_kernel
def _pool(step, sample, plane, row, column, columns, scratch):
    """Fill a tile with the maximum or the mean of windows; channels lie side by side."""
    tile = carray(pointer(scratch), (TILE_COLUMNS, TILE_CHANNELS), np.float32)
    channels = min(TILE_CHANNELS, step[CHANNELS] - plane * TILE_CHANNELS)
    top = row * step[STRIDE_H] - step[TOP]
    first, end = _taps(top, step[KERNEL_H], step[DILATION_H], step[HEIGHT])
    largest = step[KIND] == _MAX
    x = step[X] + sample * step[X_SAMPLE] + plane * TILE_CHANNELS * 4
    for p in range(columns):
        left = (column + p) * step[STRIDE_W] - step[LEFT]
        begin, stop = _taps(left, step[KERNEL_W], step[DILATION_W], step[WIDTH])
        source = x + (top + first * step[DILATION_H]) * step[X_ROW]
        source += (left + begin * step[DILATION_W]) * step[X_COLUMN]
        rows, turns, out = end - first, stop - begin, scratch + p * _PIXEL
        down, right = step[DILATION_H] * step[X_ROW], step[DILATION_W] * step[X_COLUMN]
        if channels == TILE_CHANNELS and largest:
            _max4(source, 0, out, 0, 0, 0, 0, rows, turns, 1, down, right, 0, 0, 0, 0, 0, 0, 0)
        elif channels == TILE_CHANNELS:
            _sum4(source, 0, out, 0, 0, 0, 0, rows, turns, 1, down, right, 0, 0, 0, 0, 0, 0, 0)
        else:  # buffers are filled up to whole vectors
            for c in range(0, channels, 16):
                at, to = source + c * 4, out + c * 4
                if largest:
                    _max1(at, 0, to, 0, 0, 0, 0, rows, turns, 1, down, right, 0, 0, 0, 0, 0, 0, 0)
                else:
                    _sum1(at, 0, to, 0, 0, 0, 0, rows, turns, 1, down, right, 0, 0, 0, 0, 0, 0, 0)
            for c in range(-(-channels // 16) * 16, TILE_CHANNELS):
                tile[p, c] = 0.0
        if not largest:
            count = (end - first) * (stop - begin)
            if step[WITH_PADDING]:
                sides = _counted(top, step[KERNEL_H], step[DILATION_H], step[HEIGHT] + step[BOTTOM])
                count = sides * _counted(
                    left, step[KERNEL_W], step[DILATION_W], step[WIDTH] + step[RIGHT]
                )
            for c in range(channels):
                tile[p, c] /= np.float32(max(count, 1))


@_kernel
def _counted(place, kernel, dilation, side):
    """Return how many taps lie before the end of the padding, which begins at or before `place`."""
    return min(kernel, (side - place + dilation - 1) // dilation)


@_kernel
def _apply(op, step, sample, plane, row, column, columns, scratch):
    tile = carray(pointer(scratch), (TILE_COLUMNS, TILE_CHANNELS), np.float32)
    code, channel = op[OP], plane * _PIXEL
    if code == _RELU:
        for p in range(columns):
            for c in range(TILE_CHANNELS):
                value = tile[p, c]
                tile[p, c] = np.float32(0.0) if value < 0 else value
        return
    if code in (_ADD, _STORE, _BITS):
        start = op[TENSOR] + sample * op[SAMPLE] + row * op[ROW] + column * op[COLUMN]
        start += plane % op[TENSOR_PLANES] * op[PLANE]
        if code == _BITS:
            for p in range(columns):
                word = reached(scratch + p * _PIXEL, op[A] + channel)
                carray(pointer(start + p * op[COLUMN]), 1, np.int64)[0] = word
            return
        channels = min(TILE_CHANNELS, step[CHANNELS] - plane * TILE_CHANNELS)
        if op[CHANNEL] != 4:  # an output, of which a row of each channel lies together
            for c in range(channels):
                values = carray(pointer(start + c * op[CHANNEL]), TILE_COLUMNS, np.float32)
                for p in range(columns):
                    values[p] = tile[p, c]
            return
        for p in range(columns):
            values = carray(pointer(start + p * op[COLUMN]), TILE_CHANNELS, np.float32)
            if code == _ADD:
                for c in range(channels):
                    tile[p, c] += values[c]
            else:
                for c in range(channels):
                    values[c] = tile[p, c]
        return
    a = carray(pointer(op[A] + channel), TILE_CHANNELS, np.float32)
    b = carray(pointer(op[B] + channel), TILE_CHANNELS, np.float32)
    if code == _AFFINE:
        for p in range(columns):
            for c in range(TILE_CHANNELS):
                tile[p, c] = tile[p, c] * a[c] + b[c]
    elif code == _CLIP:
        for p in range(columns):
            for c in range(TILE_CHANNELS):
                value = tile[p, c]
                value = a[c] if value < a[c] else value
                tile[p, c] = b[c] if value > b[c] else value
    else:
        added = carray(pointer(op[C] + channel), TILE_CHANNELS, np.float32)
        for p in range(columns):
            for c in range(TILE_CHANNELS):
                value = tile[p, c] - a[c]
                value = value * b[c] if value < 0 else value
                tile[p, c] = value + added[c]
