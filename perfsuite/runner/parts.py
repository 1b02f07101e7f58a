"""What does not fit into memory together is measured in parts, each with its reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from perfsuite.domain.record import MEASURED_ALONE, JobKind, Line
from perfsuite.measure.available_memory import available_bytes, peak_bytes_of
from perfsuite.measure.meters.nvml import CUDA, left_bytes
from perfsuite.runner.job import Job
from perfsuite.runner.turns import Begin, Party, Stopped, measure_in_turns

RESERVE_BYTES = 256 * 1024 * 1024  # that all others on the machine may need meanwhile

_PEAKS, _CARD_PEAKS = ("load_peak_bytes", "run_peak_bytes"), ("device_peak_bytes",)

Where = tuple[JobKind, str]  # a kind of job, as some need more memory, and a cell's id
Who = tuple[JobKind, str, bool]  # and whether it is of the baseline's artifact
References = Mapping[str, tuple[str, ...]]  # by a cell's id, those that it is compared with


class _Memory:
    """One memory: how many bytes are `left`, None if that is not known, and who needs them."""

    def __init__(self, left: Callable[[], int | None]) -> None:
        self.left = left
        self.needs: dict[Who, int] = {}

    def learn(self, who: Who, need: int) -> None:
        """Remember what a process needed; the most that it ever did counts."""
        self.needs[who] = max(self.needs.get(who, 0), need)

    def fits(self, jobs: Iterable[Job]) -> bool:
        """Return whether there is room for these processes, beside those that are open.

        One that was never seen may need as much as the largest that was.
        """
        most = max(self.needs.values(), default=0)
        need = sum(self.needs.get(_who(job), most) for job in jobs)
        return need == 0 or (left := self.left()) is None or need + RESERVE_BYTES <= left

    def is_enough(self, jobs: Sequence[Job]) -> bool:
        """Return whether all of these were seen, and fit together."""
        return all(_who(job) in self.needs for job in jobs) and self.fits(jobs)


class Room:
    """What is known of the memory: what there is, what each process needed, and who was apart.

    `available` returns how many bytes are left, None if that is not known, and `on_card` how many
    of the card; `peak` returns the most that a process has needed. `earlier` are the lines of
    earlier sittings.
    """

    def __init__(
        self,
        earlier: Iterable[Line] = (),
        available: Callable[[], int | None] = available_bytes,
        peak: Callable[[int], int] = peak_bytes_of,
        on_card: Callable[[], int | None] = left_bytes,
    ) -> None:
        self._machine, self._card, self._peak = _Memory(available), _Memory(on_card), peak
        self.placed: dict[Where, int] = {}  # the part that each was in
        self.alone: set[Where] = set()  # those that did not fit beside their references
        for line in earlier:
            self.learn(line)

    def learn(self, line: Line) -> None:
        """Remember what a process needed that has ended, if its memory was measured."""
        for memory, metrics in ((self._machine, _PEAKS), (self._card, _CARD_PEAKS)):
            peaks = [one.samples for one in line.measurements if one.metric in metrics]
            if peaks:
                memory.learn((line.job, line.cell, line.baseline), int(max(map(max, peaks))))

    def open(self, job: Job, party: Party) -> None:
        """Let a process be opened and warmed up; remember what it needs.

        What it takes of a card is what is less there then: those that are open besides are stopped.
        """
        before = self._card.left() if _is_on_card(job) else None
        self._machine.learn(_who(job), self._peak(party.open(job)))
        if before is not None:
            self._card.learn(_who(job), max(0, before - (self._card.left() or 0)))

    def fits(self, jobs: Sequence[Job]) -> bool:
        """Return whether there is room for these processes, beside those that are open."""
        return self._machine.fits(jobs) and self._card.fits(filter(_is_on_card, jobs))

    def is_enough(self, jobs: Sequence[Job]) -> bool:
        """Return whether all of these were seen, and fit together, also if they were apart."""
        there = [job for job in jobs if _is_on_card(job)]
        known = not there or self._card.left() is None or self._card.is_enough(there)
        return known and self._machine.is_enough(jobs)


def measure_in_parts(
    room: Room,
    alone: Callable[[Job], Line],
    jobs: Sequence[Job],
    begin: Begin,
    references: References,
    stopped: Stopped | None = None,
) -> list[Line]:
    """Return the lines of measure jobs: of all together, or of as many parts as memory takes.

    In each part cells take turns with those that they are compared with, which therefore have one
    more process in each further part. A cell that does not even fit beside these is measured by
    `alone`, and labelled. Who was in which part stays so in later rounds, unless those that are
    left fit together. Raises `Unsupported` where processes cannot be stopped.
    """
    if room.is_enough(jobs):
        return measure_in_turns(jobs, begin, stopped)
    split = _Split({_who(job): job for job in jobs}, references, room)
    waiting, lines, number = split.units(), list[Line](), 0
    while waiting:
        if _where(waiting[0][0]) in room.alone:
            lonely, *waiting = waiting
            for job in lonely:
                lines.append(_alone(job, begin, alone))
                room.learn(lines[-1])
            continue
        with Party(begin, stopped) as party:
            left = split.fill(party, waiting, number)
            if len(left) < len(waiting):
                lines += [_in_part(line, number) for line in party.measure()]
        refused = next((unit for unit in waiting if split.is_due(unit, number)), None)
        if len(left) < len(waiting) or refused is None:  # those that are left wait for a later one
            waiting, number = left, number + 1
        else:  # it was the first to be opened, and did not fit
            room.alone.add(_where(refused[0]))
    return lines


def one_by_one(
    execute: Callable[[Job], Line], jobs: Sequence[Job], begin: Begin, _: References
) -> list[Line]:
    """Return the lines of jobs that are done one after the other, where none take turns."""
    lines = []
    for job in jobs:
        begin(job)
        lines.append(execute(job))
    return lines


class _Split:
    """Who is opened in which part of a round."""

    def __init__(self, jobs: Mapping[Who, Job], references: References, room: Room) -> None:
        self._jobs, self._references, self._room = jobs, references, room
        self._processes: Counter[Who] = Counter()  # that each has had in this round

    def units(self) -> list[tuple[Job, ...]]:
        """Return the jobs, those of a cell and of its baseline together."""
        jobs = self._jobs.values()
        places = dict.fromkeys(map(_where, jobs))
        return [tuple(job for job in jobs if _where(job) == one) for one in places]

    def fill(
        self, party: Party, waiting: Sequence[tuple[Job, ...]], number: int
    ) -> list[tuple[Job, ...]]:
        """Open as many as fit, each beside its references; return those that are left."""
        left, present, before = [], set[Who](), self._processes.copy()
        for unit in waiting:
            if not self.is_due(unit, number):
                left.append(unit)
                continue
            place = kind, cell = _where(unit[0])
            held = [(kind, one, False) for one in self._references.get(cell, ())]
            beside = [self._jobs[one] for one in held if one in self._jobs]
            if all(self._opened(party, jobs, present) for jobs in (beside, unit)):
                self._room.placed[place] = number
            else:
                left.append(unit)
        if len(left) == len(waiting):  # nothing of what was opened is measured
            self._processes = before
        return left

    def is_due(self, unit: Sequence[Job], number: int) -> bool:
        """Return whether a cell may be in part `number`: it is not alone, nor in a later one."""
        place = _where(unit[0])
        return place not in self._room.alone and self._room.placed.get(place, number) <= number

    def _opened(self, party: Party, jobs: Sequence[Job], present: set[Who]) -> bool:
        """Open those that are not there yet, and return True, unless they do not fit."""
        missing = [job for job in jobs if _who(job) not in present]
        if present and missing and not self._room.fits(missing):
            return False
        for job in missing:
            if present and not self._room.fits([job]):  # those before it needed more than expected
                return False
            who = _who(job)
            self._room.open(msgspec.structs.replace(job, part=self._processes[who]), party)
            self._processes[who] += 1
            present.add(who)
        return True


def _is_on_card(job: Job) -> bool:
    return job.cell.device == CUDA


def _where(job: Job) -> Where:
    return (job.kind, job.cell.id)


def _who(job: Job) -> Who:
    return (job.kind, job.cell.id, job.baseline)


def _in_part(line: Line, number: int) -> Line:
    together = f"{line.together}.{number}" if number else line.together
    return msgspec.structs.replace(line, together=together)


def _alone(job: Job, begin: Begin, execute: Callable[[Job], Line]) -> Line:
    begin(job)
    line = execute(msgspec.structs.replace(job, together=""))
    return msgspec.structs.replace(line, labels=(*line.labels, MEASURED_ALONE))
