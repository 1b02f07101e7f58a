"""What a pass says of its work, passed on through the worker's output: counts and sentences."""

from __future__ import annotations

import re
import time
from pathlib import Path

TAIL_BYTES = 4000  # of a worker's output that are searched
_READ_S = 5.0  # that a sentence stands before a count follows it

_COUNT = re.compile(r"[^:]*: \d+ of \d+(, \d+:\d\d left)?")


class PassProgress:
    """Prints the progress of a pass into the worker's output, at most once a second.

    The time left is estimated from the mean time of the steps since the count began.
    """

    def __init__(self, key: str, name: str) -> None:
        self.key, self.name = key, name  # the cell's, the pass's
        self.last_s = 0.0
        self.done = self.total = 0
        self.from_done, self.from_s = 0, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` of `total` steps are done; another total begins another count."""
        now_s = time.monotonic()
        if total != self.total or done < self.done:
            self.total, self.from_done, self.from_s = total, done, now_s
        self.done = done
        if now_s - self.last_s >= 1.0:
            self.last_s = now_s
            left = self._left(now_s)
            print(f"{self.key}: {self.name}: {done} of {total}{left}", flush=True)

    def say(self, text: str) -> None:
        """Print a sentence, and no count until whoever watches has seen it."""
        self.last_s = time.monotonic() - 1.0 + _READ_S
        print(f"{self.key}: {self.name}: {' '.join(text.split())}", flush=True)

    def _left(self, now_s: float) -> str:
        steps = self.done - self.from_done
        if steps == 0:
            return ""
        seconds = round((self.total - self.done) * (now_s - self.from_s) / steps)
        return f", {seconds // 60}:{seconds % 60:02d} left"


def is_count(text: str) -> bool:
    """Tell whether a text of `last_progress` is a count, and no sentence."""
    return _COUNT.fullmatch(text) is not None


def last_progress(output: Path, key: str) -> str:
    """Return the last progress of the cell `key` in a worker's output; '' if there is none."""
    with output.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines(keepends=True)
    for line in reversed(lines):
        if line.startswith(f"{key}: ") and line.endswith("\n"):
            return line.removeprefix(f"{key}: ").rstrip()
    return ""
