"""The innermost loops of convolutions, written in LLVM's vectors, which Numba compiles.

A convolution is computed in tiles of some pixels by 64 output channels, which lie side by side in
the lanes of vectors: one word of activations is read for all of them. The same loops serve real
convolutions, where a word is a number. LLVM makes of a population count what the processor has for
it: VPOPCNTDQ, tables of half bytes read by a shuffle (AVX2), or shifts and masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from perfsuite.runtimes.binary.layout import MOST_TAPS
from perfsuite.runtimes.binary.target import counts_words

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_FLOAT = ir.FloatType()
_NAMES = (
    *("x", "w", "out", "base", "columns", "scale", "shift"),
    *("n0", "n1", "n2", "x0", "x1", "x2", "w0", "w1", "w2", "x_pixel", "w_block", "out_pixel"),
)


def binary_tile(pixels: int, blocks: int) -> Any:
    """Return a Numba function that computes `pixels` by `blocks` vectors of 8 channels.

    It adds up in how many bits x and w differ, over three nested loops of `n0`, `n1` and `n2` turns
    through which their addresses advance by `x0`, `x1`, `x2` and `w0`, `w1`, `w2` bytes. It stores
    `scale * (base - 2 * sum) + shift` as float32, where `base` lies `columns[pixel]` bytes further
    for each pixel.
    """
    return _intrinsic(_BinaryTile, pixels, blocks)


def real_tile(pixels: int, blocks: int) -> Any:
    """Return the same for real numbers, in vectors of 16 channels: `scale * sum + shift`."""
    return _intrinsic(_RealTile, pixels, blocks)


def pool_tile(blocks: int, *, largest: bool) -> Any:
    """Return one that takes one pixel's maximum, or sum, over `n0` and `n1` turns; it has no w.

    A value that is no number is the largest.
    """
    return _intrinsic(_MaxTile if largest else _SumTile, 1, blocks)


def _intrinsic(kind: type[_Tile], pixels: int, blocks: int) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind(builder, dict(zip(_NAMES, values, strict=True)), pixels, blocks).write()
        return context.get_dummy_value()

    def typed(  # the names are those of _NAMES; Numba counts them
        typing_context: Any,
        x: Any, w: Any, out: Any, base: Any, columns: Any, scale: Any, shift: Any,
        n0: Any, n1: Any, n2: Any, x0: Any, x1: Any, x2: Any, w0: Any, w1: Any, w2: Any,
        x_pixel: Any, w_block: Any, out_pixel: Any,
    ) -> Any:  # fmt: skip
        return types.void(*[types.int64] * len(_NAMES)), generate

    return intrinsic(typed)


class _Tile:
    """Writes the loops of a tile at a builder's place."""

    word: ir.Type
    lanes: int

    def __init__(
        self, builder: ir.IRBuilder, given: dict[str, Any], pixels: int, blocks: int
    ) -> None:
        self.builder, self.given = builder, given
        self.pixels, self.blocks = range(pixels), range(blocks)
        self.vector = ir.VectorType(self.word, self.lanes)
        self.sums = {
            (pixel, block): self.variable(self.vector)
            for pixel in self.pixels
            for block in self.blocks
        }

    def write(self) -> None:
        """Write the loops, and the store of what they added up."""
        x, w = self.given["x"], self.given["w"]
        with self.loop(0, x, w) as (x, w):
            with self.loop(1, x, w) as (x, w):
                with self.loop(2, x, w) as (x, w):
                    self.step(x, w)
                self.after_row()
            self.after_plane()
        for pixel in self.pixels:
            for block in self.blocks:
                self.store(pixel, block)

    def step(self, x: Any, w: Any) -> None:
        """Write one turn: each word of x with each vector of w."""
        size = self.lanes * (4 if self.word is _FLOAT else 8)
        weights = [
            self.load(self.vector, self.add(w, self.times(self.given["w_block"], block)), size)
            for block in self.blocks
        ]
        for pixel in self.pixels:
            address = self.add(x, self.times(self.given["x_pixel"], pixel))
            word = self.spread(self.load(self.word, address, 4))
            for block in self.blocks:
                self.gather(self.sums[pixel, block], word, weights[block], pixel, block)

    def gather(self, total: Any, word: Any, weights: Any, pixel: int, block: int) -> None:
        """Write how a product is added to `total`."""
        raise NotImplementedError

    def result(self, pixel: int, block: int) -> Any:
        """Write the sum as a vector of float32."""
        raise NotImplementedError

    def after_row(self) -> None:
        """Write what follows the innermost loop."""

    def after_plane(self) -> None:
        """Write what follows the middle loop."""

    def store(self, pixel: int, block: int) -> None:
        floats, offset = ir.VectorType(_FLOAT, self.lanes), self.constant(block * self.lanes * 4)
        value = self.scaled(self.result(pixel, block), offset)
        address = self.add(self.given["out"], self.times(self.given["out_pixel"], pixel))
        pointer = self.builder.inttoptr(self.add(address, offset), floats.as_pointer())
        self.builder.store(value, pointer, align=4)

    def scaled(self, value: Any, offset: Any) -> Any:
        """Write the scale and the shift of the channels that begin at `offset` bytes."""
        floats = ir.VectorType(_FLOAT, self.lanes)
        scale, shift = (
            self.load(floats, self.add(self.given[name], offset), 4) for name in ("scale", "shift")
        )
        return self.builder.fadd(self.builder.fmul(value, scale), shift)

    @contextmanager
    def loop(self, level: int, x: Any, w: Any) -> Iterator[tuple[Any, Any]]:
        """Write a loop, whose body is written inside; give the addresses at each turn."""
        turns, dx, dw = (self.given[f"{name}{level}"] for name in ("n", "x", "w"))
        with cgutils.for_range(self.builder, turns) as turn:
            multiply = self.builder.mul
            yield self.add(x, multiply(turn.index, dx)), self.add(w, multiply(turn.index, dw))

    def variable(self, kind: ir.Type) -> Any:
        """Return a variable that is zero here; LLVM keeps it in a register."""
        slot = cgutils.alloca_once(self.builder, kind)
        self.builder.store(ir.Constant(kind, None), slot)
        return slot

    def load(self, kind: ir.Type, address: Any, align: int) -> Any:
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=align)

    def spread(self, word: Any) -> Any:
        """Return a vector with `word` in each lane."""
        first = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), word, ir.Constant(_I32, 0)
        )
        order = ir.Constant(ir.VectorType(_I32, self.lanes), None)
        return self.builder.shuffle_vector(first, ir.Constant(self.vector, ir.Undefined), order)

    def add(self, one: Any, other: Any) -> Any:
        return self.builder.add(one, other)

    def times(self, value: Any, factor: int) -> Any:
        return self.builder.mul(value, self.constant(factor))

    def constant(self, value: int) -> Any:
        return ir.Constant(_I64, value)


