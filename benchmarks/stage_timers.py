"""The breakdown of eager PyTorch against timers placed by hand round the stages' modules.

    python benchmarks/stage_timers.py faster-rcnn-shufflenet whale-id faster-rcnn-resnet101

Prints one Markdown table a workload, and progress on stderr. Exits with 1 if the breakdown's time
of a stage is more than 10 % off, with 2 if nothing could be compared. A stage that holds less than
2 % of the call is shown, and not judged.

What is compared: the time that the breakdown gives a stage, from profiled calls, and what the clock
says in calls without any profiler when it is read where the stage's modules and methods begin and
end. Nothing of perfsuite's profiling is in the timers. They are exclusive, as the breakdown is:
while `rpn.head`, a stage of its own, runs inside of `rpn`, the time of `rpn` stands still.

What makes the two comparable: one process, one module, the same inputs, threads and number of
calls; rounds of both that alternate, because machines drift; in each round the mean over the calls
whose wall time lies within the quartiles. Figures are medians over the rounds, with their range;
those of the ratio are of each round's own ratio.

What differs: profiling costs about a microsecond an operator, which shows in stages of many small
ones. What it costs altogether is the ratio of the `whole call`, of one wall time to the other.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import Breakdown
from perfsuite.domain.runtime import Manifest, Session, SessionOptions, Variant
from perfsuite.domain.task import Inputs
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.export.nodes import module_nodes
from perfsuite.measure.environment import usable_threads
from perfsuite.measure.stages import breakdown
from perfsuite.runner.build import stages as declared
from perfsuite.runtimes.pytorch.runtime import PyTorch
from perfsuite.workloads.table import load_workload

MOST_OFF = 0.1
LEAST_SHARE = 0.02  # of the call: smaller stages are not judged
INPUTS = 2  # that calls rotate over; profiling looks at each of them twice beforehand
LEAST_CALLS, MOST_CALLS = 8, 100  # of each side in a round
REST = "outside of the stages"

Times = Mapping[str, float]  # seconds, by stage and `REST`


class Timers:
    """Exclusive times of stages: while one runs inside of another, the outer one's stands still."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._times_s: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, whose time is that of `stage`."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._running.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._running.pop()

        return timed

    def call(self, function: Callable[..., object], *args: object) -> Times:
        """Return how long each stage ran in one call, and `REST`: they add up to the call."""
        self._times_s = {}
        self.around(REST, function)(*args)
        return self._times_s

    def _switch(self) -> None:
        now = self._clock()
        if self._running:
            stage = self._running[-1]
            self._times_s[stage] = self._times_s.get(stage, 0.0) + now - self._since
        self._since = now


@contextlib.contextmanager
def placed(timers: Timers, module: Any, stages: Sequence[Stage]) -> Iterator[None]:
    """Let the modules' forwards and the methods that are `stages` be timed for the time being."""
    parts = dict(module.named_modules())
    with contextlib.ExitStack() as stack:
        for stage in stages:
            for prefix in stage.modules:
                parent, _, name = prefix.rpartition(".")
                owner = parts[parent]
                if prefix in parts:
                    owner, name = parts[prefix], "forward"
                method = getattr(owner, name)
                if name in vars(owner):
                    stack.callback(setattr, owner, name, method)
                else:
                    stack.callback(delattr, owner, name)
                setattr(owner, name, timers.around(stage.name, method))
        yield


def usual(calls: Sequence[Times]) -> Times:
    """Return the mean times over those of 3 calls or more whose wall time is in the quartiles."""
    walls = [sum(times.values()) for times in calls]
    low, high = np.percentile(walls, (25, 75))
    chosen = [times for times, wall in zip(calls, walls, strict=True) if low <= wall <= high]
    names = {name for times in chosen for name in times}
    return {name: statistics.fmean(times.get(name, 0.0) for times in chosen) for name in names}


class Round(NamedTuple):
    """What both sides say of one round."""

    timers: Times
    breakdown: Times


def told(found: Breakdown, stages: Sequence[Stage]) -> Times:
    """Return the breakdown's times of the stages, and of what is outside of them."""
    found_s = {row.name: row.time_s for row in found.rows}
    times = {stage.name: found_s[stage.name] for stage in stages}
    return {**times, REST: found.total_s - sum(times.values())}


class Line(NamedTuple):
    """One row of the table, with one figure a round; `agrees` is None where nothing is judged."""

    name: str
    timers_s: Sequence[float]
    breakdown_s: Sequence[float]
    agrees: bool | None = None


def lines(rounds: Sequence[Round], stages: Sequence[Stage]) -> list[Line]:
    """Return the stages, what is outside of them, and the whole call."""
    timed_s = [sum(each.timers.values()) for each in rounds]
    profiled_s = [sum(each.breakdown.values()) for each in rounds]
    found = []
    for name in (stage.name for stage in stages):
        timers_s = [each.timers.get(name, 0.0) for each in rounds]
        breakdown_s = [each.breakdown[name] for each in rounds]
        # Of either side, so that no stage is left out because one of them does not see it.
        shares = (ratios(timers_s, timed_s), ratios(breakdown_s, profiled_s))
        agrees = None
        if max(map(statistics.median, shares)) >= LEAST_SHARE:
            ratio = ratios(breakdown_s, timers_s)
            agrees = bool(ratio) and abs(statistics.median(ratio) - 1) <= MOST_OFF
        found.append(Line(name, timers_s, breakdown_s, agrees))
    outside_s = ([each.timers[REST] for each in rounds], [each.breakdown[REST] for each in rounds])
    return [*found, Line(REST, *outside_s), Line("whole call", timed_s, profiled_s)]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return each round's ratio; none where a round has nothing to divide by."""
    return [a / b for a, b in zip(above, below, strict=True)] if all(below) else []


