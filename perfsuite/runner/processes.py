"""The processes of a run: who does a job, from which process it starts, and what is cached."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from perfsuite.domain.record import Line
from perfsuite.errors import PerfsuiteError
from perfsuite.runner.forks import Forks, recognizable
from perfsuite.runner.job import Job
from perfsuite.runner.parts import References, Room, measure_in_parts
from perfsuite.runner.process import run_job_in_process
from perfsuite.runner.turns import Begin, Stopped


class Processes:
    """Does each job in a process of its own; a context manager that leaves none behind.

    What a pass says is told by `tell(key, text)`, with its cell's key; `before` are the lines of
    earlier sittings. While anything is measured there is no process beside it but this one, which
    sleeps.
    """

    def __init__(self, tell: Callable[[str, str], None], before: Iterable[Line] = ()) -> None:
        self._tell, self._forks, self._room = tell, Forks(), Room(before)
        self._stopped = Stopped()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._forks.close()
        self._stopped.guardian.close()

    def execute(self, job: Job) -> Line:
        """Return the line of a job; what is cached is recognized without building the model."""
        if job.kind == "measure":
            self._forks.close()
        with _enough():
            if recognizable(job):
                tried = msgspec.structs.replace(job, cached_only=True)
                line = run_job_in_process(tried, forks=self._forks)
                if line.status in ("ok", "unsupported"):
                    return line
            tell = partial(self._tell, job.cell.key)
            return run_job_in_process(job, tell=tell, forks=self._forks)

    def together(self, jobs: Sequence[Job], begin: Begin, references: References) -> list[Line]:
        """Return the lines of measure jobs whose processes take turns, as many as memory takes."""
        self._forks.close()
        with _enough():
            return measure_in_parts(
                self._room, self.execute, jobs, begin, references, self._stopped
            )


# What a system may give no more of, by its error: in words, and what to raise.
_SCARCE = {
    errno.EMFILE: ("files to be open at once", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("files to be open at once", "raise the system's limit (fs.file-max)"),
    errno.EAGAIN: (
        "processes",
        "raise the limit (ulimit -u; of a container its number of pids), or end others",
    ),
    errno.ENOMEM: ("memory", "end other programs, or give the container more"),
}


@contextmanager
def _enough() -> Iterator[None]:
    """Raise a `PerfsuiteError` with what to do where the system lets no more workers be started."""
    try:
        yield
    except OSError as error:
        if error.errno not in _SCARCE:
            raise
        what, mend = _SCARCE[error.errno]
        raise PerfsuiteError(
            f"this system allows no more {what} ({error.strerror}): {mend}, then go on with "
            f"--resume: nothing measured is lost; or measure fewer cells in a new run (--only)"
        ) from error
