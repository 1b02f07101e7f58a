"""What a trace of torch.profiler holds, put in order: calls, operators, and kernels of a card.

Kineto reports operators by the host's clock and kernels by the card's, translated to the host's. A
kernel and the call of CUDA's runtime that launched it have one correlation id, and both point to
the operator by its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from perfsuite.runtimes.shared.kernel_names import Launched

CALL, SCOPE = "perfsuite call", "perfsuite scope "
NOT_THERE = -1.0  # the time on the card of an operator that launched nothing there


class OperatorSpan(NamedTuple):
    """One operator that ran: its start, since the start of the call, and its duration.

    `path` is that of the innermost scope round it, "" where no scope of a module is. `inside` tells
    whether any scope is, also that of the whole model, whose path is "" too.
    """

    name: str
    path: str
    start_s: float
    time_s: float
    inside: bool = True


class _Outermost(NamedTuple):
    """An operator that no other one called, in nanoseconds of the host's clock.

    `path` is that of the innermost scope round it; None outside of all scopes.
    """

    name: str
    path: str | None
    start: int
    end: int


class Launch(NamedTuple):
    """A kernel: when it was launched by the host's clock, and when it ran by the device's."""

    at: int
    start: int
    end: int
    name: str = ""


def host_spans(events: Sequence[Any]) -> Iterator[list[OperatorSpan]]:
    """Yield the outermost operators of each call, with their times on the host."""
    for begin, operators in _calls(events):
        yield [
            _span(one, (one.start - begin) / 1e9, (one.end - one.start) / 1e9) for one in operators
        ]


def device_spans(events: Sequence[Any]) -> Iterator[list[OperatorSpan]]:
    """Yield the outermost operators of each call, with their times on the card.

    A time begins with the first kernel that the operator has launched and ends with its last one.
    It is `NOT_THERE` for operators that launched none.
    """
    launches = sorted(launches_in(events))
    moments = [one.at for one in launches]
    for begin, operators in _calls(events):
        found = []
        for one in operators:
            own = launches[bisect_right(moments, one.start - 1) : bisect_right(moments, one.end)]
            if not own:
                found.append(_span(one, 0.0, NOT_THERE))
                continue
            start, end = min(each.start for each in own), max(each.end for each in own)
            # The card's clock is translated to the host's, and may seem to be early.
            found.append(_span(one, max(0.0, (start - begin) / 1e9), (end - start) / 1e9))
        yield found


def launched(events: Sequence[Any]) -> list[Launched]:
    """Return the operators that launched kernels, innermost ones, in the order of their launch."""
    operators = {
        event.correlation_id(): event
        for event in events
        if _is_on_host(event) and "::" in event.name()
    }
    found: dict[int, list[str]] = {}
    for event in events:
        if is_on_card(event) and event.linked_correlation_id() in operators:
            found.setdefault(event.linked_correlation_id(), []).append(event.name())
    ran = sorted(found, key=lambda key: operators[key].start_ns())
    paths = _paths([operators[key] for key in ran], events)
    return [
        Launched(_plain(operators[key].name()), _dtype(operators[key]), tuple(found[key]), path)
        for key, path in zip(ran, paths, strict=True)
    ]


def _paths(operators: Sequence[Any], events: Iterable[Any]) -> Iterator[str]:
    """Yield the path of the innermost scope round each operator, which are in their order."""
    scopes = sorted(
        (event.start_ns(), -event.duration_ns(), event.name().removeprefix(SCOPE))
        for event in events
        if _is_on_host(event) and event.name().startswith(SCOPE)
    )
    inside: list[tuple[int, str]] = []
    begun = 0
    for operator in operators:
        start = operator.start_ns()
        while begun < len(scopes) and scopes[begun][0] <= start:
            begin, negative, path = scopes[begun]
            inside.append((begin - negative, path))
            begun += 1
        inside = [(end, path) for end, path in inside if end > start]
        yield inside[-1][1] if inside else ""


def _dtype(event: Any) -> str:
    types = [t for t in event.dtypes() if t and not t.startswith(("Scalar", "Tensor"))]
    return types[0] if types else "unknown"


def _plain(name: str) -> str:
    return name.rpartition("::")[2]


def _span(operator: _Outermost, start_s: float, time_s: float) -> OperatorSpan:
    path = operator.path
    return OperatorSpan(operator.name, path or "", start_s, time_s, path is not None)


def _is_on_host(event: Any) -> bool:
    return str(event.device_type()).endswith("CPU")


def is_on_card(event: Any) -> bool:
    """Tell whether it is a kernel, a copy or a fill: a mark shows on the card, too, and is none.

    The number of a mark may be that of a launch, and its time is that of all inside it.
    """
    return not (_is_on_host(event) or event.is_user_annotation())


def launches_in(events: Iterable[Any]) -> Iterator[Launch]:
    """Yield what ran on the card and can be traced to the host: kernels, copies and fills."""
    on_host = [event for event in events if _is_on_host(event)]
    runtime = {
        event.correlation_id(): event.start_ns()
        for event in on_host
        if event.name().startswith("cu")  # cudaLaunchKernel, cuLaunchKernelEx, cudaMemcpyAsync
        and not event.is_user_annotation()
    }
    operators = {
        event.correlation_id(): event.start_ns() for event in on_host if "::" in event.name()
    }
    for event in events:
        if not is_on_card(event):
            continue
        at = runtime.get(event.correlation_id())
        if at is None:
            at = operators.get(event.linked_correlation_id())
        if at is not None:
            start = event.start_ns()
            yield Launch(at, start, start + event.duration_ns(), event.name())


def _calls(events: Sequence[Any]) -> Iterator[tuple[int, list[_Outermost]]]:
    """Yield the begin of each call, and its outermost operators."""
    spans = sorted(
        (event.start_ns(), -event.duration_ns(), event.name(), event.start_thread_id())
        for event in events
        if _is_on_host(event)
    )
    call: list[_Outermost] = []
    begin, end, until, thread = 0, -1, 0, None
    scopes: list[tuple[int, str]] = []
    for start, negative, name, where in spans:
        if name == CALL:
            if end >= 0:
                yield begin, call
            call, begin, end, until, thread, scopes = [], start, start - negative, 0, where, []
            continue
        if start >= end or where != thread:
            continue
        while scopes and start >= scopes[-1][0]:
            scopes.pop()
        if name.startswith(SCOPE):
            scopes.append((start - negative, name.removeprefix(SCOPE)))
        elif "::" in name and start >= until:
            until = start - negative
            path = scopes[-1][1] if scopes else None
            call.append(_Outermost(_plain(name), path, start, until))
    if end >= 0:
        yield begin, call
