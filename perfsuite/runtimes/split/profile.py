"""The profile of a split model: each stage and the code between them is timed directly."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runtimes.pytorch.profile import scoped, works
from perfsuite.runtimes.pytorch.runtime import run_module

if TYPE_CHECKING:
    from torch import nn


class PartSpan(NamedTuple):
    """The start of one part in a call, and its duration without the parts inside it."""

    path: str
    start_s: float
    time_s: float


class Watch:
    """Measures parts of a call, which may be nested."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.spans: list[PartSpan] = []
        self._inside: list[float] = []  # for each open part, the time of the parts inside it

    @contextlib.contextmanager
    def part(self, path: str) -> Iterator[None]:
        """Measure what is done within the context as the part `path`."""
        self._inside.append(0.0)
        start = self.clock()
        yield
        taken = self.clock() - start
        self.spans.append(PartSpan(path, start, taken - self._inside.pop()))
        if self._inside:
            self._inside[-1] += taken


def profile(
    module: nn.Module,
    run: Callable[[Inputs], Outputs],
    parts: Mapping[str, str],
    inputs: Sequence[Inputs],
    calls: int,
    whole: nn.Module,
) -> Profile:
    """Return the profile of `calls` calls of `run`, which calls `module`.

    `parts` maps paths of modules and methods to the runtime of each. Time outside of all parts is
    that of the code between them. `whole` is the same model in PyTorch alone, for counting MACs.
    """
    watch = Watch()
    walls: list[float] = []
    seen: dict[str, dict[int, tuple[float, float]]] = {path: {} for path in parts}
    with scoped(module, parts, watch.part):
        for call in range(calls):
            watch.spans.clear()
            began = time.perf_counter()
            run(inputs[call % len(inputs)])
            walls.append(time.perf_counter() - began)
            for path, start, taken in watch.spans:
                first, before = seen[path].get(call, (start - began, 0.0))
                seen[path][call] = (min(first, start - began), before + taken)
    counted = [_macs(whole, tuple(parts), entry) for entry in inputs]
    macs = {
        path: _mean([counted[call % len(inputs)][path] for call in range(calls)]) for path in parts
    }
    ran = {path: spans for path, spans in seen.items() if spans}
    order = sorted(ran, key=lambda path: min(start for start, _ in ran[path].values()))
    kernels = [_kernel(path, parts[path], ran[path], macs[path], calls) for path in order]
    return Profile(tuple(walls), tuple(kernels))


def _kernel(
    path: str, runtime: str, spans: dict[int, tuple[float, float]], macs: int | None, calls: int
) -> Kernel:
    always = len(spans) == calls
    return Kernel(
        name=path,
        kind=runtime,
        times_s=tuple(spans[call][1] if call in spans else 0.0 for call in range(calls)),
        starts_s=tuple(spans[call][0] for call in range(calls)) if always else (),
        origins=(f"{path}/{runtime}",),
        macs=macs,
    )


def _mean(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) // len(known) if len(known) == len(values) else None


def _macs(module: nn.Module, paths: Sequence[str], inputs: Inputs) -> dict[str, int | None]:
    """Return the multiply-accumulates of one call in each of `paths`, without paths inside it.

    They are counted while `module` runs; None where they cannot be counted.
    """
    found: dict[str, int | None] = dict.fromkeys(paths, 0)
    done = works(module, functools.partial(run_module, module), paths, inputs)
    for (path, *_), work in done.items():
        owner = _longest(path, found)
        before = found.get(owner)
        if before is not None:
            found[owner] = None if work.macs is None else before + work.macs
    return found


def _longest(path: str, prefixes: Collection[str]) -> str:
    """Return the longest of `prefixes` that `path` lies in; '' if there is none."""
    parts = path.split(".")
    starts = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((start for start in starts if start in prefixes), "")
