"""A process that outlives a run that is killed, and ends what the run's workers have started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from perfsuite.runner.guardian_process import look

SCRIPT = Path(__file__).with_name("guardian_process.py")
_ENDING_S = 5.0  # that it may take to end once it is let go


class Guardian:
    """The guardian of a run, which starts with the first worker that it is told of.

    `close` ends it. Without one, as where there is no proc(5), a run goes on all the same.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None

    def watch(self, worker: int) -> None:
        """Tell it of a worker, the leader of a group of its own."""
        self._start()
        self._tell("group", worker)

    def watch_strays(self, strays: Iterable[int]) -> None:
        """Tell it of processes of a worker that are in groups of their own."""
        for stray in strays:
            self._tell("process", stray)

    def forget(self, ended: Iterable[int]) -> None:
        """Tell it that these have been killed, so that it leaves their numbers alone."""
        for number in ended:
            self._write(f"forget {number}\n")

    def close(self) -> None:
        """End it, and whatever it was not told to forget."""
        if self._pipe is None or self._process is None:
            return
        os.close(self._pipe)
        try:
            self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe = self._process = None

    def _start(self) -> None:
        if self._process is not None or sys.platform != "linux":
            return
        theirs, ours = os.pipe()
        try:
            # -I -S: it needs neither installed packages nor what the environment says. A session of
            # its own, as a signal to the run's whole group must not reach it.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), str(os.getpid())],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:  # as where there may be no more processes
            os.close(ours)
        else:
            os.set_blocking(ours, False)  # whatever becomes of it, the run goes on
            self._pipe = ours
        finally:
            os.close(theirs)

    def _tell(self, kind: str, number: int) -> None:
        with suppress(OSError):  # it has ended already
            self._write(f"{kind} {number} {look(number)[3]}\n")

    def _write(self, line: str) -> None:
        if self._pipe is not None:
            with suppress(OSError):  # it was killed, or does not listen
                os.write(self._pipe, line.encode())
