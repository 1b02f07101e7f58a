"""How far the cores of this process are from each other, from moment to moment.

    python benchmarks/core_distance.py [--seconds 20]

Two threads on two cores hand a word to and fro; printed is the time of a round trip, five times a
second, and at the end how often which times came. Cores that share a cache of the third level take
about 0.1 us, others several times as long. A virtual machine whose cores are moved from one to the
other kind of place has two speeds, for everything that hands small work over.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

# Instead of this folder, in which Numba would find coverage.py and take it for the package.
sys.path[0] = str(Path(__file__).parent.parent)

from numba import njit  # noqa: E402

from perfsuite.runtimes.binary.native import read, write  # noqa: E402
from perfsuite.runtimes.binary.team import aligned  # noqa: E402

WARM, TRIPS = 100, 20_000
EVERY_S = 0.2


@njit(nogil=True)
def hand_over(address: int, first: int, trips: int) -> None:
    """Raise the word at an address from `first` on, in turn with the other thread."""
    for turn in range(trips):
        while read(address) != first + 2 * turn:
            pass
        write(address, first + 2 * turn + 1)


def round_trip_s(cores: tuple[int, int]) -> float:
    """Return the seconds from one core to the other and back."""
    word = aligned(64)
    address = word.ctypes.data

    def other() -> None:
        os.sched_setaffinity(0, {cores[1]})  # of this thread
        hand_over(address, 1, WARM + TRIPS)

    whole, thread = os.sched_getaffinity(0), threading.Thread(target=other)
    try:
        thread.start()
        os.sched_setaffinity(0, {cores[0]})
        hand_over(address, 0, WARM)  # until the other one runs
        begin = time.perf_counter()
        hand_over(address, 2 * WARM, TRIPS)
        took = time.perf_counter() - begin
        thread.join()
    finally:
        os.sched_setaffinity(0, whole)
    return took / TRIPS


def main() -> int:
    """Print round trips, and return 2 where there are no two cores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("this process may use one core alone", file=sys.stderr)
        return 2
    round_trip_s((cores[0], cores[1]))  # compiled
    found, begin = [], time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        found.append(round_trip_s((cores[0], cores[1])))
        print(f"{passed:6.1f} s: {found[-1] * 1e9:5.0f} ns", flush=True)
        time.sleep(EVERY_S)
    counts = Counter(int(np.floor(one * 1e7)) for one in found)
    for tenths, count in sorted(counts.items()):
        print(f"{tenths * 100} to {tenths * 100 + 100} ns: {count / len(found):.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
