"""The profile of a compiled module: its kernels in a trace, each with the operators in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runtimes.pytorch.profile import traced
from perfsuite.runtimes.pytorch.trace import CALL, Launch, launches_in
from perfsuite.runtimes.shared.cuda_driver import CUDA
from perfsuite.runtimes.torch_compile.kernels import (
    CodeCall,
    Ran,
    aligned,
    is_generated,
    is_kernel,
    plain_name,
)

REGION = "## Call CompiledFxGraph"  # Inductor's mark in a trace round its code


def profile(
    run: Callable[[Inputs], Outputs],
    inputs: Sequence[Inputs],
    calls: int,
    device: str,
    code: Sequence[CodeCall],
) -> Profile:
    """Return the profile of `calls` calls of `run`, whose compiled code makes the calls of `code`.

    What is not of the code, such as copies round it, has no origin. What ran in some calls only has
    the time 0 in the others.
    """
    walls_s, events = traced(run, inputs, calls, device)
    ran = list(ran_on_card(events) if device == CUDA else ran_on_host(events))
    return Profile(tuple(walls_s), tuple(kernels(ran, code)))


def ran_on_card(events: Sequence[Any]) -> Iterator[list[Ran]]:
    """Yield what ran in each call's compiled code, with the times on the card.

    Those of an operator are from the first kernel that it launched to the last one; a kernel that
    the compiler wrote stands for itself.
    """
    launches = sorted(launches_in(events))
    for begin, operators in host_calls(events):
        found: dict[object, list[Launch]] = {}
        region = (operators[0].begin, max(one.end for one in operators)) if operators else (0, 0)
        for number, one in enumerate(launches):
            if not region[0] <= one.at <= region[1]:
                continue
            owner = next((each for each in operators if each.begin <= one.at <= each.end), None)
            if is_generated(one.name):
                found[number] = [one]
            elif owner is not None:
                found.setdefault(owner, []).append(one)
        yield [
            Ran(
                key.name if isinstance(key, OnHost) else some[0].name,
                max(0, min(one.start for one in some) - begin),
                max(one.end for one in some) - min(one.start for one in some),
            )
            for key, some in found.items()
        ]


def ran_on_host(events: Iterable[Any]) -> Iterator[list[Ran]]:
    """Yield what ran in each call's compiled code, begins since that of the call."""
    for begin, ran in host_calls(events):
        yield [Ran(one.name, one.begin - begin, one.end - one.begin) for one in ran]


class OnHost(NamedTuple):
    """An outermost operator, or a kernel that the compiler wrote, by the host's clock."""

    name: str
    begin: int
    end: int


def host_calls(events: Iterable[Any]) -> Iterator[tuple[int, list[OnHost]]]:
    """Yield the begin of each call, and what its compiled code called on the host."""
    spans = sorted(
        (event.start_ns(), -event.duration_ns(), event.name(), event.start_thread_id())
        for event in events
        if str(event.device_type()).endswith("CPU")
    )
    call: list[OnHost] | None = None
    begin = end = until = region = 0
    thread: object = None
    for start, negative, name, where in spans:
        if name == CALL:
            if call is not None:
                yield begin, call
            call, begin, end, thread = [], start, start - negative, where
            until = region = 0
        elif call is None or start >= end or where != thread:
            continue
        elif name.startswith(REGION):
            region = start - negative
        elif start < region and is_kernel(name) and start >= until:
            until = start - negative
            call.append(OnHost(name, start, until))
    if call is not None:
        yield begin, call


def kernels(traced: Sequence[Sequence[Ran]], code: Sequence[CodeCall]) -> Iterator[Kernel]:
    """Yield what ran in the calls, each with its times, in the order in which it ran first."""
    found: dict[tuple[str, int], dict[int, Ran]] = defaultdict(dict)
    for index, call in enumerate(traced):
        again: dict[str, int] = defaultdict(int)
        for ran, place in aligned(code, call):
            key = (code[place].name, -1) if place is not None else (ran.name, again[ran.name])
            again[ran.name] += place is None
            found[key][index] = ran
    origins = {(one.name, -1): one.origins for one in code}
    for (name, number), times in found.items():
        ran = next(iter(times.values()))
        everywhere = len(times) == len(traced)
        yield Kernel(
            name if number <= 0 else f"{name}_{number}",
            plain_name(ran.name),
            tuple(times[at].length / 1e9 if at in times else 0.0 for at in range(len(traced))),
            tuple(times[at].begin / 1e9 for at in range(len(traced))) if everywhere else (),
            origins.get((name, number), ()),
        )
