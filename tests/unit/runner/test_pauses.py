"""How often a process was suspended."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from perfsuite.runner.pauses import Pauses


def test_each_is_counted_and_the_handler_of_before_is_back() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGCONT, lambda *_: seen.append(1))
    try:
        with Pauses() as pauses:
            assert pauses.count == 0
            for count in (1, 2):
                os.kill(os.getpid(), signal.SIGCONT)
                assert pauses.count == count
        os.kill(os.getpid(), signal.SIGCONT)
        assert (pauses.count, seen) == (2, [1])
    finally:
        signal.signal(signal.SIGCONT, before)


def test_another_thread_counts_nothing() -> None:
    def count() -> int:
        with Pauses() as pauses:
            os.kill(os.getpid(), signal.SIGCONT)
            return pauses.count

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(count).result() == 0
