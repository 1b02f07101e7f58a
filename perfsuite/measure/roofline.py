"""The roofs of this machine: its peak of products per second and of bytes per second from memory.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", 2009. Both roofs are measured, because there is no data sheet for a virtual core.
Each is the best of several measurements, because other load can only make one slower.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.profile import MOST_SAVED, Breakdown, Roofline
from perfsuite.errors import ConfigError, PerfsuiteError, Unavailable
from perfsuite.measure.environment import environment
from perfsuite.plugins import suggestion
from perfsuite.store.cache import key_of
from perfsuite.store.disk import locked, write_whole
from perfsuite.store.places import home
from perfsuite.store.room import room_for

_VERSION = 1  # to be raised when roofs are measured in another way; stored ones are then invalid
_SIDES = (512, 1024, 2048)  # of square matrices: from inside a cache to far beyond
_SECONDS = 0.2  # for each product of each side, and for each stream
_LEAST_ARRAY_BYTES = 64 * 2**20
_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_TIMEOUT_S = 300.0
_TELLING = 0.05  # of a call: what takes less is too short for its rate to be believed
_TIMES = 3  # that roofs are measured because something exceeds them, as fast algorithms do

Product = Callable[[], object]


class Reached(NamedTuple):
    """The highest rates that parts of a call have reached, 0 where none is known."""

    flops_per_s: float = 0.0
    bytes_per_s: float = 0.0


NOTHING = Reached()


class _Stored(Roofline, frozen=True):
    """Roofs, and how many times they were measured: the best of each is kept."""

    times: int = 1


def reached(breakdown: Breakdown) -> Reached:
    """Return the highest rates of the stages that take a telling part of the call."""
    rows = [one for one in breakdown.rows if one.time_s > _TELLING * breakdown.total_s > 0]
    return Reached(
        max((2 * (one.macs or 0) / one.time_s for one in rows), default=0.0),
        max(((one.bytes or 0) / one.time_s for one in rows), default=0.0),
    )


def roofline(threads: int, precision: str, seen: Reached = NOTHING) -> Roofline:
    """Return the roofs of `threads` threads in `precision` (fp32, bf16, fp16 or int8).

    They are measured once, in a process of its own, because thread pools cannot be resized, and
    stored under `PERFSUITE_HOME/roofline` for this processor and these libraries. If what was
    `seen` exceeds them, something else may have been running then: they are measured again, and the
    higher ones are kept. Raises `ConfigError` for another precision, `Unavailable` without torch,
    `PerfsuiteError` if measuring fails.
    """
    if precision not in _PRODUCTS:
        raise ConfigError(
            f"roofline: unknown precision '{precision}'{suggestion(precision, _PRODUCTS)}"
        )
    if threads < 1:
        raise ConfigError(f"roofline: {threads} threads; at least 1 is needed")
    return _best(_key(threads, precision), partial(_in_process, threads, precision), seen)


def roofline_of(
    device: DeviceIdentity,
    precision: str,
    measure: Callable[[], Roofline],
    seen: Reached = NOTHING,
) -> Roofline:
    """Return the roofs of a device that is not the processor, which `measure` measures.

    They are stored, and measured again, as the processor's are, for this device in this machine.
    """
    machine = msgspec.json.encode(environment().must_match, order="deterministic")
    key = key_of(machine, device.key, msgspec.json.encode([_VERSION, precision]))

    def named() -> Roofline:
        return msgspec.structs.replace(measure(), device=str(device))

    return _best(key, named, seen)


def _best(key: str, measure: Callable[[], Roofline], seen: Reached) -> Roofline:
    """Return the best of what is stored under `key` and, if need be, what `measure` gives."""
    folder = home() / "roofline"
    path = folder / f"{key[:32]}.json"
    with locked(folder, f"{path.stem}.lock"):
        before = _stored(path)
        if before is not None and not _is_doubtful(before, seen):
            return _plain(before)
        found = measure()
        _store(path, _together(before, found))
        return _plain(_together(before, found))


def _is_doubtful(roofs: _Stored, seen: Reached) -> bool:
    """Tell whether to measure again: what was seen exceeds a roof, and not for the n-th time."""
    more = max(seen.flops_per_s / roofs.flops_per_s, seen.bytes_per_s / roofs.bytes_per_s)
    impossible = seen.flops_per_s > MOST_SAVED * roofs.flops_per_s
    return impossible or (more > 1.0 and roofs.times < _TIMES)


def _together(before: _Stored | None, now: Roofline) -> _Stored:
    best = {name: getattr(now, name) for name in Roofline.__struct_fields__}
    if before is not None:
        for name in ("flops_per_s", "bytes_per_s"):
            best[name] = max(best[name], getattr(before, name))
    return _Stored(**best, times=1 if before is None else before.times + 1)


def _plain(stored: _Stored) -> Roofline:
    return Roofline(*(getattr(stored, name) for name in Roofline.__struct_fields__))


def measured(threads: int, precision: str) -> Roofline:
    """Return the roofs, measured now in this process, whose pools must have `threads` threads."""
    try:
        import torch
    except ImportError as error:
        raise Unavailable(
            "the roofline is measured with torch, which is not installed; "
            "pip install 'perfsuite[run]'"
        ) from error
    torch.set_num_threads(threads)
    flops = max(_speeds(_PRODUCTS[precision]))
    return Roofline(flops, _bandwidth(), threads, precision)


def _key(threads: int, precision: str) -> str:
    """Return a key of all that the roofs depend on: the machine and the libraries."""
    where = environment()
    libraries = {name: where.subject.get(name, "") for name in ("numpy", "torch")}
    machine = msgspec.json.encode(where.must_match, order="deterministic")
    return key_of(machine, msgspec.json.encode([_VERSION, threads, precision, libraries]))


def _stored(path: Path) -> _Stored | None:
    """Return the stored roofs; None if there are none or they cannot be read."""
    if not path.is_file():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Stored)
        if min(found.flops_per_s, found.bytes_per_s) > 0:
            return found
        problem = "a roof that is not above zero"
    except (OSError, msgspec.DecodeError) as error:
        problem = str(error)
    warnings.warn(f"{path}: no roofline ({problem}); it is measured again", stacklevel=3)
    return None


def _store(path: Path, found: _Stored) -> None:
    with room_for(path):
        write_whole(path, msgspec.json.encode(found))


def _in_process(threads: int, precision: str) -> Roofline:
    command = [sys.executable, "-P", "-m", __name__, str(threads), precision]
    sizes = dict.fromkeys(_POOLS, str(threads))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **sizes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PerfsuiteError(
            f"measuring the roofline did not end within {_TIMEOUT_S:.0f} s; "
            "is the machine busy with something else?"
        ) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise PerfsuiteError(f"measuring the roofline failed: {lines[-1] if lines else 'killed'}")
    return msgspec.json.decode(done.stdout, type=Roofline)


# Products: from a side to the ways of multiplying two square matrices.


def _float32(side: int) -> Iterator[Product]:
    """Yield torch's product and NumPy's, which may use different BLAS libraries."""
    import numpy as np

    yield from _floats(side, "float32")
    first = np.ones((side, side), np.float32)
    yield partial(np.matmul, first, first.copy(), out=first.copy())


def _floats(side: int, dtype: str) -> Iterator[Product]:
    import torch

    first = torch.ones((side, side), dtype=getattr(torch, dtype))
    yield partial(torch.mm, first, first.clone(), out=first.clone())


def _integers(side: int) -> Iterator[Product]:
    """Yield oneDNN's product of 8-bit integers with 32-bit sums; the second by columns."""
    import torch

    first = torch.ones((side, side), dtype=torch.int8)
    yield partial(torch._int_mm, first, first.clone().t())


