"""Threads that compute programs together, and sleep in between.

A call wakes them once. From step to step they wait for each other by looking, which takes a
fraction of a microsecond, and none of them looks on when a call has ended: nothing is taken from
what else runs on the machine. They hold no lock of Python's while they compute or sleep.
"""
# Numba infers types, and takes no annotations of its own.
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from __future__ import annotations

import ctypes
import hashlib
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, cfunc, njit, types

from perfsuite.runtimes.binary.kernels import run_unit, units
from perfsuite.runtimes.binary.layout import COUNTER_BYTES, HEAD_WORDS, Head, Step
from perfsuite.runtimes.binary.native import (
    add_to,
    give_way,
    invoke,
    now,
    pointer,
    post,
    read,
    wait,
)

_STEP = len(Step)
_kernel = njit(nogil=True, error_model="numpy")
(_STEPS, _FIRST_STEP, _FIRST_OP, _SCRATCH, _SCRATCH_SIZE, _COUNTERS, _TIMES) = map(int, Head)
_LINE = 64
# Cache lines of the block by which threads find each other.
_ARRIVED, _PROGRAM, _STOP, _PASSED, _SEMAPHORES = (line * _LINE for line in range(5))
_LOOKS = 4000  # before a waiting thread lets others run
_MONOTONIC = 1  # the clock of time.perf_counter_ns


@_kernel
def _meet(block, target, times):
    """Wait until all threads have arrived `target` times together; the last one notes the time."""
    if times != 0 and read(block + _ARRIVED) == target - 1:
        now(_MONOTONIC, times)
    add_to(block + _ARRIVED, 1)
    looks = 0
    while read(block + _ARRIVED) < target:
        looks += 1
        if looks > _LOOKS:
            give_way()


@_kernel
def _run(program, block, thread, threads, passed):
    """Compute a thread's part of each step, then of others' what they have not begun."""
    head = carray(pointer(program), HEAD_WORDS, np.int64)
    scratch = head[_SCRATCH] + thread * head[_SCRATCH_SIZE]
    for index in range(head[_STEPS]):
        step = carray(pointer(head[_FIRST_STEP] + index * _STEP * 8), _STEP, np.int64)
        total = units(step)
        counters = head[_COUNTERS] + index * threads * COUNTER_BYTES
        for turn in range(threads):
            owner = (thread + turn) % threads
            begin, end = total * owner // threads, total * (owner + 1) // threads
            while True:
                unit = begin + add_to(counters + owner * COUNTER_BYTES, 1)
                if unit >= end:
                    break
                run_unit(step, head[_FIRST_OP], unit, scratch)
        passed += threads
        _meet(block, passed, head[_TIMES] + index * 16 if head[_TIMES] != 0 else 0)
    return passed


def _functions(sources: int) -> tuple[Any, Any, Any]:
    """Return what each thread does, what the caller does, and what others do until they are ended.

    Numba's cache follows one file's changes. A number of all `sources` that is part of the
    functions makes it follow those of all. The last two call the first by its address, so that it
    is compiled once.
    """

    def run(program, block, thread, threads, passed):
        return (
            passed + sources * 0 if sources == 0 else _run(program, block, thread, threads, passed)
        )

    def call(address, program, block, threads):
        if sources == 0:
            return
        head = carray(pointer(program), HEAD_WORDS, np.int64)
        counters = head[_STEPS] * threads * COUNTER_BYTES // 8
        carray(pointer(head[_COUNTERS]), counters, np.int64)[:] = 0
        if head[_TIMES] != 0:
            now(_MONOTONIC, head[_TIMES] - 16)
        passed = carray(pointer(block + _PASSED), 1, np.int64)
        carray(pointer(block + _PROGRAM), 1, np.int64)[0] = program
        for thread in range(1, threads):
            post(block + _SEMAPHORES + thread * _LINE)
        passed[0] = invoke(address, program, block, 0, threads, passed[0])

    def serve(address, block, thread, threads):
        passed = sources * 0
        while True:
            while wait(block + _SEMAPHORES + thread * _LINE) != 0:
                pass  # a signal came
            if read(block + _STOP) != 0:
                return
            passed = invoke(address, read(block + _PROGRAM), block, thread, threads, passed)

    integer = types.int64
    first = cfunc(integer(*[integer] * 5), cache=True, error_model="numpy")(run)
    others = njit(cache=True, nogil=True, error_model="numpy")
    return first, others(call), others(serve)


@dataclass(frozen=True)
class Machine:
    """The kernels as machine code: the caller's function, others', and the address of the first.

    `made` says in words how long they took.
    """

    call: Any
    serve: Any
    run: int
    made: str


@cache
def compiled() -> Machine:
    """Return the kernels, which Numba takes from its cache if it can."""
    begin = time.perf_counter()
    run, call, serve = _functions(_sources())
    for function in (call, serve):
        function.compile((types.int64,) * 4)
    took = f"in {time.perf_counter() - begin:.1f} s"
    made = f"taken from Numba's cache {took}" if run.cache_hits else f"compiled {took}"
    return Machine(call, serve, run.address, made)


def _sources() -> int:
    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        found.update(file.read_bytes())
    return int.from_bytes(found.digest()[:7], "big") + 1


class Team:
    """So many threads, of which the caller's is one."""

    def __init__(self, threads: int) -> None:
        self.threads = max(1, threads)
        self._machine = compiled()
        self._block = aligned(_SEMAPHORES + self.threads * _LINE)
        self._address = self._block.ctypes.data
        library = ctypes.CDLL(None)
        self._workers = []
        for index in range(1, self.threads):
            library.sem_init(ctypes.c_void_p(self._address + _SEMAPHORES + index * _LINE), 0, 0)
            worker = threading.Thread(
                target=self._machine.serve,
                args=(self._machine.run, self._address, index, self.threads),
                daemon=True,
            )
            worker.start()
            self._workers.append(worker)

    def run(self, program: int) -> None:
        """Compute the program at an address, and return when all of it is done."""
        self._machine.call(self._machine.run, program, self._address, self.threads)

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        self._block[_STOP : _STOP + 1] = 1
        library = ctypes.CDLL(None)
        for index, worker in enumerate(self._workers, 1):
            library.sem_post(ctypes.c_void_p(self._address + _SEMAPHORES + index * _LINE))
            worker.join()
        self._workers = []


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Return bytes that are zero and begin on a cache line, as vectors want them."""
    whole = np.zeros(size + _LINE, np.uint8)
    start = -whole.ctypes.data % _LINE
    return whole[start : start + size]
