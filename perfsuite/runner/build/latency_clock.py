"""The times of modules on the engine that they are meant for, as passes ask for them.

A pass compares candidates, such as two widths of a layer. So candidates take turns, and a
disturbance of the machine affects all of them. Interruptions only make a call slower, so the time
of an undisturbed call is among the low ones. It is estimated by the lower quartile, of the calls of
a turn and then of the turns: up to three quarters of either may be disturbed, and unlike the
minimum it does not depend on a single call.

After a call an engine's threads may spin on cores that the next candidate needs, those of ONNX
Runtime for 40 ms. So with several threads, a turn begins when the threads of the one before sleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, Runtime, Session, SessionOptions, Variant
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, PerfsuiteError, Unavailable
from perfsuite.export.calls import evaluated
from perfsuite.export.onnx import export_fixed, graph_spec, load_graph
from perfsuite.export.parity import check_numbers
from perfsuite.measure.latency import garbage_collector_off, timed_run
from perfsuite.passes.shared.invocation import copied
from perfsuite.runner.build.capabilities import only_builds
from perfsuite.runner.build.reference import module_outputs
from perfsuite.store.temporary import TemporaryFolder
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn

TURNS = 7
TURN_NS = 8_000_000  # of a candidate, about
FEWEST_CALLS, MOST_CALLS = 4, 200  # in a turn
OPEN_BYTES = 256 * 2**20  # of weights in sessions that are open together; engines take some copies
COLD_BYTES = 128 * 2**20  # of memory that is read before a call, at most
REST_S, LONGEST_REST_S = 0.005, 0.2

Candidate = tuple["nn.Module", Inputs]


@dataclass(frozen=True)
class Clock:
    """Times modules on one engine as artifacts: built, opened, and called with host arrays.

    It is a `perfsuite.domain.recipe.LatencyOf`.
    """

    runtime: Runtime
    device: str
    precision: str
    threads: int

    def __call__(self, candidates: Sequence[Candidate], cold_bytes: int = 0) -> tuple[float, ...]:
        """Return the seconds that a call of each candidate takes, in their order.

        Lists whose weights exceed `OPEN_BYTES` are timed in parts, so that memory is bounded.
        Raises `Unavailable` for a device that the engine only builds for.
        """
        if cold_bytes < 0:
            raise ConfigError(f"cold_bytes is {cold_bytes}; it must be 0 or more")
        if only_builds(self.runtime, self.device):
            raise Unavailable(
                f"nothing is timed on {self.device}, for which {self.runtime.name} builds here and "
                f'runs nothing: let the pass choose without times (prune: scope = "global" or '
                f'"uniform"), or take a machine with such a card, and devices = ["cuda"]'
            )
        found: list[float] = []
        reader = _Reader(cold_bytes)
        with _torch_as_it_was():
            for part in _parts(candidates):
                found += self._raced(part, len(found), reader)
        return tuple(found)

    def _raced(self, part: Sequence[Candidate], first: int, reader: _Reader) -> list[float]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryFolder()))
            racers = []
            for index, (module, inputs) in enumerate(part, first):
                where = f"candidate {index} ({type(module).__name__}) on {self.runtime.name}"
                with _told(where):
                    built = folder / str(index)
                    session = stack.enter_context(self._opened(module, inputs, built))
                    racers.append(_Racer(where, session, inputs, self.threads, reader))
            return _race(racers)

    def _opened(self, module: nn.Module, inputs: Inputs, folder: Path) -> Session:
        """Return a session on `module`, built in `folder`."""
        if not inputs:
            raise ConfigError("it has no inputs: give at least one array")
        folder.mkdir()

        def rebuild() -> nn.Module:
            return evaluated(copied(module))  # an engine may change its precision

        graph: Path | None = None
        outputs: tuple[str, ...] = ("output",)
        if self.runtime.takes == "graph":
            graph = folder.with_suffix(".onnx")
            with _evaluating(module):
                export_fixed(module, inputs, graph)
            _, outputs = graph_spec(load_graph(graph))
        elif self.runtime.takes == "module":
            answer = module_outputs(rebuild(), inputs)
            outputs = tuple(f"output{index}" for index in range(len(answer)))
        # All axes are fixed; the first one counts as the batch, be it samples or boxes.
        shape = next(iter(inputs.values())).shape
        batch = shape[0] if shape else 1
        manifest = Manifest(
            runtime=self.runtime.name,
            device=self.device,
            precision=self.precision,
            batch=batch,
            inputs=tuple(InputSpec(name, str(a.dtype), a.shape) for name, a in inputs.items()),
            outputs=outputs,
            lossy=True,
            quantized=False,
        )
        self.runtime.build(Variant(graph, rebuild, quantized=False), manifest, folder)
        if graph is not None:
            graph.unlink()
        options = SessionOptions(batch, self.threads, rebuild=rebuild)
        return self.runtime.open(folder, manifest, options)


class _Racer:
    """One candidate: its session, and the lower quartile of each of its turns so far."""

    def __init__(
        self, where: str, session: Session, inputs: Inputs, threads: int, reader: _Reader
    ) -> None:
        self.where, self.session, self.inputs = where, session, inputs
        self.threads, self.reader = threads, reader
        self.clock: Callable[[], int] = session.clock or time.perf_counter_ns
        self.turns_ns: list[float] = []
        self._rest()
        outputs = session.run(inputs)
        # Times of NaN values are worthless, because kernels may take other paths for them.
        check_numbers(outputs, [str(index) for index in range(len(outputs))])
        self.calls = self._pace()

    def _pace(self) -> int:
        """Return the number of calls in a turn, by the faster of two calls with their reads."""
        costs = []
        for _ in range(2):
            start = self.clock()
            self._call()
            costs.append(self.clock() - start)
        return min(MOST_CALLS, max(FEWEST_CALLS, TURN_NS // max(1, min(costs))))

    def turn(self) -> None:
        """Take a turn; its first call, which wakes threads and fills caches, is not counted."""
        self._rest()
        with _told(self.where):
            samples = [self._call() for _ in range(self.calls)]
        self.turns_ns.append(_low(samples[1:]))

    def _rest(self) -> None:
        """Wait until this process's other threads sleep."""
        if self.threads == 1:
            return
        limit = time.monotonic() + LONGEST_REST_S
        while time.monotonic() < limit:
            before_s = time.process_time()
            time.sleep(REST_S)
            if time.process_time() - before_s < REST_S / 10:
                return

    def _call(self) -> int:
        """Return the nanoseconds of one call; the outputs are freed after its end."""
        self.reader(self.inputs)
        (run, give), clock = timed_run(self.session), self.clock
        inputs = give(self.inputs)
        start = clock()
        outputs = run(inputs)
        stop = clock()
        del outputs
        return stop - start


