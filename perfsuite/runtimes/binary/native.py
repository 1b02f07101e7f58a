"""What Numba lacks: arrays at addresses, signs as bits, atomic counters, waiting for each other."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_I16, _I64 = ir.IntType(16), ir.IntType(64)
_LANES = 16

# Functions of the C library; addresses are integers.
now: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64))
wait: Any = types.ExternalFunction("sem_wait", types.int32(types.int64))
taken: Any = types.ExternalFunction("sem_trywait", types.int32(types.int64))
post: Any = types.ExternalFunction("sem_post", types.int32(types.int64))
give_way: Any = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """Return an address as a pointer, of which `numba.carray` makes an array."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@intrinsic
def reached(typing_context: Any, values: Any, limits: Any) -> Any:
    """Return a word whose bit i is 1 if the i-th of 64 floats at `values` is its limit or more."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        floats = ir.VectorType(ir.FloatType(), _LANES)
        word = ir.Constant(_I64, 0)
        for block in range(64 // _LANES):
            offset = ir.Constant(_I64, block * _LANES * 4)
            value, limit = (
                builder.load(
                    builder.inttoptr(builder.add(one, offset), floats.as_pointer()), align=4
                )
                for one in given
            )
            bits = builder.bitcast(builder.fcmp_ordered(">=", value, limit), _I16)
            placed = builder.shl(builder.zext(bits, _I64), ir.Constant(_I64, block * _LANES))
            word = builder.or_(word, placed)
        return word

    return types.int64(types.int64, types.int64), generate


@intrinsic
def add_to(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to the counter at an address, as one step for all threads; return what it was."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.inttoptr(values[0], _I64.as_pointer())
        return builder.atomic_rmw("add", place, values[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def replaced(typing_context: Any, address: Any, found: Any, value: Any) -> Any:
    """Put a value where another was found, if that is still there; return whether it was."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.inttoptr(values[0], _I64.as_pointer())
        pair = builder.cmpxchg(place, values[1], values[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), generate


@intrinsic
def read(typing_context: Any, address: Any) -> Any:
    """Return the counter at an address, as other threads have left it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.inttoptr(values[0], _I64.as_pointer())
        return builder.load_atomic(place, ordering="acquire", align=8)

    return types.int64(types.int64), generate


@intrinsic
def write(typing_context: Any, address: Any, value: Any) -> Any:
    """Set the counter at an address; who reads it sees all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.inttoptr(values[0], _I64.as_pointer())
        builder.store_atomic(values[1], place, ordering="release", align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def invoke(typing_context: Any, function: Any, a: Any, b: Any, c: Any) -> Any:
    """Call the function at an address, of three integers, which gives one."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(_I64, [_I64] * 3)
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])

    return types.int64(*[types.int64] * 4), generate
