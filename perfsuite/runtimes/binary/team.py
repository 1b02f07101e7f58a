"""Threads that compute programs together, and sleep in between.

A call wakes them once. From step to step they wait by looking, which takes a fraction of a
microsecond. After a call they look on for the next one, as long as waking takes or somewhat longer,
so that calls without a pause find them awake; then they sleep, and take nothing from what else runs
on the machine. They hold no lock of Python's while they compute, look or sleep. Which units of each
thread's part of a step are taken and done is counted over all calls of a program, so that a thread
that wakes late sees that there is nothing left to do, and no call has counters to reset.

What passes from core to core is what costs: each thread counts on cache lines of its own, and
touches another's only to see that its part is done, or to help where it does not come to it.
"""
# Numba infers types, and takes no annotations of its own.
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

from __future__ import annotations

import ctypes
import hashlib
import threading
import time
import weakref
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
    replaced,
    taken,
    wait,
    write,
)

_STEP = len(Step)
_kernel = njit(nogil=True, error_model="numpy")
(_STEPS, _FIRST_STEP, _FIRST_OP, _SCRATCH, _SCRATCH_SIZE, _COUNTERS, _TIMES, _CALL) = map(int, Head)
_LINE = 64
# Cache lines of the block by which threads find each other.
_PROGRAM, _STOP, _AWAKE, _SEMAPHORES = (line * _LINE for line in range(4))
_LOOKS = 4000  # before a waiting thread lets others run
_LOOKS_BEFORE_HELP = 1000  # taking another's units costs both more than a short wait
_LOOKS_ON = 20000  # for the next call, before a thread sleeps: some tens of microseconds
_MONOTONIC = 1  # the clock of time.perf_counter_ns


@_kernel
def _taken(counter, end):
    """Return the next unit that nobody has taken, counted over all calls, or -1 at the `end`."""
    while True:
        found = read(counter)
        if found >= end:
            return -1
        if replaced(counter, found, found + 1):
            return found


@_kernel
def _compute(step, first_op, part, call, first, size, scratch):
    """Compute what is left of a part of a step, and count what was computed."""
    begin, end, mine = (call - 1) * size, call * size, 0
    while True:
        unit = _taken(part, end)
        if unit < 0:
            break
        run_unit(step, first_op, first + unit - begin, scratch)
        mine += 1
    if mine == size:
        write(part + _LINE, end)  # nobody else counts here
    elif mine != 0:
        add_to(part + _LINE, mine)


@_kernel
def _run(program, thread, threads):
    """Compute a thread's part of each step, then of others' what they do not come to.

    A step has ended when all its units are done, whether or not all threads have come so far: one
    that other programs keep from running keeps nobody waiting, unless in the middle of a unit.
    """
    head = carray(pointer(program), HEAD_WORDS, np.int64)
    call = read(program + _CALL * 8)
    scratch = head[_SCRATCH] + thread * head[_SCRATCH_SIZE]
    for index in range(head[_STEPS]):
        step = carray(pointer(head[_FIRST_STEP] + index * _STEP * 8), _STEP, np.int64)
        total = units(step)
        parts = head[_COUNTERS] + index * threads * COUNTER_BYTES
        for turn in range(threads):
            owner = (thread + turn) % threads
            part, first = parts + owner * COUNTER_BYTES, total * owner // threads
            size = total * (owner + 1) // threads - first
            if turn == 0:
                _compute(step, head[_FIRST_OP], part, call, first, size, scratch)
            looks = 0
            while read(part + _LINE) < call * size:
                looks += 1
                if looks == _LOOKS_BEFORE_HELP:
                    _compute(step, head[_FIRST_OP], part, call, first, size, scratch)
                if looks > _LOOKS:
                    give_way()
        if thread == 0 and head[_TIMES] != 0:
            now(_MONOTONIC, head[_TIMES] + index * 16)