class _Reader:
    """Reads memory, which replaces the contents of the processor's caches.

    It reads in the calling thread only, because more threads would take the cores from the engine's
    threads, which spin meanwhile, and delay the next call. So the shared cache is replaced, and the
    caches of the other cores are not.
    """

    def __init__(self, cold_bytes: int) -> None:
        # Ones, because memory of zeros is one page, shared until it is written.
        self.memory = np.ones(min(cold_bytes, COLD_BYTES) // 8, np.int64)

    def __call__(self, inputs: Inputs) -> None:
        """Read the memory and then `inputs`, which in a net the layer before has just written."""
        if self.memory.size:
            self.memory.sum()
            for array in inputs.values():
                array.max()


def _race(racers: Sequence[_Racer]) -> list[float]:
    """Return the seconds of each racer; every second round is in reverse order."""
    with garbage_collector_off():
        for number in range(TURNS):
            for racer in racers if number % 2 == 0 else racers[::-1]:
                racer.turn()
    return [_low(racer.turns_ns) / 1e9 for racer in racers]


def _low(samples: Sequence[float]) -> float:
    """Return the lower quartile: the k-th smallest of n, k = ceil(n / 4)."""
    return sorted(samples)[(len(samples) - 1) // 4]


def _parts(candidates: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    """Yield candidates in their order, in parts of at most `OPEN_BYTES` of weights."""
    part: list[Candidate] = []
    held = 0
    for candidate in candidates:
        size = sum(tensor.nbytes for tensor in candidate[0].state_dict().values())
        if part and held + size > OPEN_BYTES:
            yield part
            part, held = [], 0
        part.append(candidate)
        held += size
    if part:
        yield part


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Say which candidate it was; what an engine raises on its own becomes a `BuildError`."""
    try:
        with user_code("timing it"):
            yield
    except PerfsuiteError as error:
        raise type(error)(f"{where}: {error}") from error


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put `module` into evaluation mode within the context; then restore each part's mode."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Restore torch's threads, which an engine that runs in torch sets when it is opened."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
