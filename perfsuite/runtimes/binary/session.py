"""An opened artifact of binary segments and the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.record import Evidence
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError
from perfsuite.runtimes.binary.evidence import evidence, layer_name, precision
from perfsuite.runtimes.binary.plan import Plan, Steps
from perfsuite.runtimes.binary.program import Operands, Program
from perfsuite.runtimes.binary.rest import RestSession
from perfsuite.runtimes.binary.team import Team
from perfsuite.runtimes.shared.base import BaseSession
from perfsuite.runtimes.shared.threads import counted

Array = npt.NDArray[Any]
_MOST_PROGRAMS = 8  # for inputs of so many different sizes


class _Segment:
    """Steps and their programs, one for each size of inputs."""

    def __init__(self, steps: Steps, tensors: Mapping[str, Array], threads: int) -> None:
        self.steps, self.threads = steps, threads
        self.operands = Operands(steps, tensors)
        self.programs: dict[tuple[tuple[int, ...], ...], Program] = {}

    def program(self, values: Mapping[str, Array], team: Team) -> Program:
        """Return the program for the sizes of `values`."""
        shapes = tuple(values[port.name].shape for port in self.steps.inputs)
        found = self.programs.get(shapes)
        if found is None:
            if len(self.programs) >= _MOST_PROGRAMS:
                team.forget()
                self.programs.clear()
            named = {
                port.name: shape for port, shape in zip(self.steps.inputs, shapes, strict=True)
            }
            found = Program(self.steps, self.operands, named, self.threads)
            self.programs[shapes] = found
        return found


class BinarySession(BaseSession):
    """Runs the segments one after the other, ours by a team of threads that sleeps in between."""

    def __init__(
        self,
        plan: Plan,
        tensors: Mapping[str, Array],
        rest: Mapping[str, RestSession],
        threads: int,
        given: Sequence[InputSpec],
    ) -> None:
        self._plan, self._given = plan, given
        self._known: set[tuple[Any, ...]] = set()  # types and shapes of inputs that were checked
        self._lock = Lock()  # of the buffers, which all calls share
        self._team, self._started = counted(lambda: Team(threads))
        self._parts: list[_Segment | RestSession] = [
            _Segment(part, tensors, self._team.threads)
            if isinstance(part, Steps)
            else rest[part.file]
            for part in plan.segments
        ]

    def run(self, inputs: Inputs) -> Outputs:
        """Return the outputs, as arrays of their own."""
        values = dict(inputs)
        self._check(values)
        with self._lock:
            for part in self._open_parts():
                if isinstance(part, _Segment):
                    values.update(part.program(values, self._team).run(self._team, values))
                else:
                    values.update(part.run(values))
        return [values[name] for name in self._plan.outputs]

    def evidence(self) -> Evidence:
        """Return the kernels and the instructions that they were compiled to."""
        return evidence(self._plan, self._started)

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return the times of all steps, as the calling thread saw them begin and end.

        A segment of the rest is one kernel.
        """
        for entry in inputs:
            self.run(entry)
        walls, starts, times = [], [], []
        for index in range(calls):
            begin = time.perf_counter_ns()
            marks = self._marked(inputs[index % len(inputs)])
            walls.append((time.perf_counter_ns() - begin) / 1e9)
            starts.append([(mark[:-1] - begin) / 1e9 for mark in marks])
            times.append([np.diff(mark) / 1e9 for mark in marks])
        began, lasted = (
            np.array([np.concatenate(one) for one in every]).T for every in (starts, times)
        )
        kernels = tuple(
            make(tuple(lasted[place].tolist()), tuple(began[place].tolist()))
            for place, make in enumerate(self._kernels())
        )
        return Profile(tuple(walls), kernels)

    def close(self) -> None:
        """End the threads, and free the graphs of the rest, once no call runs any more."""
        with self._lock:
            self._team.close()
            self._parts = []

    def _open_parts(self) -> Sequence[_Segment | RestSession]:
        if not self._parts:
            raise BuildError("the session was closed; open the artifact again")
        return self._parts

    def _check(self, values: Mapping[str, Array]) -> None:
        """Raise `BuildError`, naming it, for an input that is not as the artifact takes it."""
        key = tuple(
            (array.dtype, array.shape)
            for spec in self._given
            if (array := values.get(spec.name)) is not None
        )
        if len(key) == len(self._given) and key in self._known:
            return
        for spec in self._given:
            array = values.get(spec.name)
            told = "is missing" if array is None else _told(spec, array)
            if told:
                sides = ", ".join(map(str, spec.shape))
                raise BuildError(f"input '{spec.name}' {told}; it takes {spec.dtype} ({sides})")
        self._known.add(key)

    def _marked(self, entry: Inputs) -> list[Array]:
        """Return the nanoseconds at which each segment began, and each of its kernels ended."""
        values, marks = dict(entry), []
        for part in self._open_parts():
            if isinstance(part, _Segment):
                found, mark = part.program(values, self._team).timed(self._team, values)
            else:
                found, mark = part.timed(values)
            values.update(found)
            marks.append(mark)
        return marks

    def _kernels(self) -> Iterator[Callable[[tuple[float, ...], tuple[float, ...]], Kernel]]:
        for part in self._plan.segments:
            if isinstance(part, Steps):
                for step in part.steps:
                    yield lambda times, starts, step=step: Kernel(  # type: ignore[misc]
                        layer_name(step),
                        step.operator,
                        times,
                        starts,
                        step.origins,
                        precision=precision(step),
                    )
            else:
                names = tuple(node.rpartition(" ")[0] for node in part.nodes)
                yield lambda times, starts, part=part, names=names: Kernel(  # type: ignore[misc]
                    part.file, "ONNX Runtime", times, starts, names
                )


def _told(spec: InputSpec, array: Array) -> str:
    """Return what an array is, if the input does not take it; '' if it does."""
    fits = len(array.shape) == len(spec.shape) and all(
        isinstance(asked, str) or asked == side
        for asked, side in zip(spec.shape, array.shape, strict=True)
    )
    return "" if fits and array.dtype == spec.dtype else f"is {array.dtype} {array.shape}"
