"""How often this process was suspended, as by Ctrl-Z in a terminal."""

from __future__ import annotations

import signal
import threading


class Pauses:
    """Counts in `count` how often this process was made to go on; a context manager.

    Only a main thread can count; another one counts nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._able = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Pauses:
        if self._able:
            self._before = signal.signal(signal.SIGCONT, self._went_on)
        return self

    def __exit__(self, *_: object) -> None:
        if self._able:
            signal.signal(signal.SIGCONT, self._before or signal.SIG_DFL)

    def _went_on(self, *_: object) -> None:
        self.count += 1
