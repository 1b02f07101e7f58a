"""The program `python -m perfsuite.runner.numpy_process [loops]`: times NumPy's matrix product.

It prints what NumPy multiplies with, then for each line that it reads the median seconds of a call.
With `loops` the product is computed by NumPy's own loops, without a BLAS.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from perfsuite.libraries.blas import blas

SIDE = 512
LOOPS = "loops"
_SLICE_S = 0.1
_SPINNING_S = 0.05  # that threads of a BLAS wait for more work: whose turn is next has the cores
_LIMIT_S = 120  # after which it has hung: nobody waits for it any longer


def main() -> None:
    """Warm up, tell what computes, and time one slice for each line of the standard input."""
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(_LIMIT_S)
    loops = LOOPS in sys.argv[1:]
    square = np.ones((SIDE, SIDE), np.float32)
    result = np.empty_like(square)

    def call() -> None:
        if loops:
            np.einsum("ij,jk->ik", square, square, out=result, optimize=False)
        else:
            np.matmul(square, square, out=result)

    _slice(call)
    if not np.all(result == SIDE):
        raise ArithmeticError("NumPy's matrix product is wrong")
    said = (item.value for item in blas(()) if item.name == "NumPy")
    print("its own loops" if loops else next(said, ""), flush=True)
    for _ in sys.stdin:
        found_s = _slice(call)
        time.sleep(_SPINNING_S)
        print(found_s, flush=True)


def _slice(call: Callable[[], None]) -> float:
    """Return the median seconds of the calls of one slice, of which there is at least one."""
    times_s: list[float] = []
    end_ns = time.perf_counter_ns() + int(_SLICE_S * 1e9)
    while not times_s or time.perf_counter_ns() < end_ns:
        begin_ns = time.perf_counter_ns()
        call()
        times_s.append((time.perf_counter_ns() - begin_ns) / 1e9)
    return float(np.median(times_s))


if __name__ == "__main__":
    main()