_PRODUCTS: dict[str, Callable[[int], Iterator[Product]]] = {
    "fp32": _float32,
    "bf16": partial(_floats, dtype="bfloat16"),
    "fp16": partial(_floats, dtype="float16"),
    "int8": _integers,
}


def _speeds(products: Callable[[int], Iterator[Product]]) -> Iterator[float]:
    """Yield operations per second, for ever larger matrices until a product takes too long."""
    for side in _SIDES:
        slowest = 0.0
        for product in products(side):
            best_s = _best_s(product)
            slowest = max(slowest, best_s)
            yield 2 * side**3 / best_s
        if slowest > _SECONDS:  # without a fast kernel, a larger product reaches no more
            return


def _bandwidth() -> float:
    """Return the bytes per second of STREAM's copy or triad, the better one (McCalpin 1995).

    As in STREAM, each array is at least four times as large as the last cache, and memory that is
    read because of a store is not counted.
    """
    import torch

    length = max(4 * _last_cache_bytes(), _LEAST_ARRAY_BYTES) // 4
    a, b, c = (torch.ones(length, dtype=torch.float32) for _ in range(3))
    triad = partial(torch.add, b, c, alpha=3.0, out=a)
    return max(3 * 4 * length / _best_s(triad), 2 * 4 * length / _best_s(partial(a.copy_, b)))


def _last_cache_bytes() -> int:
    return max(environment().must_match.caches_bytes.values(), default=0)


def _best_s(call: Product) -> float:
    """Return the shortest time of a call."""
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return best


def _main() -> None:
    threads, precision = sys.argv[1:]
    sys.stdout.buffer.write(msgspec.json.encode(measured(int(threads), precision)))


if __name__ == "__main__":
    _main()
