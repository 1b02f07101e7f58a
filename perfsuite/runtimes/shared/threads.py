"""The threads of this process, counted as the kernel lists them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from perfsuite.domain.record import EvidenceItem

TASKS = Path("/proc/self/task")  # proc(5): a folder for each thread

_T = TypeVar("_T")


def counted(start: Callable[[], _T]) -> tuple[_T, int | None]:
    """Return what `start` returns, and how many threads it left running.

    None where the kernel does not list them (elsewhere than on Linux).
    """
    before = _threads()
    started = start()
    after = _threads()
    if before is None or after is None:
        return started, None
    return started, len(after - before)


def thread_items(name: str, started: int | None) -> tuple[EvidenceItem, ...]:
    """Return how many threads a call uses: those that were `started`, and the caller's own."""
    if started is None:
        return ()
    return (EvidenceItem("observed", "threads", name, str(started + 1)),)


def _threads() -> set[str] | None:
    try:
        return {task.name for task in TASKS.iterdir()}
    except OSError:
        return None