def _functions(sources: int, *, keeps: bool = True) -> tuple[Any, Any, Any]:
    """Return what each thread does, what the caller does, and what others do until they are ended.

    Numba's cache follows one file's changes. A number of all `sources` that is part of the
    functions makes it follow those of all. The last two call the first by its address, so that it
    is compiled once.
    """

    def run(program, thread, threads):
        if sources != 0:
            _run(program, thread, threads)
        return 0

    def begin(address, program, block, threads):
        if sources == 0:
            return
        head = carray(pointer(program), HEAD_WORDS, np.int64)
        if head[_TIMES] != 0:
            now(_MONOTONIC, head[_TIMES] - 16)
        write(program + _CALL * 8, head[_CALL] + 1)
        if read(block + _PROGRAM) != program:
            write(block + _PROGRAM, program)
        for thread in range(1, threads):
            post(block + _SEMAPHORES + thread * _LINE)
        invoke(address, program, 0, threads)

    def serve(address, block, thread, threads):
        while sources != 0:
            semaphore, looks = block + _SEMAPHORES + thread * _LINE, 0
            while taken(semaphore) != 0 and looks < _LOOKS_ON:
                looks += 1
            if looks == _LOOKS_ON:
                while wait(semaphore) != 0:
                    pass  # a signal came
            if read(block + _STOP) != 0:
                return
            add_to(block + _AWAKE, 1)
            program = read(block + _PROGRAM)
            if program != 0:
                invoke(address, program, thread, threads)
            add_to(block + _AWAKE, -1)

    integer = types.int64
    first = cfunc(integer(*[integer] * 3), cache=keeps, error_model="numpy")(run)
    others = njit(cache=keeps, nogil=True, error_model="numpy")
    return first, others(begin), others(serve)


@dataclass(frozen=True)
class Machine:
    """The kernels as machine code: the caller's function, others', and the address of the first.

    `made` says in words how long they took.
    """

    begin: Any
    serve: Any
    run: int
    made: str


@cache
def compiled() -> Machine:
    """Return the kernels, which Numba takes from its cache if it can."""
    started = time.perf_counter()
    try:
        run, begin, serve = _functions(_sources())
    except RuntimeError:  # Numba may write to no folder: each process compiles for itself
        run, begin, serve = _functions(_sources(), keeps=False)
    for function in (begin, serve):
        function.compile((types.int64,) * 4)
    took = f"in {time.perf_counter() - started:.1f} s"
    made = f"taken from Numba's cache {took}" if run.cache_hits else f"compiled {took}"
    return Machine(begin, serve, run.address, made)


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
        block = aligned(_SEMAPHORES + self.threads * _LINE)
        self._address = block.ctypes.data
        self._words = block.view(np.int64)
        library, workers = ctypes.CDLL(None), []
        for index in range(1, self.threads):
            library.sem_init(ctypes.c_void_p(self._address + _SEMAPHORES + index * _LINE), 0, 0)
            worker = threading.Thread(
                target=self._machine.serve,
                args=(self._machine.run, self._address, index, self.threads),
                daemon=True,
            )
            worker.start()
            workers.append(worker)
        self._end = weakref.finalize(self, _end, block, workers)

    def run(self, program: int) -> None:
        """Compute the program at an address, and return when all of it is done."""
        self._machine.begin(self._machine.run, program, self._address, self.threads)

    def forget(self) -> None:
        """Return when no thread reads a program any more, whose memory may then be given back."""
        self._words[_PROGRAM // 8] = 0
        while self._words[_AWAKE // 8]:
            time.sleep(0)

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        self._end()


def _end(block: npt.NDArray[np.uint8], workers: list[threading.Thread]) -> None:
    block[_STOP] = 1
    library = ctypes.CDLL(None)
    for index, worker in enumerate(workers, 1):
        library.sem_post(ctypes.c_void_p(block.ctypes.data + _SEMAPHORES + index * _LINE))
        worker.join()


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Return bytes that are zero and begin on a cache line, as vectors want them."""
    whole = np.zeros(size + _LINE, np.uint8)
    start = -whole.ctypes.data % _LINE
    return whole[start : start + size]
