"""Processes that are compared are measured at the same time: they take turns, the others stopped.

What disturbs the machine for seconds or minutes then disturbs both sides of a ratio alike (Bulej,
Horky, Tuma, Farquet and Prokopec 2020, "Duet Benchmarking", ICPE). Those that wait are stopped by
SIGSTOP, because an engine's threads go on spinning after a call and would take the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count

import msgspec

from perfsuite.domain.record import Failure, Line
from perfsuite.errors import Unsupported
from perfsuite.runner.channel import END, FORGET, SLICE, Channel, Taken
from perfsuite.runner.guardian import Guardian
from perfsuite.runner.job import PROFILES, Job
from perfsuite.runner.pauses import Pauses
from perfsuite.runner.process import Worker

Begin = Callable[[Job], None]

_ENDING_S = 5.0  # that a process may take to end after its last word: cards are slow to let go


class Stopped:
    """What a run knows of stopping processes: whether any was yet, and who ends them with it.

    A context manager, at whose end nobody is stopped any more.
    """

    def __init__(self) -> None:
        self.any_yet, self.guardian = False, Guardian()

    def __enter__(self) -> Stopped:
        return self

    def __exit__(self, *_: object) -> None:
        self.guardian.close()


def measure_in_turns(
    jobs: Sequence[Job], begin: Begin, stopped: Stopped | None = None
) -> list[Line]:
    """Return the lines of measure jobs whose processes take turns, in the order of `jobs`.

    `begin` is told of each before it is opened. Raises `Unsupported` where processes cannot be
    stopped.
    """
    with Party(begin, stopped) as party:
        for job in jobs:
            party.open(job)
        return party.measure()


class Party:
    """Those who take turns; a context manager that leaves none of them behind.

    One after the other is opened and warmed up by itself (`begin` is told which), then stopped.
    Then each is woken for one slice in every cycle, forwards and backwards by turns, until all have
    timed what they were asked for. One that crashes or hangs fails alone. A cycle in which this
    process was suspended is repeated: its slices may lie hours apart.
    """

    def __init__(self, begin: Begin, stopped: Stopped | None = None) -> None:
        self._begin, self._stack = begin, ExitStack()
        self._stopped = stopped or self._stack.enter_context(Stopped())
        self._members: list[_Member] = []

    def __enter__(self) -> Party:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, job: Job) -> int:
        """Open one more; return its process. Raises `Unsupported` where it cannot be stopped."""
        self._begin(job)
        self._members.append(_Member(job, self._stack, self._stopped))
        return self._members[-1].pid

    def measure(self) -> list[Line]:
        """Let them take turns; return their lines, in the order in which they were opened."""
        with Pauses() as pauses:
            for cycle in count():
                alive = [member for member in self._members if member.taken is not None]
                if not any(member.wants_more for member in alive):
                    break
                before = pauses.count
                for member in alive if cycle % 2 == 0 else alive[::-1]:
                    member.take_slice()
                if pauses.count != before:
                    for member in alive:
                        member.forget_slice()
        return [member.line() for member in self._members]


class _Member:
    """One process among those that take turns; stopped unless it is its turn.

    `taken` is what it has timed so far, None once it has ended or hung. It is killed then, with
    whatever it started, so that it disturbs none of the others.
    """

    def __init__(self, job: Job, stack: ExitStack, stopped: Stopped) -> None:
        self._stopped = stopped
        self.job = job
        self._channel = stack.enter_context(Channel())
        self._worker = stack.enter_context(
            Worker(job, channel=self._channel, guardian=stopped.guardian)
        )
        self._channel.keep_ours()
        self.taken: Taken | None = None
        self._failed: Line | None = None
        self._hear()

    @property
    def pid(self) -> int:
        """Return the number of its process."""
        return self._worker.process.pid

    @property
    def wants_more(self) -> bool:
        """Return whether it has not yet timed, or profiled, what the suite asks for."""
        if self.taken is None:
            return False
        if self.job.kind == "inspect":
            return self.taken.calls < PROFILES
        settings = self.job.measure
        enough_s = self.taken.spent_ns >= settings.seconds * 1e9
        return self.taken.calls < max(settings.calls, 1) or not enough_s

    def take_slice(self) -> None:
        """Wake it for one slice, and stop it again."""
        self._worker.wake()
        self._channel.say(SLICE)
        self._hear()

    def forget_slice(self) -> None:
        """Let it forget the slice that it took last."""
        if self.taken is not None:
            self._worker.wake()
            self._channel.say(FORGET)
            self._hear()

    def line(self) -> Line:
        """Wake it for the last time, and return what has become of it."""
        if self._failed is not None:
            return self._failed
        self._worker.wake()
        self._channel.say(END)
        self._worker.wait(self.job.timeout_s)
        return self._worker.line()

    def _hear(self) -> None:
        self.taken = self._channel.hear(self.job.timeout_s, self._worker.process.pid)
        if self.taken is not None:
            self._stop()
            return
        self._worker.wait(_ENDING_S)  # one that crashed has ended, one that hangs has not
        self._failed = self._worker.line()

    def _stop(self) -> None:
        """Stop it; where others could be stopped before, one that cannot be has failed."""
        try:
            self._worker.stop()
            self._stopped.any_yet = True
        except TimeoutError as error:
            if not self._stopped.any_yet:
                raise Unsupported(
                    f"this system lets processes go on while others take their turn: {error}"
                ) from error
            self.taken = None
            failure = Failure("Timeout", f"{error}: killed, as it would disturb the others")
            line = self._worker.line()
            self._failed = msgspec.structs.replace(line, status="failed", error=failure)
