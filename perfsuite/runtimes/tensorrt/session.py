"""An opened engine: calls from host to host, times on the card, evidence, and layer times."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import BoundTimes, Manifest, SessionOptions
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runtimes.shared.base import BaseSession
from perfsuite.runtimes.shared.device_clock import timed_by_events
from perfsuite.runtimes.shared.precision import count, engine_item, precision_item
from perfsuite.runtimes.tensorrt.built import Built
from perfsuite.runtimes.tensorrt.context import Context
from perfsuite.runtimes.tensorrt.inspected import BuiltLayer, built_layers, layer_kernels, nearby

LIBRARY = "TensorRT"  # whose kernels they are, of either engine


class Opened(NamedTuple):
    """An engine that was read, and how to make execution contexts and read its inspector."""

    trt: Any
    built: Built
    driver: str
    context: Callable[[], Context]
    inspect: Callable[[Any], str]  # the inspector's JSON, of an execution context
    close: Callable[[], None]


class Timed(NamedTuple):
    """The seconds of each layer in each call, the calls' own, and what the layers are."""

    times_s: dict[str, list[float]]
    walls_s: list[float]
    layers: list[BuiltLayer]


class TensorRtSession(BaseSession):
    """An engine on the card; with `inspect` it tells which layers ran."""

    def __init__(self, opened: Opened, manifest: Manifest, options: SessionOptions) -> None:
        self._opened: Any = opened
        self._names, self._outputs = [one.name for one in manifest.inputs], manifest.outputs
        self._inspect = options.inspect
        self._context: Any = opened.context()
        self._last: Inputs | None = None
        self._evidence: Evidence | None = None

    def run(self, inputs: Inputs) -> Outputs:
        """Return the outputs as host arrays, each in memory of its own."""
        if self._inspect:
            self._last = inputs
        found = self._context.run(inputs)
        return [found[name] for name in self._outputs]

    def time_bound(self, inputs: Sequence[Inputs], calls: int, seconds: float) -> BoundTimes:
        """Return the times of calls with inputs and outputs on the card, by its clock."""
        context = self._context
        bound = [context.bound(one) for one in inputs]
        try:
            calls_of = [partial(context.start, one) for one in bound]
            for call in calls_of:
                call()
            context.stream.synchronize()
            return timed_by_events(calls_of, context.stream.event, calls, seconds)
        finally:
            for one in bound:
                context.release(one)

    def evidence(self) -> Evidence:
        """Return version, card and, with `inspect`, the layers that ran in a call.

        The types and kernels of layers are as the inspector reports them; that they ran is seen in
        the times of one more call.
        """
        if self._evidence is None:
            found = self._read()
            if self._last is None:
                return found
            self._evidence = found
        return self._evidence

    def _read(self) -> Evidence:
        built = self._opened.built
        driver = self._opened.driver or "unknown"
        items = [*built.items, EvidenceItem("reported", "version", "NVIDIA driver", driver)]
        if self._last is None:
            return Evidence(tuple(items))
        timed = self._timed([self._last], 1)
        ran = [one for one in timed.layers if one.name in timed.times_s] or timed.layers
        kernels = count((one.kind, one.precision) for one in ran)
        items += [engine_item(LIBRARY, kernels), precision_item(kernels)]
        return Evidence(tuple(items), kernels, layer_kernels(ran, LIBRARY))

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return the times of the engine's layers, with the nodes that were merged into each.

        The engine waits for the card after a profiled call, which makes it slower than others.
        """
        if not self._inspect:
            return super().profile(inputs, calls)
        timed = self._timed(inputs, calls)
        kernels = kernels_of(timed.times_s, timed.layers, self._opened.built)
        return Profile(tuple(timed.walls_s), kernels)

    def _timed(self, inputs: Sequence[Inputs], calls: int) -> Timed:
        """Return the layers' times in some calls, in a context that is profiled."""
        context = self._opened.context()
        try:
            for entry in inputs:
                context.run(entry)
            told: list[tuple[str, float]] = []
            profiler = profiler_of(self._opened.trt, told)
            context.set_profiler(profiler)
            times: dict[str, list[float]] = {}
            walls_s: list[float] = []
            for call in range(calls):
                told.clear()
                begin_ns = time.perf_counter_ns()
                context.run(inputs[call % len(inputs)])
                walls_s.append((time.perf_counter_ns() - begin_ns) / 1e9)
                for name, spent in in_call(told).items():
                    times.setdefault(name, [0.0] * calls)[call] = spent
            text = self._opened.inspect(context.execution)  # which knows shapes, and so types
        finally:
            context.close()
        return Timed(times, walls_s, built_layers(text, self._opened.built.nodes))

    def close(self) -> None:
        """Free the context and the engine, and keep what it has compiled for the card."""
        if self._opened is not None:
            self._context.close()
            self._opened.close()
        self._context = self._opened = self._last = None


def profiler_of(trt: Any, told: list[tuple[str, float]]) -> Any:
    """Return a profiler that appends the name of each layer and its seconds to `told`."""

    class Times(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            told.append((layer_name, ms / 1e3))

    return Times()


def in_call(told: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of each layer in one call; one that runs in a loop is told often."""
    found: dict[str, float] = defaultdict(float)
    for name, seconds in told:
        found[name] += max(seconds, 0.0)
    return dict(found)


def kernels_of(
    times: dict[str, list[float]], layers: Sequence[BuiltLayer], built: Built
) -> tuple[Kernel, ...]:
    """Return the layers that have times, as kernels in the order in which they ran."""
    by_name = dict(zip((one.name for one in layers), range(len(layers)), strict=True))
    near = nearby(layers, built.nodes)
    found = []
    for name, spent in times.items():
        if (index := by_name.get(name)) is None:
            found.append(Kernel(name, "layer", tuple(spent)))
            continue
        layer = layers[index]
        found.append(
            Kernel(name, layer.kind, tuple(spent), (), layer.origins, near[index], layer.precision)
        )
    return tuple(found)
