"""What NumPy's BLAS is worth: its matrix product as it is, and turned off or capped.

No engine computes with it; what prepares pictures and reduces answers may. Fresh processes take
turns, so that what disturbs the machine disturbs both sides of a ratio.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from statistics import median
from typing import NamedTuple

from perfsuite.domain.diagnosis import LibraryWorth
from perfsuite.judge.intervals import mean_interval
from perfsuite.libraries.vectors import vectors_of
from perfsuite.runner.numpy_process import LOOPS
from perfsuite.runner.process import died_by

NUMPY = "NumPy"
ROUNDS, SLICES = 6, 3
_PROGRAM = (sys.executable, "-P", "-m", "perfsuite.runner.numpy_process")


class NumpySwitch(NamedTuple):
    """One thing that is done to the BLAS of NumPy: by the environment, or by not calling it."""

    name: str
    title: str
    environment: Mapping[str, str] = {}
    arguments: tuple[str, ...] = ()


_OFF = NumpySwitch("numpy-loops", "off: NumPy's own loops", arguments=(LOOPS,))
_ONE_THREAD = {
    "OpenBLAS": {"OPENBLAS_NUM_THREADS": "1"},
    "MKL": {"MKL_NUM_THREADS": "1"},
    "BLIS": {"BLIS_NUM_THREADS": "1"},
}
# By the place in `VECTORS` of the best that is left: the kernels of which processor OpenBLAS takes.
_CORES = {2: ("Haswell", "capped at AVX2"), 1: ("Sandybridge", "capped at AVX")}


def switches_of(blas: str, flags: Collection[str], threads: int) -> tuple[NumpySwitch, ...]:
    """Return what can be done to a BLAS, by its name, on a processor with `flags`."""
    found = [_OFF]
    best = vectors_of(flags) or 0
    if blas == "OpenBLAS":
        found += [
            NumpySwitch(f"openblas-{core.lower()}", title, {"OPENBLAS_CORETYPE": core})
            for left, (core, title) in _CORES.items()
            if left < best
        ]
    if threads > 1 and blas in _ONE_THREAD:
        found.append(NumpySwitch("one-thread", "one thread", _ONE_THREAD[blas]))
    return tuple(found)


def numpy_worths(
    flags: Collection[str], threads: int, *, rounds: int = ROUNDS, slices: int = SLICES
) -> tuple[LibraryWorth, ...] | str:
    """Return what NumPy's product takes without its BLAS or with it capped; or why none can tell.

    `flags` are those of the processor, `threads` how many can run at once.
    """
    whole = NumpySwitch("", "nothing")
    try:
        with _Timed(whole) as one:
            said = one.blas
    except _Ended as error:
        return str(error)
    blas = re.split(r" [\d(]|,", said)[0] or "its BLAS"
    found = []
    for switch in switches_of(blas, flags, threads):
        try:
            pairs = [_pair(whole, switch, slices) for _ in range(rounds)]
        except _Ended as error:
            row = LibraryWorth(
                NUMPY, NUMPY, NUMPY, switch.name, blas, switch.title, "failed", str(error)
            )
        else:
            row = _row(switch, blas, pairs)
        found.append(row)
    return tuple(found)


class _Pair(NamedTuple):
    """The median seconds in each slice of two processes that took turns, and what computed."""

    whole_s: list[float]
    without_s: list[float]
    before: str
    after: str


def _pair(whole: NumpySwitch, switch: NumpySwitch, slices: int) -> _Pair:
    with _Timed(whole) as one, _Timed(switch) as other:
        pairs = [(one.slice_s(), other.slice_s()) for _ in range(slices)]
        return _Pair([a for a, _ in pairs], [b for _, b in pairs], one.blas, other.blas)


def _row(switch: NumpySwitch, blas: str, pairs: Sequence[_Pair]) -> LibraryWorth:
    """Return the row; what a library without a word on its kernels computed with is not known."""
    logs = [
        median(math.log(b / a) for a, b in zip(one.whole_s, one.without_s, strict=True))
        for one in pairs
    ]
    before, after = pairs[0].before, pairs[0].after
    return LibraryWorth(
        NUMPY,
        NUMPY,
        NUMPY,
        switch.name,
        blas,
        switch.title,
        "ok",
        whole_s=median(median(one.whole_s) for one in pairs),
        without_s=median(median(one.without_s) for one in pairs),
        times_as_long=mean_interval(logs),
        seen=before != after or (False if "," in before else None),
        ran_before=before,
        ran_after=after,
    )


class _Ended(Exception):
    """A process that times NumPy's product ended by itself; the text says how."""


class _Timed:
    """A process that times NumPy's product when it is told to; a context manager."""

    def __init__(self, switch: NumpySwitch) -> None:
        self._switch = switch
        self.blas = ""

    def __enter__(self) -> _Timed:
        try:
            self._process = subprocess.Popen(
                [*_PROGRAM, *self._switch.arguments],
                env={**os.environ, **self._switch.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            raise _Ended(f"its process could not be started: {error.strerror}") from error
        try:
            self.blas = self._line()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def slice_s(self) -> float:
        """Return the median seconds of the calls of a slice that is timed now."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: what follows says how
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return line.strip()
        code = self._process.wait()
        how = died_by(-code) if code < 0 else f"ended with exit code {code}"
        raise _Ended(f"its process {how}")

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()
