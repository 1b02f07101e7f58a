"""How a program lies in memory: rows of integers, which compiled kernels read."""

from __future__ import annotations

from enum import IntEnum, auto

MOST_TAPS = 31  # in a row of a binary kernel: counts, 8 at most, are added up in bytes
TILE_CHANNELS = 64  # of a tile: those of a word of bits
TILE_COLUMNS = 32  # at most, so that a tile of floats stays in the nearest cache


class Kind(IntEnum):
    """What fills tiles."""

    BINARY = 0
    REAL = auto()
    COPY = auto()
    MAX = auto()
    MEAN = auto()


class Op(IntEnum):
    """What is then done with a tile."""

    AFFINE = 0  # value * A + B
    RELU = auto()
    PRELU = auto()  # t = value - A; t for t > 0, else t * B; then + C
    CLIP = auto()  # to at least A and at most B
    ADD = auto()  # a tensor
    STORE = auto()  # as a tensor of floats
    BITS = auto()  # as signs of value - A


class Step(IntEnum):
    """The fields of a step. Addresses and distances are in bytes."""

    KIND = 0
    SAMPLES = auto()
    PLANES = auto()  # of 64 channels each
    ROWS = auto()
    COLUMNS = auto()
    CHANNELS = auto()  # of the result
    FIRST_OP = auto()
    OPS = auto()
    # What is read: of column 0, where a picture has no columns of padding.
    X = auto()
    X_SAMPLE = auto()
    X_ROW = auto()
    X_COLUMN = auto()
    X_CHANNEL = auto()  # from a word of 64 channels to the next, if they are bits
    X_CHANNELS = auto()  # or words
    HEIGHT = auto()
    WIDTH = auto()
    # Which taps.
    KERNEL_H = auto()
    KERNEL_W = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    DILATION_H = auto()
    DILATION_W = auto()
    TOP = auto()
    LEFT = auto()
    WITH_PADDING = auto()  # a mean counts it
    BOTTOM = auto()
    RIGHT = auto()
    # With what they are multiplied.
    W = auto()
    W_PLANE = auto()
    W_BLOCK = auto()
    W_CHANNEL = auto()
    W_ROW = auto()
    W_TAP = auto()
    SCALE = auto()
    SHIFT = auto()
    BASE = auto()
    BASE_ROWS = auto()  # where distances from BASE lie, for each row
    BASE_COLUMNS = auto()
    BY_ROWS = auto()  # threads share the rows, not the channels


class OpField(IntEnum):
    """The fields of what is done with a tile."""

    OP = 0
    A = auto()  # addresses of numbers, one for each channel
    B = auto()
    C = auto()
    TENSOR = auto()
    SAMPLE = auto()
    ROW = auto()
    COLUMN = auto()
    PLANE = auto()
    CHANNEL = auto()
    PLANES = auto()  # of the tensor, which begins anew after its last


class Head(IntEnum):
    """The first words of a program, each on a cache line of its own where threads write them."""

    STEPS = 0  # their number
    FIRST_STEP = auto()  # an address
    FIRST_OP = auto()
    SCRATCH = auto()
    SCRATCH_SIZE = auto()  # of each thread
    COUNTERS = auto()  # of each step and thread: what is taken of its part, and what is done
    TIMES = auto()  # 0, or where to write when each step had ended
    CALL = 8  # how many there were


HEAD_WORDS = 16
COUNTER_BYTES = 128  # two cache lines: units taken, and done, over all calls