def table(found: Sequence[Line]) -> str:
    """Return the Markdown table, and below it in words what is off."""
    head = ("stage", "timer, ms", "breakdown, ms", "breakdown / timer", "within 10 %")
    rows: list[tuple[str, ...]] = [head, ("---",) * len(head)]
    for line in found:
        rows.append(
            (
                line.name,
                _spread(line.timers_s, 1e3),
                _spread(line.breakdown_s, 1e3),
                _spread(ratios(line.breakdown_s, line.timers_s)),
                {True: "yes", False: "**no**", None: "not judged"}[line.agrees],
            )
        )
    off = [line.name for line in found if line.agrees is False]
    said = f"More than 10 % off: {', '.join(off)}." if off else "No stage is more than 10 % off."
    small = f"A stage of less than {LEAST_SHARE * 100:g} % of the call is not judged."
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), "", f"{said} {small}"])


def _spread(values: Sequence[float], unit: float = 1.0) -> str:
    if not values:
        return ""
    figures = [of(values) * unit for of in (statistics.median, min, max)]
    return "{} ({} to {})".format(*(f"{one:.{3 if one < 1000 else 5}g}" for one in figures))


def compare(name: str, arguments: argparse.Namespace) -> bool:
    """Print a workload's table, and return whether no stage is off."""
    workload = load_workload(name)
    stages, batch = workload.model.stages, workload.model.batch or 1
    if workload.model.build is None or not stages:
        raise ConfigError(f"{workload.name}: only a torch module with stages can be compared")
    module = workload.model.build().eval()
    declared.check(workload.name, stages, declared.paths(stages, module))
    inputs = [workload.task.inputs(batch, seed) for seed in range(INPUTS)]
    rounds = []
    with opened(workload, module, batch, arguments.threads) as session:
        calls = fitting(session, inputs, arguments.seconds)
        order = [inputs[index % INPUTS] for index in range(calls)]
        for number in range(arguments.rounds):
            _say(f"{workload.name}: round {number + 1} of {arguments.rounds}, {calls} calls a side")
            timed = by_hand(session, module, stages, order) if number % 2 == 0 else {}
            profile = session.profile(inputs, calls)
            timed = timed or by_hand(session, module, stages, order)
            found = breakdown(profile, module_nodes(module), stages)
            rounds.append(Round(timed, told(found, stages)))
    result = lines(rounds, stages)
    about = ", ".join((f"`{workload.name}`", *workload.task.labels))
    print(
        f"{about}: batch {batch}, threads {arguments.threads}, rounds {arguments.rounds} of "
        f"{calls} calls a side:\n\n{table(result)}\n",
        flush=True,
    )
    return all(line.agrees is not False for line in result)


def opened(workload: Workload, module: Any, batch: int, threads: int) -> Session:
    """Return a session on `module` itself, opened as the inspect job does."""
    spec = workload.input_spec()
    manifest = Manifest("pytorch", "cpu", "fp32", batch, spec, ("output",), False, False)
    spans = declared.spans(workload.model.stages, module)
    with tempfile.TemporaryDirectory() as folder:
        PyTorch().build(Variant(None, lambda: module, False), manifest, Path(folder))
        opening = SessionOptions(batch, threads, True, lambda: module, spans)
        return PyTorch().open(Path(folder), manifest, opening)


def fitting(session: Session, inputs: Sequence[Inputs], seconds: float) -> int:
    """Return how many warm calls take about `seconds`."""
    for one in inputs:
        session.run(one)
    begin = time.perf_counter()
    for one in inputs:
        session.run(one)
    calls = math.ceil(seconds * len(inputs) / (time.perf_counter() - begin))
    return max(LEAST_CALLS, min(calls, MOST_CALLS))


def by_hand(
    session: Session, module: Any, stages: Sequence[Stage], order: Sequence[Inputs]
) -> Times:
    """Return what the timers say of calls with the inputs in `order`, after a few for warmth."""
    timers = Timers()
    with placed(timers, module, stages):
        for one in order[:INPUTS]:
            session.run(one)
        return usual([timers.call(session.run, one) for one in order])


def main() -> int:
    """Compare, print, and return the exit code."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler talks on stderr
    arguments = _arguments()
    try:
        agreed = [compare(name, arguments) for name in arguments.workloads]
    except PerfsuiteError as error:
        _say(str(error))
        return 2
    return 0 if all(agreed) else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD", help="a name, or file.py:name")
    parser.add_argument("--rounds", type=int, default=6, help="of both sides, at least 1")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each side in a round")
    parser.add_argument("--threads", type=int, default=usable_threads())
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.threads) < 1:
        parser.error("--rounds and --threads must be at least 1")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