class _RealTile(_Tile):
    word, lanes = _FLOAT, 16

    def gather(self, total: Any, word: Any, weights: Any, pixel: int, block: int) -> None:
        added = _call(self.builder, "llvm.fmuladd", (word, weights, self.builder.load(total)))
        self.builder.store(added, total)

    def result(self, pixel: int, block: int) -> Any:
        return self.builder.load(self.sums[pixel, block])


class _SumTile(_RealTile):
    def step(self, x: Any, w: Any) -> None:
        for (pixel, block), total in self.sums.items():
            address = self.add(x, self.constant(block * self.lanes * 4))
            self.gather(total, self.load(self.vector, address, 4), w, pixel, block)

    def gather(self, total: Any, word: Any, weights: Any, pixel: int, block: int) -> None:
        self.builder.store(self.builder.fadd(self.builder.load(total), word), total)

    def scaled(self, value: Any, offset: Any) -> Any:
        return value


class _MaxTile(_SumTile):
    def write(self) -> None:
        least = ir.Constant(self.vector, [float("-inf")] * self.lanes)
        for total in self.sums.values():
            self.builder.store(least, total)
        super().write()

    def gather(self, total: Any, word: Any, weights: Any, pixel: int, block: int) -> None:
        most = self.builder.load(total)
        smaller = self.builder.fcmp_unordered("<=", word, most)
        number = self.builder.fcmp_ordered("ord", word, word)
        kept = self.builder.and_(smaller, number)
        self.builder.store(self.builder.select(kept, most, word), total)


class _BinaryTile(_Tile):
    """Counts in words where the processor does, else in bytes, which are added up now and then."""

    word, lanes = _I64, 8

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.wide = counts_words()
        self.bytes = ir.VectorType(_I8, self.lanes * 8)
        if not self.wide:
            self.counts = {place: self.variable(self.bytes) for place in self.sums}
            self.counted = self.variable(_I64)

    def gather(self, total: Any, word: Any, weights: Any, pixel: int, block: int) -> None:
        differ = self.builder.xor(word, weights)
        if not self.wide:
            total, differ = self.counts[pixel, block], self.builder.bitcast(differ, self.bytes)
        found = _call(self.builder, "llvm.ctpop", (differ,))
        self.builder.store(self.add(self.builder.load(total), found), total)

    def after_row(self) -> None:
        """Empty the bytes before another row could make them overflow."""
        if self.wide:
            return
        builder, row = self.builder, self.given["n2"]
        counted = self.add(builder.load(self.counted), row)
        builder.store(counted, self.counted)
        full = builder.icmp_signed(">", self.add(counted, row), self.constant(MOST_TAPS))
        with builder.if_then(full):
            self.empty()

    def after_plane(self) -> None:
        if not self.wide:
            self.empty()

    def empty(self) -> None:
        """Add the bytes of each word to its sum."""
        self.builder.store(self.constant(0), self.counted)
        for place, counts in self.counts.items():
            words = self.builder.bitcast(self.builder.load(counts), self.vector)
            self.builder.store(ir.Constant(self.bytes, None), counts)
            total = self.builder.load(self.sums[place])
            self.builder.store(self.add(total, self.across(words)), self.sums[place])

    def across(self, words: Any) -> Any:
        """Return the sum of the eight bytes of each word."""
        for bits, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF)):
            shift, kept = (ir.Constant(self.vector, [value] * self.lanes) for value in (bits, mask))
            high = self.builder.and_(self.builder.lshr(words, shift), kept)
            words = self.add(self.builder.and_(words, kept), high)
        return words

    def result(self, pixel: int, block: int) -> Any:
        builder, narrow = self.builder, ir.VectorType(_I32, self.lanes)
        differ = builder.trunc(builder.load(self.sums[pixel, block]), narrow)
        column = self.load(_I64, self.add(self.given["columns"], self.constant(8 * pixel)), 8)
        address = self.add(self.add(self.given["base"], column), self.constant(block * 32))
        base = self.load(narrow, address, 4)
        twice = builder.shl(differ, ir.Constant(narrow, [1] * self.lanes))
        return builder.sitofp(builder.sub(base, twice), ir.VectorType(_FLOAT, self.lanes))


def _call(builder: ir.IRBuilder, name: str, values: tuple[Any, ...]) -> Any:
    """Return the call of an intrinsic of LLVM that is named after its vectors' type."""
    kind = values[0].type
    element = "f32" if kind.element is _FLOAT else f"i{kind.element.width}"
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(values)),
        f"{name}.v{kind.count}{element}",
    )
    return builder.call(function, values)
